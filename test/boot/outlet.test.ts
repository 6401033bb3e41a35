// A socket whose queue does not move: when datagrams are dropped, and when they are taken again.
import { expect, it } from 'vitest'
import { createOutlet } from '../../src/boot/outlet.ts'

function setUp() {
  const bench = { waiting: 0, look: undefined as (() => void) | undefined, looks: 0 }
  const { mayTake } = createOutlet({ getSendQueueCount: () => bench.waiting }, (look) => {
    bench.look = look
    bench.looks++
  })
  /** Hands over so many; `stay` of them are not taken by the kernel. Answers how many were accepted. */
  const hand = (count: number, stay = 0) => {
    const accepted = Array.from({ length: count }, mayTake).filter(Boolean).length
    bench.waiting += Math.min(stay, accepted)
    return accepted
  }
  const pass = (looks: number) => {
    for (let at = 0; at < looks; at++) bench.look?.()
  }
  return { bench, hand, pass }
}

it('takes everything while the kernel does', () => {
  const { hand, pass, bench } = setUp()
  for (let round = 0; round < 50; round++) {
    expect(hand(1000)).toBe(1000)
    pass(1)
  }
  expect(bench.looks).toBe(50)
})

it('drops after three looks at a queue that does not move, and no sooner', () => {
  const { hand, pass } = setUp()
  hand(500, 300)
  // The first look sees that 200 have gone.
  pass(3)
  expect(hand(10, 10)).toBe(10)
  pass(1)
  expect(hand(1000, 1000)).toBe(0)
})

it('goes on as soon as the queue moves, though it is not empty', () => {
  const { hand, pass, bench } = setUp()
  hand(500, 300)
  pass(4)
  expect(hand(1)).toBe(0)
  bench.waiting -= 100
  pass(1)
  expect(hand(5, 5)).toBe(5)
})

it('a long queue that moves is no reason: a fast sender on a slow wire', () => {
  const { hand, pass, bench } = setUp()
  for (let round = 0; round < 100; round++) {
    expect(hand(200, 200)).toBe(200)
    bench.waiting -= 50
    pass(1)
  }
})

it('a closed socket has no queue', () => {
  const looks: (() => void)[] = []
  const closed = {
    getSendQueueCount: () => {
      throw new Error('Not running')
    },
  }
  const { mayTake } = createOutlet(closed, (look) => looks.push(look))
  expect(mayTake()).toBe(true)
  for (const look of looks) look()
  expect(looks).toHaveLength(1)
})
