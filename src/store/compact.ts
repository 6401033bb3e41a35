// When a journal of a map (leases, marks) holds mostly lines that later ones replaced, it is written again. Used by lease.ts and mark.ts.
import { basename } from 'node:path'
import type { Journal } from './journal.ts'
import type { Report } from './trouble.ts'

export type CompactLimits = { readonly factor: number; readonly minLines: number }

/** A journal of more than 10,000 lines, four times as many as there are live entries. */
export const compactLimits: CompactLimits = { factor: 4, minLines: 10_000 }

/** Answers a function to call after appends. It never waits; a disk that refuses is reported, and asked again only when the journal has grown by half. */
export function createCompactor(
  path: string,
  journal: Journal,
  live: () => readonly object[],
  count: () => number,
  report: Report,
  limits = compactLimits,
) {
  let isRunning = false
  let notBefore = 0
  return function compactWhenDue(): void {
    const { lines } = journal.figures()
    if (isRunning || lines <= limits.minLines || lines <= limits.factor * count() || lines < notBefore) return
    isRunning = true
    journal
      .rewrite(live())
      .catch((error: Error) => {
        notBefore = Math.ceil(lines * 1.5)
        report({ file: basename(path), reason: `cannot be compacted: ${error.message}` })
      })
      .finally(() => {
        isRunning = false
      })
  }
}
