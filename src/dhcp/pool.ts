// Which addresses of a network may be given to anybody, and in which order: never-used ones first, then the one that is free the longest.
// Used by the lease book. No step looks at more than one address, however large the pool.
import type { AddressRange } from '../boot/address.ts'

/** Addresses are unsigned 32-bit numbers. */
export type Pool = {
  readonly has: (ip: number) => boolean
  /** The next address that was never asked for and is not taken; undefined when the cursor has passed them all. */
  readonly fresh: (isTaken: (ip: number) => boolean) => number | undefined
}

/** The ranges without the excluded addresses. */
export function createPool(ranges: readonly AddressRange[], excluded: ReadonlySet<number>): Pool {
  let [range, next] = [0, ranges[0]?.first ?? 0]
  const step = (): number | undefined => {
    while (range < ranges.length) {
      if (next <= (ranges[range] as AddressRange).last) return next++
      next = ranges[++range]?.first ?? 0
    }
    return undefined
  }
  const fresh = (isTaken: (ip: number) => boolean) => {
    for (let ip = step(); ip !== undefined; ip = step()) if (!excluded.has(ip) && !isTaken(ip)) return ip
    return undefined
  }
  const has = (ip: number) => ranges.some(({ first, last }) => ip >= first && ip <= last) && !excluded.has(ip)
  return { has, fresh }
}

/** An item of a queue knows its neighbours, so that it can leave from the middle. The fields belong to the queue. */
export type Queued = { previous: Queued | undefined; next: Queued | undefined; isQueued: boolean }

export type Queue<T extends Queued> = {
  readonly push: (item: T) => void
  readonly shift: () => T | undefined
  readonly remove: (item: T) => void
  readonly size: () => number
}

/** An empty queue: first in, first out, every step at the same small cost. */
export function createQueue<T extends Queued>(): Queue<T> {
  let first: Queued | undefined
  let last: Queued | undefined
  let count = 0
  const push = (item: T) => {
    if (item.isQueued) return
    item.isQueued = true
    item.previous = last
    item.next = undefined
    if (last) last.next = item
    else first = item
    last = item
    count++
  }
  const remove = (item: T) => {
    if (!item.isQueued) return
    const { previous, next } = item
    if (previous) previous.next = next
    else first = next
    if (next) next.previous = previous
    else last = previous
    item.isQueued = false
    item.previous = item.next = undefined
    count--
  }
  const shift = () => {
    const item = first as T | undefined
    if (item) remove(item)
    return item
  }
  return { push, shift, remove, size: () => count }
}
