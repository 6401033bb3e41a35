// Where a file lies while it is on its way: small ones in memory, big ones in a draft on the disk; on a disk that takes no more, in memory. Used by pull.
// What becomes of it is decided once, by `keep` or by the last `close`: a draft never outlives both.
import { type FileHandle, mkdir, open, unlink, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import { codeOf, diskError, draftPath, replaceDurably } from '../store/atomic.ts'
import { writeAll } from '../upstream/download.ts'

export type Spool = {
  /** Takes the next bytes. Rejects with OutsideError `disk-full` when neither the disk nor memory has room. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** Bytes that were written before. At once where they lie in memory. */
  readonly read: (offset: number, length: number) => Uint8Array | Promise<Uint8Array>
  /** Puts the file in its place, durably, with this time of change. Rejects with OutsideError `write-failed`; it can be read on all the same. */
  readonly keep: (modifiedAt: number | undefined) => Promise<void>
  readonly close: () => void
}

/** Memory for what the disk does not take, shared by all spools. */
export type Budget = { readonly take: (bytes: number) => boolean; readonly give: (bytes: number) => void }

export function createBudget(maxBytes: number): Budget {
  let left = maxBytes
  return {
    take: (bytes) => {
      if (bytes > left) return false
      left -= bytes
      return true
    },
    give: (bytes) => {
      left += bytes
    },
  }
}

/** Files up to this are held in memory and written in one go. */
export const inMemoryBytes = 4 * 1024 * 1024

export type OpenFile = (path: string, flags: string, mode?: number) => Promise<FileHandle>

export type SpoolOptions = {
  readonly path: string
  readonly sizeBytes: number
  readonly budget: Budget
  /** The disk refused bytes: they go through memory, and the file is not kept. */
  readonly onRefused: (error: OutsideError) => void
  /** For tests of full disks. */
  readonly openFile?: OpenFile
}

/** The draft lies beside the place, hidden. */
export function createSpool(options: SpoolOptions): Spool {
  const { sizeBytes, budget } = options
  return sizeBytes <= inMemoryBytes && budget.take(sizeBytes) ? createMemorySpool(options) : createDraftSpool(options)
}

/** What is kept is read from the disk from then on: readers who are slow hold no memory. */
function createMemorySpool({ path, sizeBytes, budget, openFile = open }: SpoolOptions): Spool {
  let bytes: Buffer | undefined = Buffer.allocUnsafeSlow(sizeBytes)
  let length = 0
  let kept: FileHandle | undefined

  const drop = (): void => {
    if (bytes) budget.give(sizeBytes)
    bytes = undefined
  }

  async function keep(modifiedAt: number | undefined): Promise<void> {
    const draft = draftPath(path)
    let file: FileHandle | undefined
    try {
      file = await openDraft(openFile, path, draft)
      await writeAll(file, bytes ?? new Uint8Array(), 0)
      await file.sync()
      await place(draft, path, modifiedAt)
    } catch (error) {
      await file?.close().catch(() => undefined)
      await unlink(draft).catch(() => undefined)
      throw diskError(path, error)
    }
    kept = file
    drop()
  }

  return {
    write: async (piece) => {
      bytes?.set(piece, length)
      length += piece.length
    },
    read: (offset, count) => bytes?.subarray(offset, offset + count) ?? readFrom(kept, path, Buffer.allocUnsafeSlow(count), offset, count),
    keep,
    close: () => {
      drop()
      void kept?.close().catch(() => undefined)
    },
  }
}

/** Fills the first `count` bytes of the buffer. */
async function readFrom(file: FileHandle | undefined, path: string, bytes: Buffer, offset: number, count: number): Promise<Buffer> {
  for (let at = 0; at < count; ) {
    const { bytesRead = 0 } = (await file?.read(bytes, at, count - at, offset + at)) ?? {}
    if (!bytesRead) throw new OutsideError('file-read', `${path}: the draft became shorter`, true)
    at += bytesRead
  }
  return bytes
}

async function openDraft(openFile: OpenFile, path: string, draft: string): Promise<FileHandle> {
  try {
    return await openFile(draft, 'wx+', 0o644)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    await mkdir(dirname(path), { recursive: true })
    return openFile(draft, 'wx+', 0o644)
  }
}

async function place(draft: string, path: string, modifiedAt: number | undefined): Promise<void> {
  if (modifiedAt !== undefined) await utimes(draft, modifiedAt / 1000, modifiedAt / 1000)
  await replaceDurably(draft, path)
}

function createDraftSpool({ path, sizeBytes, budget, onRefused, openFile = open }: SpoolOptions): Spool {
  const draft = draftPath(path)
  let opening: Promise<FileHandle> | undefined
  let onDiskBytes = 0
  /** What the disk did not take, from `onDiskBytes` on. */
  let tail: { readonly bytes: Buffer; length: number } | undefined
  let isPlaced = false

  const handle = (): Promise<FileHandle> => {
    opening ??= openDraft(openFile, path, draft)
    return opening
  }

  async function write(piece: Uint8Array): Promise<void> {
    if (!tail) {
      try {
        await writeAll(await handle(), piece, onDiskBytes)
        onDiskBytes += piece.length
        return
      } catch (error) {
        startTail(diskError(path, error))
      }
    }
    tail?.bytes.set(piece, tail.length)
    if (tail) tail.length += piece.length
  }

  function startTail(error: OutsideError): void {
    const count = sizeBytes - onDiskBytes
    if (!budget.take(count))
      throw new OutsideError('disk-full', `${error.message}; and there is no memory left for ${count} bytes`, true, { cause: error })
    tail = { bytes: Buffer.allocUnsafeSlow(count), length: 0 }
    onRefused(error)
  }

  function read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    if (tail && offset >= onDiskBytes) return tail.bytes.subarray(offset - onDiskBytes, offset - onDiskBytes + length)
    return readBoth(offset, length)
  }

  async function readBoth(offset: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length)
    const fromDisk = Math.min(length, onDiskBytes - offset)
    await readFrom(await handle(), path, bytes, offset, fromDisk)
    if (tail) bytes.set(tail.bytes.subarray(0, length - fromDisk), fromDisk)
    return bytes
  }

  async function keep(modifiedAt: number | undefined): Promise<void> {
    if (tail) throw new OutsideError('write-failed', `${path} was not taken by the disk`, true)
    try {
      await (await handle()).sync()
      await place(draft, path, modifiedAt)
      isPlaced = true
    } catch (error) {
      throw diskError(path, error)
    }
  }

  async function close(): Promise<void> {
    if (tail) budget.give(tail.bytes.length)
    const file = await opening?.catch(() => undefined)
    await file?.close()
    if (!isPlaced) await unlink(draft)
  }

  return { write, read, keep, close: () => void close().catch(() => undefined) }
}
