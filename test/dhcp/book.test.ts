// The rules of one network's leases, and the property that matters most: no two MACs on one address, ever.
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Ipv4, ipv4ToNumber, type Mac, numberToIpv4 } from '../../src/boot/address.ts'
import type { AddressChoice } from '../../src/boot/decide.ts'
import { type Ask, type Book, createBook, forever, offerMs, quarantineMs, type RequestForm } from '../../src/dhcp/book.ts'
import type { Lease } from '../../src/store/port.ts'
import { startOfTests } from '../support/dhcp-lab.ts'
import { ip, mac, makeNetwork } from '../support/site.ts'

const network = makeNetwork({ subnet: '10.9.0.0/24', serverAddress: '10.9.0.1', pool: ['10.9.0.100-10.9.0.102'], router: ['10.9.0.1'] })
const pool = { from: 'pool' } as AddressChoice
const record = (address: string): AddressChoice => ({ from: 'record', ip: ip(address) })
const [anna, bert, carl, dora] = [1, 2, 3, 4].map((last) => mac(`52:54:00:00:00:0${last}`)) as [Mac, Mac, Mac, Mac]
const number = (text: string) => ipv4ToNumber(text as Ipv4)

let clock: number
let written: Lease[]
let reserved: Record<string, Mac[]>
let book: Book
const makeBook = (of = network) =>
  createBook({ network: of, now: () => clock, reservedFor: (one) => reserved[one], onChange: (lease) => written.push(lease) })

beforeEach(() => {
  clock = startOfTests
  written = []
  reserved = {}
  book = makeBook()
})

const ask = (who: Mac, address: AddressChoice = pool, more: Partial<Ask> = {}): Ask => ({
  mac: who,
  address,
  wanted: undefined,
  askedSeconds: undefined,
  hostname: undefined,
  clientId: undefined,
  ...more,
})
const offer = (who: Mac, address = pool, more: Partial<Ask> = {}, at = book) => {
  const grant = at.offer(ask(who, address, more))
  return grant && numberToIpv4(grant.ip)
}
const bind = (who: Mac, text: string, address = pool, form: RequestForm = 'selecting', more: Partial<Ask> = {}, at = book) => {
  const grant = at.bind(ask(who, address, more), number(text), form)
  return typeof grant === 'string' ? grant : grant.seconds
}
/** Offer and bind; answers the address. */
const lease = (who: Mac, address = pool, more: Partial<Ask> = {}, at = book): string | undefined => {
  const text = offer(who, address, more, at)
  if (text !== undefined) expect(bind(who, text, address, 'selecting', more, at)).toBeTypeOf('number')
  return text
}

describe('the pool', () => {
  it('gives addresses in order, and the same one to the same MAC', () => {
    expect([lease(anna), lease(bert), lease(anna), lease(carl)]).toEqual(['10.9.0.100', '10.9.0.101', '10.9.0.100', '10.9.0.102'])
  })

  it('is full at its end, and says so at once', () => {
    for (const who of [anna, bert, carl]) lease(who)
    expect(offer(dora)).toBeUndefined()
    expect(lease(anna)).toBe('10.9.0.100')
  })

  it('holds back an offer: two clients never get one address', () => {
    expect([offer(anna), offer(bert), offer(carl), offer(dora)]).toEqual(['10.9.0.100', '10.9.0.101', '10.9.0.102', undefined])
    clock += offerMs
    expect(offer(dora)).toBe('10.9.0.100')
    expect(bind(anna, '10.9.0.100')).toBe('wrong')
  })

  it('gives the address that was free the longest, when none is unused', () => {
    for (const who of [anna, bert, carl]) lease(who)
    book.release(bert, number('10.9.0.101'))
    book.release(anna, number('10.9.0.100'))
    expect(lease(dora)).toBe('10.9.0.101')
  })

  it('keeps a freed address for its last holder while others are free', () => {
    lease(anna)
    book.release(anna, number('10.9.0.100'))
    expect(lease(bert)).toBe('10.9.0.101')
    expect(lease(anna)).toBe('10.9.0.100')
  })

  it('gives the address that a client names, if it is free', () => {
    expect(offer(anna, pool, { wanted: number('10.9.0.102') })).toBe('10.9.0.102')
    expect(offer(bert, pool, { wanted: number('10.9.0.102') })).toBe('10.9.0.100')
    expect(offer(carl, pool, { wanted: number('10.9.0.7') })).toBe('10.9.0.101')
  })

  it('leaves out our own address, routers and the edges of the subnet', () => {
    const tight = makeBook(makeNetwork({ subnet: '10.9.0.0/30', serverAddress: '10.9.0.1', pool: ['10.9.0.0-10.9.0.3'], router: ['10.9.0.1'] }))
    expect([lease(anna, pool, {}, tight), lease(bert, pool, {}, tight)]).toEqual(['10.9.0.2', undefined])
  })

  it('never gives an address that a record has to another MAC', () => {
    reserved['10.9.0.100'] = [bert]
    expect(lease(anna)).toBe('10.9.0.101')
    expect(lease(bert, record('10.9.0.100'))).toBe('10.9.0.100')
  })

  it('has its reserved addresses again when the record is gone', () => {
    reserved['10.9.0.100'] = [bert]
    expect([lease(anna), lease(carl), offer(dora)]).toEqual(['10.9.0.101', '10.9.0.102', undefined])
    reserved = {}
    expect(offer(dora)).toBe('10.9.0.100')
  })
})

describe('time', () => {
  const seconds = (askedSeconds: number | undefined, of = network) => bind(anna, '10.9.0.100', pool, 'selecting', { askedSeconds }, makeBook(of))
  it.each([
    ['the network’s', undefined, 3600],
    ['less, when the client asks for less', 600, 600],
    ['no more, when it asks for more', 7200, 3600],
    ['no more, when it asks for ever', forever, 3600],
    ['two minutes at least', 5, 120],
  ])('%s', (_, asked, expected) => expect(seconds(asked)).toBe(expected))

  it('without end', () => {
    const endless = makeBook({ ...network, leaseSeconds: forever })
    lease(anna, pool, {}, endless)
    expect(written).toMatchObject([{ expiresAt: Infinity }])
    clock += 1e12
    expect(endless.findByMac(anna)).toBeDefined()
  })

  it('ends a lease to the millisecond', () => {
    lease(anna)
    clock += 3_599_999
    expect(book.findByMac(anna)).toMatchObject({ ip: '10.9.0.100', state: 'bound', expiresAt: startOfTests / 1000 + 3600 })
    clock += 1
    expect(book.findByMac(anna)).toBeUndefined()
    expect(book.findByIp(number('10.9.0.100'))).toBeUndefined()
    expect(book.list()).toEqual([])
  })

  it('begins anew with each renewal', () => {
    lease(anna)
    clock += 3_000_000
    expect(bind(anna, '10.9.0.100', pool, 'renewing')).toBe(3600)
    clock += 3_000_000
    expect(book.findByMac(anna)).toBeDefined()
  })

  it('keeps a lease that ends between offer and request for its holder', () => {
    for (const who of [anna, bert, carl]) {
      lease(who)
      clock += 1
    }
    clock += 3_595_000
    expect(offer(anna)).toBe('10.9.0.100')
    clock += 10_000
    expect(offer(dora)).toBe('10.9.0.101')
    expect(bind(anna, '10.9.0.100')).toBe(3600)
  })

  it('frees ten thousand ended leases in pieces', () => {
    const wide = makeBook(makeNetwork({ subnet: '10.8.0.0/16', pool: ['10.8.1.0-10.8.40.15'], leaseSeconds: 120 }))
    const who = (index: number) => `52:54:00:00:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}` as Mac
    for (let index = 0; index < 10_000; index++) lease(who(index), pool, {}, wide)
    // Those that end together are freed in any order.
    expect(offer(who(10_000), pool, {}, wide)).toBeUndefined()
    clock += 120_000
    expect(wide.list()).toEqual([])
    expect(offer(who(10_000), pool, {}, wide)).toMatch(/^10\.8\./)
  })
})

describe('addresses of records', () => {
  it('are given outside the pool too', () => expect(lease(anna, record('10.9.0.7'))).toBe('10.9.0.7'))

  it('make the MAC give back what it had from the pool, and say so to the store', () => {
    lease(anna)
    expect(lease(anna, record('10.9.0.7'))).toBe('10.9.0.7')
    expect(written.map(({ ip: one, state }) => [one, state])).toEqual([
      ['10.9.0.100', 'bound'],
      ['10.9.0.100', 'released'],
      ['10.9.0.7', 'bound'],
    ])
    expect(lease(bert)).toBe('10.9.0.101')
  })

  it('refuse the old address once the record names another', () => {
    lease(anna)
    expect(bind(anna, '10.9.0.100', record('10.9.0.7'), 'renewing')).toBe('wrong')
    expect(book.findByMac(anna)).toBeUndefined()
  })

  it('of another network are none here', () => expect(lease(anna, record('10.8.0.7'))).toBe('10.9.0.100'))

  it('go before an offer that another client holds', () => {
    expect(offer(bert)).toBe('10.9.0.100')
    expect(lease(anna, record('10.9.0.100'))).toBe('10.9.0.100')
    expect(bind(bert, '10.9.0.100')).toBe('wrong')
  })

  describe('held by another client', () => {
    beforeEach(() => {
      lease(bert)
      reserved['10.9.0.100'] = [anna]
    })

    it('are waited for on a pool address, no longer than the other lease lasts', () => {
      clock += 1_000_000
      expect(offer(anna, record('10.9.0.100'))).toBe('10.9.0.101')
      expect(bind(anna, '10.9.0.101', record('10.9.0.100'))).toBe(2600)
    })

    it('are refused to the holder at its next renewal, and then free for the record', () => {
      lease(anna, record('10.9.0.100'))
      expect(bind(bert, '10.9.0.100', pool, 'renewing')).toBe('wrong')
      expect(bind(anna, '10.9.0.101', record('10.9.0.100'), 'renewing')).toBe('wrong')
      expect(lease(anna, record('10.9.0.100'))).toBe('10.9.0.100')
      expect(lease(bert)).not.toBe('10.9.0.100')
    })

    it('are refused to the holder even by a caller that knows no records, once the station has asked', () => {
      reserved = {}
      expect(bind(bert, '10.9.0.100', pool, 'renewing')).toBe(3600)
      lease(anna, record('10.9.0.100'))
      expect(bind(bert, '10.9.0.100', pool, 'renewing')).toBe('wrong')
      expect(lease(anna, record('10.9.0.100'))).toBe('10.9.0.100')
    })

    it('are free when the other lease ends', () => {
      clock += 3_600_000
      expect(lease(anna, record('10.9.0.100'))).toBe('10.9.0.100')
    })

    it('go at once to another card of the same station', () => {
      reserved['10.9.0.100'] = [anna, bert]
      expect(lease(anna, record('10.9.0.100'))).toBe('10.9.0.100')
      expect(book.findByMac(bert)).toBeUndefined()
    })
  })
})

describe('decline', () => {
  it('keeps the address from everybody for ten minutes', () => {
    lease(anna)
    expect(book.decline(anna, number('10.9.0.100'))).toBe(true)
    expect([lease(anna), lease(bert), offer(carl)]).toEqual(['10.9.0.101', '10.9.0.102', undefined])
    expect(book.list().find(({ state }) => state === 'declined')).toMatchObject({ ip: '10.9.0.100', mac: anna })
    expect(bind(anna, '10.9.0.100')).toBe('wrong')
    clock += quarantineMs
    expect(offer(carl)).toBe('10.9.0.100')
  })

  it('gives a station whose own address is in quarantine another one for the time being', () => {
    lease(anna, record('10.9.0.7'))
    book.decline(anna, number('10.9.0.7'))
    expect(offer(anna, record('10.9.0.7'))).toBe('10.9.0.100')
    expect(bind(anna, '10.9.0.100', record('10.9.0.7'))).toBe(600)
    clock += quarantineMs
    expect(lease(anna, record('10.9.0.7'))).toBe('10.9.0.7')
  })

  it('is nothing from a client that does not hold the address', () => {
    lease(anna)
    expect(book.decline(bert, number('10.9.0.100'))).toBe(false)
    expect(book.decline(bert, number('10.9.0.101'))).toBe(false)
    expect(book.findByMac(anna)).toBeDefined()
  })
})

describe('release', () => {
  it('ends the lease and says so to the store', () => {
    lease(anna)
    expect(book.release(anna, number('10.9.0.100'))).toBe(true)
    expect(book.findByMac(anna)).toBeUndefined()
    expect(written.at(-1)).toMatchObject({ ip: '10.9.0.100', mac: anna, state: 'released' })
  })

  it('is nothing from another MAC, or for another address', () => {
    lease(anna)
    expect(book.release(bert, number('10.9.0.100'))).toBe(false)
    expect(book.release(anna, number('10.9.0.101'))).toBe(false)
    expect(book.findByMac(anna)).toBeDefined()
  })
})

it('withdraw frees an offer, never a lease', () => {
  offer(anna)
  book.withdraw(anna)
  lease(bert, pool, { wanted: number('10.9.0.100') })
  expect(book.findByMac(bert)).toMatchObject({ ip: '10.9.0.100' })
  book.withdraw(bert)
  expect(book.findByMac(bert)).toBeDefined()
})

describe('the four forms of a request', () => {
  // What the book knows of the asker and the address, the form, and the verdict.
  it.each<[string, RequestForm, string, number | string]>([
    ['nothing', 'selecting', '10.9.0.101', 3600],
    ['nothing', 'renewing', '10.9.0.101', 3600],
    ['nothing', 'init-reboot', '10.9.0.101', 'unknown'],
    ['nothing', 'rebinding', '10.9.0.101', 'unknown'],
    ['nothing', 'selecting', '10.9.0.7', 'wrong'],
    ['nothing', 'renewing', '10.9.0.7', 'wrong'],
    ['nothing', 'init-reboot', '10.9.0.7', 'unknown'],
    ['nothing', 'rebinding', '10.9.0.7', 'unknown'],
    ['nothing', 'init-reboot', '192.168.1.5', 'wrong'],
    ['nothing', 'rebinding', '192.168.1.5', 'unknown'],
    ['its lease', 'init-reboot', '10.9.0.100', 3600],
    ['its lease', 'rebinding', '10.9.0.100', 3600],
    ['its lease', 'init-reboot', '192.168.1.5', 'wrong'],
    ['its lease', 'selecting', '10.9.0.101', 'wrong'],
    ['its ended lease', 'init-reboot', '10.9.0.100', 3600],
    ['its ended lease', 'renewing', '10.9.0.100', 3600],
    ['another’s lease', 'selecting', '10.9.0.100', 'wrong'],
    ['another’s lease', 'init-reboot', '10.9.0.100', 'wrong'],
    ['another’s lease', 'renewing', '10.9.0.100', 'wrong'],
    ['another’s lease', 'rebinding', '10.9.0.100', 'wrong'],
  ])('the book knows %s: %s for %s is %s', (known, form, text, verdict) => {
    if (known.startsWith('its')) lease(anna)
    if (known.startsWith('another')) lease(bert)
    if (known === 'its ended lease') clock += 3_600_000
    expect(bind(anna, text, pool, form)).toBe(verdict)
  })

  it('an address of elsewhere is never ours to give', () => {
    expect(offer(anna, { from: 'elsewhere' })).toBeUndefined()
    expect(bind(anna, '10.9.0.100', { from: 'elsewhere' })).toBe('unknown')
  })
})

describe('after a restart', () => {
  const again = () => {
    const kept = new Map<string, Lease>()
    for (const one of written) kept.set(one.ip, one)
    const next = makeBook()
    next.load([...kept.values()])
    return next
  }

  it('all leases are back, with their names', () => {
    lease(anna, pool, { hostname: 'station-1', clientId: '01525400000001' })
    lease(bert)
    book.decline(bert, number('10.9.0.101'))
    const next = again()
    expect(next.list()).toEqual(book.list())
    expect(next.findByMac(anna)).toMatchObject({ hostname: 'station-1', clientId: '01525400000001' })
    expect(next.findByMac(bert)).toBeUndefined()
    expect([lease(bert, pool, {}, next), lease(anna, pool, {}, next), lease(carl, pool, {}, next)]).toEqual(['10.9.0.102', '10.9.0.100', undefined])
  })

  it('an ended or released lease is still its holder’s first choice', () => {
    lease(anna)
    lease(bert)
    book.release(bert, number('10.9.0.101'))
    clock += 3_600_000
    const next = again()
    expect(next.list()).toEqual([])
    expect([lease(bert, pool, {}, next), lease(carl, pool, {}, next), lease(anna, pool, {}, next)]).toEqual([
      '10.9.0.101',
      '10.9.0.102',
      '10.9.0.100',
    ])
  })

  it('a quarantine that outlasts a lease does not take it from its MAC', () => {
    lease(anna, pool, { askedSeconds: 120 })
    book.decline(anna, number('10.9.0.100'))
    lease(anna, pool, { askedSeconds: 120 })
    expect(again().findByMac(anna)).toMatchObject({ ip: '10.9.0.101' })
  })

  it('leases outside the subnet are passed over', () => {
    const next = makeBook()
    next.load([{ network: 'lab', ip: ip('10.8.0.5'), mac: anna, state: 'bound', expiresAt: startOfTests }])
    expect(next.list()).toEqual([])
  })
})

it('a flood of made-up MACs fills no memory: a bounded number of offers, and lapsed ones are used again before new addresses', () => {
  const wide = makeBook(makeNetwork({ subnet: '10.0.0.0/8', pool: ['10.1.0.0-10.200.0.0'] }))
  const flood = (from: number) => {
    const got = Array.from({ length: 65_536 }, (_, index) => wide.offer(ask(`made-up-${from + index}` as Mac)))
    return got.filter((grant) => grant !== undefined).map(({ ip: one }) => one)
  }
  const first = flood(0)
  expect(first).toHaveLength(65_536)
  expect(wide.offer(ask(anna))).toBeUndefined()
  clock += offerMs
  const second = flood(1_000_000)
  expect(second).toHaveLength(65_536)
  clock += offerMs
  const third = flood(2_000_000)
  expect(Math.max(...third.slice(-1000))).toBeLessThanOrEqual((first[0] as number) + 2 * 65_536)
})

describe('whatever happens', () => {
  const macs = [anna, bert, carl, dora]
  const texts = ['10.9.0.100', '10.9.0.101', '10.9.0.102', '10.9.0.7', '192.168.1.5']
  const step = fc.record({
    what: fc.constantFrom('offer', 'offer', 'bind', 'bind', 'release', 'decline', 'withdraw', 'wait', 'restart'),
    who: fc.nat({ max: 3 }),
    where: fc.nat({ max: 4 }),
    form: fc.constantFrom<RequestForm>('selecting', 'init-reboot', 'renewing', 'rebinding'),
    choice: fc.constantFrom(pool, pool, record('10.9.0.7'), record('10.9.0.100')),
    waitMs: fc.constantFrom(1000, 61_000, 601_000, 3_601_000),
  })

  it('no two MACs hold one address, and no MAC holds two; a restart changes nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        clock = startOfTests
        written = []
        let current = makeBook()
        // What clients may believe: address → MAC and until when, from ACKs alone.
        const believed = new Map<string, { who: Mac; until: number }>()
        for (const { what, who: index, where, form, choice, waitMs } of steps) {
          const [who, text] = [macs[index] as Mac, texts[where] as string]
          if (what === 'wait') clock += waitMs
          if (what === 'offer') current.offer(ask(who, choice))
          if (what === 'withdraw') current.withdraw(who)
          if (what === 'release' && current.release(who, number(text))) believed.delete(text)
          if (what === 'decline' && current.decline(who, number(text))) believed.delete(text)
          if (what === 'restart') {
            const before = current.list()
            current = makeBook()
            const kept = new Map<string, Lease>()
            for (const one of written) kept.set(one.ip, one)
            current.load([...kept.values()])
            expect(current.list()).toEqual(before)
          }
          if (what === 'bind') {
            const grant = current.bind(ask(who, choice), number(text), form)
            if (grant === 'wrong' && believed.get(text)?.who === who) believed.delete(text)
            if (typeof grant !== 'string') {
              const holder = believed.get(text)
              if (holder && holder.who !== who) expect(holder.until, `${text} twice`).toBeLessThanOrEqual(clock)
              for (const [other, { who: holderOf }] of believed) if (holderOf === who) believed.delete(other)
              believed.set(text, { who, until: clock + grant.seconds * 1000 })
            }
          }
          const bound = current.list().filter(({ state }) => state === 'bound')
          expect(new Set(bound.map((one) => one.ip)).size).toBe(bound.length)
          expect(new Set(bound.map((one) => one.mac)).size).toBe(bound.length)
        }
      }),
      { numRuns: 3000, seed: 20261121 },
    )
  })

  it("gives nobody the server's or a router's address, whatever a record says", () => {
    for (const address of ['10.9.0.1', '10.9.0.0', '10.9.0.255']) expect(offer(anna, record(address))).toBe('10.9.0.100')
  })
})
