// How long ago something was, by a clock that may be set back while the server runs: a board without a battery, a wrong date put right.

/**
 * Was it less than `maxMs` ago? Not when it lies ahead: that was stamped before the clock was set back, and to believe it would mean to
 * believe it for as long as the clock needs to come there again.
 */
export const isWithin = (maxMs: number, since: number, now: number): boolean => now >= since && now - since < maxMs
