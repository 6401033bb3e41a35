// Whole archives by their SHA-256, in `state/overlays/blobs`: what was composed, uploaded, saved or served. Used by composer, history and accept.
// A blob never changes; its name says what must be in it.
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BivouacError } from '../boot/error.ts'
import { codeOf, diskError, syncFolder, writeLoosely } from '../store/atomic.ts'

export type Blob = { readonly digest: string; readonly path: string; readonly sizeBytes: number }

/** What is known of a composed one: where each file came from (path → layer), and what a station reports of it. */
export type BlobNote = { readonly contentId: string; readonly layers: readonly string[]; readonly origins: Readonly<Record<string, string>> }

export type Blobs = {
  /** Keeps what the stream gives; the same bytes are kept once. Throws what the stream throws, or OutsideError when the disk refuses: then nothing is kept. */
  readonly put: (source: Readable) => Promise<Blob>
  /** The same for a file. */
  readonly putFile: (path: string) => Promise<Blob>
  readonly pathOf: (digest: string) => string
  readonly find: (digest: string) => Promise<Blob | undefined>
  /** Keeps what is known of a blob beside it; goes when it goes. */
  readonly describe: (digest: string, about: BlobNote) => Promise<void>
  readonly readNote: (digest: string) => Promise<BlobNote | undefined>
  /** Removes those that `isNeeded` does not know and that are older than a few minutes. Answers how many. */
  readonly prune: (isNeeded: ReadonlySet<string>) => Promise<number>
}

/** What was just made may not be named by anybody yet. */
const youngMs = 10 * 60_000

/** `state`: the state folder; `now`: milliseconds since 1970. Makes the folder when it is first needed. */
export function createBlobs(state: string, now: () => number): Blobs {
  const folder = join(state, 'overlays', 'blobs')
  const pathOf = (digest: string): string => join(folder, `${digest}.tar.gz`)

  async function put(source: Readable): Promise<Blob> {
    const draft = join(folder, `.${randomUUID()}.tmp`)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const { digest, sizeBytes } = await writeHashed(source, draft)
      await rename(draft, pathOf(digest))
      await syncFolder(folder)
      return { digest, path: pathOf(digest), sizeBytes }
    } catch (error) {
      await unlink(draft).catch(() => undefined)
      throw error instanceof BivouacError ? error : diskError(draft, error)
    }
  }

  async function find(digest: string): Promise<Blob | undefined> {
    const path = pathOf(digest)
    try {
      const stats = await stat(path)
      return { digest, path, sizeBytes: stats.size }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw diskError(path, error)
    }
  }

  async function prune(isNeeded: ReadonlySet<string>): Promise<number> {
    const names = await readdir(folder).catch(() => [])
    let removed = 0
    for (const name of names) {
      if (isNeeded.has(name.replace(/(\.tar\.gz|\.json)$/, ''))) continue
      const stats = await stat(join(folder, name)).catch(() => undefined)
      if (!stats || now() - stats.mtimeMs < youngMs) continue
      await unlink(join(folder, name)).catch(() => undefined)
      removed++
    }
    return removed
  }

  const notePath = (digest: string): string => join(folder, `${digest}.json`)
  const describe = (digest: string, about: BlobNote): Promise<void> => writeLoosely(notePath(digest), JSON.stringify(about))

  async function readNote(digest: string): Promise<BlobNote | undefined> {
    try {
      const note = JSON.parse(await readFile(notePath(digest), 'utf8')) as BlobNote
      return typeof note.contentId === 'string' && typeof note.origins === 'object' && Array.isArray(note.layers) ? note : undefined
    } catch {
      return undefined
    }
  }

  return { put, describe, readNote, putFile: (path) => put(createReadStream(path)), pathOf, find, prune }
}

async function writeHashed(source: Readable, draft: string): Promise<{ digest: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  await pipeline(
    source,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        sizeBytes += chunk.length
        yield chunk
      }
    },
    createWriteStream(draft, { flags: 'wx', mode: 0o600 }),
  )
  await chmod(draft, 0o600)
  const file = await open(draft, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  return { digest: hash.digest('hex'), sizeBytes }
}
