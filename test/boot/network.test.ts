import { describe, expect, it } from 'vitest'
import { lintNetworks, type Network, networkSchema } from '../../src/boot/network.ts'
import { makeStation } from '../support/core.ts'

const lab = { name: 'lab', interface: 'eth1', subnet: '10.9.0.0/24', serverAddress: '10.9.0.1', pool: ['10.9.0.100-10.9.0.200'] }
const hall = { name: 'hall', interface: 'eth2', subnet: '10.8.0.0/24', pool: ['10.8.0.100-10.8.0.200'] }
const parse = (...networks: object[]): Network[] => networks.map((network) => networkSchema.parse(network))
const lint = (networks: object[], stations: object[] = []) =>
  lintNetworks(
    parse(...networks),
    stations.map((station, index) => makeStation({ name: `s${index}`, macs: [`52:54:00:00:00:0${index}`], ...station })),
  ).map(({ code, path, severity }) => `${severity === 'warning' ? '?' : ''}${code} ${path}`)

describe('networkSchema', () => {
  it('takes the least that makes a network', () => {
    expect(networkSchema.parse({ name: 'lab', subnet: '10.9.0.0/24' })).toEqual({
      name: 'lab',
      mode: 'server',
      subnet: { network: 0x0a090000, prefix: 24 },
      pool: [],
      router: [],
      dns: [],
      ntp: [],
      leaseSeconds: 3600,
      relays: [],
      options: {},
    })
  })

  const bad: [string, object][] = [
    ['an interface with a blank', { interface: 'eth 1' }],
    ['a long interface', { interface: 'x'.repeat(16) }],
    ['a subnet with host bits', { subnet: '10.9.0.1/24' }],
    ['a pool that is text', { pool: '10.9.0.5' }],
    ['a range backwards', { pool: ['10.9.0.9-10.9.0.5'] }],
    ['a router by name', { router: ['gateway'] }],
    ['a domain with a blank', { domain: 'a b' }],
    ['a domain that ends in a dash', { domain: 'lab-' }],
    ['a lease of a minute', { leaseSeconds: 60 }],
    ['a lease in parts of a second', { leaseSeconds: 3600.5 }],
    ['option 0', { options: { 0: '00' } }],
    ['option 255', { options: { 255: '00' } }],
    ['an option by name', { options: { router: '00' } }],
    ['half a byte', { options: { 66: '0' } }],
    ['an empty option', { options: { 66: '' } }],
    ['256 bytes', { options: { 66: '00'.repeat(256) } }],
    ['an unknown key', { gateway: '10.9.0.1' }],
  ]
  it.each(bad)('refuses %s', (_, more) => {
    expect(networkSchema.safeParse(lab).success).toBe(true)
    expect(networkSchema.safeParse({ ...lab, ...more }).success).toBe(false)
  })
})

describe('lintNetworks', () => {
  const rows: [string, object[], object[], string[]][] = [
    ['nothing in a good one', [{ ...lab, router: ['10.9.0.254'] }, hall], [{ address: '10.9.0.7' }], []],
    ['nothing where there is nothing', [], [{ address: '10.9.0.7' }], []],
    ['our address outside', [{ ...lab, serverAddress: '10.9.1.1' }], [], ['outside-subnet networks[0].serverAddress']],
    ['nothing of our address behind relays, which lies elsewhere', [{ ...lab, interface: undefined, serverAddress: '10.1.0.1' }], [], []],
    ['our address at the edge', [{ ...lab, serverAddress: '10.9.0.0' }], [], ['edge-address networks[0].serverAddress']],
    ['a router outside', [{ ...lab, router: ['10.9.0.2', '10.9.1.1'] }], [], ['outside-subnet networks[0].router[1]']],
    ['a router at the edge', [{ ...lab, router: ['10.9.0.255'] }], [], ['edge-address networks[0].router[0]']],
    [
      'a pool that begins outside',
      [{ ...lab, pool: ['10.8.255.250-10.9.0.0'] }],
      [],
      ['outside-subnet networks[0].pool[0]', 'edge-address networks[0].pool[0]'],
    ],
    ['one address outside, once', [{ ...lab, pool: ['10.7.0.5'] }], [], ['outside-subnet networks[0].pool[0]']],
    [
      'the whole subnet as pool',
      [{ ...lab, pool: ['10.9.0.0-10.9.0.255'] }],
      [],
      ['edge-address networks[0].pool[0]', 'edge-address networks[0].pool[0]', 'pool-holds-own networks[0].pool[0]'],
    ],
    ['us in the pool', [{ ...lab, pool: ['10.9.0.1-10.9.0.9'] }], [], ['pool-holds-own networks[0].pool[0]']],
    [
      'a router in the second range',
      [{ ...lab, router: ['10.9.0.7'], pool: ['10.9.0.20', '10.9.0.5-10.9.0.9'] }],
      [],
      ['pool-holds-own networks[0].pool[1]'],
    ],
    ['ranges that touch are apart', [{ ...lab, pool: ['10.9.0.10-10.9.0.19', '10.9.0.20-10.9.0.29'] }], [], []],
    ['ranges that share one address', [{ ...lab, pool: ['10.9.0.10-10.9.0.20', '10.9.0.20-10.9.0.29'] }], [], ['pool-overlap networks[0].pool[1]']],
    ['a range within another', [{ ...lab, pool: ['10.9.0.10-10.9.0.50', '10.9.0.20'] }], [], ['pool-overlap networks[0].pool[1]']],
    [
      'each pair of three',
      [{ ...lab, pool: ['10.9.0.10', '10.9.0.10', '10.9.0.10'] }],
      [],
      ['pool-overlap networks[0].pool[1]', 'pool-overlap networks[0].pool[2]', 'pool-overlap networks[0].pool[2]'],
    ],
    ['a proxy with a pool', [{ ...lab, mode: 'proxy' }], [], ['proxy-pool networks[0].pool']],
    ['a proxy on no wire', [{ name: 'a', mode: 'proxy', subnet: '10.9.0.0/24' }], [], ['proxy-interface networks[0].interface']],
    ['a server without pool', [{ ...lab, pool: [] }], [], ['?no-pool networks[0].pool']],
    [
      'a network on no wire without our address',
      [{ ...lab, interface: undefined, serverAddress: undefined }],
      [],
      ['no-server-address networks[0].serverAddress'],
    ],
    [
      'options that DHCP makes itself',
      [{ ...lab, options: { 53: '05', 54: '0a090001', 42: '0a090001', 82: '00' } }],
      [],
      ['option-owned networks[0].options.53', 'option-owned networks[0].options.54', 'option-owned networks[0].options.82'],
    ],
    ['a name twice', [lab, { ...hall, name: 'lab' }], [], ['name-twice networks[1].name']],
    ['a subnet twice', [lab, { ...hall, subnet: '10.9.0.0/24', pool: ['10.9.0.210'] }], [], ['subnet-overlap networks[1].subnet']],
    ['a subnet within another', [{ ...lab, subnet: '10.0.0.0/8' }, hall], [], ['subnet-overlap networks[1].subnet']],
    ['a subnet around another', [lab, { ...hall, subnet: '10.0.0.0/8' }], [], ['subnet-overlap networks[1].subnet']],
    [
      'server and proxy on one wire',
      [lab, { name: 'b', interface: 'eth1', mode: 'proxy', subnet: '10.8.0.0/24' }],
      [],
      ['interface-mode networks[1].mode'],
    ],
    ['two server networks on one wire are good', [lab, { ...hall, interface: 'eth1' }], [], []],
    [
      'two relayed networks are on no common wire',
      [
        { ...lab, interface: undefined },
        { ...hall, interface: undefined, serverAddress: '10.9.0.1' },
      ],
      [],
      [],
    ],
    [
      'a relay of two networks',
      [
        { ...lab, relays: ['10.1.0.1'] },
        { ...hall, relays: ['10.1.0.1'] },
      ],
      [],
      ['relay-twice networks[1].relays[0]'],
    ],
    ['a relay in the subnet of another', [{ ...lab, relays: ['10.8.0.254'] }, hall], [], ['relay-twice networks[0].relays[0]']],
    ['a relay in its own subnet is good', [{ ...lab, relays: ['10.9.0.254'] }, hall], [], []],

    [
      'a MAC of two stations',
      [lab],
      [{ macs: ['52:54:00:00:00:aa'] }, { macs: ['52:54:00:00:00:bb', '52:54:00:00:00:aa'] }],
      ['mac-twice stations/s1'],
    ],
    ['an address of two stations', [lab], [{ address: '10.9.0.7' }, { address: '10.9.0.7' }], ['address-twice stations/s1']],
    ['a station in no network', [lab], [{ address: '10.8.0.7' }], ['station-outside stations/s0']],
    [
      'a station in a network that another server serves',
      [lab, { name: 'b', interface: 'eth2', mode: 'proxy', subnet: '10.8.0.0/24' }],
      [{ address: '10.8.0.7' }],
      ['station-outside stations/s0'],
    ],
    ['a station with our address', [lab], [{ address: '10.9.0.1' }], ['station-own stations/s0']],
    ['a station with a router’s address', [{ ...lab, router: ['10.9.0.254'] }], [{ address: '10.9.0.254' }], ['station-own stations/s0']],
    [
      'a station at either edge',
      [lab],
      [{ address: '10.9.0.0' }, { address: '10.9.0.255' }],
      ['edge-address stations/s0', 'edge-address stations/s1'],
    ],
    ['a station in the pool', [lab], [{ address: '10.9.0.100' }, { address: '10.9.0.99' }], ['?station-in-pool stations/s0']],
  ]
  it.each(rows)('%s', (_, networks, stations, expected) => {
    expect(lint(networks, stations)).toEqual(expected)
  })
})
