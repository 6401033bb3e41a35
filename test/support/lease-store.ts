// Lease stores for tests: one in memory, one in a plain file for servers that are started again.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Lease, LeaseStore } from '../../src/store/port.ts'

export type MemoryLeaseStore = LeaseStore & {
  /** How many calls of `put` there were, and how many leases they held. */
  readonly puts: () => readonly number[]
  /** From now on `put` waits until the returned function is called, which lets all waiting ones through (or fails them). */
  readonly hold: () => (error?: Error) => void
}

/** Keeps what was put for as long as it lives, keyed by network and address, in the order of first writing. */
export function createMemoryLeaseStore(initial: readonly Lease[] = []): MemoryLeaseStore {
  const kept = new Map(initial.map((lease) => [keyOf(lease), lease]))
  const puts: number[] = []
  let gate: Promise<void> | undefined
  const put = async (leases: readonly Lease[]) => {
    puts.push(leases.length)
    await gate
    for (const lease of leases) kept.set(keyOf(lease), lease)
  }
  const hold = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    gate = promise
    promise.catch(() => {})
    return (error?: Error) => {
      gate = undefined
      if (error) reject(error)
      else resolve()
    }
  }
  return { all: () => [...kept.values()], put, puts: () => puts, hold }
}

/** The whole file is written at each put: right, and slow. */
export function createFileLeaseStore(path: string): LeaseStore {
  const initial = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8'), (_, value) => (value === 'forever' ? Infinity : value)) as Lease[]) : []
  const memory = createMemoryLeaseStore(initial)
  const put = async (leases: readonly Lease[]) => {
    await memory.put(leases)
    writeFileSync(
      path,
      JSON.stringify(memory.all(), (_, value) => (value === Infinity ? 'forever' : value)),
    )
  }
  return { all: memory.all, put }
}

const keyOf = ({ network, ip }: Lease): string => `${network}/${ip}`
