// Tickets: good for their station, at its address, for a while, once. Everything else is refused with its reason.
import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Ipv4, type Mac, parseMac } from '../../src/boot/address.ts'
import { createTickets, maskTicket, type TicketOptions, ticketLifeMs, ticketPattern } from '../../src/station/ticket.ts'
import { seededRandom } from '../support/random.ts'

const mac = parseMac('52:54:00:12:34:56')
const other = parseMac('52:54:00:ab:cd:ef')
const here = '10.9.0.50'
const key = Uint8Array.from({ length: 32 }, (_, index) => index * 7)
const minute = 60_000

function rig(more: Partial<TicketOptions> = {}) {
  const clock = { now: 1_800_000_000_000, steady: 5_000 }
  const held = new Map<string, Mac>()
  const options: TicketOptions = {
    key,
    now: () => clock.now,
    steady: () => clock.steady,
    leases: { findMac: (ip) => held.get(ip), holdsAny: (one) => [...held.values()].includes(one), gives: () => false },
    ...more,
  }
  const pass = (ms: number): void => {
    clock.now += ms
    clock.steady += ms
  }
  return { tickets: createTickets(options), again: () => createTickets(options), clock, held, pass }
}

const refusal = (verdict: object): string => ('refused' in verdict ? String(verdict.refused) : 'good')

describe('a ticket', () => {
  it('is good for its MAC at its address, and knows the profile of its script', () => {
    const { tickets } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    expect(ticket).toMatch(ticketPattern)
    const verdict = tickets.check(ticket, { peer: here, use: 'overlay', mac })
    expect(verdict).toMatchObject({ boot: { mac } })
    if ('boot' in verdict) expect(['kiosk', 'other'].map(verdict.boot.isProfile)).toEqual([true, false])
    expect(tickets.check(ticket, { peer: here, use: 'up' })).toMatchObject({ boot: { mac } })
  })

  it('is another one for each script', () => {
    const { tickets } = rig()
    expect(new Set(Array.from({ length: 1000 }, () => tickets.issue(mac, here, 'kiosk'))).size).toBe(1000)
  })

  it('is refused to another MAC', () => {
    const { tickets } = rig()
    expect(refusal(tickets.check(tickets.issue(mac, here, 'kiosk'), { peer: here, use: 'overlay', mac: other }))).toContain(`that of ${mac}`)
  })

  it('is refused at another address than the one that asked', () => {
    const { tickets } = rig()
    expect(refusal(tickets.check(tickets.issue(mac, here, 'kiosk'), { peer: '10.9.0.66', use: 'overlay', mac }))).toContain('not given to 10.9.0.66')
  })

  it('follows the lease where there is one, whoever asked for the script', () => {
    const { tickets, held } = rig()
    const stolen = tickets.issue(mac, '10.9.0.66', 'kiosk')
    held.set(here, mac)
    expect(refusal(tickets.check(stolen, { peer: '10.9.0.66', use: 'overlay', mac }))).toContain('has another address')
    expect(refusal(tickets.check(stolen, { peer: here, use: 'overlay', mac }))).toBe('good')
    held.set('10.9.0.66', other)
    expect(refusal(tickets.check(stolen, { peer: '10.9.0.66', use: 'overlay', mac }))).toContain(`address of ${other}`)
  })

  it('is refused at an address that we give and gave nobody', () => {
    const { tickets } = rig({ leases: { findMac: () => undefined, holdsAny: () => false, gives: (ip: Ipv4) => ip.startsWith('10.9.') } })
    expect(refusal(tickets.check(tickets.issue(mac, here, 'kiosk'), { peer: here, use: 'overlay' }))).toContain('nobody was given')
    expect(refusal(tickets.check(tickets.issue(mac, '10.8.0.5', 'kiosk'), { peer: '10.8.0.5', use: 'overlay' }))).toBe('good')
  })

  it.each(['overlay', 'up'] as const)('ends: for %s', (use) => {
    const { tickets, pass } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    pass(ticketLifeMs[use] - 1)
    expect(refusal(tickets.check(ticket, { peer: here, use, mac }))).toBe('good')
    pass(1000)
    expect(refusal(tickets.check(ticket, { peer: here, use, mac }))).toContain('too old')
  })

  it('holds while the clock is set back or forward, and ends all the same', () => {
    const { tickets, clock, pass } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    for (const jump of [-86_400_000, 172_800_000, -400 * 86_400_000]) {
      clock.now += jump
      expect(refusal(tickets.check(ticket, { peer: here, use: 'overlay', mac }))).toBe('good')
    }
    pass(15 * minute)
    expect(refusal(tickets.check(ticket, { peer: here, use: 'overlay', mac }))).toContain('too old')
  })

  it('holds over a restart, but not from before a clock that was set back', () => {
    const { tickets, again, clock, pass } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    pass(5 * minute)
    expect(refusal(again().check(ticket, { peer: here, use: 'overlay', mac }))).toBe('good')
    pass(10 * minute)
    expect(refusal(again().check(ticket, { peer: here, use: 'overlay', mac }))).toContain('too old')
    clock.now -= 86_400_000
    expect(refusal(again().check(ticket, { peer: here, use: 'overlay', mac }))).toContain('too old')
  })

  it('is sealed by HMAC-SHA256, and nothing of it can be changed', () => {
    const { tickets } = rig()
    const bytes = Buffer.from(tickets.issue(mac, here, 'kiosk'), 'base64url')
    const seal = createHmac('sha256', key).update(bytes.subarray(0, 20)).digest().subarray(0, 16)
    expect(bytes.subarray(20).equals(seal)).toBe(true)
    const random = seededRandom(11)
    for (let round = 0; round < 2000; round++) {
      const forged = Buffer.from(bytes)
      const index = Math.floor(random() * forged.length)
      forged[index] = (forged[index] as number) ^ (1 << Math.floor(random() * 8))
      expect(refusal(tickets.check(forged.toString('base64url'), { peer: here, use: 'overlay', mac }))).toContain('none of ours')
    }
  })

  it('of another server, or any text, is none of ours', () => {
    const { tickets } = rig()
    const foreign = rig({ key: new Uint8Array(32) }).tickets.issue(mac, here, 'kiosk')
    const random = seededRandom(12)
    const texts = Array.from({ length: 2000 }, () =>
      Array.from({ length: Math.floor(random() * 60) }, () => String.fromCharCode(Math.floor(random() * 256))).join(''),
    )
    for (const text of [foreign, '', 'x', foreign.slice(1), `${foreign}A`, '_'.repeat(48), '='.repeat(48), ...texts])
      expect(refusal(tickets.check(text, { peer: here, use: 'overlay', mac }))).toContain('none of ours')
  })

  it('names no ticket in a refusal', () => {
    const { tickets, pass } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    pass(60 * minute)
    for (const ask of [{ peer: here }, { peer: '10.9.0.66' }, { peer: here, mac: other }])
      expect(refusal(tickets.check(ticket, { use: 'overlay', ...ask }))).not.toContain(ticket)
  })
})

describe('a download', () => {
  const beginWith = (tickets: ReturnType<typeof rig>['tickets'], ticket: string) => {
    const verdict = tickets.check(ticket, { peer: here, use: 'overlay', mac })
    return 'boot' in verdict ? tickets.begin(verdict.boot) : verdict
  }
  const begun = (...given: Parameters<typeof beginWith>) => {
    const delivery = beginWith(...given)
    if ('refused' in delivery) throw new Error(delivery.refused)
    return delivery
  }

  it('is done once', () => {
    const { tickets } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    begun(tickets, ticket).done()
    expect(refusal(beginWith(tickets, ticket))).toContain('used already')
    expect(refusal(tickets.check(ticket, { peer: here, use: 'up' }))).toBe('good')
    begun(tickets, tickets.issue(mac, here, 'kiosk')).done()
  })

  it('that was cut may be begun again, five times in all', () => {
    const { tickets } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    for (let round = 0; round < 5; round++) begun(tickets, ticket).cut()
    expect(refusal(beginWith(tickets, ticket))).toContain('were cut')
  })

  it('keeps a second one off until it has ended, or for a minute', () => {
    const { tickets, pass } = rig()
    const ticket = tickets.issue(mac, here, 'kiosk')
    const first = begun(tickets, ticket)
    expect(refusal(beginWith(tickets, ticket))).toContain('under way')
    pass(minute)
    const second = begun(tickets, ticket)
    first.cut()
    expect(refusal(beginWith(tickets, ticket))).toContain('under way')
    second.done()
    expect(refusal(beginWith(tickets, ticket))).toContain('used already')
  })

  it('is remembered over a restart', () => {
    const kept = new Map<string, number>()
    const { tickets, again } = rig({ used: { all: () => [...kept], add: (id, until) => void kept.set(id, until) } })
    const ticket = tickets.issue(mac, here, 'kiosk')
    begun(tickets, ticket).done()
    expect(refusal(beginWith(again(), ticket))).toContain('used already')
  })

  it('in several goes has one ticket, until that is used or a minute is over', () => {
    const { tickets, pass } = rig()
    const ticket = tickets.issueSame(mac, here, 'kiosk')
    expect(tickets.issueSame(mac, here, 'kiosk')).toBe(ticket)
    expect(tickets.issueSame(mac, '10.9.0.66', 'kiosk')).not.toBe(ticket)
    begun(tickets, ticket).done()
    const next = tickets.issueSame(mac, here, 'kiosk')
    expect(next).not.toBe(ticket)
    pass(minute)
    expect(tickets.issueSame(mac, here, 'kiosk')).not.toBe(next)
  })
})

it('hides a ticket in a name, and nothing else', () => {
  const ticket = rig().tickets.issue(mac, here, 'kiosk')
  expect(maskTicket(`t/${ticket}/configs/x.tar.gz`)).toBe('t/*/configs/x.tar.gz')
  expect(maskTicket(`//t/${ticket}/up`)).toBe('//t/*/up')
  expect(maskTicket(`t/${ticket.slice(0, 30)}/up`)).toBe('t/*/up')
  expect(maskTicket(`there is no "52-54-00-12-34-56/T/${ticket}x/y"`)).toBe('there is no "52-54-00-12-34-56/T/*/y"')
  expect(maskTicket(`save/${ticket.slice(0, 43)}`)).toBe('save/*')
  for (const name of ['configs/t/x/y.tar.gz', 'boot.ipxe', 't/x.txt']) expect(maskTicket(name)).toBe(name)
})
