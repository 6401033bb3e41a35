// Is the upstream there? One that cannot be reached is not waited for by every station in turn. Used by pull.
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

/** After a failure nobody asks for `restMs`; then the next one tries. Short: what is refused meanwhile a station lacks, for apk does not ask twice. */
export function createReach({ now, restMs = 5_000 }: { readonly now: () => number; readonly restMs?: number }): Reach {
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
        // Only what says that nobody is there: one file that hangs or is wrong says nothing of the others.
        if (error instanceof OutsideError && /^upstream-(unreachable|tls|denied)$/.test(error.code)) last = { at: now(), error }
        throw error
      }
    },
    state: () => ({ isReachable: last && last.error === undefined, ...(last?.error && { error: last.error.message }), ...(last && { at: last.at }) }),
  }
}
