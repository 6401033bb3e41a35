// The host files of a dnsmasq site, in three servers: dnsmasq itself, our own DHCP, and dnsmasq as our engine. The same clients ask all of them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createLab, type Lab, type Running } from '../support/netns.ts'
import { describeWith } from '../support/tool.ts'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'bivouac-dnsmasq-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const script = join(folder, 'udhcpc.sh')
writeFileSync(script, '#!/bin/sh\n[ "$1" != bound ] || echo "GOT $ip $lease $hostname"\n', { mode: 0o755 })

type Pair = { readonly dhcphosts: string; readonly hosts: string }
type Served = { readonly running: Running; readonly write: (pair: Pair) => void; readonly reload: () => void; readonly stop: () => Promise<void> }
type Kind = 'dnsmasq' | 'bivouac' | 'engine'

let count = 0
/** A server of that kind over a fresh folder. The pool is 10.9.0.100 to .120; the second network has stations with addresses only. */
async function serve(kind: Kind, lab: Lab, at: string, pair: Pair): Promise<Served> {
  const home = join(folder, `${kind}-${++count}`)
  mkdirSync(join(home, 'conf'), { recursive: true })
  const write = ({ dhcphosts, hosts }: Pair) => {
    writeFileSync(join(home, 'conf/dhcphosts'), dhcphosts)
    writeFileSync(join(home, 'conf/hosts'), hosts)
  }
  write(pair)
  const running = kind === 'dnsmasq' ? startDnsmasq(lab, at, home) : startBivouac(lab, at, home, kind === 'engine')
  if (kind === 'dnsmasq') await running.waitFor(/read .*dhcphosts/)
  else await running.waitFor(/^Next: /m, 60_000)
  if (kind === 'engine') await new Promise((done) => setTimeout(done, 500))
  return { running, write, reload: () => running.signal('SIGHUP'), stop: running.stop }
}

function startDnsmasq(lab: Lab, at: string, home: string): Running {
  const conf = `port=53\nno-hosts\nno-resolv\nbind-interfaces\ninterface=s0\ninterface=s1\nuser=root\npid-file=\nno-ping\ndhcp-authoritative
dhcp-range=set:lan,10.9.0.100,10.9.0.120,255.255.255.0,1h\ndhcp-range=set:ipmi,10.8.0.0,static,255.255.255.0\ndhcp-sequential-ip
dhcp-option=tag:ipmi,42,10.8.0.9\ndhcp-hostsfile=${home}/conf/dhcphosts\naddn-hosts=${home}/conf/hosts\ndhcp-leasefile=${home}/leases\n`
  writeFileSync(join(home, 'dnsmasq.conf'), conf)
  return lab.spawn(at, ['dnsmasq', '-k', '-C', join(home, 'dnsmasq.conf'), '--log-facility=-', '--log-dhcp'])
}

function startBivouac(lab: Lab, at: string, home: string, engine: boolean): Running {
  const conf = `networks:
  - { name: lan, interface: s0, subnet: 10.9.0.0/24, serverAddress: 10.9.0.1, pool: [10.9.0.100-10.9.0.120], domain: lab.example }
  - { name: ipmi, interface: s1, subnet: 10.8.0.0/24, serverAddress: 10.8.0.1, ntp: [10.8.0.9] }
dnsmasq: { hosts: [conf/hosts], dhcphosts: [conf/dhcphosts], engine: ${engine} }
`
  writeFileSync(join(home, 'bivouac.yaml'), conf)
  return lab.spawn(at, [process.execPath, '--disable-warning=ExperimentalWarning', main, 'serve'], { cwd: home })
}

type Ask = { readonly mac: string; readonly name?: string; readonly clientId?: string; readonly on?: string }
type Answer = { readonly ip: string; readonly seconds: string; readonly hostname: string } | undefined

const setMac = (lab: Lab, client: string, mac: string, on = 'eth0') => void lab.ip(client, 'link', 'set', on, 'address', mac)

/** One exchange by udhcpc. Undefined: no answer, which is waited for only as long as `patience` says. */
async function ask(lab: Lab, client: string, { mac, name, clientId, on = 'eth0' }: Ask, patience = 5): Promise<Answer> {
  setMac(lab, client, mac, on)
  const own = [...(name === undefined ? [] : ['-x', `hostname:${name}`]), ...(clientId === undefined ? [] : ['-C', '-x', `0x3d:${clientId}`])]
  const { stdout } = await lab.run(client, [
    'busybox',
    'udhcpc',
    '-f',
    '-n',
    '-q',
    '-t',
    String(patience),
    '-T',
    '1',
    '-A',
    '1',
    '-i',
    on,
    '-s',
    script,
    ...own,
  ])
  const [, ip = '', seconds = '', hostname = ''] = /GOT (\S+) (\S+) ?(\S*)/.exec(stdout) ?? []
  return ip ? { ip, seconds, hostname } : undefined
}

async function askByDhclient(lab: Lab, client: string, mac: string): Promise<string | undefined> {
  setMac(lab, client, mac)
  const files = ['-lf', join(folder, `dhclient-${++count}.leases`), '-pf', join(folder, `dhclient-${count}.pid`)]
  const { stderr } = await lab.run(client, ['dhclient', '-4', '-1', '-v', '-sf', '/bin/true', ...files, 'eth0'])
  await lab.run(client, ['dhclient', '-x', ...files, 'eth0'])
  return /bound to (\S+)/.exec(stderr)?.[1]
}

function createWire(label: string) {
  const lab = createLab(label)
  const [at, client] = [lab.namespace('server'), lab.namespace('client')]
  beforeAll(() => {
    lab.veth({ namespace: at, name: 's0', address: '10.9.0.1/24' }, { namespace: client, name: 'eth0' })
    lab.veth({ namespace: at, name: 's1', address: '10.8.0.1/24' }, { namespace: client, name: 'eth1' })
  })
  afterAll(lab.close)
  return { lab, at, client }
}

// Each line of the grammar with the client that it is for. What a dnsmasq 2.90 answers is what is right.
const grammar: readonly (readonly [line: string, ask: Ask])[] = [
  ['52:54:00:00:01:01,10.9.0.11', { mac: '52:54:00:00:01:01' }],
  ['52:54:00:00:01:02,named,infinite', { mac: '52:54:00:00:01:02' }],
  ['10.9.0.13 , short , 52:54:00:00:01:03 , 60', { mac: '52:54:00:00:01:03' }],
  ['52:54:00:00:01:04,ignore', { mac: '52:54:00:00:01:04' }],
  ['52:54:00:00:01:05,52:54:00:00:01:06,10.9.0.15', { mac: '52:54:00:00:01:05' }],
  ['# the second of that line takes its lease', { mac: '52:54:00:00:01:06' }],
  ['id:01:02:03,10.9.0.16,600', { mac: '56:00:00:00:00:01', clientId: '010203' }],
  ['id:text,10.9.0.17', { mac: '56:00:00:00:00:02', clientId: '0074657874' }],
  ['claimed,10.9.0.18', { mac: '56:00:00:00:00:03', name: 'CLAIMED' }],
  ['52:54:07:*:*:*,10.9.0.19', { mac: '52:54:07:00:00:99' }],
  ['52:54:07:07:*:*,10.9.0.20', { mac: '52:54:07:07:00:01', name: 'claimed' }],
  ['52:54:00:00:01:07,10.9.0.21\n52:54:00:00:01:07,10.9.0.22', { mac: '52:54:00:00:01:07' }],
  ['52:54:00:00:01:08,10.9.0.11', { mac: '52:54:00:00:01:08' }],
  ['52:54:00:00:01:09,10.9.0.23,tag:s0', { mac: '52:54:00:00:01:09' }],
  ['52:54:00:00:01:0a,10.9.0.24,tag:!s0', { mac: '52:54:00:00:01:0a' }],
  ['52:54:00:00:01:0b,10.9.0.25,tag:lan', { mac: '52:54:00:00:01:0b' }],
  ['06-52:54:00:00:01:0c,10.9.0.26', { mac: '52:54:00:00:01:0c' }],
  ['01-52:54:00:00:01:0d,10.9.0.27', { mac: '52:54:00:00:01:0d' }],
  ['525400:00010e,10.9.0.28', { mac: '52:54:00:00:01:0e' }],
  ['52-54-00-00-01-0f,10.9.0.29', { mac: '52:54:00:00:01:0f' }],
  ['"52:54:00:00:01:10",10.9.0.30', { mac: '52:54:00:00:01:10' }],
  ['52:54:00:00:01:11,ma:ca:dd:re-ss,10.9.0.31', { mac: '52:54:00:00:01:11' }],
  ['52:54:00:00:01:12,10.9.0.32,[2001:db8::50/126],[::56]', { mac: '52:54:00:00:01:12' }],
  ['52:54:00:00:01:13,10.9.0.33,[2001:db8::51/126]', { mac: '52:54:00:00:01:13' }],
  ['52:54:00:00:01:14,2001:db8::1,10.9.0.34', { mac: '52:54:00:00:01:14' }],
  ['52:54:00:00:01:15,-bad,10.9.0.35', { mac: '52:54:00:00:01:15' }],
  ['52:54:00:00:01:16,a/b,10.9.0.36', { mac: '52:54:00:00:01:16' }],
  ['52:54:00:00:01:17,a_b,10.9.0.37,2D', { mac: '52:54:00:00:01:17' }],
  ['52:54:00:00:01:18,"10",10.9.0.38', { mac: '52:54:00:00:01:18' }],
  ['52:54:00:00:01:19,"infinite",10.9.0.39', { mac: '52:54:00:00:01:19' }],
  ['52:54:00:00:01:1a,Infinite,10.9.0.40', { mac: '52:54:00:00:01:1a' }],
  ['52:54:00:00:01:1b,"open,10.9.0.41', { mac: '52:54:00:00:01:1b' }],
  ['52:54:00:00:01:1c,10.9.0.042', { mac: '52:54:00:00:01:1c' }],
  ['52:54:00:00:01:1d,10.7.0.43', { mac: '52:54:00:00:01:1d' }],
  ['52:54:00:00:01:1e,missing', { mac: '52:54:00:00:01:1e' }],
  ['52:54:00:00:01:1f,one,two,10.9.0.45', { mac: '52:54:00:00:01:1f' }],
  ['52:54:00:00:01:20,full.lab.example,10.9.0.46 # comment', { mac: '52:54:00:00:01:20' }],
  ['52:54:00:00:01:21,x#y,10.9.0.47', { mac: '52:54:00:00:01:21' }],
  ['52:54:00:00:01:22,id:*,10.9.0.48,45m', { mac: '52:54:00:00:01:22' }],
  ['52:54:00:00:01:23,café,10.9.0.49', { mac: '52:54:00:00:01:23' }],
  ['# nobody’s: a pool address, on the other wire none', { mac: '52:54:00:00:02:01' }],
  ['52:54:00:00:01:24,10.8.0.24,set:bmc', { mac: '52:54:00:00:01:24', on: 'eth1' }],
  ['#', { mac: '52:54:00:00:02:02', on: 'eth1' }],
]
const whole: Pair = {
  dhcphosts: grammar.map(([line]) => `${line}\n`).join(''),
  hosts: '10.9.0.12 NAMED # joined\nbad address\n10.9.0.300 named\n10.9.0.50 other third\n',
}

describeWith(['root', 'ip', 'busybox', 'dnsmasq', 'dhclient'], 'the same files in dnsmasq and in ours', () => {
  const { lab, at, client } = createWire('same-')
  const answers: Record<string, Record<string, Answer>> = {}

  it.each(['dnsmasq', 'bivouac'] as const)('%s is asked by every client', async (kind) => {
    const server = await serve(kind, lab, at, whole)
    const got: Record<string, Answer> = {}
    for (const [line, one] of grammar) got[`${line} <- ${one.mac}`] = await ask(lab, client, one, 3)
    got.dhclient = { ip: (await askByDhclient(lab, client, '52:54:00:00:01:01')) ?? '', seconds: '', hostname: '' }
    await server.stop()
    answers[kind] = got
    expect(got.dhclient.ip).toBe('10.9.0.11')
  })
  it('the answers are the same: address, time and name', () => {
    expect(answers.bivouac).toEqual(answers.dnsmasq)
    expect(answers.dnsmasq?.['52:54:00:00:01:02,named,infinite <- 52:54:00:00:01:02']).toEqual({
      ip: '10.9.0.12',
      seconds: '4294967295',
      hostname: 'named',
    })
  })
})

const base = '52:54:00:00:01:01,10.9.0.11\n'
const hostsBase = '10.9.0.31 joined\n'

describeWith(['root', 'ip', 'busybox', 'dnsmasq'], 'SIGHUP', () => {
  const { lab, at, client } = createWire('hup-')
  let server: Served | undefined
  afterEach(async () => await server?.stop())
  const first: Ask = { mac: '52:54:00:00:01:01' }
  const second: Ask = { mac: '52:54:00:00:01:02' }
  const eventually = async (one: Ask, ip: string | RegExp) =>
    await expect
      .poll(async () => (await ask(lab, client, one))?.ip, { timeout: 40_000, interval: 200 })
      .toEqual(typeof ip === 'string' ? ip : expect.stringMatching(ip))

  describe.each(['dnsmasq', 'bivouac', 'engine'] as const)('%s', (kind) => {
    it('reads lines that were added, changed and taken out; bad and doubled ones are told and lost alone; leases are kept', async () => {
      server = await serve(kind, lab, at, { dhcphosts: base, hosts: hostsBase })
      expect((await ask(lab, client, first))?.ip).toBe('10.9.0.11')
      const pooled = (await ask(lab, client, { mac: '52:54:00:00:01:09' }))?.ip
      expect(pooled).toMatch(/^10\.9\.0\.1[012]\d$/)

      server.write({
        dhcphosts: `bad:line:zz\n${base}52:54:00:00:01:02,10.9.0.12\n52:54:00:00:01:03,10.9.0.12\n52:54:00:00:01:04,joined\n`,
        hosts: hostsBase,
      })
      server.reload()
      await eventually(second, '10.9.0.12')
      await eventually({ mac: '52:54:00:00:01:04' }, '10.9.0.31')
      expect((await ask(lab, client, { mac: '52:54:00:00:01:03' }))?.ip).toMatch(/^10\.9\.0\.1[012]\d$/)
      expect(server.running.output()).toMatch(
        kind === 'dnsmasq' ? /bad hex constant at line 1[\s\S]*duplicate dhcp-host IP address/ : /hex[\s\S]*address-twice/,
      )
      expect((await ask(lab, client, { mac: '52:54:00:00:01:09' }))?.ip).toBe(pooled)

      server.write({ dhcphosts: '52:54:00:00:01:02,10.9.0.12\n52:54:00:00:01:04,joined\n', hosts: '10.9.0.32 joined\n' })
      server.reload()
      await eventually({ mac: '52:54:00:00:01:04' }, '10.9.0.32')
      await eventually(first, /^10\.9\.0\.1[012]\d$/)
    })
  })

  // Why the engine restarts such a version: should this fail with a newer dnsmasq, mustRestart (dnsmasq/version) knows it already.
  it('a tag on a line that was used kills dnsmasq before 2.91', async () => {
    const [, minor] = /version 2\.(\d+)/.exec((await lab.run(at, ['dnsmasq', '--version'])).stdout) ?? []
    server = await serve('dnsmasq', lab, at, { dhcphosts: '52:54:00:00:01:01,10.9.0.11,set:red\n', hosts: '' })
    expect((await ask(lab, client, first))?.ip).toBe('10.9.0.11')
    server.reload()
    const end = await Promise.race([server.running.exited, ask(lab, client, first).then((answer) => answer?.ip)])
    expect(end === '10.9.0.11').toBe(Number(minor) >= 91)
  })

  it('ours goes on', async () => {
    server = await serve('bivouac', lab, at, { dhcphosts: '52:54:00:00:01:01,10.9.0.11,set:red\n', hosts: '' })
    expect((await ask(lab, client, first))?.ip).toBe('10.9.0.11')
    server.write({ dhcphosts: '52:54:00:00:01:01,10.9.0.12,set:red\n', hosts: '' })
    server.reload()
    await eventually(first, '10.9.0.12')
  })

  it('as engine it is restarted there, and started again when it dies: no more than two seconds without an answer', async () => {
    server = await serve('engine', lab, at, { dhcphosts: '52:54:00:00:01:01,10.9.0.11,set:red\n', hosts: '' })
    expect((await ask(lab, client, first))?.ip).toBe('10.9.0.11')
    server.write({ dhcphosts: '52:54:00:00:01:01,10.9.0.11,set:red\n52:54:00:00:01:02,10.9.0.12,set:red\n', hosts: '' })
    server.reload()
    await server.running.waitFor(/record-good .*action=restart.*dies on SIGHUP/)
    const since = performance.now()
    expect((await ask(lab, client, second, 20))?.ip).toBe('10.9.0.12')
    expect(performance.now() - since).toBeLessThan(2000 + 1500)

    const pid = (
      await lab.run(at, ['sh', '-c', 'for p in $(ip netns pids "$0"); do [ "$(cat /proc/$p/comm)" != dnsmasq ] || echo $p; done', at])
    ).stdout.trim()
    process.kill(Number(pid), 'SIGKILL')
    const killedAt = performance.now()
    expect((await ask(lab, client, first, 20))?.ip).toBe('10.9.0.11')
    expect(performance.now() - killedAt).toBeLessThan(2000 + 1500)
    await server.running.waitFor(/dnsmasq ended \(SIGKILL\)/)
  })
})

describeWith(['root', 'ip', 'busybox', 'dnsmasq'], 'dnsmasq as engine', () => {
  const { lab, at, client } = createWire('eng-')

  it('answers for names, forward and backward; serves both networks, the second to its own stations only', async () => {
    const server = await serve('engine', lab, at, {
      dhcphosts: '52:54:00:00:01:01,kiosk,infinite\n52:54:00:00:01:05,10.8.0.5\n',
      hosts: '10.9.0.31 kiosk\n10.9.0.32 box.lab.example box alias\n',
    })
    const look = async (name: string) => {
      const { stdout } = await lab.run(at, ['busybox', 'nslookup', name, '10.9.0.1'])
      return [...stdout.matchAll(/(?:Address(?: \d+)?:\s+(?!10\.9\.0\.1\b)(\S+)|name = (\S+)|(NXDOMAIN))/g)].map(
        (found) => found[1] ?? found[2] ?? found[3],
      )[0]
    }
    expect(await look('kiosk.lab.example')).toBe('10.9.0.31')
    expect(await look('kiosk')).toBe('10.9.0.31')
    expect(await look('alias.lab.example')).toBe('10.9.0.32')
    expect(await look('10.9.0.32')).toBe('box.lab.example')
    expect(await look('nobody.lab.example')).toBe('NXDOMAIN')
    expect(await ask(lab, client, { mac: '52:54:00:00:01:01' })).toEqual({ ip: '10.9.0.31', seconds: '4294967295', hostname: 'kiosk' })
    expect((await ask(lab, client, { mac: '52:54:00:00:01:05', on: 'eth1' }))?.ip).toBe('10.8.0.5')
    expect(await ask(lab, client, { mac: '52:54:00:00:01:06', on: 'eth1' }, 3)).toBeUndefined()
    await server.stop()
  })
})
