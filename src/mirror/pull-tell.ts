// What a pull-through mirror says aloud, each thing once per change and not once per station. Used by pull.
import { isWithin } from '../boot/age.ts'
import type { Emit, EventKind } from '../boot/event.ts'

export type PullTeller = {
  readonly withoutKeys: () => void
  readonly stale: (path: string, reason: string, checkedAt: number | undefined) => void
  readonly freshAgain: (path: string, since: number) => void
  readonly diskRefuses: (path: string, error: Error) => void
  /** A file that came and was not what it should be, or did not come. */
  readonly failed: (path: string, error: Error) => void
  /** The last things that were said of failures, for status. */
  readonly last: () => { readonly at: number; readonly text: string } | undefined
}

const againMs = 60_000
const keysMax = 1000

export function createPullTeller({ emit, now }: { readonly emit: Emit; readonly now: () => number }): PullTeller {
  const toldAt = new Map<string, number>()
  let hasToldKeys = false
  let last: { at: number; text: string } | undefined

  const say = (kind: EventKind, detail: Record<string, string | number | boolean>): void => emit({ at: now(), kind, detail })

  function mayTell(key: string): boolean {
    const before = toldAt.get(key)
    if (before !== undefined && isWithin(againMs, before, now())) return false
    if (toldAt.size >= keysMax) toldAt.clear()
    toldAt.set(key, now())
    return true
  }

  function failed(key: string, detail: Record<string, string | number | boolean>, text: string): void {
    last = { at: now(), text }
    if (mayTell(key)) say('mirror-failed', detail)
  }

  return {
    withoutKeys: () => {
      if (hasToldKeys) return
      hasToldKeys = true
      say('mirror-failed', { reason: 'there is no key in keys/ of the mirror: indexes are passed on without looking at their signature' })
    },
    stale: (path, reason, checkedAt) => {
      last = { at: now(), text: `${path}: ${reason}` }
      const age = checkedAt === undefined ? {} : { ageMinutes: Math.max(0, Math.round((now() - checkedAt) / 60_000)) }
      say('mirror-stale', { file: path, reason, ...age })
    },
    freshAgain: (path, since) => say('mirror-synced', { file: path, staleMinutes: Math.max(0, Math.round((now() - since) / 60_000)) }),
    diskRefuses: (path, { message }) => failed('disk', { file: path, reason: message, effect: 'passed on, not kept' }, `${path}: ${message}`),
    failed: (path, { message }) => failed(path, { file: path, reason: message }, `${path}: ${message}`),
    last: () => last,
  }
}
