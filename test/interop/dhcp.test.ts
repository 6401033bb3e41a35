// Our DHCP server and clients that we did not write: udhcpc, dhclient, dhcpcd, the npm package dhcp, behind a relay, on VLANs, beside dnsmasq.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import type { DhcpProgram } from '../support/dhcp-server.ts'
import { createLab, knowsVlans, type Lab, type Running } from '../support/netns.ts'
import { describeWith } from '../support/tool.ts'

const support = resolve(import.meta.dirname, '../support')
const folder = mkdtempSync(join(tmpdir(), 'bivouac-dhcp-'))
afterAll(() => rmSync(folder, { recursive: true }))
const inFolder = (name: string) => join(folder, name)

// What udhcpc calls: it takes the address, as a station does.
const script = inFolder('udhcpc.sh')
writeFileSync(
  script,
  '#!/bin/sh\ncase $1 in bound|renew) ip address replace $ip/$mask dev $interface; [ -z "$router" ] || ip route replace default via $router;;' +
    ' deconfig) ip address flush dev $interface;; esac\n',
  { mode: 0o755 },
)

const nodeProgram = (name: string, ...words: string[]) => [process.execPath, join(support, name), ...words]

const serve = async (lab: Lab, namespace: string, program: DhcpProgram): Promise<Running> => {
  const server = lab.spawn(namespace, nodeProgram('dhcp-server.ts', JSON.stringify(program)))
  await server.waitFor(/"listening"/)
  return server
}
const eventsOf = (server: Running): BootEvent[] =>
  server
    .output()
    .split('\n')
    .filter((line) => line.includes('"kind"'))
    .map((line) => JSON.parse(line))
const kindsOf = (server: Running) => eventsOf(server).map(({ kind }) => kind)

/** One exchange by each client; answers the address, or undefined when there was none. */
const clients: Record<string, (lab: Lab, namespace: string) => Promise<string | undefined>> = {
  udhcpc: (lab, at) => udhcpc(lab, at),
  'udhcpc without client identifier': (lab, at) => udhcpc(lab, at, '-C'),
  'udhcpc with another client identifier': (lab, at) => udhcpc(lab, at, '-C', '-x', '0x3d:00646863702d636c69656e74'),
  'udhcpc that wants broadcasts': (lab, at) => udhcpc(lab, at, '-B'),
  dhclient: async (lab, at) => {
    const files = ['-lf', inFolder(`${at}.leases`), '-pf', inFolder(`${at}.pid`)]
    writeFileSync(files[1] as string, '')
    const { stderr } = await lab.run(at, ['dhclient', '-4', '-1', '-v', '-sf', '/bin/true', ...files, 'eth0'])
    await lab.run(at, ['dhclient', '-x', ...files, 'eth0'])
    return /bound to (\S+)/.exec(stderr)?.[1]
  },
  'dhcpcd with a DUID': async (lab, at) => {
    // Its own folders are hidden under empty ones, so that nothing of this machine is read or changed.
    const hide = 'mkdir -p /run/dhcpcd && mount -t tmpfs none /run/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd'
    const command = `${hide} && exec dhcpcd -4 -1 -B -d -A --noipv4ll --script /bin/true -t 20 eth0`
    const { stderr } = await lab.run(at, ['sh', '-c', command])
    lab.ip(at, 'address', 'flush', 'dev', 'eth0')
    return /leased (\S+) for/.exec(stderr)?.[1]
  },
  'npm dhcp': async (lab, at) => {
    const mac = /ether (\S+)/.exec(lab.ip(at, 'link', 'show', 'eth0'))?.[1] as string
    // It broadcasts from a socket that is bound to nothing: only a route tells the kernel where to.
    lab.ip(at, 'route', 'add', '255.255.255.255', 'dev', 'eth0')
    const { stdout } = await lab.run(at, nodeProgram('npm-dhcp-client.ts', mac), { timeoutMs: 20_000 })
    lab.ip(at, 'route', 'del', '255.255.255.255', 'dev', 'eth0')
    return /"address":"([^"]+)"/.exec(stdout)?.[1]
  },
}

async function udhcpc(lab: Lab, namespace: string, ...words: string[]): Promise<string | undefined> {
  const { stderr } = await lab.run(namespace, [
    'busybox',
    'udhcpc',
    '-f',
    '-n',
    '-q',
    '-t',
    '3',
    '-T',
    '1',
    '-i',
    'eth0',
    '-s',
    '/bin/true',
    ...words,
  ])
  return /lease of (\S+) obtained/.exec(stderr)?.[1]
}

/** udhcpc that stays and renews, with the address on its interface. */
const stay = (lab: Lab, namespace: string, ...words: string[]) =>
  lab.spawn(namespace, ['busybox', 'udhcpc', '-f', '-R', '-t', '3', '-T', '1', '-A', '1', '-i', 'eth0', '-s', script, ...words])

describeWith(['root', 'ip', 'busybox', 'dhclient', 'dhcpcd'], 'one wire', () => {
  const lab = createLab('wire-')
  const [at, anna, bert] = [lab.namespace('server'), lab.namespace('anna'), lab.namespace('bert')]
  const network = { interface: 'br0', subnet: '10.9.0.0/24', pool: ['10.9.0.100-10.9.0.109'], router: ['10.9.0.1'], dns: ['10.9.0.1'] }
  let server: Running

  beforeAll(() => {
    lab.bridge(at, 'br0', [], '10.9.0.1/24')
    for (const [port, [namespace, mac]] of Object.entries({ p1: [anna, '52:54:00:00:00:01'], p2: [bert, '52:54:00:00:00:02'] } as const)) {
      lab.veth({ namespace: at, name: port }, { namespace, name: 'eth0', mac })
      lab.ip(at, 'link', 'set', port, 'master', 'br0')
    }
  })
  afterEach(() => server.stop())
  afterAll(lab.close)

  it('every client gets an address: the same one for the same MAC, and again after a restart', async () => {
    const leasesFile = inFolder('wire.json')
    server = await serve(lab, at, { networks: [network], leasesFile })
    expect(await udhcpc(lab, bert)).toBe('10.9.0.100')
    const got: Record<string, string | undefined> = {}
    for (const [name, ask] of Object.entries(clients)) got[name] = await ask(lab, anna)
    expect(got).toEqual(Object.fromEntries(Object.keys(clients).map((name) => [name, '10.9.0.101'])))
    expect(kindsOf(server)).not.toContain('nak')
    await server.stop()

    server = await serve(lab, at, { networks: [network], leasesFile })
    expect([await udhcpc(lab, anna), await udhcpc(lab, bert)]).toEqual(['10.9.0.101', '10.9.0.100'])
  })

  it('a station has the address of its record', async () => {
    server = await serve(lab, at, { networks: [network], stations: { '52:54:00:00:00:01': '10.9.0.7' } })
    for (const name of ['udhcpc', 'dhclient', 'npm dhcp']) expect(await clients[name]?.(lab, anna), name).toBe('10.9.0.7')
  })

  it('a full pool is silence and one event; a released address goes to who asks next', async () => {
    server = await serve(lab, at, { networks: [{ ...network, pool: ['10.9.0.100'] }] })
    const first = stay(lab, anna)
    await first.waitFor(/lease of 10\.9\.0\.100 obtained/)
    expect(await udhcpc(lab, bert)).toBeUndefined()
    expect(eventsOf(server).filter(({ kind }) => kind === 'pool-full')).toHaveLength(1)
    await first.stop()
    await server.waitFor(/"kind":"release"/)
    expect(await udhcpc(lab, bert)).toBe('10.9.0.100')
  })

  it('a renewal is asked for and answered by unicast', async () => {
    server = await serve(lab, at, { networks: [network] })
    const client = stay(lab, anna)
    await client.waitFor(/lease of \S+ obtained/)
    client.signal('SIGUSR1')
    await server.waitFor(/"form":"renewing"/)
    await client.waitFor(/lease of \S+ obtained[\s\S]*lease of \S+ obtained/)
    await client.stop()
    expect(kindsOf(server)).not.toContain('nak')
  })

  it('a client that comes from another network is refused, and asks anew', async () => {
    server = await serve(lab, at, { networks: [network] })
    const leases = inFolder('roaming.leases')
    const lease = `lease { interface "eth0"; fixed-address 192.168.77.5; option subnet-mask 255.255.255.0; option dhcp-server-identifier 192.168.77.1;
      option dhcp-lease-time 86400; option dhcp-message-type 5; renew 5 2035/01/01 00:00:00; rebind 5 2035/01/01 00:00:00; expire 5 2035/01/02 00:00:00; }\n`
    writeFileSync(leases, lease)
    const files = ['-lf', leases, '-pf', inFolder('roaming.pid')]
    const { stderr } = await lab.run(anna, ['dhclient', '-4', '-1', '-v', '-sf', '/bin/true', ...files, 'eth0'])
    await lab.run(anna, ['dhclient', '-x', ...files, 'eth0'])
    expect(stderr).toMatch(/DHCPNAK from 10\.9\.0\.1[\s\S]*bound to 10\.9\.0\.100/)
    expect(eventsOf(server).find(({ kind }) => kind === 'nak')).toMatchObject({ ip: '192.168.77.5' })
  })

  it('an address that somebody else answers for is declined, and not given for a while', async () => {
    server = await serve(lab, at, { networks: [network] })
    lab.ip(bert, 'address', 'add', '10.9.0.100/24', 'dev', 'eth0')
    const { stderr } = await lab.run(anna, ['busybox', 'udhcpc', '-f', '-n', '-q', '-a', '-A', '1', '-i', 'eth0', '-s', '/bin/true'], {
      timeoutMs: 60_000,
    })
    lab.ip(bert, 'address', 'flush', 'dev', 'eth0')
    expect(stderr).toMatch(/lease of 10\.9\.0\.101 obtained/)
    expect(kindsOf(server)).toContain('decline')
  })

  // Lore: Linux keeps datagrams to a neighbour that answers no ARP for three seconds, in the buffer of the socket that sent them.
  it('answers to addresses where nobody is hold up no offer', async () => {
    server = await serve(lab, at, { networks: [network], isQuiet: true })
    lab.ip(anna, 'address', 'add', '10.9.0.50/24', 'dev', 'eth0')
    await lab.run(anna, nodeProgram('dhcp-flood.ts', '10.9.0.1', '10.9.0'))
    lab.ip(anna, 'address', 'flush', 'dev', 'eth0')
    expect(await udhcpc(lab, bert)).toBe('10.9.0.100')
  })

  it('a port that is taken, and one that is forbidden, say what to do', async () => {
    server = await serve(lab, at, { networks: [network] })
    const argv = nodeProgram('dhcp-server.ts', JSON.stringify({ networks: [network] }))
    const taken = await lab.run(at, argv)
    expect(taken.stderr).toMatch(/ConflictError: UDP port 67 .* is taken .*ss -lunp sport = :67/)
    await server.stop()
    const forbidden = await lab.run(at, ['setpriv', '--bounding-set', '-net_bind_service', ...argv])
    expect(forbidden.stderr).toMatch(/OutsideError: no permission for UDP port 67 .*setcap cap_net_bind_service.*AmbientCapabilities/)
  })
})

describeWith(['root', 'ip', 'busybox'], `VLANs in one process${missingVlans()}`, () => {
  const lab = createLab('vlan-')
  const [at, station] = [lab.namespace('server'), lab.namespace('station')]
  let server: Running
  afterAll(lab.close)

  beforeAll(async () => {
    lab.trunk({ namespace: at, name: 'trunk' }, { namespace: station, name: 'trunk' }, [7, 8])
    for (const id of [7, 8]) {
      lab.address(at, `trunk.${id}`, `10.${id}.0.1/24`)
      lab.ip(station, 'link', 'set', `trunk.${id}`, 'address', `52:54:00:00:00:0${id}`)
    }
    const networks = [7, 8].map((id) => ({
      name: `vlan${id}`,
      interface: `trunk.${id}`,
      subnet: `10.${id}.0.0/24`,
      pool: [`10.${id}.0.100-10.${id}.0.109`],
    }))
    server = await serve(lab, at, { networks })
  })
  const ask = async (id: number) => {
    const { stderr } = await lab.run(station, ['busybox', 'udhcpc', '-f', '-n', '-q', '-t', '4', '-T', '1', '-i', `trunk.${id}`, '-s', '/bin/true'])
    return /lease of (\S+) obtained from (\S+),/.exec(stderr)?.slice(1)
  }

  it('each wire hears its own network', async () => {
    expect(await ask(7)).toEqual(['10.7.0.100', '10.7.0.1'])
    expect(await ask(8)).toEqual(['10.8.0.101', '10.8.0.1'])
    expect(await ask(7)).toEqual(['10.7.0.100', '10.7.0.1'])
    expect(
      eventsOf(server)
        .filter(({ kind }) => kind === 'ack')
        .map(({ network }) => network),
    ).toEqual(['vlan7', 'vlan8', 'vlan7'])
    expect(
      eventsOf(server)
        .filter(({ kind }) => kind === 'offer')
        .map(({ network }) => network),
    ).toEqual(['vlan7', 'vlan8', 'vlan7', 'vlan8', 'vlan7'])
  })

  it('a station that is moved to the other wire is found there', async () => {
    lab.ip(station, 'link', 'set', 'trunk.8', 'address', '52:54:00:00:00:07')
    expect(await ask(8)).toEqual([expect.stringMatching(/^10\.8\.0\.10\d$/), '10.8.0.1'])
  })
})

function missingVlans(): string {
  return process.getuid?.() === 0 && knowsVlans() ? '' : ' (this kernel knows no 802.1Q: a cable for each VLAN stands in)'
}

describeWith(['root', 'ip', 'busybox', 'dhcrelay', 'tcpdump'], 'behind a relay with option 82', () => {
  const lab = createLab('relay-')
  const [at, between, station] = [lab.namespace('server'), lab.namespace('relay'), lab.namespace('station')]
  let [server, relay, dump]: Running[] = []
  afterAll(lab.close)

  beforeAll(async () => {
    lab.veth({ namespace: at, name: 'eth0', address: '10.1.0.1/24' }, { namespace: between, name: 'up', address: '10.1.0.2/24' })
    lab.veth({ namespace: between, name: 'down', address: '10.8.0.1/24' }, { namespace: station, name: 'eth0', mac: '52:54:00:00:00:01' })
    lab.ip(at, 'route', 'add', '10.8.0.0/24', 'via', '10.1.0.2')
    await lab.run(between, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
    const networks = [
      { name: 'near', interface: 'eth0', subnet: '10.1.0.0/24', pool: ['10.1.0.100-10.1.0.109'] },
      { name: 'far', subnet: '10.8.0.0/24', serverAddress: '10.1.0.1', pool: ['10.8.0.100-10.8.0.109'], router: ['10.8.0.1'] },
    ]
    server = await serve(lab, at, { networks })
    dump = lab.spawn(at, ['tcpdump', '-i', 'eth0', '-n', '-vv', '--immediate-mode', '-l', 'udp port 67'])
    relay = lab.spawn(between, ['dhcrelay', '-4', '-d', '--no-pid', '-a', '-id', 'down', '-iu', 'up', '10.1.0.1'])
    await relay.waitFor(/Sending on\s+Socket/)
    await dump.waitFor(/listening on/)
  })

  it('the station gets an address of its own subnet, and the relay its option back', async () => {
    const client = stay(lab, station)
    await client.waitFor(/lease of 10\.8\.0\.100 obtained from 10\.1\.0\.1/)
    const [offered] = (await (dump as Running).waitFor(/BOOTP\/DHCP, Reply[\s\S]*?DHCP-Message \(53\), length 1: Offer[\s\S]*?(?=BOOTP|$)/)) as [
      string,
    ]
    expect(offered).toMatch(/Agent-Information \(82\), length \d+:\s+Circuit-ID SubOption 1, length 4: down/)

    // A renewal goes past the relay, straight to the server.
    client.signal('SIGUSR1')
    await (server as Running).waitFor(/"network":"far"[^\n]*"form":"renewing"/)
    await client.waitFor(/obtained[\s\S]*lease of 10\.8\.0\.100 obtained/)
    await client.stop()
    await (server as Running).waitFor(/"kind":"release"/)
    const kinds = kindsOf(server as Running)
    // dhcrelay picks up the unicast as well, so that the server may hear it twice.
    expect([...new Set(kinds)]).toEqual(['discover', 'offer', 'request', 'ack', 'release'])
    expect(kinds.slice(0, 4)).toEqual(['discover', 'offer', 'request', 'ack'])
  })
})

describeWith(['root', 'ip', 'busybox', 'dnsmasq'], 'beside dnsmasq on the same machine (proxy)', () => {
  const lab = createLab('proxy-')
  const [at, station] = [lab.namespace('server'), lab.namespace('station')]
  afterAll(lab.close)

  it('a boot client gets its address there and its loader here; renewals reach dnsmasq', async () => {
    lab.veth({ namespace: at, name: 'eth0', address: '10.9.0.1/24' }, { namespace: station, name: 'eth0', mac: '52:54:00:00:00:01' })
    const words = [
      '--port=0',
      '--bind-interfaces',
      '--interface=eth0',
      '--dhcp-range=10.9.0.50,10.9.0.60',
      '--dhcp-sequential-ip',
      `--dhcp-leasefile=${inFolder('dnsmasq')}`,
    ]
    const dnsmasq = lab.spawn(at, [
      'dnsmasq',
      '-k',
      '--conf-file=/dev/null',
      '--log-facility=-',
      '--log-dhcp',
      '--user=root',
      '--pid-file=',
      ...words,
    ])
    await dnsmasq.waitFor(/IP range 10\.9\.0\.50/)
    const server = await serve(lab, at, { networks: [{ interface: 'eth0', subnet: '10.9.0.0/24', mode: 'proxy' }] })
    const client = stay(lab, station, '-V', 'PXEClient:Arch:00007:UNDI:003000', '-x', '0x5d:0007')
    await client.waitFor(/lease of 10\.9\.0\.50 obtained/)
    await server.waitFor(/"kind":"offer"/)
    expect(eventsOf(server).find(({ kind }) => kind === 'offer')).toMatchObject({ detail: { gets: 'loader', arch: 7 } })
    expect(eventsOf(server).find(({ kind }) => kind === 'request')).toMatchObject({ ip: '10.9.0.50', mac: '52:54:00:00:00:01' })
    client.signal('SIGUSR1')
    await client.waitFor(/sending renew[\s\S]*lease of 10\.9\.0\.50 obtained/)
    await client.stop()
    await dnsmasq.waitFor(/DHCPRELEASE/)
    await server.stop()
  })
})

describe('the programs of these tests', () => {
  it('are where they are looked for', () => expect(nodeProgram('dhcp-server.ts')[1]).toMatch(/test\/support\/dhcp-server\.ts$/))
})
