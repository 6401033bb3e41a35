import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { InputError } from '../src/boot/error.ts'
import { type ConfigRequest, isConfigKey, type LoadedConfig, loadConfig } from '../src/config.ts'
import { configKeys } from '../src/config/key.ts'
import { MistakesError } from '../src/store/mistake.ts'
import { makeScratch } from './support/scratch.ts'

async function load(text: string | undefined, more: Partial<ConfigRequest> = {}): Promise<LoadedConfig> {
  const cwd = await makeScratch()
  if (text !== undefined) await writeFile(join(cwd, 'bivouac.yaml'), text)
  return loadConfig({ flags: {}, env: {}, cwd, ...more })
}

/** What is wrong, as `code place`, with the messages. */
async function mistakesOf(text: string, more: Partial<ConfigRequest> = {}): Promise<{ said: string[]; messages: string[] }> {
  try {
    await load(text, more)
  } catch (error) {
    if (!(error instanceof MistakesError)) throw error
    const said = error.mistakes.map(({ code, file, line, path }) => `${code} ${[file, line].filter(Boolean).join(':')}${path ? ` ${path}` : ''}`)
    return { said, messages: error.mistakes.map(({ message }) => message) }
  }
  return { said: [], messages: [] }
}

const lab = `networks:
  - name: lab
    interface: eth1
    subnet: 10.9.0.0/24
    serverAddress: 10.9.0.1
    pool: [10.9.0.100-10.9.0.200]
`

describe('loadConfig', () => {
  it('has a default for everything', async () => {
    const cwd = await makeScratch()
    const { config, file, lints } = loadConfig({ flags: {}, env: {}, cwd })
    expect(config).toEqual({
      depot: join(cwd, 'depot'),
      state: join(cwd, 'state'),
      http: { address: '0.0.0.0', port: 8080 },
      tftp: { enabled: true, address: '0.0.0.0', port: 6969, blksizeMax: 1468, windowsizeMax: 64, sessionsMax: 4096, sessionsPerAddressMax: 32 },
      power: { adapters: [] },
      pilot: { address: '0.0.0.0', needsToken: false, showsSecrets: false },
      packages: { address: '0.0.0.0', root: join(cwd, 'depot/apk') },
      mirror: { indexMinutes: 10, maxGigabytes: 50, sync: [] },
      overlays: { archive: 'last', access: 'open', report: true, keep: 20, saveMegabytes: 64 },
      dhcp: { sync: true },
      dnsmasq: { hosts: [], dhcphosts: [], engine: false, program: 'dnsmasq', servers: [] },
      cacheMegabytes: 128,
      loaderScript: 'site',
      networks: [],
      site: { defaultProfile: 'alpine', unknown: 'wait', withoutOverlay: 'wait', foreignIpxe: 'script', loaders: new Map(), quirks: [] },
    })
    expect([file, lints]).toEqual([undefined, []])
  })

  it('takes an empty file, and one of comments, for defaults', async () => {
    expect((await load('')).config.http.port).toBe(8080)
    expect((await load('# later\n')).config.http.port).toBe(8080)
    expect((await load('http:\n')).config.http.port).toBe(8080)
  })

  it('puts TFTP on port 69 where networks are declared, unless a port is said', async () => {
    expect((await load(lab)).config.tftp.port).toBe(69)
    expect((await load(`${lab}tftp: {port: 1069}\n`)).config.tftp.port).toBe(1069)
  })

  it('makes loaders and quirks into what decide reads', async () => {
    const { config } = await load(`
loaders:
  0: lpxelinux.0
  x86-64-uefi: own/snponly.efi
  "ARM 64-bit UEFI": arm.efi
quirks:
  - name: old-intel
    when: {oui: 00-1B-21, arch: x86-bios}
    offer: complete
  - name: http-7
    when: {vendorClass: HTTPClient, arch: 16}
    loader: x86_64-efi/ipxe.efi
`)
    expect([...config.site.loaders]).toEqual([
      [0, 'lpxelinux.0'],
      [7, 'own/snponly.efi'],
      [11, 'arm.efi'],
    ])
    expect(config.site.quirks).toEqual([
      { name: 'old-intel', when: { oui: '00:1b:21', arch: 0 }, offer: 'complete' },
      { name: 'http-7', when: { vendorClass: 'HTTPClient', arch: 16 }, loader: 'x86_64-efi/ipxe.efi' },
    ])
  })

  it('reads the file that is named, by flag before environment, and its folders from where it lies', async () => {
    const cwd = await makeScratch()
    await mkdir(join(cwd, 'etc'))
    await writeFile(join(cwd, 'etc/a.yaml'), 'depot: srv\nstate: /var/lib/bivouac\n')
    await writeFile(join(cwd, 'etc/b.yaml'), 'cacheMegabytes: 1\n')
    await writeFile(join(cwd, 'bivouac.yaml'), 'cacheMegabytes: 2\n')
    const load = (more: Partial<ConfigRequest>) => loadConfig({ flags: {}, env: {}, cwd, ...more })
    expect(load({ file: 'etc/a.yaml' }).config).toMatchObject({ depot: join(cwd, 'etc/srv'), state: '/var/lib/bivouac', cacheMegabytes: 128 })
    expect(load({ file: 'etc/a.yaml', env: { BIVOUAC_CONFIG: 'etc/b.yaml' } }).file).toBe('etc/a.yaml')
    expect(load({ env: { BIVOUAC_CONFIG: 'etc/b.yaml' } }).config.cacheMegabytes).toBe(1)
    expect(load({}).config.cacheMegabytes).toBe(2)
    expect(load({ file: 'etc/a.yaml', flags: { depot: 'here' } }).config.depot).toBe(join(cwd, 'here'))
    expect(load({ file: 'etc/a.yaml', env: { BIVOUAC_STATE: 'here' } }).config.state).toBe(join(cwd, 'here'))
  })

  it('says when the named file is not there', async () => {
    await expect(load(undefined, { file: 'lab.yaml' })).rejects.toThrow(new InputError('config-file', 'there is no such file', { file: 'lab.yaml' }))
    await expect(load(undefined, { env: { BIVOUAC_CONFIG: '.' } })).rejects.toMatchObject({ code: 'config-file' })
  })
})

describe('flags and environment', () => {
  it('win over the file, flags over the environment', async () => {
    const text = 'http: {port: 1, address: 127.0.0.1}\ncacheMegabytes: 3\n'
    const { config, values } = await load(text, {
      env: { BIVOUAC_HTTP_PORT: '2', BIVOUAC_CACHE_MEGABYTES: '4', PATH: 'x' },
      flags: { 'http.port': '5' },
    })
    expect([config.http, config.cacheMegabytes]).toEqual([{ address: '127.0.0.1', port: 5 }, 4])
    const sources = Object.fromEntries(values.map(({ key, value, source }) => [key, `${JSON.stringify(value)} ${source}`]))
    expect(sources).toMatchObject({
      'http.port': '5 flag --http.port',
      'http.address': '"127.0.0.1" bivouac.yaml:1',
      cacheMegabytes: '4 environment BIVOUAC_CACHE_MEGABYTES',
      'tftp.port': '6969 default',
      default: '"alpine" default',
      networks: '[] default',
    })
    expect(values.map(({ key }) => key)).toEqual(configKeys.map(({ name }) => name))
  })

  const samples: Record<string, [string, unknown]> = {
    depot: ['/srv/depot', '/srv/depot'],
    state: ['/srv/state', '/srv/state'],
    'http.address': ['10.9.0.1', '10.9.0.1'],
    'http.port': ['81', 81],
    'http.url': ['http://boot.lab:81', 'http://boot.lab:81'],
    'tftp.enabled': ['false', false],
    'tftp.address': ['::', '::'],
    'tftp.port': ['1069', 1069],
    'tftp.blksizeMax': ['1024', 1024],
    'tftp.windowsizeMax': ['8', 8],
    'tftp.sessionsMax': ['10', 10],
    'tftp.sessionsPerAddressMax': ['2', 2],
    'dhcp.sync': ['false', false],
    cacheMegabytes: ['0', 0],
    networks: [
      `[{name: lab, interface: eth1, subnet: 10.9.0.0/24, pool: [10.9.0.9]}]`,
      [{ name: 'lab', interface: 'eth1', subnet: '10.9.0.0/24', pool: ['10.9.0.9'] }],
    ],
    default: ['123', '123'],
    unknown: ['menu', 'menu'],
    withoutOverlay: ['local', 'local'],
    foreignIpxe: ['loader', 'loader'],
    loaderScript: ['station', 'station'],
    loaders: ['{0: a.kpxe}', { 0: 'a.kpxe' }],
    'power.adapters': ['[{name: plug, on: {cmd: plug on}}]', [{ name: 'plug', on: { cmd: 'plug on' } }]],
    'pilot.file': ['/etc/pxe-pilot/pxe-pilot.yml', '/etc/pxe-pilot/pxe-pilot.yml'],
    'pilot.address': ['127.0.0.1', '127.0.0.1'],
    'pilot.port': ['3479', 3479],
    'pilot.needsToken': ['true', true],
    'pilot.showsSecrets': ['true', true],
    'packages.port': ['8081', 8081],
    'packages.address': ['10.9.0.2', '10.9.0.2'],
    'packages.root': ['/srv/apk', '/srv/apk'],
    'packages.url': ['http://10.9.0.2/alpine', 'http://10.9.0.2/alpine'],
    'mirror.upstream': ['https://mirror.lab.example/alpine', 'https://mirror.lab.example/alpine'],
    'mirror.proxy': ['http://10.9.0.3:3128', 'http://10.9.0.3:3128'],
    'mirror.credentials': ['/etc/bivouac/upstream', '/etc/bivouac/upstream'],
    'mirror.indexMinutes': ['30', 30],
    'mirror.maxGigabytes': ['0.5', 0.5],
    'mirror.sync': ['[{name: kiosks, branch: v3.22, packages: stations}]', [{ name: 'kiosks', branch: 'v3.22', packages: 'stations' }]],
    'dnsmasq.hosts': ['[/etc/hosts.lab]', ['/etc/hosts.lab']],
    'dnsmasq.dhcphosts': ['[/etc/dhcphosts, /etc/dhcphosts.d]', ['/etc/dhcphosts', '/etc/dhcphosts.d']],
    'dnsmasq.engine': ['true', true],
    'dnsmasq.program': ['/opt/dnsmasq', '/opt/dnsmasq'],
    'dnsmasq.servers': ['[9.9.9.9]', ['9.9.9.9']],
    'overlays.archive': ['first', 'first'],
    'overlays.access': ['ticket', 'ticket'],
    'overlays.report': ['false', false],
    'overlays.keep': ['5', 5],
    'overlays.saveMegabytes': ['8', 8],
    quirks: ['[{name: q, when: {arch: 0}, offer: complete}]', [{ name: 'q', when: { arch: 0 }, offer: 'complete' }]],
  }
  it.each(configKeys.map((key) => [key.name, key] as const))('can set %s', async (name, key) => {
    const [text, value] = samples[name] ?? ['no sample', undefined]
    const inForce = (loaded: LoadedConfig) => loaded.values.find((one) => one.key === name)
    expect(inForce(await load('', { flags: { [name]: text } }))).toEqual({ key: name, value, source: `flag --${name}` })
    expect(inForce(await load('', { env: { [key.variable]: text } }))).toEqual({ key: name, value, source: `environment ${key.variable}` })
    expect(isConfigKey(name)).toBe(true)
  })

  it('names every key once, in every form', () => {
    expect(new Set(configKeys.map(({ variable }) => variable)).size).toBe(configKeys.length)
    expect(configKeys.find(({ name }) => name === 'tftp.sessionsPerAddressMax')).toMatchObject({
      flag: '--tftp.sessionsPerAddressMax',
      variable: 'BIVOUAC_TFTP_SESSIONS_PER_ADDRESS_MAX',
    })
    expect(['http', 'http.ports', '', '__proto__', 'constructor'].filter(isConfigKey)).toEqual([])
  })

  const rows: [string, Partial<ConfigRequest>, string, RegExp][] = [
    ['a flag of the wrong type', { flags: { 'http.port': 'many' } }, 'wrong-type --http.port', /^must be a number, not "many"$/],
    ['an empty flag', { flags: { 'http.port': '' } }, 'wrong-type --http.port', /not nothing/],
    ['a variable out of range', { env: { BIVOUAC_HTTP_PORT: '99999' } }, 'out-of-range BIVOUAC_HTTP_PORT', /at most 65535/],
    ['a variable that is not allowed', { env: { BIVOUAC_FOREIGN_IPXE: 'scrip' } }, 'not-allowed BIVOUAC_FOREIGN_IPXE', /did you mean script\?/],
    ['a flag that no key has', { flags: { 'http.prot': '1' } }, 'unknown-flag --http.prot', /did you mean --http.port\?/],
    ['a list that is no YAML', { flags: { networks: '[{' } }, 'yaml --networks:1', /not valid YAML/],
    [
      'something deep in a flag',
      { flags: { networks: '[{name: lab, subnet: 10.9.0.0/33}]' } },
      'bad-value --networks networks[0].subnet',
      /10\.9\.0\.0\/33/,
    ],
  ]
  it.each(rows)('refuses %s, and says which', async (_, more, said, message) => {
    const found = await mistakesOf('', more)
    expect(found.said).toEqual([said])
    expect(found.messages[0]).toMatch(message)
  })

  it('only warns of a variable that it does not know', async () => {
    const { lints } = await load('', { env: { BIVOUAC_HTTP_PROT: '1', BIVOUAC_SERVICE_HOST: 'x', BIVOUAC_TOKEN: 'bvc_x', BIVOUAC_NODE: 'x' } })
    expect(lints.map(({ code, severity, file, message }) => [code, severity, file, /did you mean BIVOUAC_HTTP_PORT/.test(message)])).toEqual([
      ['unknown-variable', 'warning', 'BIVOUAC_HTTP_PROT', true],
      ['unknown-variable', 'warning', 'BIVOUAC_SERVICE_HOST', false],
    ])
  })
})

describe('a wrong value', () => {
  const rows: [string, string, string, RegExp][] = [
    ['no YAML', 'http: [', 'yaml bivouac.yaml:1', /not valid YAML/],
    ['a key twice', 'depot: a\nhttp: {}\ndepot: b\n', 'key-twice bivouac.yaml:3', /unique/],
    ['a list for the whole', '- depot: a\n', 'wrong-type bivouac.yaml:1', /must be a block of keys, not a list/],
    ['an unknown key', 'depot: a\nhtpp: {}\n', 'unknown-key bivouac.yaml:2 htpp', /did you mean "http"\? \(allowed: depot, state, http/],
    ['an unknown key below', 'http:\n  prot: 1\n', 'unknown-key bivouac.yaml:2 http.prot', /did you mean "port"\? \(allowed: address, port, url\)/],
    ['an unknown key of a network', `${lab}    lease: 60\n`, 'unknown-key bivouac.yaml:7 networks[0].lease', /allowed: name, interface, mode/],
    ['text for a number', 'cacheMegabytes: lots\n', 'wrong-type bivouac.yaml:1 cacheMegabytes', /must be a number/],
    ['a fraction', 'cacheMegabytes: 1.5\n', 'wrong-type bivouac.yaml:1 cacheMegabytes', /whole number/],
    ['a port that is none', 'http:\n  port: 80800\n', 'out-of-range bivouac.yaml:2 http.port', /at most 65535, not 80800/],
    ['a small block size', 'tftp: {blksizeMax: 8}\n', 'out-of-range bivouac.yaml:1 tftp.blksizeMax', /at least 512/],
    ['an address that is none', 'http:\n  address: everywhere\n', 'bad-value bivouac.yaml:2 http.address', /0\.0\.0\.0 for all/],
    ['a URL with a slash at the end', 'http:\n  url: http://10.9.0.1:8080/\n', 'bad-value bivouac.yaml:2 http.url', /no slash at the end/],
    ['a URL without http', 'http:\n  url: 10.9.0.1\n', 'bad-value bivouac.yaml:2 http.url', /http:\/\/ or https:\/\//],
    ['a URL with a wild port', 'http:\n  url: http://10.9.0.1:99999\n', 'bad-value bivouac.yaml:2 http.url', /up to 65535/],
    ['a word that is not allowed', 'foreignIpxe: chain\n', 'not-allowed bivouac.yaml:1 foreignIpxe', /allowed: script, loader/],
    ['a yes', 'dhcp:\n  sync: yes\n', 'wrong-type bivouac.yaml:2 dhcp.sync', /true or false, not "yes"/],
    ['a profile name with a slash', 'unknown: a/b\n', 'bad-value bivouac.yaml:1 unknown', /a name is letters/],
    [
      'a subnet with host bits',
      lab.replace('10.9.0.0/24', '10.9.0.5/24'),
      'bad-value bivouac.yaml:4 networks[0].subnet',
      /the subnet is 10\.9\.0\.0\/24/,
    ],
    ['a range backwards', lab.replace('100-10.9.0.200', '100-10.9.0.9'), 'bad-value bivouac.yaml:6 networks[0].pool[0]', /is not a range/],
    ['a network without subnet', 'networks:\n  - name: lab\n', 'missing-key bivouac.yaml:2 networks[0].subnet', /is missing; it is text/],
    ['a mode that is none', `${lab}    mode: proxi\n`, 'not-allowed bivouac.yaml:7 networks[0].mode', /did you mean proxy\?/],
    ['a short lease', `${lab}    leaseSeconds: 60\n`, 'out-of-range bivouac.yaml:7 networks[0].leaseSeconds', /at least 120/],
    ['an option code that is none', `${lab}    options: {300: "00"}\n`, 'bad-key bivouac.yaml:7 networks[0].options.300', /1 to 254/],
    ['an option that is no hex', `${lab}    options: {42: time}\n`, 'bad-value bivouac.yaml:7 networks[0].options.42', /bytes in hex/],
    ['a loader for nobody', 'loaders: {bios: a.kpxe}\n', 'loader-arch bivouac.yaml:1 loaders.bios', /0 \(x86-bios\), 6 \(x86-uefi\)/],
    ['two loaders for one', 'loaders:\n  0: a.kpxe\n  x86-bios: b.kpxe\n', 'loader-twice bivouac.yaml:3 loaders.x86-bios', /has a loader already/],
    ['a loader out of the depot', 'loaders: {0: ../a.kpxe}\n', 'bad-value bivouac.yaml:1 loaders.0', /below the depot/],
    [
      'a quirk for all',
      'quirks: [{name: a, when: {}, offer: complete}]\n',
      'quirk-when bivouac.yaml:1 quirks[0].when',
      /at least one of oui, vendorClass, arch/,
    ],
    ['a quirk for nothing', 'quirks: [{name: a, when: {arch: 0}}]\n', 'quirk-idle bivouac.yaml:1 quirks[0]', /give it offer or loader/],
    [
      'a quirk of an unknown firmware',
      'quirks: [{name: a, when: {arch: z80}, offer: complete}]\n',
      'quirk-arch bivouac.yaml:1 quirks[0].when.arch',
      /"z80" is no firmware/,
    ],
    [
      'a quirk by half a maker',
      'quirks: [{name: a, when: {oui: "52:54"}, offer: complete}]\n',
      'bad-value bivouac.yaml:1 quirks[0].when.oui',
      /first three bytes/,
    ],
    [
      'a quirk with a bad offer',
      'quirks: [{name: a, when: {arch: 0}, offer: full}]\n',
      'not-allowed bivouac.yaml:1 quirks[0].offer',
      /complete, bypass, ask4011/,
    ],
    ['a placeholder in brackets', 'http:\n  url: "http://[serveur_http]"\n', 'placeholder bivouac.yaml:2 http.url', /\[serveur_http\]/],
    ['a placeholder that YAML takes for a list', 'depot: [serveur_nfs]\n', 'placeholder bivouac.yaml:1 depot', /\[serveur_nfs\]/],
    ['a placeholder host', 'http:\n  url: http://some.where.org\n', 'placeholder bivouac.yaml:2 http.url', /some\.where\.org/],
    ['a placeholder address', 'tftp:\n  address: replace_with_ip\n', 'placeholder bivouac.yaml:2 tftp.address', /replace_with_ip/],
  ]
  it.each(rows)('%s', async (_, text, said, message) => {
    const found = await mistakesOf(text)
    expect(found.said).toEqual([said])
    expect(found.messages[0]).toMatch(message)
  })

  it('is told together with all others, in the order of the lines', async () => {
    const text = 'htpp: 1\nhttp:\n  port: x\nnetworks:\n  - name: lab\n    mode: x\n    subnet: 1.2.3.4\nunknown: a/b\n'
    expect((await mistakesOf(text)).said).toEqual([
      'unknown-key bivouac.yaml:1 htpp',
      'wrong-type bivouac.yaml:3 http.port',
      'not-allowed bivouac.yaml:6 networks[0].mode',
      'bad-value bivouac.yaml:7 networks[0].subnet',
      'bad-value bivouac.yaml:8 unknown',
    ])
    await expect(load(text)).rejects.toThrow(/^bivouac\.yaml: 5 mistakes\n {2}bivouac\.yaml:1: htpp: there is no key/)
  })
})

// H-14: right one by one, wrong together. Each has its own code.
describe('wrong logic', () => {
  const errors: [string, string, string, RegExp][] = [
    ['outside-subnet', lab.replace('serverAddress: 10.9.0.1', 'serverAddress: 10.8.0.1'), '5 networks[0].serverAddress', /10\.8\.0\.1 is outside/],
    ['outside-subnet', lab.replace('.200', '.200, 10.9.1.5'), '6 networks[0].pool[1]', /10\.9\.1\.5 is outside/],
    ['outside-subnet', `${lab}    router: [10.9.1.1]\n`, '7 networks[0].router[0]', /outside/],
    ['edge-address', lab.replace('.200', '.255'), '6 networks[0].pool[0]', /10\.9\.0\.255 is the subnet's network or broadcast/],
    ['pool-holds-own', lab.replace('10.9.0.100-', '10.9.0.1-'), '6 networks[0].pool[0]', /holds 10\.9\.0\.1, which is the server's/],
    ['pool-holds-own', `${lab}    router: [10.9.0.150]\n`, '6 networks[0].pool[0]', /holds 10\.9\.0\.150/],
    ['pool-overlap', lab.replace('.200', '.200, 10.9.0.180-10.9.0.220'), '6 networks[0].pool[1]', /overlaps 10\.9\.0\.100-10\.9\.0\.200/],
    ['proxy-pool', `${lab}    mode: proxy\n`, '6 networks[0].pool', /a proxy gives no addresses/],
    ['proxy-interface', 'networks:\n  - {name: a, mode: proxy, subnet: 10.9.0.0/24}\n', '2 networks[0].interface', /needs the interface/],
    ['no-server-address', 'networks:\n  - {name: a, subnet: 10.9.0.0/24, pool: [10.9.0.5]}\n', '2 networks[0].serverAddress', /needs serverAddress/],
    ['name-twice', `${lab}  - {name: lab, interface: eth2, subnet: 10.8.0.0/24, pool: [10.8.0.9]}\n`, '7 networks[1].name', /two networks named lab/],
    [
      'subnet-overlap',
      `${lab}  - {name: hall, interface: eth2, subnet: 10.9.0.128/25, pool: [10.9.0.250]}\n`,
      '7 networks[1].subnet',
      /overlaps the subnet of network lab/,
    ],
    ['interface-mode', `${lab}  - {name: hall, interface: eth1, mode: proxy, subnet: 10.8.0.0/24}\n`, '7 networks[1].mode', /one wire, one mode/],
    [
      'relay-twice',
      `${lab}  - {name: far, serverAddress: 10.9.0.1, subnet: 10.8.0.0/24, pool: [10.8.0.9], relays: [10.9.0.7]}\n`,
      '7 networks[1].relays[0]',
      /already stands for network lab/,
    ],
    ['option-owned', `${lab}    options: {54: "0a090001"}\n`, '7 networks[0].options.54', /option 54 is made by the DHCP server itself/],
    ['http-url-unreachable', 'http: {url: "http://0.0.0.0:8080"}\n', '1 http.url', /no address that a station can reach/],
    ['http-url-loopback', `${lab}http: {url: "http://localhost:8080"}\n`, '7 http.url', /each station's own address/],
    ['http-loopback', `${lab}http: {address: 127.0.0.1}\n`, '7 http.address', /stations cannot reach 127\.0\.0\.1/],
    ['tftp-loopback', `${lab}tftp: {address: 127.0.0.1}\n`, '7 tftp.address', /stations cannot reach/],
    ['port-twice', `${lab}tftp: {port: 4011}\n`, '7 tftp.port', /4011 is a port of DHCP/],
    ['depot-root', 'depot: /\n', '1 depot', /served to everybody/],
    ['state-in-depot', 'depot: .\nstate: ./state\n', '2 state', /the state lies in the depot/],
    ['depot-in-state', 'state: /srv\ndepot: /srv/depot\n', '2 depot', /lies in the state folder/],
    [
      'quirk-twice',
      'quirks:\n  - {name: a, when: {arch: 0}, offer: complete}\n  - {name: a, when: {arch: 7}, offer: complete}\n',
      '3 quirks[1].name',
      /two quirks named a/,
    ],
  ]
  it.each(errors)('%s', async (code, text, where, message) => {
    const found = await mistakesOf(text)
    expect(found.said).toEqual([`${code} bivouac.yaml:${where}`])
    expect(found.messages[0]).toMatch(message)
  })

  const warnings: [string, string, string, RegExp][] = [
    ['no-pool', lab.replace(/ {4}pool.*\n/, ''), '2 networks[0].pool', /only stations with an address of their own/],
    ['tftp-port', `${lab}tftp: {port: 6969}\n`, '7 tftp.port', /port 69 only/],
    ['tftp-off', `${lab}tftp:\n  enabled: false\n`, '8 tftp.enabled', /only HTTP boot works/],
    ['blksize-over-mtu', `${lab}tftp:\n  blksizeMax: 8192\n`, '8 tftp.blksizeMax', /does not fit an Ethernet frame/],
    ['http-url-tls', 'http: {url: "https://boot.lab"}\n', '1 http.url', /no certificate/],
    [
      'quirk-hidden',
      'quirks:\n  - {name: a, when: {arch: 0}, offer: complete}\n  - {name: b, when: {arch: 0, oui: "525400"}, offer: bypass}\n',
      '3 quirks[1].when',
      /quirk a before it/,
    ],
  ]
  it.each(warnings)('%s is a warning', async (code, text, where, message) => {
    const { lints } = await load(text)
    expect(lints.map((lint) => `${lint.severity} ${lint.code} ${lint.file}:${lint.line} ${lint.path}`)).toEqual([
      `warning ${code} bivouac.yaml:${where}`,
    ])
    expect(lints[0]?.message).toMatch(message)
  })

  it('has at least 25 codes of its own', () => {
    expect(new Set([...errors, ...warnings].map(([code]) => code)).size).toBeGreaterThanOrEqual(25)
  })

  it('finds nothing in a right one', async () => {
    const { lints } = await load(`${lab}http: {url: "http://10.9.0.1:8080"}\n`)
    expect(lints).toEqual([])
  })
})
