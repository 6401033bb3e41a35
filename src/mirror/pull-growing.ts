// One file on its way from an upstream, read by many while it grows. Used by pull-transfer.
// Its last byte goes out only when the whole was found good; of one that is not, every reader's connection is cut.
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import type { Spool } from './pull-spool.ts'

export type Growing = {
  readonly sizeBytes: number
  /** Bytes that are there. */
  readonly doneBytes: () => number
  /** Rejects with OutsideError when neither disk nor memory takes them, or more come than were promised. */
  readonly append: (bytes: Uint8Array) => Promise<void>
  /** The bytes from the beginning, as they stand in the spool; for checking. */
  readonly pieces: () => AsyncIterable<Uint8Array>
  /** All bytes are there and were found good. */
  readonly finish: () => void
  /** Readers get the error in place of further bytes. */
  readonly fail: (error: Error) => void
  /** One reader's view. Throws OutsideError `transfer-ended` when all is over and the spool is closed: look for the file again. */
  readonly open: () => Content
  /** No reader is left and it has ended: the spool may go. */
  readonly release: () => void
}

type Waiter = { readonly untilBytes: number; readonly resolve: () => void; readonly reject: (error: Error) => void }

const pieceBytes = 256 * 1024

export type GrowingOptions = Pick<Content, 'sizeBytes' | 'etag' | 'type' | 'modifiedAt'> & { readonly spool: Spool }

/** The transfer itself counts as a user of the spool until `release`. */
export function createGrowing({ spool, ...about }: GrowingOptions): Growing {
  const { sizeBytes } = about
  let done = 0
  let isGood = false
  let failure: Error | undefined
  let users = 1
  let waiters: Waiter[] = []

  /** How far readers may go: not to the end before the whole is known to be good. */
  const goodBytes = (): number => (isGood ? sizeBytes : Math.min(done, sizeBytes - 1))

  function wake(): void {
    const waiting = waiters
    waiters = []
    for (const waiter of waiting) {
      if (failure) waiter.reject(failure)
      else if (waiter.untilBytes <= goodBytes()) waiter.resolve()
      else waiters.push(waiter)
    }
  }

  function until(untilBytes: number): Promise<void> | undefined {
    if (failure) throw failure
    if (untilBytes <= goodBytes()) return undefined
    return new Promise((resolve, reject) => waiters.push({ untilBytes, resolve, reject }))
  }

  function read(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const end = Math.min(offset + length, sizeBytes)
    if (end <= offset) return new Uint8Array()
    const wait = until(end)
    return wait ? wait.then(() => spool.read(offset, end - offset)) : spool.read(offset, end - offset)
  }

  async function append(bytes: Uint8Array): Promise<void> {
    if (done + bytes.length > sizeBytes) throw new OutsideError('upstream-size', `more than the ${sizeBytes} bytes that were announced`, false)
    await spool.write(bytes)
    done += bytes.length
    wake()
  }

  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < done; at += pieceBytes) yield await spool.read(at, Math.min(pieceBytes, done - at))
  }

  const createLeave = () => {
    let hasLeft = false
    return () => {
      if (hasLeft) return
      hasLeft = true
      if (--users === 0) spool.close()
    }
  }

  return {
    sizeBytes,
    doneBytes: () => done,
    append,
    pieces,
    finish: () => {
      isGood = true
      wake()
    },
    fail: (error) => {
      failure ??= error
      wake()
    },
    open: () => {
      if (users === 0) throw new OutsideError('transfer-ended', 'the file is being put in place', true)
      users++
      return { ...about, read, close: createLeave() }
    },
    release: createLeave(),
  }
}
