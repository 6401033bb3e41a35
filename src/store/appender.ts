// Group commit on one file: all lines of one event-loop turn are one write and one sync, and the next group gathers meanwhile.
// The lower half of store/journal. It never blocks the event loop.
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { InputError, OutsideError } from '../boot/error.ts'
import { diskError } from './atomic.ts'

/** The file that is written now, and how much of it is known to be good. */
export type Target = { readonly file: FileHandle; readonly sizeBytes: number; readonly lines: number }

export interface Appender {
  /** One line per value. Resolves when all are on the disk; rejects with OutsideError when they are not, with InputError when one is too long. */
  append(values: readonly object[]): Promise<void>
  /** Runs a task while nobody writes; what was appended before it is written first. A Target that it answers is written from then on. */
  exclusively(task: (now: Target) => Promise<Target | undefined>): Promise<void>
  /** Is told the bytes of each group once it is on the disk; `undefined` ends that. */
  watchWritten(watcher: ((bytes: Buffer, lines: number) => void) | undefined): void
  figures(): { readonly lines: number; readonly sizeBytes: number; readonly backlogBytes: number; readonly writes: number }
}

export type AppenderOptions = { readonly path: string; readonly sync: boolean; readonly maxBacklogBytes: number }

const maxLineBytes = 65_536

/** Without a sync nobody waits for the write: the next group gathers at least so long. A write for every turn would take a third of DHCP's time. */
const gatherMs = 5

type Group = { readonly lines: string[]; sizeBytes: number; readonly done: Promise<void>; readonly settle: (error?: OutsideError) => void }

/** Everybody of a group waits on one promise; one that nobody waits on does not end the process. */
function createGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => undefined)
  return { lines: [], sizeBytes: 0, done: promise, settle: (error) => (error ? reject(error) : resolve()) }
}

/** Appends to the target, which is open for appending and ends with a whole line. */
export function createAppender(first: Target, { path, sync, maxBacklogBytes }: AppenderOptions): Appender {
  let target = first
  let writes = 0
  let backlogBytes = 0
  let gathering: Group | undefined
  let isRunning = false
  /** A write failed half-way: what follows the last good byte is cut off before the next one. */
  let isRagged = false
  let written: ((bytes: Buffer, lines: number) => void) | undefined
  const tasks: (() => Promise<void>)[] = []

  const wake = () => {
    if (isRunning) return
    isRunning = true
    setImmediate(() => void drain())
  }

  async function drain(): Promise<void> {
    while (gathering || tasks.length) {
      const group = gathering
      gathering = undefined
      if (group) group.settle(await writeGroup(group))
      await tasks.shift()?.()
      if (group && !sync && !tasks.length) await pause(gatherMs)
    }
    isRunning = false
  }

  async function writeGroup(group: Group): Promise<OutsideError | undefined> {
    try {
      if (isRagged) await target.file.truncate(target.sizeBytes)
      isRagged = true
      const bytes = encodeLines(group.lines)
      await writeAll(target.file, bytes)
      if (sync) await target.file.datasync()
      isRagged = false
      writes++
      target = { file: target.file, sizeBytes: target.sizeBytes + bytes.length, lines: target.lines + group.lines.length }
      written?.(bytes, group.lines.length)
      return undefined
    } catch (error) {
      return diskError(path, error)
    } finally {
      backlogBytes -= group.sizeBytes
    }
  }

  function refuse(texts: readonly string[], added: number): InputError | OutsideError | undefined {
    if (added > maxLineBytes && texts.some((text) => Buffer.byteLength(text) > maxLineBytes)) {
      return new InputError('line-too-long', `a line for ${path} has more than ${maxLineBytes} bytes`)
    }
    if (backlogBytes + added <= maxBacklogBytes) return undefined
    return new OutsideError('write-failed', `${path}: the disk is too slow, ${backlogBytes} bytes wait for it`, true)
  }

  return {
    append(values) {
      const texts = values.map((value) => JSON.stringify(value))
      const added = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0)
      const refused = refuse(texts, added)
      if (refused) return Promise.reject(refused)
      gathering ??= createGroup()
      for (const text of texts) gathering.lines.push(text)
      gathering.sizeBytes += added
      backlogBytes += added
      wake()
      return gathering.done
    },
    exclusively(task) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      tasks.push(async () => {
        try {
          const next = await task(target)
          if (next) [target, isRagged] = [next, false]
          resolve()
        } catch (error) {
          reject(diskError(path, error))
        }
      })
      wake()
      return promise
    },
    watchWritten: (watcher) => {
      written = watcher
    },
    figures: () => ({ lines: target.lines, sizeBytes: target.sizeBytes, backlogBytes, writes }),
  }
}

/** Lines as bytes, each with its newline. */
export const encodeLines = (lines: readonly string[]): Buffer => Buffer.from(lines.length ? `${lines.join('\n')}\n` : '')

/** Writes all of the bytes at the end of the file and answers their number. */
export async function writeAll(file: FileHandle, bytes: Buffer): Promise<number> {
  for (let offset = 0; offset < bytes.length; ) offset += (await file.write(bytes, offset, bytes.length - offset)).bytesWritten
  return bytes.length
}
