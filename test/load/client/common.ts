// What the load clients share: their order comes as one JSON argument, their result goes out as one JSON line.
import { writeSync } from 'node:fs'

export const readOrder = <T>(): T => JSON.parse(process.argv[2] ?? '{}') as T

export function printResult(result: unknown): void {
  writeSync(1, `${JSON.stringify(result)}\n`)
}

/** The value below which `percent` of the sorted numbers lie; 0 when there are none. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0
}
