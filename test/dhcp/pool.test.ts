import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createExpiry, type Ending } from '../../src/dhcp/expiry.ts'
import { createPool, createQueue, type Queued } from '../../src/dhcp/pool.ts'

describe('a pool', () => {
  const pool = () =>
    createPool(
      [
        { first: 10, last: 12 },
        { first: 20, last: 21 },
      ],
      new Set([11]),
    )

  it('gives each address once, in order, without the excluded and the taken', () => {
    const { fresh } = pool()
    const given = []
    for (let ip = fresh((one) => one === 20); ip !== undefined; ip = fresh((one) => one === 20)) given.push(ip)
    expect(given).toEqual([10, 12, 21])
  })

  it('knows what is its own', () => {
    expect([9, 10, 11, 12, 13, 20, 22].map(pool().has)).toEqual([false, true, false, true, false, true, false])
  })

  it('may be empty', () => {
    expect(createPool([], new Set()).fresh(() => false)).toBeUndefined()
  })
})

type Item = Queued & { name: number }
const item = (name: number): Item => ({ name, previous: undefined, next: undefined, isQueued: false })

it('a queue does as an array does, whatever leaves it from the middle', () => {
  const step = fc.tuple(fc.constantFrom('push', 'shift', 'remove'), fc.nat({ max: 5 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const items = Array.from({ length: 6 }, (_, name) => item(name))
      const queue = createQueue<Item>()
      let model: Item[] = []
      for (const [what, name] of steps) {
        const one = items[name] as Item
        if (what === 'shift') {
          expect(queue.shift()).toBe(model[0])
          model = model.slice(1)
        } else if (what === 'remove' || model.includes(one)) {
          queue.remove(one)
          model = model.filter((other) => other !== one)
        } else {
          queue.push(one)
          model = [...model, one]
        }
        expect(queue.size()).toBe(model.length)
      }
    }),
  )
})

it('a heap tells what ends first, through every change', () => {
  const step = fc.tuple(fc.nat({ max: 9 }), fc.option(fc.oneof(fc.nat({ max: 50 }), fc.constant(Infinity))))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.nat({ max: 60 }), (steps, now) => {
      const items: (Ending & { name: number })[] = Array.from({ length: 10 }, (_, name) => ({ name, endsAt: 0, place: -1 }))
      const heap = createExpiry<(typeof items)[0]>()
      for (const [name, endsAt] of steps) {
        const one = items[name] as (typeof items)[0]
        if (endsAt === null) heap.remove(one)
        else heap.set(one, endsAt)
      }
      const inside = items.filter(({ place }) => place >= 0)
      expect(heap.size()).toBe(inside.length)
      const order = []
      for (let due = heap.due(now); due; due = heap.due(now)) {
        order.push(due.endsAt)
        heap.remove(due)
      }
      const expected = inside.map(({ endsAt }) => endsAt).filter((endsAt) => endsAt <= now)
      expect(order).toEqual(expected.sort((one, other) => one - other))
    }),
  )
})
