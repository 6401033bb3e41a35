// Removes what stations no longer need: packages that no index names, after their time, and what stopped downloads left. Called by the commands.
// Snapshots have names of their own for their files and lose nothing.
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readContents, writeContents } from './contents.ts'
import { stageFolder } from './fetch.ts'
import { listPlaces, snapshotFolder } from './place.ts'

export type Pruned = { readonly files: readonly string[]; readonly bytes: number }

/** Files whose last index went `olderMs` ago, or that lie unfinished for so long. With `dryRun` nothing is removed. */
export async function pruneMirror(root: string, { olderMs, now, dryRun }: { olderMs: number; now: () => number; dryRun?: boolean }): Promise<Pruned> {
  const files: string[] = []
  let bytes = 0
  const take = async (path: string): Promise<void> => {
    const found = await stat(join(root, path)).catch(() => undefined)
    if (!found) return
    files.push(path)
    bytes += found.size
    if (!dryRun) await rm(join(root, path), { force: true })
  }
  for (const { folder } of await listPlaces(root)) {
    if (folder.startsWith(`${snapshotFolder}/`)) continue
    const contents = await readContents(root, folder)
    const gone = Object.entries(contents?.old ?? {}).filter(([, since]) => now() - since >= olderMs)
    for (const [name] of gone) await take(`${folder}/${name}`)
    if (contents && gone.length && !dryRun) {
      const names = new Set(gone.map(([name]) => name))
      await writeContents(root, folder, { ...contents, old: Object.fromEntries(Object.entries(contents.old).filter(([name]) => !names.has(name))) })
    }
  }
  for (const path of await listStage(root, stageFolder)) {
    const found = await stat(join(root, path)).catch(() => undefined)
    if (found?.isFile() && now() - found.mtimeMs >= olderMs) await take(path)
  }
  return { files, bytes }
}

async function listStage(root: string, folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => [])
  return names.map((name) => `${folder}/${name}`)
}
