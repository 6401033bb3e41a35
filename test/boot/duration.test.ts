import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from '../../src/boot/duration.ts'

describe('lengths of time', () => {
  it.each([
    ['30s', 30_000],
    ['90m', 5_400_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ])('%s', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs))

  it.each(['', '2', 'h', '0h', '-1h', '2 h', '8d', '1e3s', '9999999d', '1.5h', '02h'])('refuses %j', (text) =>
    expect(() => parseDuration(text)).toThrow(/length of time/),
  )

  it.each([
    [0, '0 s'],
    [-5, '0 s'],
    [40_900, '40 s'],
    [7_500_000, '2 h 5 min'],
    [86_400_000, '1 d'],
    [86_405_000, '1 d'],
  ])('writes %d ms as %s', (durationMs, text) => expect(formatDuration(durationMs)).toBe(text))
})
