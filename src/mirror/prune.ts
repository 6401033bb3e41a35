// Removes what stations no longer need: packages that no index names, after their time, and what stopped downloads left. Called by the commands.
// Snapshots have names of their own for their files and lose nothing.
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readContents, writeContents } from './contents.ts'
import { stageFolder } from './fetch.ts'
import { listFolder, listPlaces, snapshotFolder } from './place.ts'

export type Pruned = { readonly files: readonly string[]; readonly bytes: number }

/** Files whose last index went `olderMs` ago, or that lie unfinished for so long. With `dryRun` nothing is removed. */
export async function pruneMirror(root: string, { olderMs, now, dryRun }: { olderMs: number; now: () => number; dryRun?: boolean }): Promise<Pruned> {
  const files: string[] = []
  let bytes = 0
  const take = async (path: string): Promise<void> => {
    const found = await stat(join(root, path)).catch(() => undefined)
    if (!found) return
    files.push(path)
    bytes += found.isDirectory() ? await sizeOfFolder(join(root, path)) : found.size
    if (!dryRun) await rm(join(root, path), { force: true, recursive: true })
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
  for (const path of await listDrafts(root)) {
    const found = await stat(join(root, path)).catch(() => undefined)
    if (found && now() - found.mtimeMs >= Math.max(olderMs, leastDraftMs)) await take(path)
  }
  for (const path of await listStage(root, stageFolder)) {
    const found = await stat(join(root, path)).catch(() => undefined)
    if (found?.isFile() && now() - found.mtimeMs >= olderMs) await take(path)
  }
  return { files, bytes }
}

/** Nobody writes at one import, snapshot or package for longer without touching it. */
const leastDraftMs = 6 * 3_600_000

/** What a process that was killed left: `.import.1234abcd.tmp`, `snapshots/.spring.1234abcd.tmp`, a package or an index half written. */
async function listDrafts(root: string): Promise<string[]> {
  const places = await listPlaces(root)
  const folders = new Set(['', snapshotFolder, ...places.map(({ folder }) => folder).filter((folder) => !folder.startsWith(`${snapshotFolder}/`))])
  const found = await Promise.all(
    [...folders].map(async (folder) => (await listFolder(join(root, folder))).map(({ name }) => (folder ? `${folder}/${name}` : name))),
  )
  return found.flat().filter((path) => /(^|\/)\.[^/]+\.[0-9a-f]{8}\.tmp$/.test(path))
}

async function sizeOfFolder(path: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(path, { recursive: true }).catch(() => [])) {
    const found = await stat(join(path, name)).catch(() => undefined)
    if (found?.isFile()) bytes += found.size
  }
  return bytes
}

async function listStage(root: string, folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => [])
  return names.map((name) => `${folder}/${name}`)
}
