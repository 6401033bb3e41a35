import { describe, expect, it } from 'vitest'
import { createTurn } from '../../src/http/turn.ts'

/** A turn whose clock moves by what each piece of work costs, and whose loop is turned by hand. */
function makeTurn(budgetMs: number) {
  let time = 0
  const deferred: (() => void)[] = []
  const turn = createTurn({ now: () => time, defer: (run) => void deferred.push(run), budgetMs })
  const log: string[] = []
  const take = (name: string, costMs: number, then?: () => void) =>
    turn.take(() => {
      time += costMs
      log.push(name)
      then?.()
    })
  const loop = () => {
    for (const run of deferred.splice(0)) run()
    return log.splice(0).join('')
  }
  return { take, loop, deferred }
}

describe('turns', () => {
  it('do nothing at once, and all of it in order when it is cheap', () => {
    const { take, loop, deferred } = makeTurn(1)
    for (const name of 'abc') take(name, 0.1)
    expect(deferred).toHaveLength(1)
    expect([loop(), loop(), deferred.length]).toEqual(['abc', '', 0])
  })

  it('stop when the time is over and go on in the next', () => {
    const { take, loop } = makeTurn(1)
    for (const name of 'abcdefg') take(name, 0.4)
    expect([loop(), loop(), loop(), loop()]).toEqual(['abc', 'def', 'g', ''])
  })

  it('do one piece at least', () => {
    const { take, loop } = makeTurn(1)
    for (const name of 'ab') take(name, 50)
    expect([loop(), loop(), loop()]).toEqual(['a', 'b', ''])
  })

  it('put what is asked for meanwhile into a later one, behind those who waited', () => {
    const { take, loop } = makeTurn(1)
    take('a', 0.4, () => take('A', 0.4))
    take('b', 0.4, () => take('B', 0.4))
    take('c', 0.4)
    take('d', 0.4)
    expect([loop(), loop(), loop()]).toEqual(['abc', 'dAB', ''])
  })

  it('wake the loop once, and again after a rest', () => {
    const { take, loop, deferred } = makeTurn(1)
    take('a', 0, () => take('b', 0))
    expect([loop(), deferred.length, loop(), deferred.length]).toEqual(['a', 1, 'b', 0])
    take('c', 0)
    expect([deferred.length, loop()]).toEqual([1, 'c'])
  })
})
