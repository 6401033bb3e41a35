// How much one peer may have of something, by a bucket that fills again with time. Used where one host could fill the event log, or try on and on.
import { createRecent } from './recent.ts'

export type Allowance = {
  /** Takes one of the key's; false when none is left. */
  readonly take: (key: string) => boolean
}

/** At once `burst`, then one more every `refillMs`. A clock that is set back refills nothing and takes nothing away. */
export function createAllowance({ now, burst, refillMs }: { now: () => number; burst: number; refillMs: number }): Allowance {
  const buckets = createRecent<{ left: number; at: number }>(4096)
  return {
    take: (key) => {
      const at = now()
      let bucket = buckets.get(key)
      if (!bucket) {
        bucket = { left: burst, at }
        buckets.set(key, bucket)
      }
      bucket.left = Math.min(burst, bucket.left + Math.max(0, at - bucket.at) / refillMs)
      bucket.at = at
      if (bucket.left < 1) return false
      bucket.left--
      return true
    },
  }
}
