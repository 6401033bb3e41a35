// Frozen sets of packages below `snapshots/<name>/`, by hard links: what a release boots with next year as it does today. Called by the commands.
// A snapshot is made whole or not at all, and never changed; its index is upstream's own, byte for byte.
import { constants, copyFile, link, mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Missing } from '../apk/closure.ts'
import { type IndexedPackage, indexFileName, readIndex } from '../apk/index-file.ts'
import { type TrustedKeys, verifySigned } from '../apk/signature.ts'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import { codeOf, diskError, draftPath, writeAtomic } from '../store/atomic.ts'
import { checkPackageFile } from './check.ts'
import { type KnownFile, readContents, writeContents } from './contents.ts'
import { isPart, listFolder, listPackages, listPlaces, type Place, snapshotFolder } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'
import { chooseWanted, type PlacedIndex, type WantedPlace } from './wanted.ts'

export type SnapshotOptions = {
  readonly root: string
  readonly name: string
  /** Repositories and architecture to freeze, as they are now. */
  readonly places: readonly Place[]
  /** Only what these worlds bring. Absent: every package that is here. */
  readonly worlds?: readonly (readonly string[])[]
  readonly keys: TrustedKeys
  readonly now: () => number
  readonly dryRun?: boolean
  readonly onProgress?: OnMirrorProgress
}

/** `repositories` are paths below the mirror's root, for a release's manifest. */
export type Snapshot = {
  readonly name: string
  readonly repositories: readonly string[]
  readonly packages: number
  readonly bytes: number
  readonly madeAt: number
}

/**
 * Makes a snapshot. Throws ConflictError `snapshot-exists`, MissingError (`snapshot-place`: no such repository here; `snapshot-lacking`: packages that
 * were not mirrored), InputError, DecodeError for a broken file, OutsideError `write-failed`.
 */
export async function makeSnapshot(options: SnapshotOptions): Promise<Snapshot & { readonly missing: readonly Missing[] }> {
  const { root, name, now, dryRun } = options
  if (!isPart(name)) throw new InputError('snapshot-name', `"${name.slice(0, 80)}" is no name: letters, digits and . _ + -`)
  const home = join(root, snapshotFolder, name)
  if (await isThere(home))
    throw new ConflictError('snapshot-exists', `there is a snapshot ${name} already, and snapshots never change: choose another name`)
  const indexes = await Promise.all(options.places.map((place) => readPlace(options, place)))
  const whole = new Set(options.worlds ? [] : options.places.map(({ repository }) => repository))
  const { places, missing } = chooseWanted(indexes, whole, options.worlds ?? [])
  const here = await Promise.all(places.map((place) => findHere(options, place)))
  const files = here.flatMap((one) => [...one.files.values()])
  const made = {
    name,
    repositories: here.map(({ place }) => `${snapshotFolder}/${name}/${place.repository}`),
    packages: files.length,
    bytes: files.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0),
    madeAt: now(),
    missing,
  }
  if (dryRun) return made
  const aside = draftPath(home)
  try {
    for (const one of here) await freeze(root, join(snapshotFolder, aside.slice(aside.lastIndexOf('/') + 1)), one, now())
    await rename(aside, home)
  } catch (error) {
    await rm(aside, { recursive: true, force: true })
    throw diskError(home, error)
  }
  return made
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

async function readPlace({ root, keys }: SnapshotOptions, place: Place): Promise<PlacedIndex> {
  const bytes = await readFile(join(root, place.folder, indexFileName)).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error
    throw new MissingError('snapshot-place', `there is no ${place.folder} here: sync it first`)
  })
  verifySigned(bytes, keys)
  return { place, bytes, index: readIndex(bytes) }
}

type Here = WantedPlace & { readonly files: ReadonlyMap<string, KnownFile> }

/** The wanted packages as they lie here. Those that were not checked when they came are read now. */
async function findHere({ root, worlds, onProgress }: SnapshotOptions, wanted: WantedPlace): Promise<Here> {
  const { place, packages } = wanted
  const [sizes, contents] = await Promise.all([listPackages(root, place.folder), readContents(root, place.folder)])
  const files = new Map<string, KnownFile>()
  const lacking: string[] = []
  let doneFiles = 0
  for (const [name, entry] of packages) {
    const known = await knowFile(root, place, name, entry, contents?.files[name], sizes.get(name))
    if (known) files.set(name, known)
    else lacking.push(name)
    onProgress?.({ step: 'look', doneFiles: ++doneFiles, totalFiles: packages.size, doneBytes: 0, totalBytes: 0 })
  }
  // Of a repository of which only a part is here, that part is frozen; but what a world needs must be there.
  if (lacking.length && (worlds || contents?.isWhole))
    throw new MissingError(
      'snapshot-lacking',
      `${place.folder} lacks ${lacking.length} packages (${lacking.slice(0, 5).join(', ')}${lacking.length > 5 ? ', …' : ''}): run "bivouac mirror sync" first`,
    )
  return { ...wanted, isWhole: lacking.length === 0 && packages.size === wanted.index.packages.length, files }
}

async function knowFile(
  root: string,
  place: Place,
  name: string,
  entry: IndexedPackage,
  known: KnownFile | undefined,
  sizeBytes: number | undefined,
): Promise<KnownFile | undefined> {
  if (sizeBytes !== entry.sizeBytes) return undefined
  if (known && known[0] === entry.checksum && known[1] === entry.sizeBytes) return known
  const checked = await checkPackageFile(join(root, place.folder, name), entry)
  return 'sha256' in checked ? [entry.checksum, entry.sizeBytes, checked.sha256] : undefined
}

async function freeze(root: string, below: string, { place, bytes, files, isWhole }: Here, madeAt: number): Promise<void> {
  const folder = join(below, place.folder)
  await mkdir(join(root, folder), { recursive: true })
  for (const name of files.keys()) await linkOrCopy(join(root, place.folder, name), join(root, folder, name))
  await writeAtomic(join(root, folder, indexFileName), bytes, 0o644)
  const indexSha256 = createHash('sha256').update(bytes).digest('hex')
  await writeContents(root, folder, {
    format: 1,
    kind: 'snapshot',
    indexSha256,
    switchedAt: madeAt,
    isWhole,
    files: Object.fromEntries(files),
    old: {},
  })
}

/** A second name for the same bytes; where the file system has none, a copy. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!['EPERM', 'EXDEV', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error))) throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
  }
}

/** All snapshots by name. */
export async function listSnapshots(root: string): Promise<Snapshot[]> {
  const names = (await listFolder(join(root, snapshotFolder))).filter((entry) => entry.isDirectory() && isPart(entry.name)).map(({ name }) => name)
  return Promise.all(names.sort().map((name) => describeSnapshot(root, name)))
}

async function describeSnapshot(root: string, name: string): Promise<Snapshot> {
  const places = await listPlaces(root, `${snapshotFolder}/${name}`)
  const notes = await Promise.all(places.map(({ folder }) => readContents(root, folder)))
  const files = notes.flatMap((note) => Object.values(note?.files ?? {}))
  return {
    name,
    repositories: [...new Set(places.map(({ repository }) => repository))],
    packages: files.length,
    bytes: files.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0),
    madeAt: Math.max(0, ...notes.map((note) => note?.switchedAt ?? 0)),
  }
}

/** One snapshot. Throws MissingError `snapshot-unknown`. */
export async function findSnapshot(root: string, name: string): Promise<Snapshot> {
  const all = await listSnapshots(root)
  const found = all.find((one) => one.name === name)
  if (!found)
    throw new MissingError('snapshot-unknown', `there is no snapshot ${name} (there are: ${all.map((one) => one.name).join(', ') || 'none'})`)
  return found
}

/** Which releases boot from it? `repositories` are those of the releases' manifests: `apk/snapshots/spring/v3.22/main`, or a URL that ends so. */
export function findUsers(name: string, releases: readonly { readonly id: string; readonly repositories?: readonly string[] }[]): string[] {
  const inside = (place: string): boolean => `${place}/`.includes(`/${snapshotFolder}/${name}/`)
  return releases.filter(({ repositories }) => repositories?.some(inside)).map(({ id }) => id)
}

/** Removes it. Throws MissingError, or ConflictError `snapshot-used` when a release boots from it. */
export async function removeSnapshot(root: string, name: string, users: readonly string[], dryRun = false): Promise<Snapshot> {
  const found = await findSnapshot(root, name)
  if (users.length) throw new ConflictError('snapshot-used', `${users.join(', ')} boots from ${name}: give the release other repositories first`)
  if (dryRun) return found
  // Out of the stations' sight in one step, then away.
  const gone = draftPath(join(root, snapshotFolder, name))
  await rename(join(root, snapshotFolder, name), gone)
  await rm(gone, { recursive: true, force: true })
  return found
}
