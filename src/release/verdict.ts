// How far a source was verified: its checksums, its signature, and in words what could not be. Called by import before anything is unpacked.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InputError, MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import type { ReleaseManifest } from '../store/manifest.ts'
import type { OnProgress } from './progress.ts'
import type { Source } from './source.ts'
import { alpineFingerprint, digestFile, readReleaseKey, verifySignature } from './verify-archive.ts'

export type Said = { readonly code: string; readonly text: string }

/** For the manifest, and for the person at the command. */
export type Verdict = {
  readonly verified: ReleaseManifest['verified']
  readonly archive?: ReleaseManifest['archive']
  readonly warnings: readonly Said[]
}

export type JudgeAsk = {
  /** File with the OpenPGP key that signs Alpine's releases; absent: `keys/alpine.asc` of the depot, if it is there. */
  readonly key?: string
  readonly fingerprint?: string
  readonly requireSignature?: boolean
}

type Deps = { readonly depot: string; readonly onProgress?: OnProgress }

/**
 * Throws InputError `checksum-wrong`, `signature-missing` (one is required), `release-key`; OutsideError `signature-wrong`; MissingError
 * `checksum-missing` for something from elsewhere that nothing vouches for.
 */
export async function judge(path: string, ask: JudgeAsk, source: Source, deps: Deps): Promise<Verdict> {
  if (source.kind === 'folder') {
    if (ask.requireSignature) throw new InputError('signature-missing', 'a folder has no signature: import the archive, with its .asc beside it')
    const note = 'a folder: there is nothing to check it against'
    return { verified: { checksum: 'none', signature: 'none', note }, warnings: [{ code: 'not-verified', text: `${note}; it is taken as it is` }] }
  }
  const { sha256, sha512, sizeBytes } = await digestFile(path, (doneBytes) => deps.onProgress?.({ step: 'check', what: source.name, doneBytes }))
  for (const { kind, hex, from } of source.digests) {
    if (hex !== (kind === 'sha256' ? sha256 : sha512)) {
      const remedy = source.isRemote ? 'try again' : 'fetch it again'
      throw new InputError(
        'checksum-wrong',
        `${source.name} has not the ${kind} of ${from}: it is damaged or another file; ${remedy}, nothing was imported`,
      )
    }
  }
  const [digest] = source.digests
  const signed = await checkSignature(path, ask, source, deps)
  if (source.isRemote && !digest && !signed.fingerprint)
    throw new MissingError(
      'checksum-missing',
      `${source.label} has neither a checksum beside it nor a signature that was verified: download it and import the file, if you trust it`,
    )
  const warnings = [
    ...(digest ? [] : [{ code: 'no-checksum', text: `there is no ${source.name}.sha256 or .sha512 beside it: its content was not checked` }]),
    ...signed.warnings,
  ]
  return {
    verified: {
      checksum: digest?.kind ?? 'none',
      ...(digest && { checksumFrom: digest.from }),
      signature: signed.fingerprint ? 'good' : 'none',
      ...(signed.fingerprint && { fingerprint: signed.fingerprint }),
      ...(warnings.length && { note: warnings.map(({ text }) => text).join('; ') }),
    },
    archive: { name: source.name, sizeBytes, sha256 },
    warnings,
  }
}

async function checkSignature(path: string, ask: JudgeAsk, source: Source, deps: Deps): Promise<{ fingerprint?: string; warnings: Said[] }> {
  const file = ask.key ?? join(deps.depot, 'keys/alpine.asc')
  const armored = await readFile(file, 'utf8').catch((error: unknown) => {
    if (ask.key === undefined && codeOf(error) === 'ENOENT') return undefined
    throw new InputError('release-key', `cannot be read: ${codeOf(error)}`, { file })
  })
  const fall = (text: string) => {
    if (ask.requireSignature) throw new InputError('signature-missing', `${text}; a signature is required, nothing was imported`)
    return { warnings: [{ code: 'no-signature', text }] }
  }
  if (armored === undefined) return fall('the signature was not checked, for there is no key: --key FILE, or keys/alpine.asc in the depot')
  const key = await readReleaseKey(armored, ask.fingerprint ?? alpineFingerprint, file)
  const signature = await source.signature()
  if (signature === undefined) return fall(`there is no signature ${source.name}.asc beside it`)
  await verifySignature(path, signature, key)
  return { fingerprint: key.getFingerprint().toUpperCase(), warnings: [] }
}
