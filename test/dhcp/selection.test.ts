// Which network a message belongs to: relays, several interfaces in one process, and what is remembered.
import { describe, expect, it } from 'vitest'
import { createSelection } from '../../src/dhcp/selection.ts'
import { prepareNetwork, type Served } from '../../src/dhcp/served.ts'
import { createDhcpLab } from '../support/dhcp-lab.ts'
import { addressHex, makeMessage, stationMac } from '../support/dhcp-message.ts'
import { ip, mac, makeNetwork } from '../support/site.ts'

const left = { name: 'left', interface: 'eth1', subnet: '10.1.0.0/24', pool: ['10.1.0.100-10.1.0.199'] }
const right = { name: 'right', interface: 'eth2', subnet: '10.2.0.0/24', pool: ['10.2.0.100-10.2.0.199'] }
const beside = { name: 'beside', interface: 'eth3', subnet: '10.3.0.0/24', mode: 'proxy' }
const far = { name: 'far', subnet: '10.8.0.0/24', serverAddress: '10.1.0.1', pool: ['10.8.0.100-10.8.0.199'], relays: ['172.16.0.1'] }
const farther = { name: 'farther', subnet: '10.7.0.0/24', serverAddress: '10.1.0.1', pool: ['10.7.0.100-10.7.0.199'], relays: ['172.16.0.1'] }

const both = () => createDhcpLab({ networks: [left, right] })
const from = (sent: readonly { network: string; yiaddr: string }[]) => sent.map(({ network, yiaddr }) => `${network} ${yiaddr}`)

describe('several interfaces in one process', () => {
  it('a discover is answered on each, out of its own', () => {
    const lab = both()
    expect(from(lab.say('discover'))).toEqual(['left 10.1.0.100', 'right 10.2.0.100'])
    expect(lab.events.filter(({ kind }) => kind === 'discover')).toEqual([expect.not.objectContaining({ network: expect.anything() })])
  })

  it('the server identifier of the request tells the network; the other offer is free again', () => {
    const lab = createDhcpLab({ networks: [{ ...left, pool: ['10.1.0.100'] }, right] })
    lab.say('discover')
    expect(from(lab.say('request', { serverId: '10.2.0.1', requested: '10.2.0.100' }))).toEqual(['right 10.2.0.100'])
    expect(lab.leases.list()).toMatchObject([{ network: 'right' }])
    expect(lab.say('discover', { mac: '52:54:00:00:00:99' })[0]).toMatchObject({ yiaddr: '10.1.0.100' })
  })

  it('the network is remembered: the next stage is asked there alone', () => {
    const lab = both()
    lab.say('discover')
    lab.say('request', { serverId: '10.2.0.1', requested: '10.2.0.100' })
    expect(from(lab.say('discover', { userClass: 'bivouac', archs: [7] }))).toEqual(['right 10.2.0.100'])
    expect(lab.events.filter(({ kind }) => kind === 'discover')[1]).toMatchObject({ network: 'right' })
  })

  it('a station that moved is heard again: a second discover without a request asks all', () => {
    const lab = both()
    lab.say('discover')
    lab.say('request', { serverId: '10.2.0.1', requested: '10.2.0.100' })
    expect(lab.say('discover', { xid: 1 })).toHaveLength(1)
    expect(from(lab.say('discover', { xid: 1 }))).toEqual(['left 10.1.0.100', 'right 10.2.0.100'])
    lab.say('request', { serverId: '10.1.0.1', requested: '10.1.0.100' })
    expect(from(lab.say('discover', { xid: 2 }))).toEqual(['left 10.1.0.100'])
  })

  it('a request for a server that is none of ours frees all offers', () => {
    const lab = createDhcpLab({
      networks: [
        { ...left, pool: ['10.1.0.100'] },
        { ...right, pool: ['10.2.0.100'] },
      ],
    })
    lab.say('discover')
    expect(lab.say('request', { serverId: '10.1.0.250', requested: '10.1.0.60' })).toEqual([])
    expect(lab.say('discover', { mac: '52:54:00:00:00:99' })).toHaveLength(2)
  })

  it('a restarted client is known by its address', () => {
    const lab = both()
    lab.boot({}, { network: 'right' })
    expect(from(lab.say('request', { requested: '10.2.0.100' }))).toEqual(['right 10.2.0.100'])
  })

  it('one with an address of no network of ours is refused on every wire', () => {
    expect(
      both()
        .say('request', { requested: '192.168.1.5' })
        .map(({ type, network }) => `${network} ${type}`),
    ).toEqual(['left nak', 'right nak'])
  })

  it('a wire where another server gives the addresses is never refused', () => {
    const lab = createDhcpLab({ networks: [left, beside] })
    expect(lab.say('request', { requested: '192.168.1.5' }).map(({ network }) => network)).toEqual(['left'])
    expect(lab.say('request', { requested: '10.3.0.5' })).toEqual([])
  })

  it('unicasts and renewals are known by the address', () => {
    const lab = both()
    lab.boot({}, { network: 'right' })
    expect(from(lab.say('request', { ciaddr: '10.2.0.100' }))).toEqual(['right 10.2.0.100'])
    expect(from(lab.say('discover', {}, { network: 'left' }))).toEqual(['left 10.1.0.100'])
  })

  it('subnet selection (118) names one of them', () => {
    const others = { 118: Buffer.from(addressHex('10.2.0.0'), 'hex') }
    expect(from(both().say('discover', { others }))).toEqual(['right 10.2.0.100'])
  })

  it('decline is heard where the address lies', () => {
    const lab = both()
    lab.boot({}, { network: 'right' })
    lab.say('decline', { requested: '10.2.0.100' })
    expect(lab.leases.list()).toMatchObject([{ network: 'right', state: 'declined' }])
  })

  it('in server mode here and beside another server there', () => {
    const lab = createDhcpLab({ networks: [left, beside] })
    expect(from(lab.say('discover', { archs: [0], vendorClass: 'PXEClient' }))).toEqual(['left 10.1.0.100', 'beside 0.0.0.0'])
    expect(from(lab.say('discover', { mac: '52:54:00:00:00:99' }))).toEqual(['left 10.1.0.101'])
  })

  it('remembers a bounded number of stations, the latest', () => {
    const served = [left, right].map((network) => prepareNetwork(makeNetwork(network), ip(network.subnet.replace('0/24', '1')), ''))
    const selection = createSelection(served)
    const macOf = (index: number) => mac(`52:54:00:${[16, 8, 0].map((shift) => ((index >> shift) & 255).toString(16).padStart(2, '0')).join(':')}`)
    for (let index = 0; index < 70_000; index++) selection.settled(macOf(index), served[1] as Served)
    const packet = makeMessage('discover')
    const asked = (index: number) => selection.choose(packet, 'discover', { isProxyPort: false, address: '0.0.0.0', port: 68 }, macOf(index)).length
    expect([69_999, 40_000, 0].map(asked)).toEqual([1, 1, 2])
  })
})

describe('relays', () => {
  const lab = () => createDhcpLab({ networks: [left, far, farther] })
  const relayed = (giaddr: string, others: Record<number, Uint8Array> = {}) => lab().say('discover', { giaddr, others })

  it('a relay inside the subnet speaks for it', () => {
    const [offer] = relayed('10.8.0.1')
    expect(offer).toMatchObject({
      network: 'far',
      yiaddr: '10.8.0.100',
      address: '10.8.0.1',
      port: 67,
      options: { 54: addressHex('10.1.0.1'), 1: 'ffffff00' },
    })
  })
  it('a relay on the list speaks for the first network that lists it', () => {
    expect(relayed('172.16.0.1')[0]).toMatchObject({ network: 'far', yiaddr: '10.8.0.100', address: '172.16.0.1' })
  })
  it('link selection (RFC 3527) says for which', () => {
    const others = { 82: Buffer.from(`0504${addressHex('10.7.0.0')}`, 'hex') }
    expect(relayed('172.16.0.1', others)[0]).toMatchObject({ network: 'farther', yiaddr: '10.7.0.100' })
  })
  it('subnet selection (RFC 3011) too, but link selection goes first', () => {
    const selection = { 118: Buffer.from(addressHex('10.7.0.0'), 'hex') }
    expect(relayed('172.16.0.1', selection)[0]).toMatchObject({ network: 'farther' })
    const link = { 82: Buffer.from(`0504${addressHex('10.8.0.0')}`, 'hex') }
    expect(relayed('172.16.0.1', { ...selection, ...link })[0]).toMatchObject({ network: 'far' })
  })
  it.each([
    ['a relay that nobody lists', '172.16.0.2', {}],
    ['a relay of one network that selects another', '10.8.0.1', { 82: Buffer.from(`0504${addressHex('10.7.0.0')}`, 'hex') }],
    ['a link that is no network of ours', '172.16.0.1', { 82: Buffer.from(`0504${addressHex('10.99.0.0')}`, 'hex') }],
  ])('%s is met with silence, and an event', (_, giaddr, others) => {
    const here = lab()
    expect(here.say('discover', { giaddr, others })).toEqual([])
    expect(here.events).toMatchObject([{ kind: 'dropped', mac: stationMac, detail: { reason: expect.stringContaining(giaddr) } }])
  })
  it('a client behind a relay renews by unicast, whichever of our addresses it reaches', () => {
    const here = lab()
    here.boot({ giaddr: '10.8.0.1' })
    const [ack] = here.say('request', { ciaddr: '10.8.0.100' }, { network: 'left' })
    expect(ack).toMatchObject({ type: 'ack', network: 'far', address: '10.8.0.100', port: 68 })
  })
  it('a broadcast on our own wires is never for a network behind relays', () => {
    expect(from(lab().say('discover'))).toEqual(['left 10.1.0.100'])
  })
})
