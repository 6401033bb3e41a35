// Orders for next boots over the log and the disk: durable, told, ended by events alone.
import { describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createNextBoots } from '../../src/store/next.ts'
import type { MarkStore } from '../../src/store/port.ts'

const [one, two] = [parseMac('52:54:00:00:00:01'), parseMac('52:54:00:00:00:02')]

function open(marks: MarkStore = createMemoryStore().marks) {
  const events: BootEvent[] = []
  let at = 0
  const next = createNextBoots({
    marks,
    emit: (event) => events.push(event),
    now: () => at,
    macsOf: (mac) => (mac === one || mac === two ? [one, two] : []),
  })
  const see = (kind: BootEvent['kind'], laterMs: number, detail?: BootEvent['detail'], mac = one) => {
    at += laterMs
    next.see({ at, kind, mac, ...(detail && { detail }) })
  }
  return { next, see, marks, kinds: () => events.map(({ kind }) => kind), later: (ms: number) => see('stalled', ms) }
}

describe('orders for next boots', () => {
  it('are ended by the call-back of the station, from whichever card', async () => {
    const { next, see, kinds, marks } = open()
    await next.order([one], { profile: 'install', by: 'anna' })
    see('discover', 1000, { stage: 'firmware' }, two)
    see('script', 5000, { profile: 'install' }, two)
    expect(next.current().get(one)?.attempts).toBe(1)
    see('up', 60_000, {}, two)
    expect(next.current().size).toBe(0)
    expect(kinds()).toEqual(['next-ordered', 'next-done'])
    expect(marks.entries('next/')).toEqual([])
  })

  it('survive a restart, with their counts', async () => {
    const first = open()
    await first.next.order([one], { profile: 'install', by: 'anna', fallback: 'local', attemptsMax: 2 })
    first.see('script', 1000, { profile: 'install' })
    await Promise.resolve()
    const second = open(first.marks)
    expect(second.next.current().get(one)).toMatchObject({ profile: 'install', attempts: 1, attemptsMax: 2, fallback: 'local' })
  })

  it('fail at the next discover after the last attempt, and are said', async () => {
    const { next, see, kinds } = open()
    await next.order([one], { profile: 'install', by: 'anna', attemptsMax: 1, fallback: 'local' })
    see('script', 1000, { profile: 'install' })
    see('discover', 60_000, { stage: 'firmware' })
    expect(next.current().get(one)).toMatchObject({ state: 'failed', fallback: 'local' })
    see('script', 1000, { profile: 'local' })
    see('up', 60_000)
    expect(next.current().get(one)?.state).toBe('failed')
    expect(kinds()).toEqual(['next-ordered', 'next-failed'])
  })

  it('fail when their time is over', async () => {
    const { next, later, kinds } = open()
    await next.order([one], { profile: 'install', by: 'anna', forMs: 1000 })
    next.sweep()
    expect(next.current().get(one)?.state).toBe('active')
    later(1000)
    next.sweep()
    next.sweep()
    expect(next.current().get(one)?.state).toBe('failed')
    expect(kinds()).toEqual(['next-ordered', 'next-failed'])
  })

  it('are cleared by hand', async () => {
    const { next } = open()
    await next.order([one, two], { profile: 'install', by: 'anna' })
    expect(await next.clear([two], 'ben')).toBe(1)
    expect(await next.clear([two], 'ben')).toBe(0)
    expect([...next.current().keys()]).toEqual([one])
  })

  it('are not made when the disk refuses', async () => {
    const { marks } = createMemoryStore()
    const { next, kinds } = open({ ...marks, set: () => Promise.reject(new Error('full')) })
    await expect(next.order([one], { profile: 'install', by: 'anna' })).rejects.toThrow('full')
    expect([next.current().size, kinds()]).toEqual([0, []])
  })

  it.each(['', '{', '{"profile":1}', 'null'])('pass over a mark that is none: %j', async (value) => {
    const { marks } = createMemoryStore()
    await marks.set(`next/${one}`, value || ' ')
    expect(open(marks).next.current().size).toBe(0)
  })
})
