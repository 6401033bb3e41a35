// An append-only file of JSON lines: what all our durable memory is made of (leases, marks, events). Used by the store's adapters.
// It never acknowledges what is not on the disk, and never loses an acknowledged line to a crash, a rewrite or a bad neighbour.
import { appendFile, type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConflictError, OutsideError } from '../boot/error.ts'
import { type Appender, createAppender, encodeLines, type Target, writeAll } from './appender.ts'
import { diskError, draftPath, syncFolder, writeAtomic } from './atomic.ts'
import { type BadLine, type Replay, type ReplayOptions, replayJournal } from './replay.ts'

export type JournalOptions<T> = ReplayOptions<T> & {
  /** Wait for the disk (fdatasync) before an append is acknowledged. */
  readonly sync: boolean
  /** What may wait for a slow disk; beyond it appends are refused. */
  readonly maxBacklogBytes?: number
}

export interface Journal {
  /** Resolves when the lines are on the disk; rejects with OutsideError when they are not. Appends of one event-loop turn share one write and one sync. */
  append(values: readonly object[]): Promise<void>
  /** Replaces the contents by these values, crash-safe; appends made meanwhile follow them. One at a time: a second call joins the first. */
  rewrite(values: readonly object[]): Promise<void>
  /** Moves the file aside, over an older one of that name, and begins an empty one. */
  rotate(aside: string): Promise<void>
  figures: Appender['figures']
  /** Writes what waits and closes; later calls are refused. */
  close(): Promise<void>
}

/** A journal, what it held, and what was wrong with it. */
export type OpenedJournal<T> = {
  readonly journal: Journal
  readonly entries: readonly T[]
  /** Lines that could not be understood. They stand in `<file>.bad` now (with `last` they stay where they are). */
  readonly bad: readonly BadLine[]
  /** Bytes of an unfinished, never acknowledged last line that were cut off. */
  readonly tornBytes: number
}

const sliceLines = 2_000
const defaultBacklogBytes = 64 << 20

/** Opens or makes a journal, mends its end after a crash and reads it back. Throws OutsideError when the disk refuses. */
export async function openJournal<T>(path: string, options: JournalOptions<T>): Promise<OpenedJournal<T>> {
  const replay = await replayJournal(path, options)
  try {
    const isMadeAgain = replay.bad.length > 0 && options.last === undefined
    if (isMadeAgain) await setAside(path, replay)
    const file = await open(path, 'a', 0o600)
    if (!isMadeAgain) await mendEnd(file, replay)
    await file.sync()
    await syncFolder(dirname(path))
    const target = { file, sizeBytes: (await file.stat()).size, lines: replay.entries.length }
    const journal = createJournal(path, target, options.sync, options.maxBacklogBytes ?? defaultBacklogBytes)
    return { journal, entries: replay.entries, bad: replay.bad, tornBytes: replay.fileBytes - replay.goodBytes }
  } catch (error) {
    throw diskError(path, error)
  }
}

/** Bad lines go to `<file>.bad` first, then the file is made again from the good ones: at no moment is a line in neither. */
async function setAside<T>(path: string, { bad, clean }: Replay<T>): Promise<void> {
  await appendFile(`${path}.bad`, encodeLines(bad.map(({ text }) => text)), { mode: 0o600, flush: true })
  await writeAtomic(path, clean())
}

async function mendEnd<T>(file: FileHandle, replay: Replay<T>): Promise<void> {
  if (replay.goodBytes < replay.fileBytes) await file.truncate(replay.goodBytes)
  if (replay.lacksNewline) await file.write('\n')
}

function createJournal(path: string, first: Target, sync: boolean, maxBacklogBytes: number): Journal {
  const appender = createAppender(first, { path, sync, maxBacklogBytes })
  let rewriting: Promise<void> | undefined
  let isClosed = false
  const whenOpen = (act: () => Promise<void>): Promise<void> =>
    isClosed ? Promise.reject(new ConflictError('store-closed', `${path} is closed`)) : act()
  const rewriteOnce = (values: readonly object[]): Promise<void> => {
    rewriting ??= rewriteJournal(path, appender, values, maxBacklogBytes).finally(() => {
      rewriting = undefined
    })
    return rewriting
  }
  return {
    append: (values) => whenOpen(() => appender.append(values)),
    rewrite: (values) => whenOpen(() => rewriteOnce(values)),
    rotate: (aside) => whenOpen(() => appender.exclusively((now) => rotateJournal(path, aside, now))),
    figures: appender.figures,
    async close() {
      if (isClosed) return
      isClosed = true
      await rewriting?.catch(() => undefined)
      await appender.exclusively(async ({ file }) => {
        await file.datasync()
        await file.close()
        return undefined
      })
    },
  }
}

async function rotateJournal(path: string, aside: string, { file: old }: Target): Promise<Target> {
  await rename(path, aside)
  const file = await open(path, 'a', 0o600).catch(async (error: unknown) => {
    await rename(aside, path)
    throw error
  })
  await old.close().catch(() => undefined)
  return { file, sizeBytes: 0, lines: 0 }
}

/** The values go to a draft while appends still go to the old file; what was appended since is copied after them, then the draft takes its place. */
async function rewriteJournal(path: string, appender: Appender, values: readonly object[], maxCopyBytes: number): Promise<void> {
  const copy = gatherWritten(appender, maxCopyBytes)
  const draft = draftPath(path)
  let file: FileHandle | undefined
  let isInPlace = false
  try {
    file = await open(draft, 'ax', 0o600)
    const fresh = file
    let sizeBytes = await writeSlices(fresh, values)
    await fresh.sync()
    await appender.exclusively(async ({ file: old }) => {
      sizeBytes += await writeAll(fresh, copy.take())
      await fresh.sync()
      await rename(draft, path)
      isInPlace = true
      await old.close().catch(() => undefined)
      return { file: fresh, sizeBytes, lines: values.length + copy.lines() }
    })
    await syncFolder(dirname(path))
  } catch (error) {
    if (!isInPlace) await discard(file, draft)
    throw diskError(path, error)
  } finally {
    appender.watchWritten(undefined)
  }
}

/** Keeps the bytes of all groups that are written from now on. */
function gatherWritten(appender: Appender, maxBytes: number): { take: () => Buffer; lines: () => number } {
  const chunks: Buffer[] = []
  let [sizeBytes, lineCount] = [0, 0]
  appender.watchWritten((bytes, lines) => {
    sizeBytes += bytes.length
    lineCount += lines
    if (sizeBytes <= maxBytes) chunks.push(bytes)
  })
  return {
    take: () => {
      if (sizeBytes > maxBytes) throw new OutsideError('write-failed', 'too much was appended while the file was rewritten', true)
      return Buffer.concat(chunks)
    },
    lines: () => lineCount,
  }
}

async function writeSlices(file: FileHandle, values: readonly object[]): Promise<number> {
  let sizeBytes = 0
  for (let at = 0; at < values.length; at += sliceLines) {
    sizeBytes += await writeAll(file, encodeLines(values.slice(at, at + sliceLines).map((value) => JSON.stringify(value))))
  }
  return sizeBytes
}

async function discard(file: FileHandle | undefined, draft: string): Promise<void> {
  await file?.close().catch(() => undefined)
  await unlink(draft).catch(() => undefined)
}
