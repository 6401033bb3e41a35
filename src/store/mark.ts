// Marks as a journal: small durable facts under a key, such as hashed operator tokens and one-shot boots.
import { basename } from 'node:path'
import { z } from 'zod'
import { ConflictError, InputError } from '../boot/error.ts'
import { type CompactLimits, createCompactor } from './compact.ts'
import { openJournal } from './journal.ts'
import type { MarkStore } from './port.ts'
import { type Report, reportBadLines } from './trouble.ts'

const markSchema = z.object({ key: z.string().min(1), value: z.string().nullable() })

export const maxMarks = 100_000
const maxKeyLength = 256
const maxValueLength = 4096

/** The map that both adapters keep. `set` answers nothing and throws InputError `mark-size` or ConflictError `marks-full`. */
export function createMarkTable(): Omit<MarkStore, 'set'> & { set(key: string, value: string | undefined): void; size(): number } {
  const marks = new Map<string, string>()
  return {
    get: (key) => marks.get(key),
    entries: (prefix) => [...marks].filter(([key]) => key.startsWith(prefix)).sort(([one], [other]) => (one < other ? -1 : 1)),
    size: () => marks.size,
    set(key, value) {
      if (!key || key.length > maxKeyLength || (value?.length ?? 0) > maxValueLength) {
        throw new InputError('mark-size', `a mark's key has 1 to ${maxKeyLength} characters and its value at most ${maxValueLength}`)
      }
      if (value === undefined) marks.delete(key)
      else if (marks.has(key) || marks.size < maxMarks) marks.set(key, value)
      else throw new ConflictError('marks-full', `there are ${maxMarks} marks already`)
    },
  }
}

/** Opens the marks of a journal file; always synced, they are few. Throws OutsideError when the disk refuses. */
export async function openMarks(path: string, report: Report, limits?: CompactLimits): Promise<MarkStore & { close(): Promise<void> }> {
  const opened = await openJournal(path, { sync: true, read: (value) => markSchema.parse(value) })
  const { journal } = opened
  reportBadLines(basename(path), opened, report)
  const table = createMarkTable()
  for (const { key, value } of opened.entries) table.set(key, value ?? undefined)
  const live = () => table.entries('').map(([key, value]) => ({ key, value }))
  const compactWhenDue = createCompactor(path, journal, live, table.size, report, limits)
  return {
    get: table.get,
    entries: table.entries,
    async set(key, value) {
      table.set(key, value)
      const done = journal.append([{ key, value: value ?? null }])
      compactWhenDue()
      await done
    },
    close: journal.close,
  }
}
