// Takes releases away that nobody boots from: none that a profile or station uses, none that a station fetched lately. Called by the command.
import { randomUUID } from 'node:crypto'
import { readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Records } from '../boot/record.ts'
import { codeOf, diskError, syncFolder } from '../store/atomic.ts'
import { releaseFolder } from './manifest.ts'
import type { Usage } from './usage.ts'

export type PruneFate = { readonly id: string; readonly sizeBytes: number; readonly fate: 'removed' | 'kept'; readonly why: string }

const dayMs = 86_400_000

/** What would become of each release, in the order of their ids. `keepDays`: how long after its last boot a release stays. */
export function planPrune(
  records: Records,
  usage: ReadonlyMap<string, Usage>,
  sizes: ReadonlyMap<string, number>,
  now: number,
  keepDays: number,
): PruneFate[] {
  return records.releases.map(({ id }) => {
    const { profiles = [], stations = [], lastBootAt } = usage.get(id) ?? {}
    const kept =
      profiles.length > 0
        ? `used by profile ${profiles.join(', ')}${stations.length ? ` (${stations.length} stations)` : ''}`
        : lastBootAt !== undefined && now - lastBootAt < keepDays * dayMs
          ? `a station booted from it ${describeAge(now - lastBootAt)} ago`
          : undefined
    return { id, sizeBytes: sizes.get(id) ?? 0, fate: kept ? 'kept' : 'removed', why: kept ?? 'no profile uses it' }
  })
}

const describeAge = (ms: number): string => (ms < dayMs ? `${Math.max(1, Math.round(ms / 3_600_000))} h` : `${Math.round(ms / dayMs)} days`)

/** Bytes of a release's files. */
export async function sizeOfRelease(depot: string, id: string): Promise<number> {
  const folder = join(depot, releaseFolder(id))
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (found) => (found.isFile() ? found.size : 0),
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/**
 * Removes a release: out of sight by one rename, then for good; empty folders above it go too. A transfer that runs keeps its open file.
 * Rejects with OutsideError `write-failed`.
 */
export async function removeRelease(depot: string, id: string): Promise<void> {
  const folder = join(depot, releaseFolder(id))
  const hidden = join(folder, '..', `.removed.${randomUUID().slice(0, 8)}.tmp`)
  try {
    await rename(folder, hidden)
    await syncFolder(join(folder, '..'))
    await rm(hidden, { recursive: true, force: true })
    await removeEmpty(depot, id.split('/').slice(0, -1))
  } catch (error) {
    throw diskError(folder, error)
  }
}

async function removeEmpty(depot: string, parts: readonly string[]): Promise<void> {
  for (let depth = parts.length; depth > 0; depth--) {
    const isGone = await rmdir(join(depot, 'releases', ...parts.slice(0, depth))).then(
      () => true,
      () => false,
    )
    if (!isGone) return
  }
}

/** Folders of imports that were killed, older than an hour: `.lts.1234abcd.tmp`. Answers their paths below the depot. */
export async function listAbandoned(depot: string, folders: readonly string[], now: number): Promise<string[]> {
  const found: string[] = []
  for (const folder of folders) {
    const names = await readdir(join(depot, folder)).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return []
      throw error
    })
    for (const name of names.filter((one) => /^\..+\.[0-9a-f]{8}\.tmp$/.test(one))) {
      const stats = await stat(join(depot, folder, name)).catch(() => undefined)
      if (stats?.isDirectory() && now - stats.mtimeMs > 3_600_000) found.push(`${folder}/${name}`)
    }
  }
  return found
}
