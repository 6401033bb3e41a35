import { describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import type { BootEvent, EventKind } from '../../src/boot/event.ts'
import { createAlarm } from '../../src/station/alarm.ts'

const mac = parseMac('52:54:00:00:00:01')

function play(kinds: readonly EventKind[], thenQuietMs = 0): BootEvent[] {
  const raised: BootEvent[] = []
  let now = 1_000_000
  const alarm = createAlarm({ now: () => now, emit: (event) => raised.push(event), quietMs: 60_000 })
  for (const kind of kinds) {
    const detail = kind === 'script' ? { boots: true, offers: 'overlay,modloop' } : {}
    now += 1000
    alarm.see({ at: now, kind, mac, detail })
  }
  now += thenQuietMs
  alarm.sweep()
  alarm.sweep()
  return raised
}

describe('the stall alarm', () => {
  it('is silent for a whole boot', () => {
    expect(play(['discover', 'script', 'kernel', 'initramfs', 'overlay', 'modloop', 'up'], 120_000)).toEqual([])
  })
  it('names the overlay as soon as a later step comes without it', () => {
    expect(play(['script', 'kernel', 'initramfs', 'modloop']).map(({ detail }) => detail)).toMatchObject([{ missing: 'overlay', after: 'modloop' }])
  })
  it.each([
    [['script'], 'kernel'],
    [['script', 'kernel'], 'initramfs'],
    [['script', 'kernel', 'initramfs'], 'overlay'],
    [['script', 'kernel', 'initramfs', 'overlay', 'modloop'], 'up'],
  ] as const)('after %j and silence, says once what was due: %s', (kinds, missing) => {
    expect(play(kinds, 61_000).map((event) => [event.kind, event.detail?.missing])).toEqual([['stalled', missing]])
  })
  it('begins anew with each script and knows nothing of stations that never got one', () => {
    expect(play(['discover', 'offer', 'ack'], 120_000)).toEqual([])
    expect(play(['script', 'kernel', 'script', 'kernel', 'initramfs', 'overlay', 'up'], 120_000)).toEqual([])
  })
  it('keeps a bounded number of boots', () => {
    let now = 0
    const raised: BootEvent[] = []
    const alarm = createAlarm({ now: () => now, emit: (event) => raised.push(event), quietMs: 1 })
    for (let index = 0; index < 10_000; index++) alarm.see({ at: now, kind: 'script', mac: parseMac(index.toString(16).padStart(12, '0')) })
    now = 10
    alarm.sweep()
    expect(raised.length).toBe(4096)
  })
})
