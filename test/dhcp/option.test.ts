import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { decodeOptions, encodedLength, encodeOption, type Option, type Options, option, readOption, writeOption } from '../../src/dhcp/option.ts'
import { readText } from '../../src/dhcp/text.ts'

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

const decode = (bytes: Uint8Array): Options => {
  const options: Options = new Map()
  decodeOptions(bytes, 0, bytes.length, options)
  return options
}

describe('the table', () => {
  const entries: [string, Option][] = Object.entries(option)

  it('names no code twice', () => {
    const codes = entries.map(([, { code }]) => code)
    expect(new Set(codes).size).toBe(codes.length)
  })

  // The npm package `dhcp` was made by others: where its table and ours speak of the same code they must agree on the shape.
  it('agrees with the table of the npm package dhcp', () => {
    const peer = createRequire(import.meta.url)('dhcp/lib/options.js').opts as Record<number, { name: string; type: string }>
    const shapes: Record<string, string> = { IP: 'ipv4', IPs: 'ipv4s', UInt8: 'u8', UInt16: 'u16', UInt32: 'u32', ASCII: 'text' }
    // Its own mistakes, each on the wire: client id and 119 as text, 121 as addresses, 43 and 55 as lists of bytes.
    const mistaken = [33, 43, 55, 61, 119, 121]
    const wrong = entries.flatMap(([name, { code, shape }]) => {
      const other = peer[code]
      return !other || mistaken.includes(code) || shapes[other.type] === shape ? [] : [`${name}: ${shape}, there ${other.type}`]
    })
    expect(wrong).toEqual([])
    expect(entries.filter(([, { code }]) => peer[code]).length).toBeGreaterThan(15)
  })
})

describe('values', () => {
  it.each<[string, Option, unknown, string]>([
    ['an address', option.serverId, 0x0a090001, '0a090001'],
    ['addresses', option.dns, [0x0a090001, 0xffffffff], '0a090001ffffffff'],
    ['a byte', option.messageType, 5, '05'],
    ['two bytes', option.maxMessageBytes, 1472, '05c0'],
    ['a list of two bytes', option.clientArch, [7, 0x100], '00070100'],
    ['four bytes', option.leaseSeconds, 0xffffffff, 'ffffffff'],
    ['text', option.hostName, 'station-7', '73746174696f6e2d37'],
    ['bytes', option.clientId, hex('01 525400123456'), '01525400123456'],
  ])('%s', (_, kind, value, bytes) => {
    expect(Buffer.from(encodeOption(kind, value as never)).toString('hex')).toBe(bytes)
    expect(readOption(new Map([[kind.code, hex(bytes)]]), kind)).toEqual(value)
  })

  it.each<[string, Option, string]>([
    ['an address of three bytes', option.serverId, '0a0900'],
    ['no address', option.router, ''],
    ['an address and a half', option.router, '0a0900010a09'],
    ['a message type of two bytes', option.messageType, '0101'],
    ['an odd list of architectures', option.clientArch, '000700'],
    ['a lease time of three bytes', option.leaseSeconds, '000e10'],
  ])('%s is as good as absent', (_, kind, bytes) => {
    expect(readOption(new Map([[kind.code, hex(bytes)]]), kind)).toBeUndefined()
  })

  it('ends text at the first NUL', () => {
    expect(readText(hex('61 62 00 63'))).toBe('ab')
    expect(readText(hex('e9'))).toBe('é')
  })
})

describe('an option area', () => {
  it('keeps unknown options as they are', () => {
    expect(decode(hex('fa 03 00ff01 e0 00 ff'))).toEqual(
      new Map([
        [250, hex('00ff01')],
        [224, hex('')],
      ]),
    )
  })

  it('takes one byte for a pad, wherever it stands', () => {
    expect([...decode(hex('00 35 01 01 00 00 39 02 05c0 ff')).keys()]).toEqual([53, 57])
  })

  it('joins what came in pieces (RFC 3396)', () => {
    expect(decode(hex('43 02 6162 0c 01 78 43 01 63 ff')).get(67)).toEqual(hex('616263'))
  })

  it('ends at the end mark, and forgives that it is missing', () => {
    expect(decode(hex('35 01 01 ff 39 02 05c0')).size).toBe(1)
    expect(decode(hex('35 01 01')).size).toBe(1)
  })

  it.each(['35', '35 02 01', '0c ff 61', '35 01 01 0c 01'])('refuses one whose length leads out of it: %s', (bytes) => {
    expect(() => decode(hex(bytes))).toThrow(DecodeError)
  })

  it('splits what is longer than 255 bytes, and reads it back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.integer({ min: 1, max: 254 }), (value, code) => {
        const bytes = new Uint8Array(encodedLength(value))
        expect(writeOption(bytes, 0, code, value)).toBe(bytes.length)
        expect(decode(bytes)).toEqual(new Map([[code, value]]))
      }),
    )
  })
})
