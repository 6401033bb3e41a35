// Carries out an import: files first, then all records in one change, then bivouac.yaml. Cut off anywhere, a second run does the rest. Used by `bivouac import`.
import { constants } from 'node:fs'
import { chmod, copyFile, mkdir, open, stat, symlink, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { diskError, draftPath, replaceDurably, writeAtomic } from '../store/atomic.ts'
import type { FileWish } from './draft.ts'
import type { ImportPlan, RecordPlan } from './plan.ts'

/** Writes stations and profiles, all of them or none. */
export type PutRecords = (profiles: readonly RecordPlan[], stations: readonly RecordPlan[]) => Promise<unknown>

/** Throws OutsideError when the disk refuses, and what `put` throws. */
export async function applyImport(
  { files, profiles, stations, settings }: ImportPlan,
  put: PutRecords,
  onFile: (path: string) => void = () => {},
): Promise<void> {
  for (const wish of files) {
    await writeWish(wish)
    onFile(wish.to)
  }
  if (profiles.length || stations.length) await put(profiles, stations)
  // It may name secrets of adapters: a new one is its owner's alone.
  if (settings) await writeAtomic(settings.file, settings.text, ((await stat(settings.file).catch(() => undefined))?.mode ?? 0o600) & 0o777)
}

async function writeWish(wish: FileWish): Promise<void> {
  const draft = draftPath(wish.to)
  try {
    const isSecret = 'mode' in wish && wish.mode === 0o600
    await mkdir(dirname(wish.to), { recursive: true, ...(isSecret && { mode: 0o700 }) })
    if ('text' in wish) return await writeAtomic(wish.to, wish.text, wish.mode)
    if ('target' in wish) await symlink(wish.target, draft)
    else {
      await copyFile(wish.from, draft, constants.COPYFILE_FICLONE)
      await chmod(draft, 0o644)
      const file = await open(draft, 'r')
      await file.sync().finally(() => file.close())
    }
    await replaceDurably(draft, wish.to)
  } catch (error) {
    await unlink(draft).catch(() => undefined)
    throw diskError(wish.to, error)
  }
}
