// Replacing a file whole: a reader, and a machine after a power cut, sees the old bytes or the new ones. Used by every room that writes files.
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { OutsideError } from '../boot/error.ts'

/**
 * Puts the bytes in place of the file, durably: a temporary file in the same folder, fsync, rename, fsync of the folder.
 * `mode` is what the file has afterwards, whatever the umask. Throws OutsideError `write-failed`; then the old file stands untouched.
 */
export async function writeAtomic(path: string, bytes: string | Uint8Array, mode = 0o600): Promise<void> {
  const draft = draftPath(path)
  try {
    const file = await open(draft, 'wx', mode)
    try {
      await file.writeFile(bytes)
      await file.chmod(mode)
      await file.sync()
    } finally {
      await file.close()
    }
    await replaceDurably(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw diskError(path, error)
  }
}

/**
 * Puts the text in place of the file whole, but does not wait for the disk: for what can be made again. After a power cut the file may be empty.
 * Throws OutsideError `write-failed`.
 */
export async function writeLoosely(path: string, text: string, mode = 0o600): Promise<void> {
  const draft = draftPath(path)
  try {
    await writeFile(draft, text, { flag: 'wx', mode })
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw diskError(path, error)
  }
}

/** The name of a temporary file beside `path`: hidden, so that whoever lists the folder passes over it. */
export const draftPath = (path: string): string => join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.tmp`)

/** Removes temporary files that a killed process left, those not written for `olderMs`. Answers how many. Never rejects: what cannot be removed stays. */
export async function removeOldDrafts(folder: string, olderMs: number, now: () => number): Promise<number> {
  let removed = 0
  for (const name of (await readdir(folder).catch(() => [])).filter((one) => /^\..+\.tmp$/.test(one))) {
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    if (!found?.isFile() || now() - found.mtimeMs < olderMs) continue
    removed += await unlink(path).then(
      () => 1,
      () => 0,
    )
  }
  return removed
}

/** Renames a synced file over another and syncs the folder, without which a power cut may undo the rename. */
export async function replaceDurably(draft: string, path: string): Promise<void> {
  await rename(draft, path)
  await syncFolder(dirname(path))
}

/** Makes renames, new and removed names in a folder durable. A file system that cannot sync a folder is let pass. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, 'r')
    await handle.sync()
  } catch (error) {
    // Lore: CIFS and some FUSE mounts answer EINVAL or ENOTSUP to fsync on a folder; they have no such promise to give.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EACCES'].includes(codeOf(error))) throw error
  } finally {
    await handle?.close()
  }
}

/** The system's error code (`ENOSPC`), or '' where there is none. */
export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | undefined)?.code ?? ''

/** What the disk refused, as the error that the other rooms know. */
export function diskError(path: string, error: unknown): OutsideError {
  if (error instanceof OutsideError) return error
  return new OutsideError('write-failed', `${path} cannot be written: ${(error as Error).message}`, codeOf(error) === 'ENOSPC', { cause: error })
}
