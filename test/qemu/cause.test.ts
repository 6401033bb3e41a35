import { describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import type { BootEvent, EventKind } from '../../src/boot/event.ts'
import { explainFailure } from '../../src/qemu/cause.ts'
import { createStepFilter, formatStep } from '../../src/qemu/step.ts'

const mac = parseMac('52:54:00:00:00:01')
const event = (kind: EventKind, detail?: BootEvent['detail']): BootEvent => ({ at: 1000, kind, mac, ...(detail && { detail }) })
const script = event('script', { offers: 'overlay,modloop' })

describe('explainFailure', () => {
  it.each<[string, BootEvent[], string, RegExp]>([
    ['silence', [], '', /QEMU or its firmware does not run/],
    ['a firmware that asks nobody', [], 'SeaBIOS', /asked for no address/],
    ['no offer', [event('discover')], '', /got none/],
    ['a full pool', [event('discover'), event('pool-full', { reason: 'no address is free' })], '', /got none.*pool-full: no address is free/],
    ['a loader that is not fetched', [event('discover'), event('offer')], '', /did not fetch it/],
    ['a loader that stops', [event('discover'), event('offer'), event('loader')], '', /did not come for its script/],
    ['a script without kernel', [script], '', /kernel was not fetched/],
    ['a kernel that fails', [script, event('kernel'), event('initramfs')], 'x', /did not fetch its overlay/],
    ['a skipped overlay', [script, event('kernel'), event('initramfs'), event('modloop')], '', /did not fetch its overlay/],
    ['no report', [script, event('kernel'), event('initramfs'), event('overlay'), event('modloop')], '', /did not report/],
    ['a script that boots nothing', [event('script', { boots: false, profile: 'wait' })], '', /boots nothing \(profile wait\).*explain 52:54/],
    ['an open station', [script], 'BVC open-station the overlay did not come\n', /open, without its overlay: the overlay did not come/],
    ['a panic', [script], '[ 1.0] Kernel panic - not syncing: VFS\n', /gave up: Kernel panic - not syncing: VFS/],
  ])('%s', (_, events, serial, expected) => {
    expect(explainFailure(events, serial)).toMatch(expected)
  })
})

describe('the steps of a try', () => {
  it('are lines of time, step and facts', () => {
    expect(formatStep(event('loader', { file: 'undionly.kpxe', via: 'tftp', sizeBytes: 71_680 }), 3210)).toBe(
      '   3.2 s  loader     undionly.kpxe, tftp, 70 KB',
    )
    expect(formatStep({ ...event('ack'), ip: '10.9.0.7' as never }, -1)).toBe('   0.0 s  ack        10.9.0.7')
    expect(formatStep(event('overlay', { file: 'configs/a.tar.gz', path: 'configs/a.tar.gz', sizeBytes: 12 }), 12_000)).toBe(
      '  12.0 s  overlay    configs/a.tar.gz, 12 bytes',
    )
    expect(formatStep(event('up', { via: 'http' }), 12_000)).toBe('  12.0 s  up')
  })

  it('come once each, troubles always', () => {
    const isNew = createStepFilter()
    const kinds: EventKind[] = ['discover', 'offer', 'discover', 'nak', 'package', 'nak', 'package', 'inform', 'script-offered', 'up']
    expect(kinds.filter((kind) => isNew(event(kind)))).toEqual(['discover', 'offer', 'nak', 'package', 'nak', 'up'])
  })
})
