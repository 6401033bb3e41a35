import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  broadcastAddress,
  contains,
  decodeMac,
  encodeMac,
  findMac,
  formatMacHyphen,
  formatRange,
  formatSubnet,
  type Ipv4,
  ipv4ToNumber,
  type Mac,
  numberToIpv4,
  parseIpv4,
  parseMac,
  parseRange,
  parseSubnet,
  subnetMask,
} from '../../src/boot/address.ts'
import { DecodeError } from '../../src/boot/error.ts'
import { seededRandom } from '../support/random.ts'

const bytes6 = fc.uint8Array({ minLength: 6, maxLength: 6 })
const number32 = fc.integer({ min: 0, max: 0xffffffff })
const prefix = fc.integer({ min: 1, max: 30 })

describe('MAC addresses', () => {
  const good: [string][] = [['52:54:00:12:34:56'], ['52-54-00-12-34-56'], ['5254.0012.3456'], ['525400123456']]
  it.each(good)('reads %s', (text) => {
    expect(parseMac(text)).toBe('52:54:00:12:34:56')
  })

  it('reads any case', () => {
    expect(parseMac('AA-bb-CC-dd-EE-0F')).toBe('aa:bb:cc:dd:ee:0f')
  })

  const bad: [string, string][] = [
    ['nothing', ''],
    ['five bytes', '52:54:00:12:34'],
    ['seven bytes', '52:54:00:12:34:56:78'],
    ['mixed marks', '52:54:00-12-34-56'],
    ['no hex', '52:54:00:12:34:5g'],
    ['one digit', '2:54:00:12:34:56'],
    ['blanks', ' 52:54:00:12:34:56'],
    ['a second line', '52:54:00:12:34:56\n'],
    ['groups of three', '525.400.123.456'],
    ['eleven digits', '52540012345'],
    ['pxelinux’s prefix', '01-52-54-00-12-34-56'],
    ['letters that only look like hex', '５２:54:00:12:34:56'],
  ]
  it.each(bad)('refuses %s', (_, text) => {
    expect(() => parseMac(text)).toThrow(DecodeError)
    expect(findMac(text)).toBeUndefined()
  })

  it('says what it wants, without repeating endless text', () => {
    expect(() => parseMac('x'.repeat(10_000))).toThrow(/^"x{40}" is not a MAC address such as 52:54:00:12:34:56$/)
  })

  it('are the same as bytes, hyphens, dots or bare digits', () => {
    fc.assert(
      fc.property(bytes6, (bytes) => {
        const mac = decodeMac(bytes)
        expect([...encodeMac(mac)]).toEqual([...bytes])
        const bare = mac.replaceAll(':', '')
        for (const spelling of [mac, mac.toUpperCase(), formatMacHyphen(mac), bare, `${bare.slice(0, 4)}.${bare.slice(4, 8)}.${bare.slice(8)}`])
          expect(parseMac(spelling)).toBe(mac)
      }),
    )
  })

  it('are read at an offset', () => {
    expect(decodeMac(Uint8Array.of(9, 9, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 9), 2)).toBe('52:54:00:12:34:56')
  })
})

describe('IPv4 addresses', () => {
  const bad = [
    '',
    '10.9.0',
    '10.9.0.1.2',
    '10.9.0.256',
    '10.9.0.01',
    '10.9.0.-1',
    '10.9.0.1 ',
    '0x0a.9.0.1',
    '10..0.1',
    '10.9.0.1/24',
    '１0.9.0.1',
    '1e1.0.0.1',
    '10.9.0.1\n',
  ]
  it.each(bad)('refuses %j', (text) => {
    expect(() => parseIpv4(text)).toThrow(DecodeError)
  })

  it('are the same as numbers', () => {
    fc.assert(
      fc.property(number32, (value) => {
        const address = numberToIpv4(value)
        expect(parseIpv4(address)).toBe(address)
        expect(ipv4ToNumber(address)).toBe(value)
      }),
    )
    expect([numberToIpv4(0), numberToIpv4(0xffffffff), ipv4ToNumber('128.0.0.1' as Ipv4)]).toEqual(['0.0.0.0', '255.255.255.255', 0x80000001])
  })
})

describe('subnets', () => {
  const rows: [string, string, string][] = [
    ['10.9.0.0/24', '255.255.255.0', '10.9.0.255'],
    ['10.0.0.0/8', '255.0.0.0', '10.255.255.255'],
    ['192.168.1.128/25', '255.255.255.128', '192.168.1.255'],
    ['172.16.4.0/22', '255.255.252.0', '172.16.7.255'],
    ['10.9.0.4/30', '255.255.255.252', '10.9.0.7'],
    ['128.0.0.0/1', '128.0.0.0', '255.255.255.255'],
    ['0.0.0.0/1', '128.0.0.0', '127.255.255.255'],
  ]
  it.each(rows)('%s has mask %s and broadcast address %s', (text, mask, broadcast) => {
    const subnet = parseSubnet(text)
    expect([formatSubnet(subnet), subnetMask(subnet), broadcastAddress(subnet)]).toEqual([text, mask, broadcast])
    expect([contains(subnet, numberToIpv4(subnet.network)), contains(subnet, broadcastAddress(subnet))]).toEqual([true, true])
    if (subnet.prefix > 1) expect(contains(subnet, numberToIpv4((ipv4ToNumber(broadcastAddress(subnet)) + 1) >>> 0))).toBe(false)
  })

  const bad = [
    '10.9.0.0',
    '10.9.0.0/',
    '10.9.0.0/0',
    '10.9.0.0/31',
    '10.9.0.0/32',
    '10.9.0.0/024',
    '10.9.0.0/24/1',
    '10.9.0.0/2a',
    '10.9.0/24',
    '/24',
    '10.9.0.1/24',
    '10.9.0.0/-1',
    '',
  ]
  it.each(bad)('refuses %j', (text) => {
    expect(() => parseSubnet(text)).toThrow(DecodeError)
  })

  it('names the right one when host bits are set', () => {
    expect(() => parseSubnet('200.1.2.3/9')).toThrow('"200.1.2.3/9" has host bits set; the subnet is 200.0.0.0/9')
  })

  it('hold exactly the addresses from the first to the broadcast address', () => {
    fc.assert(
      fc.property(number32, prefix, number32, (base, bits, value) => {
        const size = 2 ** (32 - bits)
        const network = Math.floor(base / size) * size
        const subnet = parseSubnet(`${numberToIpv4(network)}/${bits}`)
        expect(subnet).toEqual({ network, prefix: bits })
        expect(contains(subnet, numberToIpv4(value))).toBe(value >= network && value < network + size)
        expect(ipv4ToNumber(broadcastAddress(subnet))).toBe(network + size - 1)
        expect(ipv4ToNumber(subnetMask(subnet)) + size).toBe(2 ** 32)
      }),
    )
  })
})

describe('ranges', () => {
  it('are two addresses, or one', () => {
    expect(parseRange('10.9.0.100-10.9.0.200')).toEqual({ first: 0x0a090064, last: 0x0a0900c8 })
    expect(parseRange('10.9.0.100 - 10.9.0.200')).toEqual({ first: 0x0a090064, last: 0x0a0900c8 })
    expect(parseRange('10.9.0.7')).toEqual({ first: 0x0a090007, last: 0x0a090007 })
  })

  const bad = ['', '-', '10.9.0.5-', '-10.9.0.5', '10.9.0.5-10.9.0.4', '10.9.0.5-10.9.0.6-10.9.0.7', '10.9.0.5-9', '10.9.0.0/24', '10.9.0.5:10.9.0.6']
  it.each(bad)('refuse %j', (text) => {
    expect(() => parseRange(text)).toThrow(DecodeError)
  })

  it('are written as they are read', () => {
    fc.assert(
      fc.property(number32, number32, (one, other) => {
        const range = { first: Math.min(one, other), last: Math.max(one, other) }
        expect(parseRange(formatRange(range))).toEqual(range)
      }),
    )
  })
})

it('all parsers take 20,000 random texts and throw nothing but DecodeError', () => {
  const random = seededRandom(1)
  const letters = '0123456789abcdefABCDEF:.-/ \n\0gZé'
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: Math.floor(random() * 24) }, () => letters[Math.floor(random() * letters.length)]).join('')
    for (const parse of [parseMac, parseIpv4, parseSubnet, parseRange] as ((text: string) => unknown)[]) {
      try {
        expect(parse(text)).toBeDefined()
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
      }
    }
  }
  const mac: Mac | undefined = findMac('5254.0012.3456')
  expect(mac).toBe('52:54:00:12:34:56')
})
