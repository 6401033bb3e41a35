// Shares the event loop between downloads and everybody else: only so much writing per turn of the loop. Used by pump.
// One slice takes the kernel about a tenth of a millisecond; sixteen in one turn would hold up every script, DHCP and TFTP for two.

export type Turn = {
  /** Runs the work in one of the next turns, in the order of asking. The work must not throw. */
  readonly take: (work: () => void) => void
}

export type TurnOptions = {
  /** Milliseconds of any origin, with fractions. */
  readonly now: () => number
  /** Calls back after the sockets had their say: `setImmediate`. */
  readonly defer: (run: () => void) => void
  /** Work goes on in one turn until so much time is over; at least one piece is done. */
  readonly budgetMs: number
}

export function createTurn({ now, defer, budgetMs }: TurnOptions): Turn {
  let waiting: (() => void)[] = []
  let isDeferred = false
  const wake = (): void => {
    if (isDeferred) return
    isDeferred = true
    defer(run)
  }

  const run = (): void => {
    isDeferred = false
    const works = waiting
    waiting = []
    const startedAt = now()
    let done = 0
    do works[done++]?.()
    while (done < works.length && now() - startedAt < budgetMs)
    // What came meanwhile waits behind those who waited already.
    if (done < works.length) waiting = [...works.slice(done), ...waiting]
    if (waiting.length) wake()
  }
  const take = (work: () => void): void => {
    waiting.push(work)
    wake()
  }
  return { take }
}
