// How much one peer may have of something, by a bucket that fills again with time. Used where one host could fill the event log, or try on and on.
import type { Emit, EventKind } from '../boot/event.ts'
import { createQuiet } from './quiet.ts'
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

/** Packages come by the hundred, the other steps of a boot once. Behind one address there may be a room of stations. */
const eventAllowances = { packages: { burst: 2000, refillMs: 200 }, others: { burst: 400, refillMs: 500 } } as const
const tellEveryMs = 60_000

/**
 * Keeps one peer from rolling the event log over: may this event be told? What is left out is said once a minute.
 */
export function createEventLimit({ now, emit }: { now: () => number; emit: Emit }): (kind: EventKind, peer: string) => boolean {
  const packages = createAllowance({ now, ...eventAllowances.packages })
  const others = createAllowance({ now, ...eventAllowances.others })
  const quiet = createQuiet({ now, everyMs: tellEveryMs })
  return (kind, peer) => {
    if ((kind === 'package' || kind === 'index' ? packages : others).take(peer)) return true
    if (quiet.mayTell(`limit ${peer}`)) {
      const reason = `${peer} causes more events than are kept of one address: what follows of it is left out for a while`
      emit({ at: now(), kind: 'dropped', detail: { reason } })
    }
    return false
  }
}
