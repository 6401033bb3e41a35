// What was fetched on request and lies on the disk: how much it is, and what goes when it is too much, the longest unused first. Used by pull.
// It removes only files that it knows as they were kept: what was put in their place since, by a sync or an operator, is not its business.
import { mkdir, readFile, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeAtomic } from '../store/atomic.ts'

export type Kept = {
  /** A file was put in place. Removes others until all together fit. */
  readonly add: (path: string) => Promise<void>
  /** It was asked for; cheap. */
  readonly use: (path: string) => void
  readonly figures: () => { readonly files: number; readonly bytes: number }
  /** Writes the list down when it changed. Never rejects: it is only about which file goes first. */
  readonly save: () => Promise<void>
}

export type KeptOptions = {
  /** The mirror's folder; paths are below it. */
  readonly root: string
  /** File of the list. */
  readonly file: string
  readonly maxBytes: number
  readonly now: () => number
  /** Does somebody else (a sync, an import) need it? Asked before it would go. */
  readonly isNeeded: (path: string) => Promise<boolean>
}

type Entry = { sizeBytes: number; modifiedMs: number; usedAt: number }

/** Reads the list; one that is missing or damaged is an empty one. */
export async function openKept({ root, file, maxBytes, now, isNeeded }: KeptOptions): Promise<Kept> {
  const entries = await readEntries(file)
  let bytes = [...entries.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let isChanged = false
  let evicting: Promise<void> = Promise.resolve()

  function forget(path: string): void {
    bytes -= entries.get(path)?.sizeBytes ?? 0
    entries.delete(path)
    isChanged = true
  }

  async function add(path: string): Promise<void> {
    const found = await stat(join(root, path)).catch(() => undefined)
    forget(path)
    if (!found?.isFile()) return
    entries.set(path, { sizeBytes: found.size, modifiedMs: Math.floor(found.mtimeMs), usedAt: now() })
    bytes += found.size
    if (bytes > maxBytes) {
      evicting = evicting.then(evict)
      await evicting
    }
  }

  /** Down to nineteen twentieths, so that not every new file begins it again. */
  async function evict(): Promise<void> {
    if (bytes <= maxBytes) return
    const oldest = [...entries].sort(([, one], [, other]) => one.usedAt - other.usedAt)
    for (const [path, entry] of oldest) {
      if (bytes <= maxBytes * 0.95) return
      if (!(await isNeeded(path))) await remove(join(root, path), entry)
      forget(path)
    }
  }

  return {
    add,
    use: (path) => {
      const entry = entries.get(path)
      if (!entry) return
      entry.usedAt = now()
      isChanged = true
    },
    figures: () => ({ files: entries.size, bytes }),
    save: async () => {
      if (!isChanged) return
      isChanged = false
      await mkdir(dirname(file), { recursive: true })
        .then(() => writeAtomic(file, JSON.stringify({ format: 1, files: Object.fromEntries(entries) })))
        .catch(() => {
          isChanged = true
        })
    },
  }
}

/** Removes the file if it is still the one that was kept. One that has other names (a snapshot's, a sync's) would free nothing: it is left alone. */
async function remove(path: string, { sizeBytes, modifiedMs }: Entry): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile() || found.nlink > 1 || found.size !== sizeBytes || Math.floor(found.mtimeMs) !== modifiedMs) return
  await unlink(path).catch(() => undefined)
}

async function readEntries(file: string): Promise<Map<string, Entry>> {
  try {
    const { files } = JSON.parse(await readFile(file, 'utf8')) as { files: Record<string, Entry> }
    return new Map(Object.entries(files).filter(([, entry]) => [entry.sizeBytes, entry.modifiedMs, entry.usedAt].every(Number.isFinite)))
  } catch {
    return new Map()
  }
}
