// Events that a flood would repeat without end: the first at once, then one in a while with the number left out. Used by engine and server.
import { isWithin } from '../boot/age.ts'

/** Answers how many were swallowed since the last one that may pass, or undefined for one to be swallowed. Keys are few: networks, kinds. */
export function createLimiter(intervalMs: number, now: () => number): (key: string) => number | undefined {
  const states = new Map<string, { at: number; swallowed: number }>()
  return (key) => {
    const at = now()
    const state = states.get(key)
    if (state && isWithin(intervalMs, state.at, at)) {
      state.swallowed++
      return undefined
    }
    states.set(key, { at, swallowed: 0 })
    return state?.swallowed ?? 0
  }
}
