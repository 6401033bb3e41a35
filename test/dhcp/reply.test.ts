// Which options a reply carries, in which order, and how long it may be.
import { describe, expect, it } from 'vitest'
import { limitBytes } from '../../src/dhcp/reply.ts'
import { createDhcpLab, oneNetwork } from '../support/dhcp-lab.ts'
import { encodePacket } from '../../src/dhcp/packet.ts'
import type { Said } from '../support/dhcp-message.ts'
import { createTestSite } from '../support/site.ts'

const rich = { ...oneNetwork, dns: ['10.9.0.2', '10.9.0.3'], ntp: ['10.9.0.4'], domain: 'lab.example' }
const offerOf = (said: Said, network: Record<string, unknown> = rich) => {
  const [offer] = createDhcpLab({ networks: [network] }).say('discover', said)
  if (!offer) throw new Error('no offer')
  return offer
}
const codes = (said: Said, network?: Record<string, unknown>) => [...offerOf(said, network).packet.options.keys()]
const always = [53, 54, 51, 58, 59, 1]

describe('options', () => {
  it('come in the order of the parameter list, and only those asked for', () => {
    expect(codes({ asked: [42, 15, 6, 6, 3, 222] })).toEqual([...always, 42, 15, 6, 3])
  })
  it('the router comes unasked: a client without it reaches nothing', () => expect(codes({ asked: [15] })).toEqual([...always, 15, 3]))
  it('all come to a client that sent no list', () => expect(codes({})).toEqual([...always, 3, 6, 15, 28, 42]))
  it('our address comes as option 150 to who asks for it (RFC 5859)', () => expect(offerOf({ asked: [150] }).options[150]).toBe('0a090001'))
  it('what was asked is echoed: machine id, client id, subnet selection', () => {
    const others = { 97: new Uint8Array(17).fill(1), 61: Uint8Array.of(1, 2, 3), 118: Uint8Array.of(10, 9, 0, 0) }
    expect(codes({ asked: [3], others })).toEqual([...always, 3, 97, 61, 118])
  })
  it('the user class is never sent: iPXE would take it for its own', () => {
    expect(codes({ asked: [77], userClass: 'iPXE' }, { ...rich, options: { 77: '6162' } })).not.toContain(77)
  })
})

describe('the operator’s own options', () => {
  const own = (options: Record<string, string>) => ({ ...rich, options })
  it('win over ours, in our place', () => {
    const offer = offerOf({ asked: [3, 6] }, own({ 6: '08080808', 51: '00000258' }))
    expect(offer.options).toMatchObject({ 6: '08080808', 51: '00000258' })
    expect([...offer.packet.options.keys()]).toEqual([...always, 3, 6])
  })
  it('go to everybody, asked for or not', () => expect(codes({ asked: [3] }, own({ 224: 'ff' }))).toEqual([...always, 3, 224]))
  it('win over what is to boot, in the header too', () => {
    const offer = offerOf({ archs: [7] }, own({ 67: Buffer.from('other.efi').toString('hex') }))
    expect(offer.file).toBe('other.efi')
    expect(Buffer.from(offer.options[67] ?? '', 'hex').toString()).toBe('other.efi')
  })
  it('cannot break the protocol', () => {
    const offer = offerOf({}, own({ 53: '07', 54: '01010101', 52: '03', 82: 'aa', 61: 'bb' }))
    expect(offer).toMatchObject({ type: 'offer', options: { 54: '0a090001' } })
    for (const code of [52, 61, 82]) expect(offer.options[code]).toBeUndefined()
  })
})

describe('the name of the file', () => {
  it('ends with a NUL in option 67 for BIOS ROMs alone', () => {
    expect(offerOf({ archs: [0] }).options[67]).toBe(Buffer.from('undionly.kpxe\0').toString('hex'))
    expect(offerOf({ archs: [7] }).options[67]).toBe(Buffer.from('x86_64-efi/snponly.efi').toString('hex'))
  })

  it('stands in option 67 alone when the header has no room', () => {
    const url = `http://10.9.0.1:8080/${'a'.repeat(120)}`
    const decision = { kind: 'script', address: { from: 'pool' }, url, profile: 'menu', why: [] } as const
    const [offer] = createDhcpLab({ site: { decide: () => decision, reservedFor: () => undefined } }).say('discover', { userClass: 'bivouac' })
    expect(offer?.file).toBe('')
    expect(Buffer.from(offer?.options[67] ?? '', 'hex').toString()).toBe(url)
  })
})

describe('length', () => {
  it.each([
    [undefined, 548],
    [300, 548],
    [576, 548],
    [1472, 1444],
    [65_280, 1472],
  ])('a client that takes %s gets at most %i bytes', (asked, bytes) => expect(limitBytes(asked)).toBe(bytes))

  it('too much is cut from the end, never what the lease needs', () => {
    const options = Object.fromEntries([224, 225, 226, 227].map((code) => [code, 'ab'.repeat(200)]))
    const offer = offerOf({ asked: [3, 6] }, { ...rich, options })
    expect(encodePacket(offer.packet).length).toBeLessThanOrEqual(548)
    expect([...offer.packet.options.keys()]).toEqual([...always, 3, 6, 224])
    const large = offerOf({ asked: [3], others: { 57: Uint8Array.of(5, 0xc0) } }, { ...rich, options })
    expect([...large.packet.options.keys()]).toEqual([...always, 3, 224, 225, 226, 227])
  })
})

it('a lease without end has no times to renew', () => {
  const offer = offerOf({ asked: [3] }, { ...rich, leaseSeconds: 0xffffffff })
  expect(offer.options[51]).toBe('ffffffff')
  expect([...offer.packet.options.keys()]).toEqual([53, 54, 51, 1, 3])
})

it('an address for the time being has its own times', () => {
  const site = createTestSite({ '52:54:00:12:34:56': '10.9.0.100' })
  const lab = createDhcpLab({ networks: [rich], site, isBlindToRecords: true })
  lab.boot({ mac: '52:54:00:00:00:99', requested: '10.9.0.100', leaseSeconds: 600 })
  expect(lab.say('discover')[0]).toMatchObject({ yiaddr: '10.9.0.101', options: { 51: '00000258', 58: '0000012c', 59: '0000020d' } })
})
