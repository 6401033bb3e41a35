// Reads versions of files: small ones whole, big ones piece by piece. Readers of one piece share one read and the memory. Used by file.
// It gives only bytes of the version that it was asked for: when the file is changed in place, reading fails.
import type { FileHandle } from 'node:fs/promises'
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import type { ByteCache } from './cache.ts'
import { sameBytes, type Version } from '../store/version.ts'

/** What all who read one big file at the same time get from the disk in one go. */
export const pieceBytes = 256 * 1024

/** Small files that are being read at one moment; a thousand stations at once wait here for some milliseconds. */
const wholesMax = 32

export type ReaderOptions = {
  readonly cache: ByteCache
  /** Big files open at one moment. */
  readonly handlesMax: number
  readonly openVersion: (version: Version) => Promise<FileHandle | undefined>
}

export type Reader = {
  /** All bytes, or undefined when the file is another one by now. */
  readonly readWhole: (version: Version) => Promise<Uint8Array | undefined>
  readonly openPieces: (version: Version) => Promise<Content | undefined>
  readonly handles: () => number
}

/** An open file and how many contents read from it. */
type Shared = { readonly handle: Promise<FileHandle | undefined>; opened?: FileHandle; users: number }

export function createReader({ cache, handlesMax, openVersion }: ReaderOptions): Reader {
  const shared = new Map<string, Shared>()
  const reading = new Map<string, Promise<Uint8Array | undefined>>()
  const wholes = createQueue(wholesMax)
  let handles = 0

  async function openCounted(version: Version): Promise<FileHandle | undefined> {
    if (handles >= handlesMax) throw new OutsideError('file-handles', `${handlesMax} files are open already`, true)
    handles++
    const handle = await openVersion(version).catch((error) => {
      handles--
      throw error
    })
    if (!handle) handles--
    return handle
  }

  /** Runs `read` once for all who ask for the key at the same moment. */
  function once(key: string, read: () => Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    let running = reading.get(key)
    if (!running) {
      running = read().finally(() => reading.delete(key))
      reading.set(key, running)
    }
    return running
  }

  const readWhole = (version: Version): Promise<Uint8Array | undefined> => once(version.key, () => wholes(() => readNow(version)))

  async function readNow(version: Version): Promise<Uint8Array | undefined> {
    const handle = await openVersion(version)
    if (!handle) return undefined
    try {
      const bytes = await fill(handle, 0, version.sizeBytes)
      if (!bytes || !sameBytes(await handle.stat({ bigint: true }), version)) return undefined
      cache.put(version.key, bytes)
      return bytes
    } finally {
      await handle.close().catch(() => undefined)
    }
  }

  const readPiece = (version: Version, handle: FileHandle, index: number): Promise<Uint8Array | undefined> =>
    once(`${version.key}/${index}`, async () => {
      const offset = index * pieceBytes
      const bytes = await fill(handle, offset, Math.min(pieceBytes, version.sizeBytes - offset)).catch((error) => {
        throw new OutsideError('file-read', `${version.path} cannot be read: ${error.message}`, true, { cause: error })
      })
      if (!bytes || !sameBytes(await handle.stat({ bigint: true }), version)) {
        throw new OutsideError('file-changed', `${version.path} was changed while it was being read`, true)
      }
      cache.put(`${version.key}/${index}`, bytes)
      return bytes
    })

  async function openPieces(version: Version): Promise<Content | undefined> {
    let file = shared.get(version.key)
    if (!file) {
      file = { handle: openCounted(version), users: 0 }
      shared.set(version.key, file)
    }
    file.users++
    const leave = createLeave(version.key, file)
    const handle = await file.handle.catch((error) => {
      leave()
      throw error
    })
    if (handle) {
      file.opened = handle
      return contentOf(version, handle, leave)
    }
    leave()
    return undefined
  }

  /** Closes the file when its last reader has left; leaving twice is leaving once. */
  function createLeave(key: string, file: Shared): () => void {
    let hasLeft = false
    return () => {
      if (hasLeft) return
      hasLeft = true
      if (--file.users > 0) return
      if (shared.get(key) === file) shared.delete(key)
      if (!file.opened) return
      handles--
      file.opened.close().catch(() => undefined)
    }
  }

  function contentOf(version: Version, handle: FileHandle, close: () => void): Content {
    const take = (index: number): Uint8Array | undefined => cache.get(`${version.key}/${index}`)
    const fetch = async (index: number): Promise<Uint8Array> => (take(index) ?? (await readPiece(version, handle, index))) as Uint8Array
    return {
      sizeBytes: version.sizeBytes,
      etag: version.etag,
      type: version.type,
      modifiedAt: version.modifiedAt,
      read: (offset, length) => readPart(offset, Math.min(length, version.sizeBytes - offset), take, fetch),
      close,
    }
  }

  return { readWhole, openPieces, handles: () => handles }
}

/** Runs at most `max` things at a time, the others in the order in which they came. */
function createQueue(max: number): <T>(run: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (run) => {
    if (running >= max) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await run()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}

type Take = (index: number) => Uint8Array | undefined
type Fetch = (index: number) => Promise<Uint8Array>

/** Bytes that may lie in several pieces: without a copy when they lie in one, without a promise when all are in memory. */
function readPart(offset: number, length: number, take: Take, fetch: Fetch): Uint8Array | Promise<Uint8Array> {
  if (length <= 0) return new Uint8Array()
  const first = Math.floor(offset / pieceBytes)
  const last = Math.floor((offset + length - 1) / pieceBytes)
  const cut = (piece: Uint8Array): Uint8Array => piece.subarray(offset - first * pieceBytes, offset - first * pieceBytes + length)
  if (first === last) {
    const piece = take(first)
    return piece ? cut(piece) : fetch(first).then(cut)
  }
  const indexes = Array.from({ length: last - first + 1 }, (_, at) => first + at)
  const pieces = indexes.map(take)
  const join = (all: readonly Uint8Array[]): Uint8Array => cut(Buffer.concat(all))
  if (pieces.every((piece) => piece !== undefined)) return join(pieces)
  return fetchAll(indexes, fetch).then(join)
}

async function fetchAll(indexes: readonly number[], fetch: Fetch): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for (const index of indexes) pieces.push(await fetch(index))
  return pieces
}

/** Exactly `length` bytes from `offset`, or undefined when the file ends before. */
async function fill(handle: FileHandle, offset: number, length: number): Promise<Uint8Array | undefined> {
  // Slow: a slice of Node's common pool would keep its neighbours in memory for as long as the cache keeps it.
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at)
    if (!bytesRead) return undefined
    at += bytesRead
  }
  return bytes
}
