import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { option, readOption } from '../../src/dhcp/option.ts'
import { decodePacket, encodePacket, messageType, type Packet } from '../../src/dhcp/packet.ts'
import { encodeMessage, makeMessage } from '../support/dhcp-message.ts'
import { seededRandom } from '../support/random.ts'
import { dhcpVectors } from '../vectors/dhcp.ts'

const address = fc.nat({ max: 0xffffffff })
// Text as the header fields can hold it: Latin-1 without NUL.
const text = (maxLength: number) => fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)), maxLength })
const options = fc.uniqueArray(
  fc.tuple(
    fc.integer({ min: 1, max: 254 }).filter((code) => code !== 52 && code !== 82),
    fc.uint8Array({ maxLength: 300 }),
  ),
  {
    selector: ([code]) => code,
    maxLength: 12,
  },
)
const relay = fc.option(fc.uint8Array({ maxLength: 40 }))

const packets: fc.Arbitrary<Packet> = fc
  .record({
    op: fc.constantFrom('request' as const, 'reply' as const),
    htype: fc.nat({ max: 255 }),
    hops: fc.nat({ max: 255 }),
    xid: address,
    secs: fc.nat({ max: 0xffff }),
    isBroadcast: fc.boolean(),
    ciaddr: address,
    yiaddr: address,
    siaddr: address,
    giaddr: address,
    chaddr: fc.uint8Array({ maxLength: 16 }),
    sname: text(64),
    file: text(128),
    options,
    relay,
  })
  .map(({ options, relay, ...head }) => ({ ...head, options: new Map([...options, ...(relay ? [[82, relay] as const] : [])]) }))

describe('a packet', () => {
  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(decodePacket(encodePacket(packet))).toEqual(packet)
      }),
    )
  })

  it('is read the same at any place of a larger buffer', () => {
    fc.assert(
      fc.property(packets, fc.integer({ min: 1, max: 50 }), (packet, offset) => {
        const bytes = encodePacket(packet)
        const larger = Buffer.alloc(offset + bytes.length + 7, 0xaa)
        larger.set(bytes, offset)
        expect(decodePacket(larger.subarray(offset, offset + bytes.length))).toEqual(packet)
      }),
    )
  })

  it('is never shorter than 300 bytes, and zero behind its end mark', () => {
    const bytes = encodePacket({ ...makeMessage('discover'), options: new Map() })
    expect(bytes.length).toBe(300)
    expect(bytes[240]).toBe(255)
    expect(bytes.subarray(241).every((byte) => byte === 0)).toBe(true)
  })

  it('owns its bytes: the next one does not change them', () => {
    const first = encodeMessage('discover', { hostName: 'one' })
    const copy = Buffer.from(first)
    encodeMessage('request', { hostName: 'another' })
    expect(first).toEqual(copy)
  })

  it('leaves out what does not fit, keeps the rest and the relay option last', () => {
    const packet = makeMessage('offer', { hostName: 'x', others: { 82: Buffer.alloc(20, 1), 43: Buffer.alloc(250, 2), 67: Buffer.alloc(100, 3) } })
    const bytes = encodePacket(packet, 400)
    expect(bytes.length).toBeLessThanOrEqual(400)
    expect([...decodePacket(bytes).options.keys()]).toEqual([53, 12, 67, 82])
  })

  it('drops even a relay option that no datagram could hold', () => {
    expect(encodePacket(makeMessage('offer', { others: { 82: new Uint8Array(65_400) } })).length).toBe(300)
  })
})

describe('options in the header fields (52)', () => {
  const overloaded = (value: number, file: string, sname: string) => {
    const bytes = encodeMessage('discover', { others: { 52: Uint8Array.of(value), 67: Buffer.from('a') } })
    bytes.set(Buffer.from(file, 'hex'), 108)
    bytes.set(Buffer.from(sname, 'hex'), 44)
    return decodePacket(bytes)
  }
  it.each([
    [1, '430162ff', '5858', 'ab', 'XX', ''],
    [2, '5959', '430163ff', 'ac', '', 'YY'],
    [3, '430162ff', '430163ff', 'abc', '', ''],
  ])('%i: joined in the order options, file, sname', (value, file, sname, joined, snameText, fileText) => {
    const packet = overloaded(value, file, sname)
    expect(readOption(packet.options, option.bootFile)).toBe(joined)
    expect(packet).toMatchObject({ sname: snameText, file: fileText })
    expect(packet.options.has(52)).toBe(false)
  })

  it('refuses a length that leads out of the field', () => {
    expect(() => overloaded(1, '43ff62', '')).toThrow(DecodeError)
  })
})

describe('what is no packet', () => {
  const good = encodeMessage('discover', { vendorClass: 'PXEClient', archs: [7], hostName: 'station-7' })
  const end = good.indexOf(255, 240)

  it('every length short of the whole either decodes to less or is refused', () => {
    for (let length = 0; length < end; length++) {
      const cut = good.subarray(0, length)
      if (length < 240) expect(() => decodePacket(cut), `${length}`).toThrow(DecodeError)
      else {
        try {
          expect(decodePacket(cut).options.size).toBeLessThan(6)
        } catch (error) {
          expect(error, `${length}`).toBeInstanceOf(DecodeError)
        }
      }
    }
  })

  it.each([
    ['packet-cookie', 236, 0],
    ['packet-op', 0, 3],
    ['packet-hlen', 2, 17],
  ])('%s', (code, at, value) => {
    const bytes = Buffer.from(good)
    bytes[at] = value
    expect(() => decodePacket(bytes)).toThrow(expect.objectContaining({ code }))
  })

  it.each([0, 9, 200])('message type %i has no name', (value) => {
    expect(messageType(decodePacket(encodeMessage('discover', { others: { 53: Uint8Array.of(value) } })))).toBeUndefined()
  })

  it('random and mutated bytes throw nothing but DecodeError (20,000, seeded)', () => {
    const random = seededRandom(0xd4c9)
    let decoded = 0
    for (let round = 0; round < 20_000; round++) {
      const bytes = round % 4 ? mutate(random) : Uint8Array.from({ length: Math.floor(random() * 600) }, () => random() * 256)
      try {
        const packet = decodePacket(bytes)
        decoded++
        for (const kind of Object.values(option)) readOption(packet.options, kind)
        encodePacket(packet, 548)
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
    expect(decoded).toBeGreaterThan(2000)
    expect(decoded).toBeLessThan(18_000)
  })
})

function mutate(random: () => number): Uint8Array {
  const bytes = Uint8Array.from((dhcpVectors[Math.floor(random() * dhcpVectors.length)] as (typeof dhcpVectors)[0]).sent)
  for (let count = Math.floor(random() * 6); count >= 0; count--) {
    const at = random() < 0.8 ? 240 + Math.floor(random() * (bytes.length - 240)) : Math.floor(random() * bytes.length)
    bytes[at] = random() * 256
  }
  return random() < 0.2 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
}
