// A big body on its way out, slice by slice, with the client's pace. Called by send for bodies above one slice.
// It closes the content exactly once, never while a read of it is under way.
import type { ServerResponse } from 'node:http'
import type { Content } from '../boot/content.ts'
import { createTurn } from './turn.ts'

/** Bodies up to this go out in one write; bigger ones in slices of it. 64 KB costs CPU, 1 MB costs the latency of everybody else. */
export const sliceBytes = 256 * 1024

/** A download on which nothing moves for so long is cut. */
export const stallMs = 300_000

/** The bytes of one answer: all of the content or a range. */
export type Part = { readonly first: number; readonly length: number; readonly reachesEnd: boolean }

/** Told once, at the end: how many bytes were handed over, and whether that was all of the part. */
export type PartEnd = (sentBytes: number, isWhole: boolean) => void

const turn = createTurn({ now: () => performance.now(), defer: setImmediate, budgetMs: 0.25 })

/**
 * Writes the part to Node's response, whose head is written. A slice is read when the kernel has taken the one before, and written in a
 * later turn of the loop: the write callback alone can come in the same turn, and then one download holds up everybody. So one slice per
 * connection is in memory, however slow the client. A read that fails cuts the connection: the length is promised already.
 */
export function pump(outgoing: ServerResponse, content: Content, part: Part, end?: PartEnd): void {
  const endOffset = part.first + part.length
  let offset = part.first
  let isOpen = true
  let isReading = false

  const finish = (): void => {
    isOpen = false
    if (!isReading) content.close()
    end?.(offset - part.first, outgoing.writableFinished)
  }
  const read = (): void => {
    if (!isOpen) return
    const bytes = readSlice(content, offset, endOffset)
    if (!(bytes instanceof Promise)) {
      writeSoon(bytes)
      return
    }
    isReading = true
    bytes
      .catch(() => nothing)
      .then((slice) => {
        isReading = false
        if (isOpen) writeSoon(slice)
        else content.close()
      })
  }
  const writeSoon = (bytes: Uint8Array): void => turn.take(() => write(bytes))
  const write = (bytes: Uint8Array): void => {
    if (!isOpen) return
    offset += bytes.length
    if (bytes.length === 0) outgoing.destroy()
    else if (offset >= endOffset) outgoing.end(bytes)
    else outgoing.write(bytes, readNext)
  }
  const readNext = (error?: Error | null): void => {
    if (!error) read()
  }
  outgoing.on('error', () => outgoing.destroy())
  // Here and not for the whole server: there it costs every script two microseconds.
  outgoing.setTimeout(stallMs)
  outgoing.once('close', finish)
  read()
}

const nothing = new Uint8Array(0)

/** One slice; empty when the content throws, which ends the answer as a file does that became shorter. */
function readSlice(content: Content, offset: number, endOffset: number): Uint8Array | Promise<Uint8Array> {
  try {
    return content.read(offset, Math.min(sliceBytes, endOffset - offset))
  } catch {
    return nothing
  }
}

/** The same as a web stream, for a request without a socket (`app.request()`). */
export function streamOf(content: Content, part: Part, end?: PartEnd): ReadableStream<Uint8Array> {
  const endOffset = part.first + part.length
  let offset = part.first
  const finish = (isWhole: boolean): void => {
    content.close()
    end?.(offset - part.first, isWhole)
  }
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const bytes = await readSlice(content, offset, endOffset)
    if (bytes.length === 0) throw new Error('the file became shorter')
    offset += bytes.length
    controller.enqueue(bytes)
    if (offset < endOffset) return
    controller.close()
    finish(true)
  }
  const cut = (error: unknown): never => {
    finish(false)
    throw error
  }
  return new ReadableStream<Uint8Array>({ pull: (controller) => pull(controller).catch(cut), cancel: () => finish(false) }, { highWaterMark: 0 })
}
