// Message type × state → reply or silence, on one network in server mode.
import { describe, expect, it } from 'vitest'
import { createDhcpLab, oneNetwork } from '../support/dhcp-lab.ts'
import { addressHex, type Said, stationMac } from '../support/dhcp-message.ts'
import { createTestSite } from '../support/site.ts'

const server = { serverId: '10.9.0.1' }
const other = '52:54:00:00:00:99'
const rom: Said = { vendorClass: 'PXEClient:Arch:00000:UNDI:002001', archs: [0] }
const everybody = { address: '255.255.255.255', port: 68 }

describe('discover and request', () => {
  it('gives an address, times, mask and router', () => {
    const lab = createDhcpLab()
    const [offer] = lab.say('discover')
    expect(offer).toMatchObject({
      type: 'offer',
      yiaddr: '10.9.0.100',
      ciaddr: '0.0.0.0',
      siaddr: '10.9.0.1',
      file: '',
      ...everybody,
      isDurable: false,
    })
    expect(offer?.options).toEqual({
      53: '02',
      54: '0a090001',
      51: '00000e10',
      58: '00000708',
      59: '00000c4e',
      1: 'ffffff00',
      3: '0a090001',
      28: '0a0900ff',
    })
    const [ack] = lab.say('request', { ...server, requested: '10.9.0.100' })
    expect(ack).toMatchObject({ type: 'ack', yiaddr: '10.9.0.100', ...everybody, isDurable: true })
    expect(ack?.options).toEqual({ ...offer?.options, 53: '05' })
    expect(lab.leases.findMac('10.9.0.100' as never)).toBe(stationMac)
    expect(lab.kinds()).toEqual(['discover', 'offer', 'request', 'ack'])
  })

  it('tells each step with the station, its network and address', () => {
    const lab = createDhcpLab()
    lab.boot({ ...rom, userClass: 'iPXE', others: { 175: Uint8Array.of(0x13, 1, 1) } })
    const at = lab.clock.now
    const base = { at, mac: stationMac, network: 'lab' }
    const url = 'http://10.9.0.1:8080/boot.ipxe'
    expect(lab.events).toEqual([
      { ...base, kind: 'discover', detail: { stage: 'ipxe', arch: 0, vendorClass: rom.vendorClass } },
      { ...base, kind: 'offer', ip: '10.9.0.100', detail: { gets: 'script', url } },
      { ...base, kind: 'request', ip: '10.9.0.100', detail: { form: 'selecting' } },
      { ...base, kind: 'ack', ip: '10.9.0.100', detail: { seconds: 3600 } },
      { ...base, kind: 'script-offered', ip: '10.9.0.100', detail: { url, profile: 'menu' } },
    ])
  })

  it('keeps a lease short, however long the name and the identifier of its client', () => {
    const lab = createDhcpLab()
    lab.boot({ others: { 12: Buffer.alloc(40_000, 'h'), 61: Buffer.alloc(20_000, 1) } })
    const [lease] = lab.leases.list()
    expect([lease?.hostname?.length, lease?.clientId?.length]).toEqual([255, 510])
  })

  it('gives one MAC one address, whatever client identifier it sends', () => {
    const lab = createDhcpLab()
    const ids = [undefined, '01525400123456', 'ff00123456000100013293c066525400123456', '00646863702d636c69656e74']
    const got = ids.map((id) => lab.boot({ ...(id && { others: { 61: Buffer.from(id, 'hex') } }) }).yiaddr)
    expect(got).toEqual(Array(4).fill('10.9.0.100'))
    expect(lab.boot({ mac: other, others: { 61: Buffer.from('01525400123456', 'hex') } }).yiaddr).toBe('10.9.0.101')
  })

  it('gives the address of the record, and its host name when asked', () => {
    const lab = createDhcpLab({ site: createTestSite({ [stationMac]: '10.9.0.7' }) })
    const ack = lab.boot({ asked: [12, 3] })
    expect(ack).toMatchObject({ yiaddr: '10.9.0.7' })
    expect(ack.options[12]).toBe(Buffer.from('station-1').toString('hex'))
    expect(lab.leases.findByMac(stationMac as never)).toMatchObject({ hostname: 'station-1' })
  })

  it('says nothing to a station that is to be ignored', () => {
    const lab = createDhcpLab({ site: { decide: () => ({ kind: 'ignore', why: [] }), reservedFor: () => undefined } })
    expect(lab.say('discover')).toEqual([])
    expect(lab.say('request', { ...server, requested: '10.9.0.100' })).toEqual([])
  })

  it('takes the request after a restart that forgot the offer', async () => {
    const lab = createDhcpLab()
    lab.say('discover')
    const again = await lab.restart()
    expect(again.say('request', { ...server, requested: '10.9.0.100' })[0]).toMatchObject({ type: 'ack', yiaddr: '10.9.0.100' })
  })

  it('leases are back after a restart', async () => {
    const lab = createDhcpLab()
    lab.boot()
    const again = await lab.restart()
    expect(again.leases.list()).toEqual(lab.leases.list())
    expect(again.boot({ mac: other }).yiaddr).toBe('10.9.0.101')
    expect(again.boot().yiaddr).toBe('10.9.0.100')
  })
})

describe('a request for another server', () => {
  it('is met with silence, and frees the offer', () => {
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, pool: ['10.9.0.100'] }] })
    lab.say('discover')
    expect(lab.say('discover', { mac: other })).toEqual([])
    expect(lab.say('request', { serverId: '10.9.0.2', requested: '10.9.0.55' })).toEqual([])
    expect(lab.say('discover', { mac: other })[0]).toMatchObject({ yiaddr: '10.9.0.100' })
    expect(lab.kinds()).not.toContain('request')
  })

  it('does not end a lease', () => {
    const lab = createDhcpLab()
    lab.boot()
    lab.say('request', { serverId: '10.9.0.2', requested: '10.9.0.55' })
    expect(lab.leases.list()).toHaveLength(1)
  })
})

describe('nak', () => {
  it.each<[string, Said]>([
    ['another address than the one offered', { ...server, requested: '10.9.0.150' }],
    ['an address outside our pool', { ...server, requested: '10.9.0.5' }],
    ['a restart with the address of another network', { requested: '192.168.1.5' }],
    ['a restart with an address that another MAC holds', { requested: '10.9.0.199' }],
  ])('%s', (_, said) => {
    const lab = createDhcpLab()
    lab.boot({ mac: other, requested: '10.9.0.199' })
    lab.say('discover')
    const [nak] = lab.say('request', { ...said, others: { 61: Uint8Array.of(1, 2, 3) } })
    expect(nak).toMatchObject({ type: 'nak', yiaddr: '0.0.0.0', siaddr: '0.0.0.0', ciaddr: '0.0.0.0', file: '', ...everybody, isDurable: false })
    expect(Object.keys(nak?.options ?? {}).sort()).toEqual(['53', '54', '56', '61'])
    expect(lab.events.at(-1)).toMatchObject({ kind: 'nak', mac: stationMac, detail: { reason: expect.stringContaining('lab') } })
  })

  it('is broadcast even to a client that has an address', () => {
    const lab = createDhcpLab()
    lab.boot({ mac: other })
    expect(lab.say('request', { ciaddr: '10.9.0.100' }, { network: 'lab' })[0]).toMatchObject({ type: 'nak', ...everybody })
  })
})

describe('renewal', () => {
  it('is answered to the client’s own address', () => {
    const lab = createDhcpLab()
    lab.boot()
    const [ack] = lab.say('request', { ciaddr: '10.9.0.100' }, { network: 'lab' })
    expect(ack).toMatchObject({ type: 'ack', yiaddr: '10.9.0.100', ciaddr: '10.9.0.100', address: '10.9.0.100', port: 68 })
    expect(lab.events.at(-2)).toMatchObject({ kind: 'request', detail: { form: 'renewing' } })
  })

  it('by broadcast too (rebinding)', () => {
    const lab = createDhcpLab()
    lab.boot()
    expect(lab.say('request', { ciaddr: '10.9.0.100' })[0]).toMatchObject({ type: 'ack', address: '10.9.0.100' })
    expect(lab.events.at(-2)).toMatchObject({ kind: 'request', detail: { form: 'rebinding' } })
  })

  it('of a client that we forgot is adopted by unicast, and left to its server by broadcast', () => {
    const lab = createDhcpLab()
    expect(lab.say('request', { ciaddr: '10.9.0.150' })).toEqual([])
    expect(lab.say('request', { ciaddr: '10.9.0.150' }, { network: 'lab' })[0]).toMatchObject({ type: 'ack', yiaddr: '10.9.0.150' })
  })

  it('of an address of no network of ours is met with silence', () => {
    const lab = createDhcpLab()
    expect(lab.say('request', { ciaddr: '192.168.1.5' })).toEqual([])
    expect(lab.say('request', { ciaddr: '192.168.1.5' }, { network: 'lab' })).toEqual([])
  })
})

describe('restart with an address (init-reboot)', () => {
  it('is confirmed when it is the client’s', () => {
    const lab = createDhcpLab()
    lab.boot()
    expect(lab.say('request', { requested: '10.9.0.100' })[0]).toMatchObject({ type: 'ack', yiaddr: '10.9.0.100', ...everybody })
  })
  it('is met with silence when we know nothing of the client', () => {
    expect(createDhcpLab().say('request', { requested: '10.9.0.150' })).toEqual([])
  })
  it('without any address is met with silence', () => expect(createDhcpLab().say('request')).toEqual([]))
})

describe('decline, release, inform', () => {
  it('decline: silence, an event, and another address next time', () => {
    const lab = createDhcpLab()
    lab.boot()
    expect(lab.say('decline', { ...server, requested: '10.9.0.100' })).toEqual([])
    expect(lab.events.at(-1)).toMatchObject({ kind: 'decline', ip: '10.9.0.100', mac: stationMac })
    expect(lab.boot().yiaddr).toBe('10.9.0.101')
  })

  it('release: silence, an event, and the same address next time', () => {
    const lab = createDhcpLab()
    lab.boot()
    expect(lab.say('release', { ...server, ciaddr: '10.9.0.100' }, { network: 'lab' })).toEqual([])
    expect(lab.events.at(-1)).toMatchObject({ kind: 'release', ip: '10.9.0.100' })
    expect(lab.leases.list()).toEqual([])
    expect(lab.boot().yiaddr).toBe('10.9.0.100')
  })

  it.each<['decline' | 'release', Said]>([
    ['decline', { ...server, requested: '10.9.0.100', mac: other }],
    ['decline', { serverId: '10.9.0.2', requested: '10.9.0.100' }],
    ['decline', server],
    ['release', { ...server, ciaddr: '10.9.0.100', mac: other }],
    ['release', { serverId: '10.9.0.2', ciaddr: '10.9.0.100' }],
    ['release', server],
  ])('%s that is not the client’s to say changes nothing', (type, said) => {
    const lab = createDhcpLab()
    lab.boot()
    const before = lab.events.length
    expect(lab.say(type, said)).toEqual([])
    expect(lab.leases.list()).toHaveLength(1)
    expect(lab.events).toHaveLength(before)
  })

  it.each<[string, Said, string]>([
    ['its address', { ciaddr: '10.9.0.33' }, '0.0.0.0'],
    ['no address, but a sender', {}, '10.9.0.33'],
  ])('inform with %s: options without address and times, to the client', (_, said, address) => {
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, dns: ['10.9.0.2'], domain: 'lab.example' }] })
    const [ack] = lab.say('inform', said, { address })
    expect(ack).toMatchObject({ type: 'ack', yiaddr: '0.0.0.0', ciaddr: '10.9.0.33', address: '10.9.0.33', port: 68, isDurable: false })
    expect(Object.keys(ack?.options ?? {})).toEqual(['1', '3', '6', '15', '28', '53', '54'])
    expect(lab.leases.list()).toEqual([])
    expect(lab.events.at(-1)).toMatchObject({ kind: 'inform', ip: '10.9.0.33' })
  })

  it('inform from an address that is not ours is met with silence: we are nobody’s amplifier', () => {
    expect(createDhcpLab().say('inform', { ciaddr: '192.168.1.5' })).toEqual([])
  })
})

describe('a full pool', () => {
  const full = () => {
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, pool: ['10.9.0.100'] }] })
    lab.boot({ mac: other })
    lab.events.length = 0
    return lab
  }
  it('is silence and one loud event, not one for each packet', () => {
    const lab = full()
    for (let count = 0; count < 50; count++) expect(lab.say('discover')).toEqual([])
    expect(lab.events.filter(({ kind }) => kind === 'pool-full')).toEqual([
      expect.objectContaining({ mac: stationMac, network: 'lab', detail: { reason: 'no free address in the pool of lab', more: 0 } }),
    ])
    lab.clock.now += 60_000
    lab.say('discover')
    expect(lab.events.at(-1)).toMatchObject({ kind: 'pool-full', detail: { more: 49 } })
  })
  it('still serves who has an address, and who has one by record', () => {
    const site = createTestSite({ [stationMac]: '10.9.0.7' })
    const lab = createDhcpLab({ networks: [{ ...oneNetwork, pool: ['10.9.0.100'] }], site })
    lab.boot({ mac: other })
    expect([lab.boot({ mac: other }).yiaddr, lab.boot().yiaddr]).toEqual(['10.9.0.100', '10.9.0.7'])
  })
})

describe('what there is to boot', () => {
  const withHttp = { 175: Uint8Array.of(0x13, 1, 1) }
  const url = Buffer.from('http://10.9.0.1:8080/boot.ipxe').toString('hex')
  const efi = 'x86_64-efi/snponly.efi'

  // Requirement A-03: the DHCP matrix.
  it.each<[string, Said, string]>([
    ['BIOS', rom, 'undionly.kpxe'],
    ['ia32 UEFI', { archs: [6] }, 'i386-efi/snponly.efi'],
    ['x64 UEFI', { archs: [7] }, efi],
    ['x64 UEFI that says EBC', { archs: [9] }, efi],
    ['arm64 UEFI', { archs: [11] }, 'arm64-efi/snponly.efi'],
    ['several architectures: the first known', { archs: [0x7fff, 11, 7] }, 'arm64-efi/snponly.efi'],
    ['iPXE without HTTP', { archs: [7], userClass: 'iPXE' }, efi],
    ['iPXE', { archs: [0], userClass: 'iPXE', others: withHttp }, 'http://10.9.0.1:8080/boot.ipxe'],
    ['our own', { archs: [7], userClass: 'bivouac', others: withHttp }, 'http://10.9.0.1:8080/boot.ipxe'],
    ['a system', {}, ''],
  ])('%s', (_, said, file) => {
    const [offer] = createDhcpLab().say('discover', said)
    expect(offer?.file).toBe(file)
    // Requirement A-02: the next server is told to every client of the subnet.
    expect(offer?.siaddr).toBe('10.9.0.1')
    expect(offer?.options[60]).toBeUndefined()
    expect(offer?.options[77]).toBeUndefined()
  })

  it.each([15, 16, 18, 19])('HTTP Boot (%i): the URL in option 67 and the vendor class echoed', (arch) => {
    const [offer] = createDhcpLab().say('discover', { archs: [arch], vendorClass: `HTTPClient:Arch:000${arch}:UNDI:003000` })
    expect(Buffer.from(offer?.options[67] ?? '', 'hex').toString()).toMatch(/^http:\/\/10\.9\.0\.1:8080\/.*efi$/)
    expect(Buffer.from(offer?.options[60] ?? '', 'hex').toString()).toBe('HTTPClient')
    expect(offer?.siaddr).toBe('10.9.0.1')
  })

  it('never sends our own loader the loader again, wherever it came from', () => {
    const lab = createDhcpLab({ site: createTestSite({}, { foreignIpxe: 'loader' }) })
    expect(lab.say('discover', { archs: [7], userClass: 'iPXE', others: withHttp })[0]?.file).toBe(efi)
    expect(lab.say('discover', { archs: [7], userClass: 'bivouac', others: withHttp })[0]?.options[67]).toBe(url)
  })

  it.each<[string, Said, boolean]>([
    ['every iPXE', { archs: [0], userClass: 'iPXE' }, true],
    ['our own', { archs: [0], userClass: 'bivouac' }, true],
    ['no ROM', rom, false],
    ['no system', {}, false],
  ])('%s is spared the wait for proxies (175.176)', (_, said, isSpared) => {
    expect(createDhcpLab().say('discover', said)[0]?.options[175]).toBe(isSpared ? 'b00101' : undefined)
  })

  it('a quirk of the site adds vendor class and discovery control for firmware that boots from nothing less', () => {
    const quirks = [{ name: 'stubborn', when: { oui: '52:54:00' }, offer: 'bypass' as const }]
    const [offer] = createDhcpLab({ site: createTestSite({}, { quirks }) }).say('discover', rom)
    expect(offer).toMatchObject({
      yiaddr: '10.9.0.100',
      file: 'undionly.kpxe',
      options: { 60: Buffer.from('PXEClient').toString('hex'), 43: '060108ff' },
    })
  })

  it('a missing loader is an event, and the station gets an address all the same', () => {
    const lab = createDhcpLab({ site: createTestSite({}, { loaders: false }) })
    expect(lab.say('discover', rom)[0]).toMatchObject({ yiaddr: '10.9.0.100', file: '' })
    expect(lab.events.at(-1)).toMatchObject({ kind: 'no-loader', detail: { reason: expect.stringContaining('undionly.kpxe') } })
  })
})

describe('what is no question', () => {
  it('is told once in a while, with the number left out', () => {
    const lab = createDhcpLab()
    for (let count = 0; count < 100; count++) expect(lab.send(Uint8Array.of(1, 2, 3), { address: '10.9.0.66' })).toEqual([])
    expect(lab.events).toEqual([
      { at: lab.clock.now, kind: 'malformed', detail: { door: 'dhcp', peer: '10.9.0.66', reason: expect.any(String), more: 0 } },
    ])
    lab.clock.now += 1000
    lab.send(Uint8Array.of(1, 2, 3))
    expect(lab.events.at(-1)).toMatchObject({ detail: { more: 99 } })
  })

  it.each<[string, Said]>([
    ['BOOTP, which has no message type', { others: { 53: new Uint8Array(0) } }],
    ['a message type of later RFCs', { others: { 53: Uint8Array.of(13) } }],
    ['a server’s message', { others: { 53: Uint8Array.of(2) } }],
    ['a group address as sender', { mac: '01:00:5e:00:00:01' }],
  ])('%s is met with silence', (_, said) => {
    const lab = createDhcpLab()
    expect(lab.say('discover', said)).toEqual([])
    expect(lab.events.filter(({ kind }) => kind !== 'discover')).toEqual([])
  })
})

describe('beside another server (proxy)', () => {
  const proxy = { name: 'lab', interface: 'eth0', subnet: '10.9.0.0/24', mode: 'proxy' }
  const lab = () => createDhcpLab({ networks: [proxy] })
  const efi: Said = { archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000', others: { 97: new Uint8Array(17) } }
  const pxe = Buffer.from('PXEClient').toString('hex')
  const at4011 = { network: 'lab', isProxyPort: true, address: '10.9.0.58', port: 4011 }

  it('BIOS: the file at once, with discovery control', () => {
    const [offer] = lab().say('discover', rom)
    expect(offer).toMatchObject({ type: 'offer', yiaddr: '0.0.0.0', siaddr: '10.9.0.1', ...everybody, isDurable: false })
    expect(offer?.file).toMatch(/undionly\.kpxe$/)
    expect(offer?.options).toMatchObject({ 54: '0a090001', 60: pxe, 43: '060108ff' })
    expect(offer?.options[51]).toBeUndefined()
    expect(offer?.options[1]).toBeUndefined()
  })

  it('UEFI: "ask on 4011", and the file there, to where the question came from', () => {
    const here = lab()
    const [offer] = here.say('discover', efi)
    expect(offer).toMatchObject({ type: 'offer', yiaddr: '0.0.0.0', siaddr: '10.9.0.1', file: '', options: { 60: pxe, 97: '00'.repeat(17) } })
    expect(offer?.options[43]).toBeUndefined()
    const [ack] = here.say('request', { ...efi, ciaddr: '10.9.0.58' }, at4011)
    expect(ack).toMatchObject({
      type: 'ack',
      yiaddr: '0.0.0.0',
      address: '10.9.0.58',
      port: 4011,
      isFromProxyPort: true,
      options: { 60: pxe, 97: '00'.repeat(17) },
    })
    expect(ack?.file).toMatch(/snponly\.efi$/)
    expect(here.kinds()).toEqual(['discover', 'offer', 'request', 'ack'])
    expect(here.events.at(-1)).toMatchObject({ ip: '10.9.0.58', mac: stationMac })
  })

  it('the boot item of a menu is repeated', () => {
    const asked = { ...efi, others: { 43: Uint8Array.of(71, 4, 0x80, 1, 0, 0, 255) } }
    expect(lab().say('request', asked, at4011)[0]?.options[43]).toBe('470480010000ff')
  })

  it('HTTP Boot: the URL in the offer', () => {
    const [offer] = lab().say('discover', { archs: [16], vendorClass: 'HTTPClient:Arch:00016:UNDI:003000' })
    expect(offer?.options).toMatchObject({ 60: Buffer.from('HTTPClient').toString('hex'), 67: expect.stringMatching(/^687474703a/) })
    expect(offer?.options[43]).toBeUndefined()
  })

  it('iPXE: the script at once', () => {
    const here = lab()
    const [offer] = here.say('discover', { archs: [7], userClass: 'bivouac' })
    expect(offer).toMatchObject({ file: 'http://10.9.0.1:8080/boot.ipxe', siaddr: '10.9.0.1', options: { 43: '060108ff' } })
    expect(offer?.options[175]).toBeUndefined()
    expect(here.kinds()).toEqual(['discover', 'offer', 'script-offered'])
  })

  it('a quirk of the site chooses the form', () => {
    const quirks = [{ name: 'two offers are too many', when: { vendorClass: 'PXEClient:Arch:00007' }, offer: 'complete' as const }]
    const here = createDhcpLab({ networks: [proxy], site: createTestSite({}, { quirks }) })
    const [offer] = here.say('discover', efi)
    expect(offer?.file).toMatch(/snponly\.efi$/)
    expect(offer?.options[43]).toBeUndefined()
  })

  it.each<[string, 'discover' | 'request' | 'inform' | 'release' | 'decline', Said]>([
    ['a system’s discover', 'discover', {}],
    ['a boot client’s request, which is for the other server', 'request', { ...efi, serverId: '10.9.0.2', requested: '10.9.0.58' }],
    ['a renewal', 'request', { ...efi, ciaddr: '10.9.0.58' }],
    ['an inform', 'inform', { ...efi, ciaddr: '10.9.0.58' }],
    ['a release', 'release', { ciaddr: '10.9.0.58' }],
    ['a decline', 'decline', { requested: '10.9.0.58' }],
  ])('%s is met with silence', (_, type, said) => expect(lab().say(type, said)).toEqual([]))

  it('learns the station’s address from the request to the other server', () => {
    const here = lab()
    here.say('request', { ...efi, serverId: '10.9.0.2', requested: '10.9.0.58' })
    expect(here.events).toEqual([expect.objectContaining({ kind: 'request', mac: stationMac, ip: '10.9.0.58', detail: { server: 'another' } })])
  })

  it.each<[string, 'discover' | 'request', Said]>([
    ['a system', 'request', {}],
    ['a discover', 'discover', efi],
  ])('on port 4011 %s is met with silence', (_, type, said) => expect(lab().say(type, said, at4011)).toEqual([]))
})

describe('an answer as the client can take it', () => {
  it('is told to a relay by unicast on the server port, with its option 82 as it came, last', () => {
    const circuit = Buffer.from('010465746830020652540000000a', 'hex')
    const lab = createDhcpLab()
    const [offer] = lab.say('discover', { giaddr: '10.9.0.254', others: { 82: circuit, 61: Uint8Array.of(1, 2) } })
    expect(offer).toMatchObject({ address: '10.9.0.254', port: 67 })
    expect(offer?.packet.giaddr).toBe(0x0a0900fe)
    expect(lab.events.map(({ kind, detail }) => [kind, detail?.relay])).toEqual([
      ['discover', '10.9.0.254'],
      ['offer', '10.9.0.254'],
    ])
    expect([...(offer?.packet.options.keys() ?? [])].slice(-2)).toEqual([61, 82])
    expect(offer?.options[82]).toBe(circuit.toString('hex'))
  })

  it('a nak through a relay asks it to broadcast', () => {
    const [nak] = createDhcpLab().say('request', { giaddr: '10.9.0.254', ...server, requested: '10.9.0.5' })
    expect(nak).toMatchObject({ type: 'nak', address: '10.9.0.254', port: 67 })
    expect(nak?.packet.isBroadcast).toBe(true)
  })

  it('goes to everybody even when the client wants a unicast: it has no address yet', () => {
    expect(createDhcpLab().say('discover', { isBroadcast: false })[0]).toMatchObject(everybody)
  })

  it('the server identifier is the relay’s when it says so (RFC 5107), and its renewals are ours', () => {
    const override = Buffer.from(`0b04${addressHex('10.9.0.254')}`, 'hex')
    const lab = createDhcpLab()
    const [offer] = lab.say('discover', { giaddr: '10.9.0.254', others: { 82: override } })
    expect(offer?.options[54]).toBe(addressHex('10.9.0.254'))
    const [ack] = lab.say('request', { giaddr: '10.9.0.254', serverId: '10.9.0.254', requested: '10.9.0.100', others: { 82: override } })
    expect(ack).toMatchObject({ type: 'ack', yiaddr: '10.9.0.100' })
  })
})
