// Another script or other CAs in a finished loader, without a compiler: UEFI in place, BIOS by packing its kept image again. Used by the faces and by station paths.
import { type Artifacts, licenceNotice, type Manifest } from './artifact.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { fingerprintOf, sha256 } from './fingerprint.ts'
import { digestOf } from './input.ts'
import { readCertificates } from './recipe.ts'
import { fillAuthorities, fillSlot } from './slot.ts'
import { isPacked, parseTarget } from './target.ts'
import { packImage } from './zbin.ts'

export type Change = { readonly script?: string; readonly trust?: readonly string[] }

/** A loader opened for changes; keep it to change it often. */
export type Blank = { readonly manifest: Manifest; readonly binary: Uint8Array; readonly zinfo?: Uint8Array; readonly bootSector?: Uint8Array }

/**
 * Opens what make built; of a patched one its base, with the patch applied before packing, so that nothing of it is lost.
 * @throws MissingError `slot-missing` for one that was built without a slot, InputError for an image of several.
 */
export async function openBlank(artifacts: Artifacts, manifest: Manifest): Promise<Blank> {
  if (manifest.kind === 'patched') {
    const blank = await openBlank(artifacts, await artifacts.show(manifest.from?.[0] ?? ''))
    return { ...blank, ...applyChange(blank, stateOf(manifest)) }
  }
  if (manifest.kind === 'image')
    throw new InputError('patch-image', 'a disk image is not patched: patch its parts and put them together again', { path: 'artifact' })
  if (!manifest.slot) throw new MissingError('slot-missing', `${manifest.file} was built without a slot: build it with \`slot:\` in its recipe`)
  if (!isPacked(parseTarget(manifest.target))) {
    if (/\.(m|pci|isa|efi)?rom$/.test(manifest.file) || /\.(iso|vhd|sdsk|exe|nbi|pdsk)$/.test(manifest.file))
      throw new InputError('patch-media', `${manifest.file} has check sums or packed parts that only its build can make`, { path: 'artifact' })
    return { manifest, binary: await artifacts.read(manifest) }
  }
  const read = (part: string): Promise<Uint8Array | undefined> =>
    manifest.parts?.[part] === undefined ? Promise.resolve(undefined) : artifacts.read(manifest, part)
  const [binary, zinfo, bootSector] = await Promise.all([read('bin'), read('zinfo'), read('bootSector')])
  if (!binary || !zinfo) throw new MissingError('slot-missing', `the packed image of ${manifest.file} was not kept: build it again`)
  return { manifest, binary, zinfo, ...(bootSector ? { bootSector } : {}) }
}

/** A change with the CAs as the loader holds them: 64 hex digits each. */
type Inner = { readonly script?: string; readonly authorities?: readonly string[] }

/** What a patched artifact has in place of its base's. */
const stateOf = ({ script, patchedTrust }: Manifest): Inner => ({
  ...(script ? { script: script.text } : {}),
  ...(patchedTrust ? { authorities: patchedTrust } : {}),
})

const innerOf = ({ script, trust }: Change): Inner => ({
  ...(script === undefined ? {} : { script }),
  ...(trust === undefined ? {} : { authorities: listDigests(trust) }),
})

function applyChange({ manifest, binary }: Blank, { script, authorities }: Inner): { binary: Uint8Array; manifest: Manifest } {
  const filled = script === undefined ? binary : fillSlot(binary, script)
  if (authorities === undefined || !manifest.slot)
    return { binary: authorities === undefined ? filled : fillAuthorities(filled, [], authorities), manifest }
  const now = manifest.slot.authorities
  const padded = now.map((_, index) => authorities[Math.min(index, authorities.length - 1)] ?? '')
  return { binary: fillAuthorities(filled, now, authorities), manifest: { ...manifest, slot: { ...manifest.slot, authorities: padded } } }
}

/** The changed loader's bytes. @throws what slot.ts throws; never answers an unchanged loader for a change. */
export function changeLoader(blank: Blank, change: Change): Uint8Array {
  const { manifest, zinfo, bootSector } = blank
  const changed = applyChange(blank, innerOf(change)).binary
  if (!zinfo) return changed
  const packed = packImage(changed, zinfo)
  const block = /\.(usb|hd)$/.test(manifest.file) ? 32_768 : manifest.file.endsWith('.dsk') ? 512 : 1
  const padded = new Uint8Array(Math.ceil(packed.length / block) * block)
  padded.set(packed)
  return bootSector ? Buffer.concat([bootSector, padded]) : padded
}

const listDigests = (trust: readonly string[]): string[] =>
  trust.flatMap((text, index) => readCertificates(text, `trust.${index}`)).map((one) => digestOf(one.toString()))

/** Keeps the changed loader as an artifact of its own (a dry run makes it and keeps it not); the same change twice is one artifact. */
export async function patchArtifact(artifacts: Artifacts, manifest: Manifest, change: Change, now: () => number, dryRun = false): Promise<Manifest> {
  if (change.script === undefined && change.trust === undefined)
    throw new InputError('patch-empty', 'say what to change: a script or CAs', { path: 'script' })
  // A patch of a patch starts from what make built, with both changes.
  const base = manifest.kind === 'patched' ? await artifacts.show(manifest.from?.[0] ?? '') : manifest
  const { script, authorities } = { ...(manifest.kind === 'patched' ? stateOf(manifest) : {}), ...innerOf(change) }
  const fingerprint = fingerprintOf({ form: 1, base: base.fingerprint, script: script && sha256(script), authorities })
  const known = await artifacts.find(fingerprint)
  if (known) return known
  const startedAt = now()
  const bytes = changeLoader(await openBlank(artifacts, manifest), change)
  const { sha256: _, sizeBytes: __, licence: ___, parts: ____, ...kept } = manifest
  const made = {
    ...kept,
    ...{ kind: 'patched' as const, fingerprint, from: [base.fingerprint], builtAt: startedAt, durationMs: now() - startedAt },
    ...(script === undefined ? {} : { script: { text: script, sha256: sha256(script) } }),
    ...(change.trust === undefined ? {} : { trust: describeCertificates(change.trust) }),
    ...(authorities === undefined ? {} : { patchedTrust: [...authorities] }),
  }
  if (dryRun) return { ...made, sha256: sha256(bytes), sizeBytes: bytes.length, licence: licenceNotice }
  return artifacts.add(made, { [manifest.file]: bytes })
}

/** What a manifest says of certificates. */
export const describeCertificates = (texts: readonly string[]): { subject: string; sha256: string }[] =>
  texts
    .flatMap((text) => readCertificates(text, 'trust'))
    .map((one) => ({ subject: one.subject.replaceAll('\n', ', '), sha256: digestOf(one.toString()) }))
