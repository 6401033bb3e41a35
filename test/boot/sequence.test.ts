// The document's ten steps, each time with one taken out: trace must name it.
import { describe, expect, it } from 'vitest'
import type { BootEvent, BootStep } from '../../src/boot/event.ts'
import { bootSteps } from '../../src/boot/event.ts'
import { type Boot, splitBoots } from '../../src/boot/progress.ts'
import { describeSequence } from '../../src/boot/sequence.ts'

const offers = 'overlay,modloop'
const eventOf = (kind: BootStep, index: number): BootEvent => ({ at: 1000 * index, kind, ...(kind === 'script' && { detail: { offers } }) })
const bootWithout = (...left: BootStep[]): Boot => splitBoots(bootSteps.filter((kind) => !left.includes(kind)).map(eventOf))[0] as Boot
const states = (boot: Boot): string =>
  describeSequence(boot)
    .map(({ number, state }) => `${number} ${state}`)
    .join(', ')

describe('the ten steps', () => {
  it('are all seen in a whole boot, or told by what follows them', () => {
    const boot = bootWithout()
    expect(states(boot)).toBe('1 implied, 2 seen, 3 seen, 4 seen, 5 seen, 6 seen, 7 implied, 8 implied, 9 seen, 10 seen')
    const steps = describeSequence(boot)
    expect(steps[5]).toMatchObject({ name: 'kernel, initramfs', at: 6000, events: [{ kind: 'kernel' }, { kind: 'initramfs' }] })
    expect(boot.reason).toBeUndefined()
  })

  it.each<[BootStep, number, string]>([
    ['script', 5, 'missing'],
    ['kernel', 6, 'missing'],
    ['initramfs', 6, 'missing'],
    ['overlay', 9, 'missing'],
    ['modloop', 10, 'seen'],
    ['loader', 4, 'implied'],
    ['discover', 2, 'implied'],
  ])('without %s: step %i is %s', (kind, number, state) => {
    const boot = bootWithout(...(kind === 'script' ? (['script'] as const) : [kind]))
    expect(describeSequence(boot)[number - 1]).toMatchObject({ state })
    if (state === 'missing') expect(describeSequence(boot)[number - 1]?.lacks).toContain(kind)
  })

  it.each<[BootStep, string]>([
    ['ack', '5 due, 6 open'],
    ['script', '5 seen, 6 due'],
    ['initramfs', '6 seen, 7 open, 8 open, 9 due, 10 open'],
    ['overlay', '9 seen, 10 due'],
  ])('after %s: %s', (last, expected) => {
    const rest = bootSteps.slice(bootSteps.indexOf(last) + 1)
    expect(states(bootWithout(...rest))).toContain(expected)
  })

  it('have a reason when the station is not up, and when it is up with trouble', () => {
    expect(bootWithout('overlay', 'up').reason).toContain('overlay never came')
    const [failed] = splitBoots([eventOf('script', 1), { at: 2000, kind: 'transfer-failed', detail: { reason: 'the connection ended early' } }])
    expect(failed?.reason).toBe('transfer-failed: the connection ended early')
    const [up] = splitBoots([eventOf('script', 1), { at: 3000, kind: 'up', detail: { trouble: 'packages are missing: vim' } }])
    expect(up).toMatchObject({ isUp: true, reason: 'packages are missing: vim', trouble: [{ kind: 'up' }] })
    const [mended] = splitBoots([eventOf('script', 1), { at: 3000, kind: 'up', detail: { trouble: 'x' } }, { at: 4000, kind: 'up', detail: {} }])
    expect(mended?.reason).toBeUndefined()
  })
})
