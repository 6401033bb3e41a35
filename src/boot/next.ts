// What a station boots next, for a while: a one-shot that stands over its usual profile until the system calls back. Pure; kept by store/next.
// It is never ended by a fetch: a script that was fetched says nothing of what came of it. Only the call-back, the limit or the time end it.
import type { BootEvent } from './event.ts'

/**
 * An order for the next boots. `active`: its profile is given. `failed`: it came to its limit or its time without a call-back, and `fallback` (the
 * station's usual profile when absent) is given until somebody clears or replaces the order.
 */
export type NextBoot = {
  readonly profile: string
  /** Boots that must call back before it is over. */
  readonly times: number
  readonly doneTimes: number
  /** Boots begun since the last call-back. */
  readonly attempts: number
  /** Boots that may begin without a call-back; absent: any number. */
  readonly attemptsMax?: number
  readonly fallback?: string
  /** Milliseconds since 1970. */
  readonly setAt: number
  readonly expiresAt: number
  /** When the last attempt was counted. */
  readonly attemptAt?: number
  readonly state: 'active' | 'failed'
  /** Why it failed. */
  readonly reason?: string
  /** Who ordered it. */
  readonly by: string
}

/** What an event makes of an order: a changed one, its end, or nothing. */
export type NextStep = { readonly kind: 'none' } | { readonly kind: 'changed'; readonly next: NextBoot } | { readonly kind: 'done' }

/** The order as it is asked for. `attemptsMax: null`: no limit but the time. */
export type NextAsk = {
  readonly profile: string
  readonly times?: number
  readonly attemptsMax?: number | null
  readonly forMs?: number
  readonly fallback?: string
  readonly by: string
}

/** Three boots that come to nothing are no accident. */
export const defaultAttempts = 3
export const defaultForMs = 24 * 3_600_000

/** A firmware that asks for its script twice is still in the same boot. Lore: iPXE retries within 15 s; a server's POST takes longer than this. */
const sameBootMs = 20_000

/** The order, from now on. */
export function orderNext({ profile, times = 1, attemptsMax = defaultAttempts, forMs = defaultForMs, fallback, by }: NextAsk, now: number): NextBoot {
  return {
    profile,
    times,
    doneTimes: 0,
    attempts: 0,
    ...(attemptsMax !== null && { attemptsMax }),
    ...(fallback !== undefined && { fallback }),
    setAt: now,
    expiresAt: now + forMs,
    state: 'active',
    by,
  }
}

/** What an event of the station means for its order. The events come in the order of their time. */
export function stepNext(next: NextBoot, event: BootEvent): NextStep {
  if (next.state !== 'active') return none
  if (event.kind === 'script' && event.detail?.profile === next.profile) return countAttempt(next, event.at)
  // A call-back belongs to the order only when a script of the order went out before it.
  if (event.kind === 'up' && next.attemptAt !== undefined) return countDone(next)
  return none
}

const none: NextStep = { kind: 'none' }

function countAttempt(next: NextBoot, at: number): NextStep {
  const { attempts, attemptAt } = next
  if (attemptAt !== undefined && at - attemptAt < sameBootMs) return none
  // Where neither DHCP nor boot.ipxe told of the boot's begin, the script itself does, one boot late.
  const judged = judgeNext(next, at, true)
  if (judged !== next) return { kind: 'changed', next: judged }
  return { kind: 'changed', next: { ...next, attempts: attempts + 1, attemptAt: at } }
}

function countDone({ attemptAt: _, ...next }: NextBoot): NextStep {
  const doneTimes = next.doneTimes + 1
  return doneTimes >= next.times ? { kind: 'done' } : { kind: 'changed', next: { ...next, doneTimes, attempts: 0 } }
}

/**
 * The order as it stands when the station asks or time has passed: failed, once its time is over, or once all its boots have begun and the
 * station comes again without a call-back. `isAsking`: a new boot of the station begins now.
 */
export function judgeNext(next: NextBoot, now: number, isAsking = false): NextBoot {
  if (next.state !== 'active') return next
  const fail = (reason: string): NextBoot => ({ ...next, state: 'failed', reason })
  if (now >= next.expiresAt) return fail(`no call-back of profile ${next.profile} until ${new Date(next.expiresAt).toISOString()}`)
  const { attempts, attemptsMax, attemptAt = Number.NEGATIVE_INFINITY } = next
  const isSpent = attemptsMax !== undefined && attempts >= attemptsMax
  if (isAsking && isSpent && now - attemptAt >= sameBootMs) {
    return fail(`${attempts} ${attempts === 1 ? 'boot' : 'boots'} of profile ${next.profile} began and none called back`)
  }
  return next
}

/** `once of 1, attempt 2 of 3`: for reasons and lists. */
export function describeNext({ profile, times, doneTimes, attempts, attemptsMax, state, reason, fallback }: NextBoot): string {
  if (state === 'failed') return `${reason}: ${fallback ?? 'the usual profile'} in its place until it is cleared`
  const done = times > 1 ? `, ${doneTimes} of ${times} boots done` : ''
  return `${profile} until it calls back${done}; ${attempts}${attemptsMax === undefined ? '' : ` of ${attemptsMax}`} attempts`
}
