// Makes new indexes those that stations get. Packages go into place first (no index names them yet), then each index by one rename, then the notes.
// Used by sync and import. Whoever reads meanwhile has the old index with its packages, which stay for a time, or the new one with all of its own.
import { createHash } from 'node:crypto'
import { link, mkdir, open, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type IndexedPackage, indexFileName, packageFileName } from '../apk/index-file.ts'
import { codeOf, diskError, draftPath, syncFolder } from '../store/atomic.ts'
import { type Contents, type KnownFile, readContents, writeContents } from './contents.ts'
import type { Staged } from './fetch.ts'
import { listPackages } from './place.ts'

export type PlaceSwitch = {
  readonly folder: string
  readonly kind: Contents['kind']
  /** The index as the stations will get it, and the names that it has. */
  readonly bytes: Uint8Array
  readonly index: { readonly packages: readonly IndexedPackage[] }
  readonly isWhole: boolean
  /** New packages, on the same disk. */
  readonly staged: readonly Staged[]
  /** Packages that lie in the folder and stay. */
  readonly kept: ReadonlyMap<string, KnownFile>
}

export type SwitchOptions = { readonly root: string; readonly now: () => number; readonly graceMs: number }

/** Answers how many old packages were removed, and the folders whose index is another one now. Throws OutsideError `write-failed`. */
export async function switchPlaces(
  switches: readonly PlaceSwitch[],
  options: SwitchOptions,
): Promise<{ readonly removed: number; readonly changed: ReadonlySet<string> }> {
  const { root } = options
  try {
    const late = (await Promise.all(switches.map((one) => placePackages(root, one)))).flat()
    const drafts = await Promise.all(switches.map((one) => draftIndex(root, one)))
    for (const { draft, target } of drafts) await rename(draft, target)
    // Put out anew under a name that was there: it can go only with its index.
    for (const { path, target } of late) await rename(path, target)
    let removed = 0
    for (const one of switches) removed += await finish(one, options)
    return { removed, changed: new Set(drafts.filter(({ isNew }) => isNew).map(({ folder }) => folder)) }
  } catch (error) {
    throw diskError(root, error)
  }
}

/** Moves what is new beside what is there. Answers the files that would replace another one. */
async function placePackages(root: string, { folder, staged }: PlaceSwitch): Promise<{ path: string; target: string }[]> {
  await mkdir(join(root, folder), { recursive: true })
  const late: { path: string; target: string }[] = []
  for (const { entry, path } of staged) {
    const target = join(root, folder, packageFileName(entry))
    try {
      await link(path, target)
      await unlink(path)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') late.push({ path, target })
      // Lore: FAT, CIFS and some FUSE mounts have no hard links.
      else if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'].includes(codeOf(error))) await rename(path, target)
      else throw error
    }
  }
  await syncFolder(join(root, folder))
  return late
}

async function draftIndex(root: string, { folder, bytes }: PlaceSwitch) {
  const target = join(root, folder, indexFileName)
  const draft = draftPath(target)
  const before = (await readContents(root, folder).catch(() => undefined))?.indexSha256
  const file = await open(draft, 'wx', 0o644)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  } finally {
    await file.close()
  }
  return { draft, target, folder, isNew: before !== digest(bytes) }
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Writes down what is there now, and removes what no index has named for long enough. */
async function finish({ folder, kind, bytes, index, isWhole, staged, kept }: PlaceSwitch, { root, now, graceMs }: SwitchOptions): Promise<number> {
  const files: Record<string, KnownFile> = Object.fromEntries(kept)
  for (const { entry, sha256 } of staged) files[packageFileName(entry)] = [entry.checksum, entry.sizeBytes, sha256]
  const before = await readContents(root, folder).catch(() => undefined)
  const named = new Set(index.packages.map(packageFileName))
  const old: Record<string, number> = {}
  let removed = 0
  for (const name of (await listPackages(root, folder)).keys()) {
    if (named.has(name)) continue
    const since = before?.old[name] ?? now()
    if (now() - since < graceMs) old[name] = since
    else {
      await rm(join(root, folder, name), { force: true })
      removed++
    }
  }
  await syncFolder(dirname(join(root, folder, indexFileName)))
  await writeContents(root, folder, { format: 1, kind, indexSha256: digest(bytes), switchedAt: now(), isWhole, files: sortKeys(files), old })
  return removed
}

const sortKeys = <T>(table: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(table).toSorted(([one], [other]) => (one < other ? -1 : 1)))
