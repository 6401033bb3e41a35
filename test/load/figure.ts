// What was measured, as values: one Figure per scenario and server. Made by the scenarios, judged by goal, printed by report.

/** Metrics have their unit in their name; `rate` is units per second. */
export type Metrics = {
  rate?: number
  megabytesPerSecond?: number
  seconds?: number
  p50Ms?: number
  p99Ms?: number
  cpuMicroseconds?: number
  cpuSecondsPerGb?: number
  memoryMb?: number
  memoryGrowthMb?: number
  resent?: number
  refused?: number
  lost?: number
  failed?: number
  duplicates?: number
  packetsPerAbsent?: number
}
export type Metric = keyof Metrics

export type Figure = {
  readonly scenario: string
  readonly server: string
  /** What one unit is: `DORA`, `transfer`, `station`. */
  readonly unit: string
  readonly metrics: Metrics
  /** Cores that other work of the machine took meanwhile. */
  readonly disturbance?: number
  /** What a reader must know of this figure: why it failed, what was left out. */
  readonly note?: string
}

/** The better of several rounds: the higher rate, or the shorter time; memory and latency belong to the same round. */
export function pickBest(rounds: readonly Figure[]): Figure | undefined {
  const speed = ({ metrics }: Figure) => metrics.rate ?? metrics.megabytesPerSecond ?? 1 / (metrics.seconds || 1e-9)
  return [...rounds].sort((one, other) => Number(!!one.metrics.failed) - Number(!!other.metrics.failed) || speed(other) - speed(one))[0]
}
