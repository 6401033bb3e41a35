// The folder that a release is made in, hidden beside its place, and put there by one rename when all of it is whole. Used by import.
// Whoever looks at the release's folder sees all of it or nothing.
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ConflictError } from '../boot/error.ts'
import { codeOf, diskError, syncFolder } from '../store/atomic.ts'

export type ReleaseFile = { readonly name: string; readonly sizeBytes: number; readonly sha256: string }

/** Takes one file's bytes in pieces. `flush` waits until what was pushed is written; `close` syncs it and answers what it is. */
export type FileSink = { readonly push: (piece: Uint8Array) => void; readonly flush: () => Promise<void>; readonly close: () => Promise<ReleaseFile> }

export type Draft = {
  readonly folder: string
  /** A new file in the folder. Rejects with OutsideError `write-failed`. */
  readonly create: (name: string) => Promise<FileSink>
  /** Renames the folder to its place. Rejects with ConflictError `release-there` when something stands there by now. */
  readonly place: () => Promise<void>
  /** Takes it all away; nothing happens after `place`. */
  readonly drop: () => Promise<void>
}

/** A draft for the folder `target`, whose parents are made. */
export async function openDraft(target: string): Promise<Draft> {
  const folder = join(dirname(target), `.${basename(target)}.${randomUUID().slice(0, 8)}.tmp`)
  const open = new Set<FileSink & { abandon: () => Promise<void> }>()
  await mkdir(folder, { recursive: true, mode: 0o755 }).catch((error) => {
    throw diskError(folder, error)
  })

  async function place(): Promise<void> {
    try {
      await syncFolder(folder)
      if (await stat(target).catch(() => undefined)) throw new ConflictError('release-there', `${target} is there already`)
      await rename(folder, target)
      // New folders on the way down must last as well.
      for (let parent = dirname(target), depth = 0; depth < 5; parent = dirname(parent), depth++) await syncFolder(parent)
    } catch (error) {
      if (error instanceof ConflictError) throw error
      if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw new ConflictError('release-there', `${target} is there already`)
      throw diskError(target, error)
    }
  }

  async function drop(): Promise<void> {
    for (const sink of open) await sink.abandon()
    await rm(folder, { recursive: true, force: true }).catch(() => undefined)
  }

  const create = async (name: string): Promise<FileSink> => {
    const sink = await openSink(join(folder, name), name, () => open.delete(sink))
    open.add(sink)
    return sink
  }
  return { folder, create, place, drop }
}

async function openSink(path: string, name: string, onClose: () => void): Promise<FileSink & { abandon: () => Promise<void> }> {
  const fail = (error: unknown): never => {
    throw diskError(path, error)
  }
  const file: FileHandle = await open(path, 'wx', 0o644).catch(fail)
  const hash = createHash('sha256')
  let waiting: Uint8Array[] = []
  let sizeBytes = 0

  async function flush(): Promise<void> {
    const pieces = waiting
    waiting = []
    for (const piece of pieces) {
      for (let done = 0; done < piece.length; ) {
        done += (await file.write(piece, done, piece.length - done).catch(fail)).bytesWritten
      }
    }
  }
  return {
    push: (piece) => {
      hash.update(piece)
      sizeBytes += piece.length
      waiting.push(piece)
    },
    flush,
    close: async () => {
      onClose()
      try {
        await flush()
        await file.chmod(0o644).catch(fail)
        await file.sync().catch(fail)
      } finally {
        await file.close()
      }
      return { name, sizeBytes, sha256: hash.digest('hex') }
    },
    abandon: () => file.close().catch(() => undefined),
  }
}
