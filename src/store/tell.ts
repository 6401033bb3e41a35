// Problems of the depot → events: each is told once for each change of its file, and that a file is good again. Used by store/record. Pure.
import type { Emit } from '../boot/event.ts'
import type { Finding } from './mistake.ts'

/** A problem and the state of its file (anything that changes with it). */
export type Told = { readonly finding: Finding; readonly state: string }

const identityOf = ({ finding, state }: Told): string => JSON.stringify([finding, state])

/** Each problem is told once for each change of its file; a file that has none any more is told as good. Answers what has been told now. */
export function tellProblems(before: readonly Told[], now: readonly Told[], emit: (event: Omit<Parameters<Emit>[0], 'at'>) => void): readonly Told[] {
  const known = new Set(before.map(identityOf))
  for (const one of now) {
    if (known.has(identityOf(one))) continue
    const { code, message, severity, file = '', line, path } = one.finding
    emit({
      kind: 'record-bad',
      detail: {
        file,
        ...(line && { line }),
        code,
        severity,
        reason: path ? `${path}: ${message}` : message,
      },
    })
  }
  const bad = new Set(now.map(({ finding }) => finding.file))
  for (const file of new Set(before.map(({ finding }) => finding.file)))
    if (!bad.has(file)) emit({ kind: 'record-good', detail: { file: file ?? '' } })
  return now
}
