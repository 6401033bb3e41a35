// What ends when: a binary heap whose items know their place, so that a renewal moves one item and never searches. Used by leases.

/** `endsAt` is milliseconds since 1970, Infinity for never; change it only through `set`. `place` belongs to the heap, -1 outside. */
export type Ending = { endsAt: number; place: number }

export type Expiry<T extends Ending> = {
  /** Puts the item in, or moves it. */
  readonly set: (item: T, endsAt: number) => void
  readonly remove: (item: T) => void
  /** The item that ends first, if it has ended by then. It stays. */
  readonly due: (now: number) => T | undefined
  readonly size: () => number
}

/** An empty heap. */
export function createExpiry<T extends Ending>(): Expiry<T> {
  const heap: T[] = []
  const put = (item: T, place: number) => {
    heap[place] = item
    item.place = place
  }
  const rise = (item: T, from: number) => {
    let place = from
    while (place > 0) {
      const parent = heap[(place - 1) >> 1] as T
      if (parent.endsAt <= item.endsAt) break
      put(parent, place)
      place = (place - 1) >> 1
    }
    put(item, place)
  }
  const sink = (item: T, from: number) => {
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] as T).endsAt < (heap[child] as T).endsAt) child++
      if ((heap[child] as T).endsAt >= item.endsAt) break
      put(heap[child] as T, place)
      place = child
    }
    put(item, place)
  }
  const settle = (item: T, place: number) => {
    rise(item, place)
    sink(item, item.place)
  }
  const set = (item: T, endsAt: number) => {
    item.endsAt = endsAt
    settle(item, item.place < 0 ? heap.length : item.place)
  }
  const remove = (item: T) => {
    if (item.place < 0) return
    const last = heap.pop() as T
    if (last !== item) settle(last, item.place)
    item.place = -1
  }
  const due = (now: number) => {
    const first = heap[0]
    return first && first.endsAt <= now ? first : undefined
  }
  return { set, remove, due, size: () => heap.length }
}
