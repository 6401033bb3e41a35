// Is the upstream there? What failed a moment ago is not waited for again by every station. Used by pull.
import { OutsideError } from '../boot/error.ts'
import { isWithin } from '../boot/age.ts'

export type Reach = {
  /** Throws OutsideError `upstream-down` while it is known to be away. */
  readonly check: () => void
  readonly isDown: () => boolean
  /** Runs something that asks the upstream and learns from how it ends. */
  readonly through: <T>(run: () => Promise<T>) => Promise<T>
  readonly state: () => { readonly isReachable: boolean | undefined; readonly error?: string; readonly at?: number }
}

/** After a failure nobody asks for `restMs`; then the next one tries. */
export function createReach({ now, restMs = 15_000 }: { readonly now: () => number; readonly restMs?: number }): Reach {
  let last: { readonly at: number; readonly error?: OutsideError } | undefined
  const isDown = (): boolean => last?.error !== undefined && isWithin(restMs, last.at, now())
  return {
    isDown,
    check: () => {
      if (isDown()) throw new OutsideError('upstream-down', `the upstream cannot be reached: ${last?.error?.message}`, true, { cause: last?.error })
    },
    through: async (run) => {
      try {
        const value = await run()
        last = { at: now() }
        return value
      } catch (error) {
        // Only what says that nobody is there: a wrong file is another matter.
        if (error instanceof OutsideError && /^upstream-(unreachable|timeout|tls|denied)$/.test(error.code)) last = { at: now(), error }
        throw error
      }
    },
    state: () => ({ isReachable: last && last.error === undefined, ...(last?.error && { error: last.error.message }), ...(last && { at: last.at }) }),
  }
}
