// The rules of one-shot boots: only the call-back ends one; limit and time lead to the fallback, never to a loop.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { chooseProfile } from '../../src/boot/match.ts'
import { defaultForMs, describeNext, judgeNext, type NextBoot, orderNext, stepNext } from '../../src/boot/next.ts'
import { indexRecords, profileSchema, stationSchema } from '../../src/boot/record.ts'
import { parseMac } from '../../src/boot/address.ts'

const mac = parseMac('52:54:00:00:00:01')
const script = (at: number, profile = 'install'): BootEvent => ({ at, kind: 'script', mac, detail: { profile } })
const up = (at: number): BootEvent => ({ at, kind: 'up', mac })

/** Runs events through; a `boot` entry is a firmware that begins anew. */
function run(next: NextBoot, ...events: (BootEvent | { boot: number })[]): NextBoot | 'done' {
  let now: NextBoot = next
  for (const event of events) {
    if ('boot' in event) {
      now = judgeNext(now, event.boot, true)
      continue
    }
    const step = stepNext(now, event)
    if (step.kind === 'done') return 'done'
    if (step.kind === 'changed') now = step.next
  }
  return now
}

describe('an order for the next boot', () => {
  const once = orderNext({ profile: 'install', by: 'anna' }, 0)

  it('is ended by the call-back, never by a fetch', () => {
    expect(run(once, script(1000))).toMatchObject({ state: 'active', attempts: 1 })
    expect(run(once, script(1000), up(90_000))).toBe('done')
  })

  it('is not ended by a call-back of another system', () => {
    expect(run(once, up(1000))).toEqual(once)
    expect(run(once, script(1000, 'local'), up(2000))).toEqual(once)
  })

  it('counts a firmware that asks twice once', () => {
    expect(run(once, script(1000), script(16_000), script(60_000))).toMatchObject({ attempts: 2 })
  })

  it('fails when a station comes again after its last attempt, and stays failed', () => {
    const spent = run(once, script(0), { boot: 60_000 }, script(61_000), { boot: 120_000 }, script(121_000))
    expect(spent).toMatchObject({ state: 'active', attempts: 3 })
    const failed = run(spent as NextBoot, { boot: 180_000 })
    expect(failed).toMatchObject({ state: 'failed', reason: '3 boots of profile install began and none called back' })
    expect(run(failed as NextBoot, script(200_000), up(210_000))).toEqual(failed)
  })

  it('fails by its script alone, where nothing else tells of a boot', () => {
    expect(run(once, script(0), script(60_000), script(120_000), script(180_000))).toMatchObject({ state: 'failed' })
  })

  it('fails when its time is over', () => {
    expect(judgeNext(once, defaultForMs - 1)).toBe(once)
    expect(judgeNext(once, defaultForMs)).toMatchObject({ state: 'failed' })
  })

  it('may have no limit but the time', () => {
    const patient = orderNext({ profile: 'install', attemptsMax: null, by: 'anna' }, 0)
    const events = Array.from({ length: 50 }, (_, index) => [{ boot: index * 60_000 }, script(index * 60_000 + 1000)]).flat()
    expect(run(patient, ...events)).toMatchObject({ state: 'active', attempts: 50 })
  })

  it('for three boots wants three call-backs, and counts attempts for each', () => {
    const thrice = orderNext({ profile: 'install', times: 3, by: 'anna' }, 0)
    const begun = run(thrice, script(0), up(50_000), script(100_000))
    expect(begun).toMatchObject({ doneTimes: 1, attempts: 1 })
    expect(run(begun as NextBoot, up(150_000), up(160_000))).toMatchObject({ doneTimes: 2 })
    expect(run(begun as NextBoot, up(150_000), script(200_000), up(250_000))).toBe('done')
  })

  it('never begins more boots than it may, whatever comes', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('boot'), gap: fc.nat(100_000) }),
      fc.record({ kind: fc.constantFrom('script', 'other', 'up'), gap: fc.nat(100_000) }),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (events, attemptsMax) => {
        let next = orderNext({ profile: 'install', attemptsMax, by: 'x' }, 0)
        let at = 0
        for (const { kind, gap } of events) {
          at += gap
          if (kind === 'boot') next = judgeNext(next, at, true)
          const given = next.state === 'active' ? 'install' : 'local'
          const step =
            kind === 'boot' ? { kind: 'none' as const } : stepNext(next, kind === 'up' ? up(at) : script(at, kind === 'script' ? given : 'local'))
          if (step.kind === 'done') return true
          if (step.kind === 'changed') next = step.next
          if (next.attempts > attemptsMax) return false
        }
        return true
      }),
    )
  })

  it('says how it stands', () => {
    expect(describeNext(once)).toBe('install until it calls back; 0 of 3 attempts')
    expect(describeNext({ ...once, state: 'failed', reason: 'late', fallback: 'local' })).toBe('late: local in its place until it is cleared')
  })
})

describe('the choice', () => {
  const station = stationSchema.parse({ name: 'a', macs: [mac, '52:54:00:00:00:02'], profile: 'local' })
  const profiles = [profileSchema.parse({ name: 'install', kind: 'script', template: 'install' })]
  const site = { defaultProfile: 'alpine', unknown: 'wait', withoutOverlay: 'wait', foreignIpxe: 'script', loaders: new Map(), quirks: [] } as const
  const choose = (next: NextBoot | undefined, who = mac) =>
    chooseProfile(who, {}, { ...indexRecords([station], profiles, []), ...(next && { nextByMac: new Map([[mac, next]]) }) }, site)
  const order = orderNext({ profile: 'install', by: 'anna' }, 0)

  it('takes the order over the record, for every card of the station', () => {
    expect(choose(order).profile.name).toBe('install')
    expect(choose(order, parseMac('52:54:00:00:00:02')).profile.name).toBe('install')
    expect(choose(undefined).profile.name).toBe('local')
    expect(choose(order).why.find(({ rule }) => rule === 'next')?.text).toBe('ordered by anna: install until it calls back; 0 of 3 attempts')
  })

  it('takes the fallback of a failed order, or the usual profile', () => {
    const failed: NextBoot = { ...order, state: 'failed', reason: 'late' }
    expect(choose(failed).profile.name).toBe('local')
    expect(choose({ ...failed, fallback: 'shell' }).profile.name).toBe('shell')
  })

  it('is not misled by an order for a profile that is gone', () => {
    expect(choose({ ...order, profile: 'gone' }).profile.name).toBe('local')
  })
})
