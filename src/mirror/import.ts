// Takes a part of the mirror in that came by other means: an archive of `bivouac mirror export`. Called by `bivouac mirror import`.
// Everything is checked aside first, indexes by the keys that are trusted here; stations see nothing of an archive that is wrong anywhere.
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type IndexedPackage, indexFileName, packageFileName, readIndex } from '../apk/index-file.ts'
import { type TrustedKeys, parsePublicKey, verifySigned } from '../apk/signature.ts'
import { ConflictError, DecodeError, InputError } from '../boot/error.ts'
import { diskError, draftPath, writeAtomic } from '../store/atomic.ts'
import { readArchive } from './archive-read.ts'
import type { ArchiveList } from './archive-write.ts'
import { checkPackageFile } from './check.ts'
import type { Staged } from './fetch.ts'
import { keyFolder, keyNamePattern, readTrustedKeys } from './key.ts'
import { placeOf, privateFolder, snapshotFolder } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'
import { defaultGraceMs } from './sync.ts'
import { type PlaceSwitch, switchPlaces } from './switch.ts'

export type ImportOptions = {
  readonly root: string
  readonly now: () => number
  /** Takes the archive's own keys as trusted: only where the archive came by a way that nobody else can write to. */
  readonly trustKeys?: boolean
  /** Checks all and changes nothing. */
  readonly dryRun?: boolean
  readonly graceMs?: number
  readonly onProgress?: OnMirrorProgress
}

export type ImportReport = {
  readonly folders: readonly string[]
  readonly packages: number
  readonly bytes: number
  readonly keys: readonly string[]
}

/**
 * Imports one archive. Rejects with DecodeError (`archive-…`, `tar-…`, `signature-…`, `archive-package`), InputError `mirror-keys`, ConflictError
 * `snapshot-exists`, OutsideError `write-failed`; then the mirror is as it was.
 */
export async function importArchive(chunks: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportReport> {
  const { root, onProgress } = options
  const aside = draftPath(join(root, 'import'))
  try {
    await mkdir(aside, { recursive: true }).catch((error) => {
      throw diskError(aside, error)
    })
    const list = await readArchive(chunks, aside, {
      onFile: ({ files, bytes, list: { files: all } }) =>
        onProgress?.({ step: 'copy', doneFiles: files, totalFiles: all.length, doneBytes: bytes, totalBytes: 0 }),
    })
    const brought = await readKeys(aside, list)
    const keys = options.trustKeys ? new Map([...(await readTrustedKeys(root)), ...brought]) : await readTrustedKeys(root)
    if (!keys.size)
      throw new InputError('mirror-keys', 'no key is trusted here: import a release first, or use --trust-keys for an archive that you trust')
    const switches = await checkFolders(aside, list, keys, onProgress)
    await refuseSnapshots(root, list)
    const report = describe(list, switches, options.trustKeys ? [...brought.keys()] : [])
    if (options.dryRun) return report
    if (options.trustKeys) for (const name of brought.keys()) await keepKey(root, aside, name)
    await switchPlaces(switches, { root, now: options.now, graceMs: options.graceMs ?? defaultGraceMs })
    return report
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

const describe = (list: ArchiveList, switches: readonly PlaceSwitch[], keys: readonly string[]): ImportReport => ({
  folders: list.folders.map(({ folder }) => folder),
  packages: switches.reduce((sum, { staged }) => sum + staged.length, 0),
  bytes: list.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  keys,
})

/** A snapshot never changes: one of that name is in the way. */
async function refuseSnapshots(root: string, { folders }: ArchiveList): Promise<void> {
  for (const { folder } of folders) {
    const [first, name] = folder.split('/')
    if (first !== snapshotFolder || name === undefined) continue
    const isThere = await stat(join(root, snapshotFolder, name)).then(
      () => true,
      () => false,
    )
    if (isThere) throw new ConflictError('snapshot-exists', `there is a snapshot ${name} already, and snapshots never change`)
  }
}

async function readKeys(aside: string, { files }: ArchiveList): Promise<TrustedKeys> {
  const names = files.flatMap(({ path }) => (path.startsWith(`${keyFolder}/`) ? [path.slice(keyFolder.length + 1)] : []))
  const keys = names
    .filter((name) => keyNamePattern.test(name))
    .map(async (name) => [name, parsePublicKey(name, await readFile(join(aside, keyFolder, name)))] as const)
  return new Map(await Promise.all(keys))
}

async function keepKey(root: string, aside: string, name: string): Promise<void> {
  await mkdir(join(root, keyFolder), { recursive: true })
  await writeAtomic(join(root, keyFolder, name), await readFile(join(aside, keyFolder, name)), 0o644)
}

/** Each folder's index is signed, and each package is one that it names. A file outside of the folders is refused. */
async function checkFolders(aside: string, list: ArchiveList, keys: TrustedKeys, onProgress: OnMirrorProgress | undefined): Promise<PlaceSwitch[]> {
  const switches: PlaceSwitch[] = []
  const named = new Map(list.files.map((file) => [file.path, file]))
  const left = new Set(list.files.map(({ path }) => path).filter((path) => !path.startsWith(`${keyFolder}/`)))
  let doneFiles = 0
  for (const { folder, isWhole } of list.folders) {
    const [repository, arch] = [dirname(folder), folder.slice(folder.lastIndexOf('/') + 1)]
    if (repository === '.' || folder.startsWith(`${keyFolder}/`)) throw new DecodeError('archive-folder', `${folder} is no folder of a mirror`)
    if (!left.delete(`${folder}/${indexFileName}`)) throw new DecodeError('archive-folder', `${folder} has no ${indexFileName}`)
    const bytes = await readFile(join(aside, folder, indexFileName))
    const index = nameFolder(folder, () => {
      verifySigned(bytes, keys)
      return readIndex(bytes)
    })
    const staged: Staged[] = []
    const place = placeOf(repository, arch)
    for (const entry of index.packages) {
      const file = named.get(`${folder}/${packageFileName(entry)}`)
      if (!file || !left.delete(file.path)) continue
      staged.push({ place, entry, path: join(aside, file.path), sha256: await checkOne(aside, file.path, entry) })
      onProgress?.({ step: 'check', doneFiles: ++doneFiles, totalFiles: list.files.length, doneBytes: 0, totalBytes: 0 })
    }
    if (isWhole && staged.length !== index.packages.length)
      throw new DecodeError('archive-cut', `${folder} is said to be whole, but has ${staged.length} of ${index.packages.length} packages`)
    switches.push({ folder, kind: kindOf(folder), bytes, index, isWhole, staged, kept: new Map() })
  }
  const [stranger] = left
  if (stranger !== undefined) throw new DecodeError('archive-stranger', `${stranger} is named by no index of the archive`)
  return switches
}

const kindOf = (folder: string): PlaceSwitch['kind'] =>
  folder.startsWith(`${snapshotFolder}/`) ? 'snapshot' : folder.startsWith(`${privateFolder}/`) ? 'private' : 'import'

function nameFolder<T>(folder: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof DecodeError) throw new DecodeError(error.code, `${folder}/${indexFileName}: ${error.message}`, { cause: error })
    throw error
  }
}

async function checkOne(aside: string, path: string, entry: IndexedPackage): Promise<string> {
  const checked = await checkPackageFile(join(aside, path), entry)
  if ('problem' in checked) throw new DecodeError('archive-package', `${path} ${checked.problem}`)
  return checked.sha256
}
