import { describe, expect, it } from 'vitest'
import type { BootEvent, EventKind } from '../../src/boot/event.ts'
import { findSkipped, splitBoots } from '../../src/boot/progress.ts'

const hour = 3_600_000

/** `discover firmware, offer, … +3700s up`: kinds in order, a second apart, with a detail or a pause before one. */
function story(text: string): BootEvent[] {
  let at = 1_000_000
  return text.split(',').map((part): BootEvent => {
    const [, pause, kind = '', word] = /^(?:\+(\d+)s )?([a-z-]+)(?: (.*))?$/.exec(part.trim()) ?? []
    at += pause === undefined ? 1000 : Number(pause) * 1000
    const detail =
      word === undefined
        ? undefined
        : kind === 'script'
          ? word === 'none'
            ? { boots: false }
            : { offers: word.replaceAll(' ', ',') }
          : { stage: word }
    return { at, kind: kind as EventKind, ...(detail && { detail }) }
  })
}

const bios = 'discover firmware, offer, request, ack, loader, discover bivouac, offer, request, ack'
const whole = `${bios}, script overlay modloop, kernel, initramfs, discover system, offer, request, ack, overlay, index, package, package, modloop, up`

describe('splitBoots', () => {
  // What is still due of each boot; '' is a boot that is over.
  const rows: [string, string, string[]][] = [
    ['nothing', '', []],
    ['one whole boot', whole, ['']],
    ['three boots of a boot ROM', `${whole}, ${whole}, ${whole}`, ['', '', '']],
    ['a reset before the system was up', `${bios}, script overlay, kernel, ${whole}`, ['initramfs overlay up', '']],
    ['a boot ROM that asks again is one boot', `discover firmware, offer, discover firmware, offer, ${whole}`, ['']],
    ['a script after an up (iPXE in flash)', 'script, kernel, initramfs, up, script, kernel', ['', 'initramfs up']],
    ['scripts before an up are one boot: it waited and asked again', 'script none, script none, script overlay, kernel', ['initramfs overlay up']],
    ['a station that is told to wait after all', 'script overlay, kernel, script none', ['']],
    [
      'renewals of a running system belong to its boot',
      `${whole}, request system, ack, +1800s request system, ack, +1800s request system, ack`,
      [''],
    ],
    ['an hour of silence ends a boot', 'script, kernel, +3601s initramfs', ['initramfs up', 'script kernel up']],
    ['an hour to the second does not', 'script, kernel, +3600s initramfs', ['up']],
  ]
  it.each(rows)('%s', (_, text, dues) => {
    expect(splitBoots(text ? story(text) : []).map(({ due }) => due.join(' '))).toEqual(dues)
  })

  it('tells when it began and last did something, and the first event of each step', () => {
    const events = story(whole)
    const [boot] = splitBoots(events)
    expect([boot?.startedAt, boot?.lastAt, boot?.isUp]).toEqual([1_001_000, 1_000_000 + events.length * 1000, true])
    expect(boot?.seen.get('discover')?.detail?.stage).toBe('firmware')
    expect(boot?.seen.get('package')).toBe(events.find(({ kind }) => kind === 'package'))
  })

  const trouble: [string, string, string[]][] = [
    ['none in a whole boot', whole, []],
    [
      'what is out of the ordinary',
      `${bios}, nak, script, overlay-missing, file-missing, transfer-failed`,
      ['nak', 'overlay-missing', 'file-missing', 'transfer-failed'],
    ],
    ['not what is only unusual', 'discover, script-offered, inform, release, script', []],
  ]
  it.each(trouble)('trouble: %s', (_, text, expected) => {
    expect(splitBoots(story(text)).flatMap((boot) => boot.trouble.map(({ kind }) => kind))).toEqual(expected)
  })
})

describe('what is due', () => {
  const rows: [string, string, string][] = [
    ['at the beginning', 'discover firmware', 'script kernel initramfs up'],
    ['after a plain script', `${bios}, script`, 'kernel initramfs up'],
    ['after a script that promised', `${bios}, script overlay modloop ssh-keys`, 'kernel initramfs overlay modloop ssh-keys up'],
    ['when the overlay has come', `${bios}, script overlay modloop, kernel, initramfs, overlay`, 'modloop up'],
    ['after a script that boots nothing', `${bios}, script none`, ''],
    ['when all is up', whole, ''],
    ['when only the overlay never came', `${bios}, script overlay, kernel, initramfs, up`, 'overlay'],
    ['with words that are no steps', 'script overlay nonsense', 'kernel initramfs overlay up'],
  ]
  it.each(rows)('%s', (_, text, due) => {
    expect(splitBoots(story(text)).at(-1)?.due.join(' ')).toBe(due)
  })
})

describe('findSkipped', () => {
  const rows: [string, string, string | undefined][] = [
    ['nothing in a whole boot', whole, undefined],
    ['nothing while it goes on', `${bios}, script overlay, kernel`, undefined],
    ['the overlay, once a package was fetched', 'script overlay, kernel, initramfs, package', 'overlay'],
    ['the overlay, once the system is up', 'script overlay, kernel, initramfs, up', 'overlay'],
    ['the first of several', 'script overlay modloop, kernel, up', 'initramfs'],
    ['nothing that was not promised', 'script, kernel, initramfs, up', undefined],
    ['nothing in proxy mode, where steps are not ours', 'loader, script, kernel, initramfs, up', undefined],
    ['nothing where nothing is a step', 'nak', undefined],
  ]
  it.each(rows)('%s', (_, text, expected) => {
    const [boot] = splitBoots(story(text))
    expect(boot && findSkipped(boot)).toBe(expected)
  })

  it('is not fooled by an hour: silence begins another boot', () => {
    const events = story('script overlay, kernel, initramfs')
    const late: BootEvent = { at: (events.at(-1)?.at ?? 0) + hour + 1, kind: 'up' }
    expect(splitBoots([...events, late]).map(findSkipped)).toEqual([undefined, 'script'])
  })
})
