// What the store found wrong with its own files, told to whoever opened it. Made by the adapters, turned into events by embedded.ts.
import type { OpenedJournal } from './journal.ts'

/** One thing an operator should know: a line that was set aside, a file that could not be written. */
export type Trouble = { readonly file: string; readonly reason: string; readonly line?: number }

export type Report = (trouble: Trouble) => void

const maxToldLines = 20

/** Tells of each bad line of a journal, and of those beyond twenty together. */
export function reportBadLines(file: string, { bad }: Pick<OpenedJournal<unknown>, 'bad'>, report: Report): void {
  for (const { line, reason } of bad.slice(0, maxToldLines)) report({ file, line, reason: `${reason}; the line is kept in ${file}.bad` })
  if (bad.length > maxToldLines)
    report({ file, reason: `${bad.length - maxToldLines} further lines cannot be understood; they are kept in ${file}.bad` })
}
