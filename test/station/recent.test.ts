import { describe, expect, it } from 'vitest'
import { createRecent } from '../../src/station/recent.ts'
import { seededRandom } from '../support/random.ts'

describe('createRecent', () => {
  it('forgets what has not been used for two generations', () => {
    const recent = createRecent<number>(2)
    for (const [at, key] of ['a', 'b', 'c', 'd', 'e'].entries()) recent.set(key, at)
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => recent.get(key))).toEqual([undefined, undefined, 2, 3, 4])
  })

  it('keeps what is asked for', () => {
    const recent = createRecent<number>(2)
    recent.set('kept', 1)
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      recent.set(key, 0)
      expect(recent.get('kept')).toBe(1)
    }
  })

  it('has the newest value of a key', () => {
    const recent = createRecent<number>(2)
    for (const value of [1, 2, 3]) recent.set('a', value)
    expect(recent.get('a')).toBe(3)
  })

  it('knows the last entries that were used, and at most twice as many', () => {
    const random = seededRandom(7)
    const recent = createRecent<number>(50)
    const order: number[] = []
    for (let step = 0; step < 5000; step += 1) {
      const key = Math.floor(random() * 300)
      if (random() < 0.5) recent.set(String(key), key)
      else if (recent.get(String(key)) === undefined) continue
      order.push(key)
      const last = new Set<number>()
      for (let back = order.length - 1; back >= 0 && last.size < 50; back -= 1) last.add(order[back] as number)
      const lost = step % 500 === 499 ? [...last].filter((one) => recent.get(String(one)) === undefined) : []
      expect(lost).toEqual([])
      if (step % 500 === 499) order.push(...last)
    }
    expect(Array.from({ length: 300 }, (_, key) => recent.get(String(key))).filter((value) => value !== undefined).length).toBeLessThanOrEqual(100)
  })
})
