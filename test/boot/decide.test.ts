import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import type { Arrival, Client, Stage } from '../../src/boot/client.ts'
import { type Decision, decide, loaderMemoryMs, type Surroundings } from '../../src/boot/decide.ts'
import { firmwareByArch, type Quirk } from '../../src/boot/firmware.ts'
import type { Site } from '../../src/boot/record.ts'
import { makeClient, makeRecords, makeSite, makeStation, makeSurroundings } from '../support/core.ts'

const server: Arrival = { network: 'lab', mode: 'server', serverAddress: '10.9.0.1' as Ipv4, httpBase: 'http://10.9.0.1:8080' }
const proxy: Arrival = { ...server, mode: 'proxy' }
const arrivals = { server, proxy }

/** A decision in one line: `loader tftp undionly.kpxe complete`. */
function say(decision: Decision): string {
  if (decision.kind === 'loader') return `loader ${decision.via} ${decision.file} ${decision.offer}`
  return decision.kind
}

const rulesOf = ({ why }: Pick<Decision, 'why'>): string => why.map(({ rule, held }) => (held ? rule : `-${rule}`)).join(' ')

// What each firmware gets when it asks for the first time: beside nobody, and beside another DHCP server.
describe('firmware by architecture (option 93)', () => {
  const rows: [arch: number | 'none', as: string, server: string, proxy: string][] = [
    [0, 'BIOS', 'loader tftp undionly.kpxe complete', 'loader tftp undionly.kpxe bypass'],
    [6, 'UEFI 32-bit', 'loader tftp i386-efi/snponly.efi complete', 'loader tftp i386-efi/snponly.efi ask4011'],
    [7, 'UEFI x86-64', 'loader tftp x86_64-efi/snponly.efi complete', 'loader tftp x86_64-efi/snponly.efi ask4011'],
    [9, 'UEFI x86-64 as EBC', 'loader tftp x86_64-efi/snponly.efi complete', 'loader tftp x86_64-efi/snponly.efi ask4011'],
    [10, 'UEFI ARM 32', 'loader tftp arm32-efi/snponly.efi complete', 'loader tftp arm32-efi/snponly.efi ask4011'],
    [11, 'UEFI ARM 64', 'loader tftp arm64-efi/snponly.efi complete', 'loader tftp arm64-efi/snponly.efi ask4011'],
    [15, 'HTTP UEFI 32-bit', 'loader http i386-efi/snponly.efi complete', 'loader http i386-efi/snponly.efi complete'],
    [16, 'HTTP UEFI x86-64', 'loader http x86_64-efi/snponly.efi complete', 'loader http x86_64-efi/snponly.efi complete'],
    [18, 'HTTP UEFI ARM 32', 'loader http arm32-efi/snponly.efi complete', 'loader http arm32-efi/snponly.efi complete'],
    [19, 'HTTP UEFI ARM 64', 'loader http arm64-efi/snponly.efi complete', 'loader http arm64-efi/snponly.efi complete'],
    [20, 'HTTP BIOS', 'loader http undionly.kpxe complete', 'loader http undionly.kpxe complete'],
    [27, 'UEFI RISC-V 64', 'loader tftp riscv64-efi/snponly.efi complete', 'loader tftp riscv64-efi/snponly.efi ask4011'],
    [39, 'UEFI LoongArch 64', 'loader tftp loong64-efi/snponly.efi complete', 'loader tftp loong64-efi/snponly.efi ask4011'],
    [1, 'NEC PC-98, unknown to us', 'lease', 'ignore'],
    [65535, 'unknown to everybody', 'lease', 'ignore'],
    ['none', 'option 93 absent', 'lease', 'ignore'],
  ]
  it.each(rows)('%s (%s): %s, beside another server %s', (arch, _, alone, beside) => {
    const archs = arch === 'none' ? [] : [arch]
    expect(say(decide(makeClient({ archs, arrival: server }), makeSurroundings()))).toBe(alone)
    expect(say(decide(makeClient({ archs, arrival: proxy }), makeSurroundings()))).toBe(beside)
  })

  it('has a row above or a loader of its own for each firmware of the table', () => {
    for (const [code, { loader }] of firmwareByArch) {
      const decision = decide(makeClient({ archs: [code] }), makeSurroundings())
      expect(decision).toMatchObject({ kind: 'loader', arch: code, file: loader })
    }
  })

  it('takes the first architecture of several that it knows', () => {
    expect(say(decide(makeClient({ archs: [4711, 11, 7] }), makeSurroundings()))).toBe('loader tftp arm64-efi/snponly.efi complete')
  })
})

// Who asks, by how far it has come: the loader once, then the script, never the loader again.
describe('stages', () => {
  type Row = [stage: Stage, http: boolean, foreignIpxe: Site['foreignIpxe'], sinceLoaderMs: number | undefined, expected: string]
  const rows: Row[] = [
    ['firmware', false, 'script', undefined, 'loader'],
    ['firmware', false, 'loader', undefined, 'loader'],
    // A station that is reset right after its loader came: the ROM needs it again.
    ['firmware', false, 'script', 1000, 'loader'],
    ['ipxe', true, 'script', undefined, 'script'],
    ['ipxe', true, 'loader', undefined, 'loader'],
    ['ipxe', false, 'script', undefined, 'loader'],
    ['ipxe', false, 'loader', undefined, 'loader'],
    ['ipxe', true, 'loader', 0, 'script'],
    ['ipxe', false, 'loader', loaderMemoryMs - 1, 'script'],
    ['ipxe', true, 'loader', loaderMemoryMs, 'loader'],
    ['ipxe', true, 'script', loaderMemoryMs, 'script'],
    ['bivouac', true, 'loader', undefined, 'script'],
    ['bivouac', false, 'loader', undefined, 'script'],
    ['bivouac', true, 'script', 1, 'script'],
    ['system', false, 'script', undefined, 'nothing'],
    ['system', true, 'script', 1, 'nothing'],
  ]
  for (const mode of ['server', 'proxy'] as const) {
    it.each(rows)(
      `${mode}: %s, speaks HTTP: %s, foreignIpxe: %s, loader %s ms ago → %s`,
      (stage, speaksHttp, foreignIpxe, sinceLoaderMs, expected) => {
        const client = makeClient({ stage, speaksHttp, arrival: arrivals[mode] })
        const decision = decide(client, makeSurroundings({ site: makeSite({ foreignIpxe }), sinceLoaderMs }))
        expect(decision.kind).toBe(expected === 'nothing' ? (mode === 'server' ? 'lease' : 'ignore') : expected)
        if (decision.kind === 'script') expect(decision.url).toBe('http://10.9.0.1:8080/boot.ipxe')
      },
    )
  }

  it('the script needs neither a known architecture nor a loader', () => {
    const around = makeSurroundings({ hasLoader: () => false })
    expect(decide(makeClient({ stage: 'bivouac', archs: [] }), around).kind).toBe('script')
  })

  it('never offers a loader to our own iPXE, whatever else is so', () => {
    const stage = fc.constantFrom<Stage>('bivouac')
    const client = fc.record({
      stage,
      speaksHttp: fc.boolean(),
      isHttpBoot: fc.boolean(),
      archs: fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 3 }),
      arrival: fc.constantFrom(server, proxy),
    })
    const around = fc.record({
      foreignIpxe: fc.constantFrom<Site['foreignIpxe']>('script', 'loader'),
      sinceLoaderMs: fc.option(fc.nat(), { nil: undefined }),
    })
    fc.assert(
      fc.property(client, around, (more, { foreignIpxe, sinceLoaderMs }) => {
        expect(decide(makeClient(more), makeSurroundings({ site: makeSite({ foreignIpxe }), sinceLoaderMs })).kind).toBe('script')
      }),
    )
  })
})

describe('the address', () => {
  const withAddress = makeRecords({ stations: [makeStation({ address: '10.9.0.7' })], profiles: { default: { kind: 'local' } } })
  const plain = makeRecords({ stations: [makeStation()], profiles: { default: { kind: 'local' } } })
  const rows: [string, Surroundings['records'], Arrival, object][] = [
    ['the record’s', withAddress, server, { from: 'record', ip: '10.9.0.7' }],
    ['one of the pool where the record has none', plain, server, { from: 'pool' }],
    ['one of the pool where there is no record', makeRecords(), server, { from: 'pool' }],
    ['not ours beside another server, whatever the record says', withAddress, proxy, { from: 'elsewhere' }],
  ]
  for (const stage of ['firmware', 'bivouac', 'system'] as const) {
    it.each(rows)(`${stage}: %s`, (_, records, arrival, address) => {
      const decision = decide(makeClient({ stage, arrival }), makeSurroundings({ records }))
      expect(decision.kind === 'ignore' ? { from: 'elsewhere' } : decision.address).toEqual(address)
    })
  }

  it('comes with the station’s name, or the host name that the record gives it', () => {
    const hostnameOf = (more: object) => decide(makeClient(), makeSurroundings({ records: makeRecords({ stations: [makeStation(more)] }) }))
    expect([hostnameOf({}), hostnameOf({ hostname: 'front-door' })].map((decision) => decision.kind !== 'ignore' && decision.hostname)).toEqual([
      'kiosk',
      'front-door',
    ])
    expect(decide(makeClient(), makeSurroundings())).not.toHaveProperty('hostname')
  })
})

describe('the loader', () => {
  it('is named by a path for TFTP and a URL for HTTP; beside another server the path carries the MAC', () => {
    expect(decide(makeClient({ archs: [7] }), makeSurroundings())).toMatchObject({
      path: 'x86_64-efi/snponly.efi',
      url: 'http://10.9.0.1:8080/ipxe/x86_64-efi/snponly.efi',
    })
    expect(decide(makeClient({ archs: [7], arrival: proxy }), makeSurroundings())).toMatchObject({
      path: '52-54-00-00-00-01/x86_64-efi/snponly.efi',
      url: 'http://10.9.0.1:8080/52-54-00-00-00-01/ipxe/x86_64-efi/snponly.efi',
    })
  })

  it('that is not there is a trouble in both modes, and nothing to boot', () => {
    for (const arrival of [server, proxy]) {
      const decision = decide(makeClient({ archs: [11], arrival }), makeSurroundings({ hasLoader: (file) => file === 'undionly.kpxe' }))
      expect(decision).toMatchObject({
        kind: arrival.mode === 'server' ? 'lease' : 'ignore',
        trouble: expect.stringMatching(/^no loader arm64-efi\/snponly\.efi for ARM 64-bit UEFI; put it/),
      })
      expect(rulesOf(decision)).toBe('-station unknown arch -loader')
    }
  })

  it('for an unknown architecture is a trouble that names the number', () => {
    expect(decide(makeClient({ archs: [1, 2] }), makeSurroundings())).toMatchObject({ trouble: 'architecture 1, 2 (option 93) is not known' })
    expect(decide(makeClient({ archs: [] }), makeSurroundings())).toMatchObject({ trouble: 'option 93 is absent' })
  })

  it('of a mere system is no trouble', () => {
    expect(decide(makeClient({ stage: 'system' }), makeSurroundings({ hasLoader: () => false }))).not.toHaveProperty('trouble')
  })

  // quirks and the site's table, client → loader and form of the offer.
  const quirk = (name: string, when: Quirk['when'], more: Partial<Quirk>): Quirk => ({ name, when, ...more })
  const intel = quirk('intel', { oui: '00:1b:21' }, { loader: 'intel.efi' })
  const bios = quirk('bios', { arch: 0 }, { offer: 'ask4011' })
  const maker = quirk('maker', { vendorClass: 'PXEClient:Arch:00007' }, { offer: 'bypass', loader: 'maker.efi' })
  const both = quirk('both', { oui: '00:1b:21', arch: 7 }, { loader: 'both.efi' })
  const rows: [string, Partial<Site>, Partial<Client>, string, string][] = [
    ['the built-in one', {}, { archs: [0] }, 'loader tftp undionly.kpxe complete', 'arch loader'],
    ['the site’s', { loaders: new Map([[0, 'own.kpxe']]) }, { archs: [0] }, 'loader tftp own.kpxe complete', 'arch loader'],
    [
      'the site’s only for its architecture',
      { loaders: new Map([[0, 'own.kpxe']]) },
      { archs: [7] },
      'loader tftp x86_64-efi/snponly.efi complete',
      'arch loader',
    ],
    [
      'a quirk’s by maker',
      { quirks: [intel] },
      { mac: '00:1b:21:00:00:01' as Mac, archs: [7] },
      'loader tftp intel.efi complete',
      'arch quirk loader',
    ],
    ['not a quirk’s of another maker', { quirks: [intel] }, { archs: [7] }, 'loader tftp x86_64-efi/snponly.efi complete', 'arch loader'],
    ['a quirk’s offer with the usual loader', { quirks: [bios] }, { archs: [0] }, 'loader tftp undionly.kpxe ask4011', 'arch quirk loader'],
    [
      'a quirk’s by the beginning of the vendor class',
      { quirks: [maker] },
      { archs: [7], vendorClass: 'PXEClient:Arch:00007:UNDI:003000' },
      'loader tftp maker.efi bypass',
      'arch quirk loader',
    ],
    [
      'not a quirk’s where the vendor class is absent',
      { quirks: [maker] },
      { archs: [7] },
      'loader tftp x86_64-efi/snponly.efi complete',
      'arch loader',
    ],
    [
      'a quirk’s only when all of it holds',
      { quirks: [both] },
      { mac: '00:1b:21:00:00:01' as Mac, archs: [0] },
      'loader tftp undionly.kpxe complete',
      'arch loader',
    ],
    [
      'the first quirk’s that holds',
      { quirks: [both, intel] },
      { mac: '00:1b:21:00:00:01' as Mac, archs: [7] },
      'loader tftp both.efi complete',
      'arch quirk loader',
    ],
    [
      'a quirk’s before the site’s',
      { quirks: [intel], loaders: new Map([[7, 'site.efi']]) },
      { mac: '00:1b:21:00:00:01' as Mac, archs: [7] },
      'loader tftp intel.efi complete',
      'arch quirk loader',
    ],
    [
      'the site’s where the quirk only changes the offer',
      { quirks: [bios], loaders: new Map([[0, 'site.kpxe']]) },
      { archs: [0] },
      'loader tftp site.kpxe ask4011',
      'arch quirk loader',
    ],
  ]
  it.each(rows)('%s', (_, site, client, expected, rules) => {
    const decision = decide(makeClient(client), makeSurroundings({ site: makeSite(site) }))
    expect(say(decision)).toBe(expected)
    expect(rulesOf(decision)).toBe(`-station unknown -script ${rules}`)
  })
})

describe('a profile of kind ignore', () => {
  const records = makeRecords({ stations: [makeStation({ profile: 'ignore' })] })
  it.each(['firmware', 'ipxe', 'bivouac'] as const)('gives %s an address and nothing to boot', (stage) => {
    expect(decide(makeClient({ stage, speaksHttp: true }), makeSurroundings({ records }))).toMatchObject({ kind: 'lease', address: { from: 'pool' } })
    expect(decide(makeClient({ stage, speaksHttp: true, arrival: proxy }), makeSurroundings({ records })).kind).toBe('ignore')
  })

  it('can be what unknown stations get', () => {
    expect(decide(makeClient(), makeSurroundings({ site: makeSite({ unknown: 'ignore' }) })).kind).toBe('lease')
  })
})
