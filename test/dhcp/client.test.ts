import { describe, expect, it } from 'vitest'
import type { Arrival } from '../../src/boot/client.ts'
import { readClient, readMac } from '../../src/dhcp/client.ts'
import { hasIpxeOption, readUserClasses } from '../../src/dhcp/ipxe.ts'
import { option } from '../../src/dhcp/option.ts'
import { readUuid } from '../../src/dhcp/pxe.ts'
import { readRelayWishes } from '../../src/dhcp/relay.ts'
import { makeMessage, type Said, stationMac } from '../support/dhcp-message.ts'
import { ip, mac } from '../support/site.ts'

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const arrival: Arrival = { network: 'lab', mode: 'server', serverAddress: ip('10.9.0.1'), httpBase: 'http://10.9.0.1:8080' }
const clientOf = (said: Said) => readClient(makeMessage('discover', said), mac(stationMac), arrival)
const withIpxe = { [option.ipxe.code]: hex('b1 05 011af41000 eb 03 010000 13 01 01') }

describe('the stage', () => {
  it.each<[string, Said, string]>([
    ['a system', { vendorClass: 'udhcp 1.36.1' }, 'system'],
    ['nothing at all', {}, 'system'],
    ['a PXE ROM', { vendorClass: 'PXEClient:Arch:00000:UNDI:002001', archs: [0] }, 'firmware'],
    ['UEFI HTTP Boot', { vendorClass: 'HTTPClient:Arch:00016:UNDI:003000', archs: [16] }, 'firmware'],
    ['an architecture without vendor class', { archs: [7] }, 'firmware'],
    ['iPXE by its bare user class', { vendorClass: 'PXEClient', archs: [0], userClass: 'iPXE' }, 'ipxe'],
    ['iPXE by a user class of RFC 3004', { archs: [0], userClass: '\x04iPXE' }, 'ipxe'],
    ['iPXE by option 175 alone', { archs: [7], others: withIpxe }, 'ipxe'],
    ['our own loader, bare', { archs: [7], userClass: 'bivouac', others: withIpxe }, 'bivouac'],
    ['our own loader among others, RFC 3004', { archs: [7], userClass: '\x04iPXE\x07bivouac' }, 'bivouac'],
    ['a class that only begins like ours', { archs: [7], userClass: 'bivouacs' }, 'firmware'],
  ])('%s', (_, said, stage) => expect(clientOf(said).stage).toBe(stage))
})

it('takes the architecture from option 93 alone', () => {
  expect(clientOf({ vendorClass: 'PXEClient:Arch:00007:UNDI:003000' }).archs).toEqual([])
  expect(clientOf({ vendorClass: 'PXEClient:Arch:00007:UNDI:003000', archs: [9, 7] }).archs).toEqual([9, 7])
})

it('knows HTTP Boot, and an iPXE that speaks HTTP', () => {
  expect(clientOf({ vendorClass: 'HTTPClient:Arch:00016' })).toMatchObject({ isHttpBoot: true, speaksHttp: false })
  expect(clientOf({ archs: [0], others: withIpxe })).toMatchObject({ isHttpBoot: false, speaksHttp: true })
})

it('cuts text to printable ASCII', () => {
  expect(clientOf({ vendorClass: 'a\x1b[31m\xe9' }).vendorClass).toBe('a?[31m?')
})

it('keeps no more of what a client says than one option may hold: it goes to events, 20,000 of which are in memory', () => {
  const client = clientOf({ vendorClass: 'PXEClient'.repeat(5000), userClass: 'x'.repeat(50_000), archs: Array<number>(20_000).fill(99) })
  expect([client.vendorClass?.length, client.userClass?.length, client.archs.length]).toEqual([255, 255, 16])
})

describe('the MAC', () => {
  const base = makeMessage('discover')
  it.each([
    ['another kind of hardware', { htype: 32 }],
    ['five bytes', { chaddr: hex('525400123 4'.replace(' ', '')) }],
    ['all zeros', { chaddr: new Uint8Array(6) }],
    ['a group address', { chaddr: hex('01005e000001') }],
    ['everybody', { chaddr: hex('ffffffffffff') }],
  ])('%s is none', (_, change) => expect(readMac({ ...base, ...change })).toBeUndefined())
  it('is read', () => expect(readMac(base)).toBe(stationMac))
})

describe('option 97', () => {
  const read = (text: string) => readUuid(new Map([[97, hex(text)]]))
  it('swaps the first three fields', () => {
    expect(read('00 085994b8a6d6a9418ff40123456789ab')).toBe('b8945908-d6a6-41a9-8ff4-0123456789ab')
  })
  it.each([
    ['too short', '00 085994b8'],
    ['of another type', '01 085994b8a6d6a9418ff40123456789ab'],
    ['all zeros', `00${'00'.repeat(16)}`],
    ['all ones', `00${'ff'.repeat(16)}`],
    ['empty', ''],
  ])('%s says nothing', (_, text) => expect(read(text)).toBeUndefined())
})

describe('option 77', () => {
  it.each<[string, string, string[]]>([
    ['bare', '69505845', ['iPXE']],
    ['RFC 3004', '04 69505845 03 616263', ['iPXE', 'abc']],
    ['a length too long is no length', '05 69505845', ['\x05iPXE']],
    ['a length of zero is no length', '00 69', ['']],
    ['empty', '', []],
  ])('%s', (_, bytes, classes) => expect(readUserClasses(new Map([[77, hex(bytes)]]))).toEqual(classes))
})

describe('option 175', () => {
  it.each([
    ['there', '10 01 01 13 01 01', true],
    ['only as somebody else’s value', '10 01 13', false],
    ['behind pads', '00 00 13 01 01', true],
    ['behind the end', 'ff 13 01 01', false],
    ['behind a lying length', '10 ff 13 01 01', false],
    ['cut', '10', false],
    ['empty', '', false],
  ])('HTTP %s', (_, bytes, has) => expect(hasIpxeOption(new Map([[175, hex(bytes)]]), 0x13)).toBe(has))
})

describe('option 82', () => {
  it.each<[string, string, object]>([
    ['circuit and remote id ask for nothing', '01 04 65746831 02 06 525400000001', {}],
    ['link selection', '01 01 31 05 04 0a0b0000', { linkSelection: 0x0a0b0000 }],
    ['server identifier override', '0b 04 0a0b0001', { serverIdOverride: 0x0a0b0001 }],
    ['of a wrong length', '05 03 0a0b00', {}],
    ['cut', '05 04 0a0b', {}],
  ])('%s', (_, bytes, wishes) => expect(readRelayWishes(new Map([[82, hex(bytes)]]))).toEqual(wishes))
})
