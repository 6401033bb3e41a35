// The commands for sites with dnsmasq, as a person types them: host, dnsmasq, dhcp, pxelinux, rescue, reload.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Command } from 'commander'
import { createProgram, run } from '../../src/cli/main.ts'
import { type CliFolder, createCliFolder, type Ended } from '../support/cli.ts'

const config = `depot: depot
state: state
networks:
  - { name: lab, interface: eth0, subnet: 10.9.0.0/24, serverAddress: 10.9.0.1, pool: [10.9.0.100-10.9.0.110], domain: lab.example }
dnsmasq: { hosts: [conf/hosts], dhcphosts: [conf/dhcphosts] }
`
const nodes = `management: { name: lan, interface: pxeboot, subnet: 192.168.103.0/24, serverAddress: 192.168.103.240, domain: lab.example, router: [192.168.103.254] }
ipmi: { name: ipmi, interface: pxeboot, subnet: 192.168.104.0/24, serverAddress: 192.168.104.240 }
rescue: { fullroot: 'http://192.168.103.240:8080' }
nodes:
  - { name: node1, roles: [cpu], mac: '52:54:00:00:00:01', ipmiMac: '52:54:00:00:01:01', octet: 11 }
  - { name: node2, mac: '52:54:00:00:00:02', octet: 12 }
`

describe('the commands of a dnsmasq site', { timeout: 120_000 }, () => {
  let cli: CliFolder
  beforeAll(() => {
    cli = createCliFolder()
    writeFileSync(join(cli.path, 'bivouac.yaml'), config)
    mkdirSync(join(cli.path, 'conf'))
    mkdirSync(join(cli.path, 'depot/pxelinux.cfg'), { recursive: true })
    writeFileSync(join(cli.path, 'depot/pxelinux.cfg/911boot'), 'KERNEL vmlinuz-4\nIPAPPEND 2\n')
  })
  afterAll(() => cli.remove())
  const read = (name: string) => readFileSync(join(cli.path, name), 'utf8')
  /** In this process, for a process of its own takes a second or more; paths count from the folder as there. */
  const tell = async (...args: string[]): Promise<Ended> => {
    const [out, err] = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
    const said: Record<'stdout' | 'stderr', string[]> = { stdout: [], stderr: [] }
    out.mockImplementation((chunk) => said.stdout.push(String(chunk)) > 0)
    err.mockImplementation((chunk) => said.stderr.push(String(chunk)) > 0)
    try {
      const code = await run(['--config', join(cli.path, 'bivouac.yaml'), ...args], { HOME: cli.path })
      return { code, stdout: said.stdout.join(''), stderr: said.stderr.join('') }
    } finally {
      process.exitCode = undefined
      out.mockRestore()
      err.mockRestore()
    }
  }
  const good = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tell(...args)
    expect([code, stderr]).toEqual([0, ''])
    return stdout
  }
  const at = (name: string) => join(cli.path, name)

  it('host add, list and remove', async () => {
    await good('host', 'add', 'kiosk', '--mac', '52-54-00-00-00-01', '--ip', '10.9.0.7', '--dry-run')
    expect(readdirSync(join(cli.path, 'conf'))).toEqual([])
    await good('host', 'add', 'kiosk', '--mac', '52-54-00-00-00-01', '--ip', '10.9.0.7')
    expect([read('conf/hosts'), read('conf/dhcphosts')]).toEqual(['10.9.0.7 kiosk.lab.example kiosk\n', '52:54:00:00:00:01,kiosk,infinite\n'])
    expect(await tell('host', 'add', 'kiosk', '--mac', '52:54:00:00:00:02', '--ip', '10.9.0.8')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/dhcphosts:1 already/),
    })
    await good('host', 'add', 'other', '--mac', '52:54:00:00:00:02', '--ip', '10.9.0.8')
    expect(JSON.parse(await good('--json', 'host', 'list'))).toMatchObject([{ name: 'kiosk', address: '10.9.0.7' }, { name: 'other' }])
    await good('host', 'remove', 'other')
    expect(read('conf/dhcphosts')).toBe('52:54:00:00:00:01,kiosk,infinite\n')
    expect((await tell('host', 'remove', 'other')).code).toBe(4)
  })

  it('a host of the files is a station: explain tells its line', async () => {
    expect(await good('explain', 'kiosk', '--local')).toMatch(/address 10\.9\.0\.7 by its record[\s\S]*\+ dhcphosts +dhcphosts:1 holds by its MAC/)
  })

  it('dnsmasq check: a lost line is exit 2, with its place', async () => {
    expect(await good('dnsmasq', 'check')).toMatch(/^host files: good$/m)
    writeFileSync(join(cli.path, 'bad'), 'ma:ca:dd:re-ss,a\n')
    const { code, stdout } = await tell('--dnsmasq.dhcphosts', `[${at('bad')}]`, 'dnsmasq', 'check')
    expect([code, stdout]).toEqual([2, expect.stringMatching(/error hex: .*bad:1: /)])
  })

  it('dnsmasq and dhcp render: files with --out, and none with --dry-run', async () => {
    await good('dnsmasq', 'render', '--out', at('new'), '--dry-run')
    expect(existsSync(join(cli.path, 'new'))).toBe(false)
    await good('dnsmasq', 'render', '--out', at('new'))
    expect(readdirSync(join(cli.path, 'new')).sort()).toEqual(['dhcphosts', 'dnsmasq.conf', 'hosts'])
    expect(read('new/dnsmasq.conf')).toMatch(new RegExp(`^dhcp-hostsfile=${cli.path}/new/dhcphosts$`, 'm'))
    expect(await good('dhcp', 'render', '--for', 'dhcpd')).toMatch(/host kiosk \{ hardware ethernet 52:54:00:00:00:01; fixed-address 10\.9\.0\.7;/)
    expect(JSON.parse(await good('dhcp', 'render', '--for', 'kea'))).toHaveProperty('Dhcp4.subnet4.0.reservations.0.ip-address', '10.9.0.7')
  })

  it('dnsmasq import reads what render wrote', async () => {
    const imported = JSON.parse(await good('--json', 'dnsmasq', 'import', at('new/dnsmasq.conf')))
    expect(imported.left).toEqual([])
    expect(imported.networks).toMatchObject([
      { name: 'lab', interface: 'eth0', subnet: '10.9.0.0/24', pool: ['10.9.0.100-10.9.0.110'], domain: 'lab.example' },
    ])
  })

  it('dnsmasq import writes a folder or the very file, and never over what is there', async () => {
    const conf = at('new/dnsmasq.conf')
    const file = at('import/site.yaml')
    expect(await good('dnsmasq', 'import', conf, '--out', file, '--dry-run')).toContain(`# would be written: ${file}`)
    expect(existsSync(at('import'))).toBe(false)
    expect(await good('dnsmasq', 'import', conf, '--out', file)).toContain(`# written: ${file}`)
    await good('dnsmasq', 'import', conf, '--out', at('import'))
    expect(read('import/bivouac.yaml')).toBe(read('import/site.yaml'))
    writeFileSync(file, 'depot: ./mine\n')
    expect(await tell('dnsmasq', 'import', conf, '--out', file)).toMatchObject({ code: 3, stderr: expect.stringContaining('is there already') })
    expect(read('import/site.yaml')).toBe('depot: ./mine\n')
  })

  it('dnsmasq inventory: one node changed, only its lines differ', async () => {
    writeFileSync(join(cli.path, 'nodes.yaml'), nodes)
    await good('dnsmasq', 'inventory', at('nodes.yaml'), '--out', at('site'))
    expect(read('site/hosts')).toBe('192.168.103.11 node1.lab.example node1\n192.168.104.11 ipmi-node1\n192.168.103.12 node2.lab.example node2\n')
    expect(read('site/dhcphosts')).toBe('52:54:00:00:00:01,node1,infinite\n52:54:00:00:01:01,ipmi-node1,infinite\n52:54:00:00:00:02,node2,infinite\n')
    expect(read('site/dnsmasq.conf')).toMatch(/^dhcp-range=set:lan,192\.168\.103\.0,static,/m)
    expect(read('site/911boot')).toMatch(/^ {2}APPEND root=none ip=dhcp fullroot=http:\/\/192\.168\.103\.240:8080\n {2}IPAPPEND 2$/m)
    const before = Object.fromEntries(readdirSync(join(cli.path, 'site')).map((name) => [name, read(`site/${name}`)]))
    writeFileSync(join(cli.path, 'nodes.yaml'), nodes.replace('octet: 12', 'octet: 13'))
    await good('dnsmasq', 'inventory', at('nodes.yaml'), '--out', at('site'))
    const changed = Object.keys(before).flatMap((name) =>
      read(`site/${name}`)
        .split('\n')
        .filter((line) => !before[name]?.split('\n').includes(line)),
    )
    expect(changed).toEqual(['192.168.103.13 node2.lab.example node2'])
    writeFileSync(join(cli.path, 'nodes.yaml'), nodes.replace('octet: 12', 'octet: 11'))
    expect(await tell('dnsmasq', 'inventory', at('nodes.yaml'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/the number 11 of node node2 is also node node1's/),
    })
  })

  it('pxelinux resolve: the order and the winner', async () => {
    const { names, winner, isMade } = JSON.parse(
      await good('--json', 'pxelinux', 'resolve', '--uuid', 'B8945908-d6a6-41a9-8ff4-0123456789ab', '--mac', '52:54:00:00:00:01', '--ip', '10.9.0.7'),
    )
    expect(names.slice(0, 3)).toEqual([
      'pxelinux.cfg/085994b8-a6d6-a941-8ff4-0123456789ab',
      'pxelinux.cfg/01-52-54-00-00-00-01',
      'pxelinux.cfg/0A090007',
    ])
    expect([names.length, winner, isMade]).toEqual([11, 'pxelinux.cfg/01-52-54-00-00-00-01', true])
  })

  it('rescue by name, address and MAC', async () => {
    const link = 'depot/pxelinux.cfg/01-52-54-00-00-00-01'
    await good('rescue', 'enable', 'kiosk', '--dry-run')
    expect(existsSync(join(cli.path, link))).toBe(false)
    for (const [host, other] of [
      ['kiosk', '10.9.0.7'],
      ['10.9.0.7', '52:54:00:00:00:01'],
    ] as const) {
      await good('rescue', 'enable', host)
      expect(read(link)).toBe('KERNEL vmlinuz-4\nIPAPPEND 2\n')
      expect(await good('pxelinux', 'resolve', '--mac', '52:54:00:00:00:01')).toMatch(/^> pxelinux.cfg\/01-52-54-00-00-00-01 {3}-> 911boot$/m)
      expect(JSON.parse(await good('--json', 'rescue', 'list'))).toEqual([
        { mac: '52:54:00:00:00:01', kind: 'symbolic', isOnce: false, name: 'kiosk' },
      ])
      await good('rescue', 'disable', other)
      expect(existsSync(join(cli.path, link))).toBe(false)
    }
    expect(await good('rescue', 'list')).toBe('no host is in rescue\n')
    expect((await tell('rescue', 'enable', 'nobody')).code).toBe(4)
  })

  it('a running server sees new hosts, reload tells, and a rescue for one boot ends with it', async () => {
    const server = await cli.serve('--networks', '[]')
    const token = /operator token, shown only now: (\S+)/.exec(server.output())?.[1] ?? ''
    const asked = ['--server', server.base, '--token', token]
    await good('host', 'add', 'late', '--mac', '52:54:00:00:00:09', '--ip', '10.9.0.9')
    expect(await good(...asked, 'reload')).toMatch(/read again: 2 stations/)
    await good('rescue', 'enable', 'late', '--once')
    expect(await good('rescue', 'list')).toMatch(/its next boot/)
    const sent = await fetch(`${server.base}/pxelinux.cfg/01-52-54-00-00-00-09`)
    expect(await sent.text()).toBe('KERNEL vmlinuz-4\nIPAPPEND 2\n')
    await expect.poll(() => existsSync(join(cli.path, 'depot/pxelinux.cfg/01-52-54-00-00-00-09')), { timeout: 10_000 }).toBe(false)
    expect(existsSync(join(cli.path, 'depot/pxelinux.cfg/911boot'))).toBe(true)
    writeFileSync(join(cli.path, 'conf/dhcphosts'), 'bad:zz\n52:54:00:00:00:01,kiosk\n')
    expect((await tell(...asked, 'reload')).stdout).toMatch(/error hex: .*dhcphosts:1: [\s\S]*read again: 1 stations[^\n]*1 problem$/m)
    expect(await tell('reload', '--dry-run')).toMatchObject({ code: 2 })
    await server.stop()
  })

  it('every one of them has examples, and those that change something --dry-run', async () => {
    const groups = [
      ['host', 'add'],
      ['host', 'remove'],
      ['host', 'list'],
      ['dnsmasq', 'render'],
      ['dnsmasq', 'check'],
      ['dnsmasq', 'import'],
      ['dnsmasq', 'inventory'],
      ['dnsmasq', 'reload'],
      ['dhcp', 'render'],
      ['dhcp', 'check'],
      ['pxelinux', 'resolve'],
      ['rescue', 'enable'],
      ['rescue', 'disable'],
      ['rescue', 'list'],
      ['reload'],
    ]
    const reads = ['list', 'check', 'resolve']
    const program = createProgram({}, {})
    for (const words of groups) {
      const command = words.reduce((above: Command, word) => above.commands.find((one) => one.name() === word) as Command, program)
      const texts: string[] = []
      command.configureOutput({ writeOut: (text) => void texts.push(text) }).outputHelp()
      const help = texts.join('')
      expect(help, words.join(' ')).toMatch(/Examples:\n {2}bivouac/)
      if (!reads.includes(words.at(-1) ?? '')) expect(help, words.join(' ')).toMatch(/--dry-run/)
    }
  })
})
