// What the npm package `dhcp` 0.2.20 gets wrong: each finding is a test that we do not. It was measured with its own server and captured frames.
import { describe, expect, it } from 'vitest'
import { decodePacket, encodePacket } from '../../src/dhcp/packet.ts'
import { option, readOption } from '../../src/dhcp/option.ts'
import { createDhcpLab, oneNetwork } from '../support/dhcp-lab.ts'
import { encodeMessage, makeMessage } from '../support/dhcp-message.ts'
import { dhcpVectors } from '../vectors/dhcp.ts'

describe('it ends the process', () => {
  it('on the DISCOVER of a real iPXE, whose parameter list asks for 60', () => {
    const rom = dhcpVectors.find(({ name }) => name === 'iPXE in a BIOS ROM, DISCOVER')
    const lab = createDhcpLab()
    expect(readOption(decodePacket(rom?.sent as Uint8Array).options, option.parameterList)).toContain(60)
    expect(lab.send(rom?.sent as Uint8Array)).toMatchObject([{ type: 'offer' }])
  })

  it('on any parameter list: all codes may be asked for', () => {
    const asked = Array.from({ length: 255 }, (_, code) => code)
    expect(createDhcpLab().say('discover', { asked })).toMatchObject([{ type: 'offer', yiaddr: '10.9.0.100' }])
  })
})

describe('its pool', () => {
  it('spins for ever when it is used up', () => {
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, pool: ['10.9.0.100-10.9.0.119'] }] })
    const got = Array.from({ length: 25 }, (_, index) => lab.say('discover', { mac: `52:54:00:00:01:${(index + 16).toString(16)}` }).length)
    expect(got).toEqual([...Array(20).fill(1), ...Array(5).fill(0)])
  })

  it('never has an address back', () => {
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, pool: ['10.9.0.100'] }] })
    lab.boot({ mac: '52:54:00:00:00:01' })
    lab.clock.now += 3_600_000
    expect(lab.boot({ mac: '52:54:00:00:00:02' }).yiaddr).toBe('10.9.0.100')
  })

  it('costs more with each lease: 5,000 took 43 s', () => {
    const lab = createDhcpLab({ networks: [{ name: 'wide', interface: 'eth0', subnet: '10.0.0.0/8', pool: ['10.1.0.0-10.1.255.255'] }] })
    const packet = encodeMessage('discover')
    const discover = (from: number, count: number) => {
      const started = process.cpuUsage().user
      for (let index = from; index < from + count; index++) {
        packet.writeUInt32BE(index, 30)
        lab.send(packet)
      }
      return process.cpuUsage().user - started
    }
    discover(0, 1000)
    expect(discover(1000, 10_000)).toBeLessThan(5_000_000)
    expect(lab.say('discover', { mac: '52:54:00:ff:ff:ff' })[0]).toMatchObject({ yiaddr: '10.1.42.248' })
  })
})

describe('its codec', () => {
  const withOptions = (hex: string) => {
    const bytes = encodePacket({ ...makeMessage('discover'), options: new Map() })
    bytes.set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 240)
    return decodePacket(bytes).options
  }
  it('takes two bytes for a pad', () => {
    const options = withOptions('00 35 01 01 ff')
    expect(readOption(options, option.messageType)).toBe(1)
  })
  it('passes over the length of fixed types and loses all that follows', () => {
    expect(readOption(withOptions('14 01 01 35 01 03 ff'), option.messageType)).toBe(3)
    expect(readOption(withOptions('39 03 05c000 35 01 03 ff'), option.messageType)).toBe(3)
  })
  it('cuts client identifiers at a NUL, so that many become one', () => {
    const id = (text: string) => readOption(withOptions(`3d 07 ${text} ff`), option.clientId)
    expect(Buffer.from(id('01525400123456') as Uint8Array).toString('hex')).toBe('01525400123456')
    expect(id('01525400000001')).not.toEqual(id('01525400000002'))
  })
  it('drops what it does not know: 77, 82, 93, 94, 97, 175', () => {
    const options = withOptions('4d 04 69505845 52 03 010161 5d 02 0007 5e 03 010300 61 02 0001 af 03 b00101 ff')
    expect([...options.keys()]).toEqual([77, 82, 93, 94, 97, 175])
  })
  it('knows no overload (52) and no joining (RFC 3396)', () => {
    expect(readOption(withOptions('43 01 61 43 01 62 ff'), option.bootFile)).toBe('ab')
    const bytes = encodePacket({ ...makeMessage('discover'), options: new Map([[52, Uint8Array.of(1)]]) })
    bytes.set([53, 1, 1, 255], 108)
    expect(readOption(decodePacket(bytes).options, option.messageType)).toBe(1)
  })
  it('passes over the magic cookie', () => {
    const bytes = encodeMessage('discover')
    bytes[236] = 0
    expect(() => decodePacket(bytes)).toThrow('cookie')
  })
  it('takes any hardware for Ethernet', () => {
    const lab = createDhcpLab()
    expect(lab.send(encodePacket({ ...makeMessage('discover'), htype: 32, chaddr: new Uint8Array(0) }))).toEqual([])
  })
  it('writes 119 as text and 121 as addresses: the operator’s bytes go out as they are', () => {
    const options = { 119: '036c6162076578616d706c6500', 121: '180a0a0a0a090001' }
    const [offer] = createDhcpLab({ networks: [{ ...oneNetwork, options }] }).say('discover', { asked: [119, 121] })
    expect(offer?.options).toMatchObject(options)
  })
  it('throws above 1,500 bytes', () => {
    const options = Object.fromEntries([224, 225, 226, 227, 228, 229, 230].map((code) => [code, 'ab'.repeat(255)]))
    const said = { others: { 57: Uint8Array.of(255, 255) } }
    expect(createDhcpLab({ networks: [{ ...oneNetwork, options }] }).say('discover', said)).toHaveLength(1)
  })
  it('sends less than 300 bytes', () => expect(encodeMessage('discover').length).toBe(300))
  it('leaves `file` empty', () => {
    expect(createDhcpLab().say('discover', { archs: [7] })[0]?.file).toBe('x86_64-efi/snponly.efi')
  })
})

describe('its manners', () => {
  it('answers relays by broadcast', () => {
    expect(createDhcpLab().say('discover', { giaddr: '10.9.0.254' })[0]).toMatchObject({ address: '10.9.0.254', port: 67 })
  })
  it('answers renewals by broadcast', () => {
    const lab = createDhcpLab()
    lab.boot()
    expect(lab.say('request', { ciaddr: '10.9.0.100' })[0]).toMatchObject({ address: '10.9.0.100' })
  })
  it('confirms a request that names another server', () => {
    expect(createDhcpLab().say('request', { serverId: '10.9.0.2', requested: '10.9.0.100' })).toEqual([])
  })
  it('confirms any address, and never refuses', () => {
    const [nak] = createDhcpLab().say('request', { serverId: '10.9.0.1', requested: '192.168.1.5' })
    expect(nak).toMatchObject({ type: 'nak' })
  })
  it('is deaf to decline, release and inform', () => {
    const lab = createDhcpLab()
    lab.boot()
    lab.say('inform', { ciaddr: '10.9.0.100' })
    lab.say('release', { ciaddr: '10.9.0.100' })
    lab.boot()
    lab.say('decline', { requested: '10.9.0.100' })
    expect(lab.kinds()).toEqual(expect.arrayContaining(['inform', 'release', 'decline']))
  })
  it('forgets all leases when it is started again', async () => {
    const lab = createDhcpLab()
    lab.boot({ mac: '52:54:00:00:00:01' })
    expect((await lab.restart()).boot({ mac: '52:54:00:00:00:02' }).yiaddr).toBe('10.9.0.101')
  })
})
