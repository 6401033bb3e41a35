// Reading a journal back after a start or a crash. Used by store/journal; it repairs nothing itself, it says what it found.
import { readFile } from 'node:fs/promises'
import { OutsideError } from '../boot/error.ts'
import { codeOf } from './atomic.ts'

/** A whole line that cannot be understood. `line` counts from 1; `text` is as it stands in the file. */
export type BadLine = { readonly line: number; readonly text: string; readonly reason: string }

/** What a journal held. Everything after `goodBytes` is a torn end that was never acknowledged. */
export type Replay<T> = {
  readonly entries: readonly T[]
  readonly bad: readonly BadLine[]
  readonly goodBytes: number
  readonly fileBytes: number
  /** The last line is whole but lacks its newline (an editor saved the file). */
  readonly lacksNewline: boolean
  /** The file's bytes without bad lines and torn end, each line with its newline. */
  readonly clean: () => Buffer
}

export type ReplayOptions<T> = {
  /** JSON value → entry. Throws when it is none. */
  readonly read: (value: unknown) => T
  /** Only the newest so many lines are looked at; the rest is left alone. */
  readonly last?: number
}

const newline = 10
const maxFileBytes = 1 << 30

/** Reads the journal; a file that is not there is an empty one. Throws OutsideError `read-failed`. */
export async function replayJournal<T>(path: string, options: ReplayOptions<T>): Promise<Replay<T>> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return Buffer.alloc(0)
    throw new OutsideError('read-failed', `${path} cannot be read: ${(error as Error).message}`, false, { cause: error })
  })
  if (bytes.length > maxFileBytes) throw new OutsideError('read-failed', `${path} has ${bytes.length} bytes: that is no journal of ours`, false)
  return readJournalBytes(bytes, options)
}

/** The same for bytes that are at hand. Never throws. */
export function readJournalBytes<T>(bytes: Buffer, { read, last = Number.POSITIVE_INFINITY }: ReplayOptions<T>): Replay<T> {
  const entries: T[] = []
  const bad: BadLine[] = []
  const good: Buffer[] = []
  let start = startOfLast(bytes, last)
  let goodFrom = start
  let line = start === 0 ? 1 : countLines(bytes, start) + 1
  for (let end = bytes.indexOf(newline, start); end !== -1; end = bytes.indexOf(newline, start), line++) {
    const outcome = readLine(bytes.toString('utf8', start, end), read)
    if ('entry' in outcome) entries.push(outcome.entry)
    else {
      bad.push({ line, ...outcome })
      good.push(bytes.subarray(goodFrom, start))
      goodFrom = end + 1
    }
    start = end + 1
  }
  const tail = start < bytes.length ? readLine(bytes.toString('utf8', start), read) : undefined
  const lacksNewline = tail !== undefined && 'entry' in tail
  if (lacksNewline) entries.push(tail.entry)
  const goodBytes = lacksNewline ? bytes.length : start
  const clean = () => Buffer.concat([...good, bytes.subarray(goodFrom, goodBytes), Buffer.from(lacksNewline ? '\n' : '')])
  return { entries, bad, goodBytes, fileBytes: bytes.length, lacksNewline, clean }
}

function readLine<T>(text: string, read: (value: unknown) => T): { entry: T } | { text: string; reason: string } {
  try {
    return { entry: read(JSON.parse(text)) }
  } catch (error) {
    return { text, reason: (error as Error).message.slice(0, 200) }
  }
}

/** Where the newest `last` lines begin. */
function startOfLast(bytes: Buffer, last: number): number {
  if (last === Number.POSITIVE_INFINITY) return 0
  let at = bytes.length
  for (let left = last; left >= 0; left--) {
    at = at === 0 ? -1 : bytes.lastIndexOf(newline, at - 1)
    if (at === -1) return 0
  }
  return at + 1
}

function countLines(bytes: Buffer, end: number): number {
  let count = 0
  for (let at = bytes.indexOf(newline); at !== -1 && at < end; at = bytes.indexOf(newline, at + 1)) count++
  return count
}
