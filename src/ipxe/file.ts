// Small helpers over node:fs for the rooms of ipxe: sizes, safe copies, files that appear whole.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** A file that appears whole or not at all, and is on the disk when this resolves. */
export async function writeWhole(path: string, bytes: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.new-${randomBytes(4).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Paths of all files below, relative, sorted by code unit; folders and links are not followed. */
export async function listFiles(folder: string, skip: (path: string) => boolean = () => false, below = ''): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    if (skip(path)) continue
    if (entry.isDirectory()) found.push(...(await listFiles(folder, skip, path)))
    else found.push(path)
  }
  return found.sort()
}

/** What a folder takes on the disk, in bytes. */
export async function sizeOf(folder: string): Promise<number> {
  let sizeBytes = 0
  for (const path of await listFiles(folder)) sizeBytes += (await stat(join(folder, path)).catch(() => ({ size: 0 }))).size
  return sizeBytes
}

/** Whether something is there (a dangling link is not). */
export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
