// Lengths of time as people give them (`90m`, `2h`, `1d`). Used by commands and the API that open something for a while.
import { InputError } from './error.ts'

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
export const maxDurationMs = 7 * unitMs.d

/** `30s`, `90m`, `2h` or `1d`, up to seven days, as milliseconds. Throws InputError `duration`. */
export function parseDuration(text: string, path = 'for'): number {
  const [, digits = '', unit = ''] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? []
  const durationMs = Number(digits) * (unitMs[unit as keyof typeof unitMs] ?? 0)
  if (!durationMs || durationMs > maxDurationMs) {
    throw new InputError('duration', `"${text.slice(0, 20)}" is no length of time such as 90m, 2h or 1d (at most 7d)`, { path })
  }
  return durationMs
}

/** `2 h 5 min`, `40 s`: the two largest units, rounded down. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000))
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
