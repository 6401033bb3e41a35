// Imports one release: finds the source, checks it, takes the boot files out, looks whether they belong together, and puts them in their place
// at once, with a manifest. Called by the command. What is there is never changed.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConflictError, InputError } from '../boot/error.ts'
import { codeOf, diskError, writeAtomic } from '../store/atomic.ts'
import { takeLock } from '../store/lock.ts'
import { manifestName, type ReleaseManifest } from '../store/manifest.ts'
import { type Draft, openDraft, type ReleaseFile } from './draft.ts'
import { type Inspection, inspectRelease } from './inspect.ts'
import { openIso } from './iso-source.ts'
import { type KeyOutcome, trustKeys } from './key.ts'
import { formatManifestFile, readManifest, releaseFolder } from './manifest.ts'
import { bootParts, chooseSet, nameRelease, type ReleaseName } from './name.ts'
import { findSource, type Source, type SourceAsk, type SourceDeps } from './source.ts'
import { unpackFolder, unpackTarball, type Unpacked } from './unpack.ts'
import { judge, type JudgeAsk, type Said, type Verdict } from './verdict.ts'
import { digestFile } from './verify-archive.ts'

export type ImportAsk = SourceAsk &
  JudgeAsk & {
    readonly flavour?: string
    /** Put the initramfs' apk keys among the trusted ones though the release was not verified. */
    readonly trustKeys?: boolean
    /** Of an ISO image: its packages too, where the mirror has none of that branch. */
    readonly withPackages?: boolean
    readonly dryRun?: boolean
  }

export type ImportDeps = Omit<SourceDeps, 'downloads'> & {
  readonly depot: string
  readonly state: string
  /** `packages.root`. */
  readonly packagesRoot: string
  readonly now: () => number
  /** The program that lists a modloop; for tests. */
  readonly unsquashfs?: string
}

/** `there`: the very same release was there already. `would`: a dry run; nothing was written. */
export type ImportOutcome = {
  readonly outcome: 'imported' | 'there' | 'would'
  readonly id: string
  readonly source: string
  readonly verified: ReleaseManifest['verified']
  readonly manifest?: ReleaseManifest
  readonly keys: readonly KeyOutcome[]
  /** Files copied into the mirror. */
  readonly packages?: number
  readonly warnings: readonly Said[]
}

/**
 * Imports the release. Throws InputError for what does not belong together or cannot be one (`flavour-mix`, `kernel-mix`, `release-…`, `archive-hostile`),
 * ConflictError `release-differs` when another content stands under that id and `import-running` while another downloads, OutsideError `checksum-wrong`, `signature-wrong`, `signature-missing`,
 * DecodeError for damaged files, and what the network and the disk throw. Then nothing is left of it but a download that can be gone on with.
 */
export async function importRelease(ask: ImportAsk, deps: ImportDeps): Promise<ImportOutcome> {
  const downloads = join(deps.state, 'releases')
  const source = await findSource(ask, { ...deps, downloads })
  const before = source.kind === 'iso' || !source.version ? undefined : nameOf(ask, source)
  const known = before && !ask.trustKeys && !ask.withPackages ? await findKnown(ask, deps, before, source) : undefined
  if (known) return { outcome: 'there', id: known.id, source: source.label, verified: known.verified, manifest: known, keys: [], warnings: [] }
  if (ask.dryRun && source.isRemote) return foresee(ask, source)
  const unlock = source.isRemote ? await lockDownloads(downloads) : async () => undefined
  try {
    const path = await source.fetch()
    const verdict = await judge(path, ask, source, deps)
    const outcome = await take(path, ask, source, verdict, deps)
    if (source.isRemote) await rm(path, { force: true })
    return outcome
  } finally {
    await unlock()
  }
}

/** Two that write one unfinished download would spoil it for each other. */
async function lockDownloads(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw diskError(folder, error)
  })
  return takeLock(folder).catch((cause) => {
    if (!(cause instanceof ConflictError)) throw cause
    throw new ConflictError('import-running', `another import is downloading into ${folder}: wait until it is done, then give this one again`, {
      cause,
    })
  })
}

const flavourOf = ({ flavour = 'lts' }: ImportAsk): string => flavour

function nameOf(ask: ImportAsk, source: Source, label = ''): ReleaseName {
  const [, version, arch] = /^alpine-[a-z]+-([0-9][0-9a-z._]*)(?:-([a-z0-9_]+))?/.exec(label) ?? []
  const clash = source.version && ask.version && source.version !== ask.version
  if (clash) throw new InputError('release-version', `${source.name} is of version ${source.version}, not ${ask.version}`)
  return nameRelease({
    version: ask.version ?? source.version ?? version,
    branch: source.branch ?? ask.branch,
    arch: ask.arch ?? source.arch ?? arch,
    flavour: flavourOf(ask),
  })
}

/** The manifest of the release when it came from this very archive. */
async function findKnown(ask: ImportAsk, deps: ImportDeps, { id }: ReleaseName, { digests }: Source): Promise<ReleaseManifest | undefined> {
  const manifest = await readManifest(deps.depot, id).catch(() => undefined)
  if (ask.requireSignature && manifest?.verified.signature !== 'good') return undefined
  return manifest?.archive && digests.some(({ kind, hex }) => kind === 'sha256' && hex === manifest.archive?.sha256) ? manifest : undefined
}

function foresee(ask: ImportAsk, source: Source): ImportOutcome {
  const [digest] = source.digests
  return {
    outcome: 'would',
    id: nameOf(ask, source).id,
    source: source.label,
    verified: {
      checksum: digest?.kind ?? 'none',
      ...(digest && { checksumFrom: digest.from }),
      signature: 'none',
      note: 'dry run: nothing was fetched',
    },
    keys: [],
    warnings: flavourWarnings(flavourOf(ask)),
  }
}

/** From the archive to the release in its place. */
async function take(path: string, ask: ImportAsk, source: Source, verdict: Verdict, deps: ImportDeps): Promise<ImportOutcome> {
  const iso = source.kind === 'iso' ? await openIso(path) : undefined
  try {
    const name = nameOf(ask, source, iso?.label)
    const unpack = (draft?: Draft): Promise<Unpacked> => {
      const how = { flavour: name.flavour, ...(draft && { draft }), ...(deps.onProgress && { onProgress: deps.onProgress }) }
      if (iso) return iso.unpack(how)
      return source.kind === 'folder' ? unpackFolder(path, how) : unpackTarball(path, how)
    }
    const said = [...verdict.warnings, ...flavourWarnings(name.flavour)]
    const common = { id: name.id, source: source.label, verified: verdict.verified }
    if (ask.dryRun) {
      chooseSet((await unpack()).names, name.flavour, source.name)
      return { ...common, outcome: 'would', keys: [], warnings: said }
    }
    const placed = await placeRelease(name, source, verdict, unpack, deps)
    const mayTrust = verdict.verified.signature === 'good' || ask.trustKeys === true
    const keys = mayTrust ? await trustKeys(deps.packagesRoot, placed.inspection.keys) : []
    const packages = ask.withPackages ? await iso?.copyPackages(deps.packagesRoot, name.branch, name.arch, deps.onProgress) : undefined
    const warnings = [...said, ...placed.inspection.warnings, ...keyWarnings(mayTrust, keys), ...packageWarnings(ask, iso !== undefined, packages)]
    return { ...common, outcome: placed.outcome, manifest: placed.manifest, keys, ...(packages !== undefined && { packages }), warnings }
  } finally {
    await iso?.close()
  }
}

type Placed = { readonly outcome: 'imported' | 'there'; readonly manifest: ReleaseManifest; readonly inspection: Inspection }

async function placeRelease(
  name: ReleaseName,
  source: Source,
  verdict: Verdict,
  unpack: (draft: Draft) => Promise<Unpacked>,
  deps: ImportDeps,
): Promise<Placed> {
  const folder = join(deps.depot, releaseFolder(name.id))
  const draft = await openDraft(folder)
  try {
    const { names, files } = await unpack(draft)
    const set = chooseSet(names, name.flavour, source.name)
    deps.onProgress?.({ step: 'look', what: 'kernel, initramfs and modloop', doneBytes: 0 })
    const inspection = await inspectRelease(draft.folder, set, deps.unsquashfs)
    const manifest = makeManifest(name, source, verdict, inspection, files, deps.now())
    const before = await findContent(deps.depot, name, folder)
    if (before) return { ...(await settleWithThere(before, manifest, deps.depot)), inspection }
    await writeAtomic(join(draft.folder, manifestName), formatManifestFile(manifest), 0o644)
    await draft.place()
    return { outcome: 'imported', manifest, inspection }
  } finally {
    await draft.drop()
  }
}

function makeManifest(
  name: ReleaseName,
  source: Source,
  verdict: Verdict,
  inspection: Inspection,
  files: readonly ReleaseFile[],
  now: number,
): ReleaseManifest {
  const { kernelVersion, agreed, modules, keys } = inspection
  return {
    format: 1,
    id: name.id,
    version: name.version,
    branch: name.branch,
    arch: name.arch,
    flavour: name.flavour,
    ...(kernelVersion && { kernelVersion }),
    source: source.label.slice(0, 1024),
    ...(verdict.archive && { archive: verdict.archive }),
    importedAt: now,
    verified: verdict.verified,
    agreed,
    ...(modules !== undefined && { modules }),
    keys: [...keys.keys()].sort(),
    files: bootParts.flatMap((part) => files.find((file) => file.name.startsWith(`${part}-`)) ?? []),
    repositories: [],
  }
}

type Content = { readonly files: readonly ReleaseFile[]; readonly manifest?: ReleaseManifest }

/** What stands under the id: by its manifest, or by the files that somebody laid there. */
async function findContent(depot: string, { id, flavour }: ReleaseName, folder: string): Promise<Content | undefined> {
  const manifest = await readManifest(depot, id)
  if (manifest) return { files: manifest.files, manifest }
  const files: ReleaseFile[] = []
  for (const part of bootParts) {
    const name = `${part}-${flavour}`
    const digest = await digestFile(join(folder, name)).catch((error: unknown) => {
      if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined
      throw error
    })
    if (digest) files.push({ name, sizeBytes: digest.sizeBytes, sha256: digest.sha256 })
  }
  return files.length ? { files } : undefined
}

/** The same again is nothing to do (a folder laid by hand gets its manifest); anything else is a conflict. */
async function settleWithThere(there: Content, manifest: ReleaseManifest, depot: string): Promise<Omit<Placed, 'inspection'>> {
  const other = manifest.files.find(({ name, sha256 }) => there.files.find((file) => file.name === name)?.sha256 !== sha256)
  if (other)
    throw new ConflictError(
      'release-differs',
      `${manifest.id} is there with another ${other.name}: a release never changes; import it under another version, or remove releases/${manifest.id} when nobody boots from it`,
    )
  const isBetter = manifest.verified.signature === 'good' && there.manifest?.verified.signature !== 'good'
  if (there.manifest && !isBetter) return { outcome: 'there', manifest: there.manifest }
  // What stands there is told by whom it was verified now; its repositories stay.
  const next = { ...manifest, repositories: there.manifest?.repositories ?? [] }
  await writeAtomic(join(depot, releaseFolder(manifest.id), manifestName), formatManifestFile(next), 0o644)
  return { outcome: there.manifest ? 'there' : 'imported', manifest: next }
}

const flavourWarnings = (flavour: string): Said[] =>
  flavour === 'virt' ? [{ code: 'flavour-virt', text: 'virt has the drivers of virtual machines only: for real machines take --flavour lts' }] : []

function keyWarnings(mayTrust: boolean, keys: readonly KeyOutcome[]): Said[] {
  if (!mayTrust)
    return [
      { code: 'keys-not-trusted', text: 'its apk keys were not added to the trusted ones, for no signature was verified: --trust-keys does it' },
    ]
  return keys
    .filter(({ outcome }) => outcome === 'differs')
    .map(({ name }) => ({ code: 'key-differs', text: `keys/${name} is there with another content and was left` }))
}

function packageWarnings(ask: ImportAsk, isIso: boolean, packages: number | undefined): Said[] {
  if (!ask.withPackages || packages !== undefined) return []
  return [
    {
      code: 'packages-left',
      text: isIso ? 'no packages were copied: the mirror has that branch already, or the image has none' : 'only an ISO image brings packages',
    },
  ]
}
