// So many at a time, the others in order, and no more than may wait. Used by pull for what it fetches.
import { OutsideError } from '../boot/error.ts'

export type Queue = {
  /** Rejects with OutsideError `mirror-busy` when too many wait already. */
  readonly run: <T>(work: () => Promise<T>) => Promise<T>
  readonly figures: () => { readonly running: number; readonly waiting: number }
}

export function createQueue({ running: runningMax, waiting: waitingMax }: { readonly running: number; readonly waiting: number }): Queue {
  const waiting: (() => void)[] = []
  let running = 0

  async function enter(): Promise<void> {
    if (running < runningMax) {
      running++
      return
    }
    if (waiting.length >= waitingMax) throw new OutsideError('mirror-busy', `${waitingMax} files wait for the upstream already`, true)
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  return {
    run: async (work) => {
      await enter()
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next) next()
        else running--
      }
    },
    figures: () => ({ running, waiting: waiting.length }),
  }
}
