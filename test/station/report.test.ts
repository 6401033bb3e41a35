// Reports of stations: read as they come, whatever comes; and what is wrong with a station that is up.
import { describe, expect, it } from 'vitest'
import { describeReport, findTrouble, maxReportBytes, parseReport } from '../../src/station/report.ts'
import { createAllowance, createEventLimit } from '../../src/station/allowance.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { seededRandom } from '../support/random.ts'

const read = (text: string) => parseReport(Buffer.from(text, 'latin1'))

describe('a report', () => {
  it('is read key by key', () => {
    const text =
      'release=alpine/3.22.2/x86_64/lts\noverlay=abc123\nhostname=kiosk\nkernel=6.12.1-0-lts\nuptime=31.4\nmodloop=mounted\nfailed=sshd chronyd\nmissing=vim,nano\n'
    expect(read(text)).toEqual({
      release: 'alpine/3.22.2/x86_64/lts',
      overlay: 'abc123',
      hostname: 'kiosk',
      kernel: '6.12.1-0-lts',
      uptimeSeconds: 31,
      modloop: 'mounted',
      failed: ['sshd', 'chronyd'],
      missing: ['vim', 'nano'],
    })
  })

  it.each([
    ['of nothing', '', { failed: [], missing: [] }],
    ['of a line of words', 'all is well\nindeed', { failed: [], missing: [], text: 'all is well' }],
    ['with Windows line ends', 'kernel=6\r\nmodloop=missing\r\n', { failed: [], missing: [], kernel: '6', modloop: 'missing' }],
    ['with a key twice', 'kernel=6\nkernel=7', { failed: [], missing: [], kernel: '6' }],
    ['with keys of nobody', 'kernel=6\n__proto__=x\nconstructor=y\n=z', { failed: [], missing: [], kernel: '6' }],
    ['with control characters', 'kernel=\u001b[31m6\nhostname=a\tb\nfailed=ok \u0007', { failed: [], missing: [] }],
    ['with names that are none', 'failed=-x ../y ok $(reboot)', { failed: ['ok'], missing: [] }],
    ['with an uptime that is none', 'uptime=soon', { failed: [], missing: [] }],
  ])('%s', (_, text, expected) => expect(read(text)).toEqual(expected))

  it('is bounded: 20,000 random bodies give only short and printable facts', () => {
    const random = seededRandom(5)
    const words = [
      'release',
      'overlay',
      'kernel',
      'hostname',
      'uptime',
      'modloop',
      'failed',
      'missing',
      '=',
      '=',
      '\n',
      ' ',
      ',',
      'x'.repeat(300),
      '\0',
      'é',
      '%s',
      '<b>',
    ]
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 40) }, () => words[Math.floor(random() * words.length)]).join('')
      const facts = describeReport(read(text), undefined)
      const size = JSON.stringify(facts).length
      expect(size).toBeLessThan(6000)
      for (const value of Object.values(facts)) expect(String(value)).toMatch(/^[ -~]*$/)
    }
    expect(read(`failed=${'a '.repeat(maxReportBytes)}`).failed).toHaveLength(32)
  })

  it.each([
    ['failed=sshd', 'services failed: sshd'],
    ['missing=vim nano', 'packages are missing: vim nano'],
    ['modloop=missing', 'the modloop is not mounted: no drivers beyond the initramfs'],
    ['overlay=other', 'it runs another overlay than it was given'],
    ['overlay=given\nmodloop=mounted', undefined],
    ['', undefined],
  ])('%j: %s', (text, trouble) => {
    expect(findTrouble(read(text), 'given')).toBe(trouble)
    expect(describeReport(read(text), 'given').trouble).toBe(trouble)
  })
})

describe('an allowance', () => {
  it('is spent, fills again with time, and is each one’s own', () => {
    let clock = 1_000_000
    const { take } = createAllowance({ now: () => clock, burst: 3, refillMs: 1000 })
    expect([take('a'), take('a'), take('a'), take('a'), take('b')]).toEqual([true, true, true, false, true])
    clock += 1000
    expect([take('a'), take('a')]).toEqual([true, false])
    clock -= 100_000
    expect(take('a')).toBe(false)
    clock += 2000
    expect([take('a'), take('a'), take('a')]).toEqual([true, true, false])
  })

  it('of events holds one peer down, says so, and lets the others speak', () => {
    const events: BootEvent[] = []
    const mayTell = createEventLimit({ now: () => 1000, emit: (event) => void events.push(event) })
    const told = Array.from({ length: 10_000 }, () => mayTell('script', '10.9.0.66')).filter(Boolean).length
    expect(told).toBe(400)
    expect(events).toMatchObject([{ kind: 'dropped', detail: { reason: expect.stringContaining('10.9.0.66') } }])
    expect([mayTell('package', '10.9.0.66'), mayTell('script', '10.9.0.50')]).toEqual([true, true])
  })
})
