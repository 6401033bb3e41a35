// Where the mirror's files lie below its root, as on Alpine's own mirrors: `<branch>/<repository>/<arch>/`. Used by every file of the room.
// Nothing of it writes.
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { indexFileName, isArch } from '../apk/index-file.ts'
import { codeOf } from '../store/atomic.ts'

/** One index and its packages. `folder` is `v3.22/main/x86_64`, or `snapshots/spring/v3.22/main/x86_64`, or `private/site/x86_64`. */
export type Place = { readonly folder: string; readonly repository: string; readonly arch: string }

/** Folders below the root that are no branches. */
export const snapshotFolder = 'snapshots'
export const privateFolder = 'private'

const partPattern = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$/

/** Makes the place of a repository (`v3.22/main`). Nothing is checked on the disk. */
export const placeOf = (repository: string, arch: string): Place => ({ folder: `${repository}/${arch}`, repository, arch })

/** Is this one part of a path that may be made below the root: no dot in front, no slash, nothing that a URL would change? */
export const isPart = (text: string): boolean => partPattern.test(text)

/** Every folder below `root` that has an index, by name; `below` limits it to a part (`snapshots/spring`). Hidden folders are passed over. */
export async function listPlaces(root: string, below = ''): Promise<Place[]> {
  const found: Place[] = []
  const waiting = [below]
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const entries = await listFolder(join(root, folder))
    const parts = folder.split('/').filter(Boolean)
    const arch = parts.at(-1) ?? ''
    if (parts.length > 1 && isArch(arch) && entries.some(({ name }) => name === indexFileName))
      found.push({ folder, repository: parts.slice(0, -1).join('/'), arch })
    if (parts.length >= 6) continue
    for (const entry of entries) {
      const path = [...parts, entry.name].join('/')
      if (isPart(entry.name) && (await isFolder(root, path, entry))) waiting.push(path)
    }
  }
  return found.sort((one, other) => (one.folder < other.folder ? -1 : 1))
}

const isFolder = async (root: string, path: string, entry: Dirent): Promise<boolean> =>
  entry.isDirectory() || (entry.isSymbolicLink() && (await stat(join(root, path)).catch(() => undefined))?.isDirectory() === true)

/** What is in a folder; nothing when it is not there. */
export async function listFolder(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return []
    throw error
  }
}

/** Names and sizes of the packages in a folder. */
export async function listPackages(root: string, folder: string): Promise<Map<string, number>> {
  const names = (await listFolder(join(root, folder))).filter((entry) => entry.isFile() && entry.name.endsWith('.apk') && !entry.name.startsWith('.'))
  const sizes = await Promise.all(names.map(({ name }) => stat(join(root, folder, name)).then(({ size }) => [name, size] as const)))
  return new Map(sizes)
}
