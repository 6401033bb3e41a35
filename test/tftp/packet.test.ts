import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { decodePacket, encodePacket, readAck, type TftpPacket } from '../../src/tftp/packet.ts'
import { seededRandom } from '../support/random.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((one) => !one.includes('\0') && one.isWellFormed())
const name = text.filter((one) => one !== '')
const pairs = fc.array(fc.tuple(name, text), { maxLength: 6 })
const word = fc.nat(0xffff)
const packet: fc.Arbitrary<TftpPacket> = fc.oneof(
  fc.record({ op: fc.constantFrom('rrq', 'wrq'), name: text, mode: text.map((one) => one.toLowerCase()), options: pairs }),
  fc.record({ op: fc.constant('data'), block: word, bytes: fc.uint8Array({ maxLength: 1500 }) }),
  fc.record({ op: fc.constant('ack'), block: word }),
  fc.record({ op: fc.constant('error'), code: word, message: text }),
  fc.record({ op: fc.constant('oack'), options: fc.array(fc.tuple(name, text), { minLength: 1, maxLength: 6 }) }),
) as fc.Arbitrary<TftpPacket>

const plain = (one: TftpPacket) => (one.op === 'data' ? { ...one, bytes: [...one.bytes] } : one)

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof DecodeError) return error.code
    throw error
  }
  return 'decoded'
}

describe('the codec', () => {
  it('gives back what went in, also from the middle of a buffer', () => {
    fc.assert(
      fc.property(packet, fc.nat(9), (one, offset) => {
        const bytes = encodePacket(one)
        fc.pre(bytes.length <= 1472)
        const around = Buffer.concat([Buffer.alloc(offset, 1), bytes, Buffer.from('tail')])
        expect(plain(decodePacket(around.subarray(offset, offset + bytes.length)))).toEqual(plain(one))
      }),
      { seed: 1350, numRuns: 500 },
    )
  })

  it.each<[string, string, TftpPacket]>([
    ['a read request (RFC 1350 figure 5-1)', '0001 6100 6f6374657400', { op: 'rrq', name: 'a', mode: 'octet', options: [] }],
    ['a mode in any case', '0001 6100 4f635465542000', { op: 'rrq', name: 'a', mode: 'octet ', options: [] }],
    ['an option in its own spelling', '0001 6100 6f6374657400 426c4b00 3800', { op: 'rrq', name: 'a', mode: 'octet', options: [['BlK', '8']] }],
    ['an option without value', '0001 6100 6f6374657400 7800', { op: 'rrq', name: 'a', mode: 'octet', options: [] }],
    ['zeros after the request', '0001 6100 6f6374657400 000000', { op: 'rrq', name: 'a', mode: 'octet', options: [] }],
    ['an empty name', '0001 00 6f6374657400', { op: 'rrq', name: '', mode: 'octet', options: [] }],
    ['a write request', '0002 6100 6f6374657400', { op: 'wrq', name: 'a', mode: 'octet', options: [] }],
    ['an ACK with bytes behind it', '0004 ffff 0000', { op: 'ack', block: 65535 }],
    ['an ERROR without text', '0005 0008', { op: 'error', code: 8, message: '' }],
    ['an ERROR without its NUL', '0005 0000 6162', { op: 'error', code: 0, message: 'ab' }],
    ['an OACK (RFC 2347)', '0006 747369 7a6500 3900', { op: 'oack', options: [['tsize', '9']] }],
  ])('reads %s', (_, hex, expected) => {
    expect(decodePacket(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toEqual(expected)
  })

  it.each([
    ['nothing', '', 'tftp-short'],
    ['one byte', '00', 'tftp-short'],
    ['two bytes', '0004', 'tftp-short'],
    ['three bytes', '000400', 'tftp-short'],
    ['opcode 0', '00000000', 'tftp-opcode'],
    ['opcode 7', '00070000', 'tftp-opcode'],
    ['opcode 256', '01000000', 'tftp-opcode'],
    ['a request without mode', '00016100', 'tftp-request'],
    ['a mode without NUL', '000161006f63', 'tftp-request'],
    ['a request of 1473 bytes', `0001${'61'.repeat(1471)}`, 'tftp-request'],
  ])('refuses %s', (_, hex, code) => {
    expect(codeOf(() => decodePacket(Buffer.from(hex, 'hex')))).toBe(code)
  })

  it('throws nothing but DecodeError: 20,000 random datagrams', () => {
    const random = seededRandom(2347)
    let decoded = 0
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() ** 3 * 256)))
      if (bytes.length > 1 && random() < 0.8) bytes.writeUInt16BE(Math.floor(random() * 8))
      if (codeOf(() => decodePacket(bytes)) === 'decoded') decoded++
    }
    expect(decoded).toBeGreaterThan(5000)
  })
})

describe('readAck', () => {
  it.each([
    ['00040000', 0],
    ['0004ffff', 65535],
    ['0004123400', 0x1234],
    ['000412', -1],
    ['00031234', -1],
    ['01041234', -1],
    ['', -1],
  ])('%s is %d', (hex, block) => {
    expect(readAck(Buffer.from(hex, 'hex'))).toBe(block)
  })
})
