// A bounded memory of what was used lately, in two generations: when the young one is full it becomes the old one, and the old one is forgotten.
// Used by the planner. Trap: taking the first key of a Map that is deleted from all the time passes over every hole, microseconds for each entry.

export type Recent<V> = {
  /** What is kept under the key; asking for it keeps it. */
  readonly get: (key: string) => V | undefined
  readonly set: (key: string, value: V) => void
}

/** Keeps the `least` entries that were used last, and never more than twice as many. */
export function createRecent<V>(least: number): Recent<V> {
  let young = new Map<string, V>()
  let old = new Map<string, V>()

  const set = (key: string, value: V): void => {
    if (young.size >= least && !young.has(key)) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  const get = (key: string): V | undefined => {
    const value = young.get(key)
    if (value !== undefined) return value
    const aged = old.get(key)
    if (aged !== undefined) set(key, aged)
    return aged
  }
  return { get, set }
}
