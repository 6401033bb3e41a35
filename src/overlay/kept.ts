// What was composed before, by station: `state/overlays/composed/<key>.json` names the blob and what is known of it. Called by composer.
// A lost or broken file costs a composition, nothing else.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { writeLoosely } from '../store/atomic.ts'
import type { Composed } from './composition.ts'

/** What is remembered of a composition; where it lies and its identity are looked up. */
export type KeptComposition = Omit<Composed, 'path' | 'identity' | 'pinned'> & { readonly fingerprint: string }

export type Kept = {
  readonly read: (key: string) => Promise<KeptComposition | undefined>
  readonly write: (key: string, kept: KeptComposition) => Promise<void>
  /** Digests of all compositions that are kept. */
  readonly digests: () => Promise<Set<string>>
}

/** More than this many stations' compositions are not remembered: the oldest go. */
const maxKept = 4096
const format = 1

export function createKept(state: string): Kept {
  const folder = join(state, 'overlays', 'composed')
  const pathOf = (key: string): string => join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`)
  let count: number | undefined

  async function readPath(path: string): Promise<(KeptComposition & { format: number }) | undefined> {
    try {
      const kept = JSON.parse(await readFile(path, 'utf8')) as KeptComposition & { format: number }
      return kept.format === format && typeof kept.digest === 'string' ? kept : undefined
    } catch {
      return undefined
    }
  }

  async function write(key: string, kept: KeptComposition): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeLoosely(pathOf(key), `${JSON.stringify({ format, ...kept })}\n`)
    count ??= (await readdir(folder)).length
    if (++count > maxKept) count = await dropOldest(folder)
  }

  async function digests(): Promise<Set<string>> {
    const names = await readdir(folder).catch(() => [])
    const found = new Set<string>()
    for (const name of names) {
      const digest = name.endsWith('.json') ? (await readPath(join(folder, name)))?.digest : undefined
      if (digest) found.add(digest)
    }
    return found
  }

  return { read: (key) => readPath(pathOf(key)), write, digests }
}

/** Leaves the newest three quarters. Answers how many those are. */
async function dropOldest(folder: string): Promise<number> {
  const names = await readdir(folder)
  const aged = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })))
  const gone = aged.sort((one, other) => one.at - other.at).slice(0, Math.max(0, names.length - Math.floor(maxKept * 0.75)))
  for (const { name } of gone) await unlink(join(folder, name)).catch(() => undefined)
  return names.length - gone.length
}
