// Whole sites read into records by the command: PXE Pilot, dnsmasq, /srv/pxe, a netboot tree. Nothing lost, nothing told twice, a second run finds nothing to do.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makePilotFixture, type PilotFixture } from '../pilot/fixture.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

type Plan = {
  nothingToDo: boolean
  profiles: { name: string; value: Record<string, unknown> }[]
  stations: { name: string; value: Record<string, unknown> }[]
  files: { to: string }[]
  kept: string[]
  notes: string[]
  left: { file: string; line?: number; text: string; why: string }[]
}

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

const lay = (files: Record<string, string>, root = folder.path): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}

function run(...args: string[]): Plan {
  const ended = folder.run('--json', 'import', ...args)
  if (ended.code !== 0) throw new Error(`${ended.stdout}${ended.stderr}`)
  return JSON.parse(ended.stdout) as Plan
}

const read = (path: string): string => readFileSync(join(folder.path, path), 'utf8')
const tree = (): string[] => (readdirSync(folder.path, { recursive: true }) as string[]).sort()

describe('PXE Pilot', () => {
  let fixture: PilotFixture
  beforeEach(() => {
    fixture = makePilotFixture({ port: 3478 })
    writeFileSync(join(fixture.root, 'pxelinux.cfg/conf/pxelinux/local'), 'DEFAULT local\nLABEL local\n  LOCALBOOT 0\n')
    writeFileSync(
      join(fixture.root, 'pxelinux.cfg/conf/syslinux/a'),
      'LABEL a\n KERNEL debian/linux\n INITRD debian/initrd.gz\n APPEND auto=true priority=critical\n IPAPPEND 2\n',
    )
    symlinkSync(join(fixture.root, 'pxelinux.cfg/conf/syslinux/a'), join(fixture.root, 'pxelinux.cfg/01-00-00-00-00-00-01'))
  })
  afterEach(() => fixture.remove())

  it('is told in full without writing anything', () => {
    lay({ 'bivouac.yaml': '# ours\nhttp: { port: 8099 } # this\n' })
    const before = tree()
    const plan = run('pxe-pilot', fixture.file, '--dry-run')
    expect(plan.stations.map(({ name }) => name)).toEqual(['h1', 'h2', 'h3', 'h4'])
    expect(tree()).toEqual(before)
  })

  it('becomes stations, profiles, adapters and pilot.file; its passwords stand in files of their own', () => {
    lay({ 'bivouac.yaml': '# ours\nhttp: { port: 8099 } # this\n' })
    const shown = folder.run('import', 'pxe-pilot', fixture.file)
    expect([shown.code, shown.stderr]).toEqual([0, expect.stringMatching(/unknown_key: PXE Pilot does not know this key either/)])
    expect(shown.stdout + shown.stderr).not.toMatch(/s3cret|pass word/)
    expect(read('depot/stations/h1.yaml')).toMatch(/^macs: \[00:00:00:00:00:01\]\n[\s\S]*interface: lanplus[\s\S]*file: .*state\/secrets\/h1\n/)
    expect(read('depot/stations/h1.yaml')).toContain('profile: a\n')
    expect(read('depot/stations/h3.yaml')).toMatch(/00:00:00:00:00:31, 00:00:00:00:00:32/)
    expect(read('state/secrets/h1')).toBe('pass word\n')
    expect([statSync(join(folder.path, 'state/secrets/h1')).mode & 0o777, statSync(join(folder.path, 'state/secrets')).mode & 0o777]).toEqual([
      0o600, 0o700,
    ])
    expect(read('state/secrets/h2.password')).toBe('s3cret\n')
    expect(read('depot/stations/h2.yaml')).not.toContain('s3cret')
    expect(read('bivouac.yaml')).toMatch(/^# ours\nhttp: \{ port: 8099 \} # this\n/)
    expect(read('bivouac.yaml')).toContain(`pilot:\n  file: ${fixture.file}\n`)
    expect(read('bivouac.yaml')).toContain('- name: mock\n')
    expect(folder.run('config', 'show').code).toBe(0)
    expect(run('pxe-pilot', fixture.file)).toMatchObject({ nothingToDo: true, kept: [] })
  })

  it('with its tree in our depot: every link leads within it, and the copy of the file says so', () => {
    run('pxe-pilot', fixture.file, '--copy')
    const depot = join(folder.path, 'depot')
    expect(readlinkSync(join(depot, 'pxelinux.cfg/01-00-00-00-00-00-01'))).toBe(join(depot, 'pxelinux.cfg/conf/syslinux/a'))
    expect(read('depot/pxelinux.cfg/conf/pxelinux/sheep')).toMatch(/sheep/)
    expect(read('pxe-pilot.yml')).toContain(`root: ${depot}\n`)
    expect(read('pxe-pilot.yml')).toContain('unknown_key: is ignored')
    expect(statSync(join(folder.path, 'pxe-pilot.yml')).mode & 0o777).toBe(0o600)
    expect(read('bivouac.yaml')).toContain('file: pxe-pilot.yml')
    expect(run('pxe-pilot', fixture.file, '--copy')).toMatchObject({ nothingToDo: true, kept: [] })
  })

  it('keeps what is here: a station of that MAC gets what it lacks and nothing else', () => {
    lay({ 'depot/stations/mine.yaml': '# by hand\nmac: 00:00:00:00:00:01\nprofile: local\n' })
    const plan = run('pxe-pilot', fixture.file)
    expect(plan.kept).toEqual(['station mine has another profile'])
    expect(read('depot/stations/mine.yaml')).toMatch(/^# by hand\nmac: 00:00:00:00:00:01\nprofile: local\npower:/)
    expect(readdirSync(join(folder.path, 'depot/stations')).sort()).toEqual(['h2.yaml', 'h3.yaml', 'h4.yaml', 'mine.yaml'])
  })
})

describe('dnsmasq', () => {
  const site = {
    'conf/dnsmasq.conf':
      'domain=lab.example\ninterface=eth1\ndhcp-range=lan,10.9.0.100,10.9.0.200,255.255.255.0\ndhcp-hostsfile=dhcphosts\naddn-hosts=hosts\ndhcp-host=52:54:00:00:00:09,nine,10.9.0.9\ntftp-root=tftp\nfoo=bar\n',
    'conf/hosts': '10.9.0.7 kiosk\n',
    'conf/dhcphosts': '52:54:00:00:00:07,kiosk,infinite\n80-ee-73-a9-19-05,slip\n',
    'conf/tftp/pxelinux.cfg/911boot':
      'DEFAULT 1\nLABEL 1\n kernel vmlinuz-4\n initrd initrd.gz\n append root=none ip=dhcp fullroot=http://10.9.0.1:8080\n IPAPPEND 2\n',
    'conf/tftp/pxelinux.cfg/default': 'DEFAULT local\nLABEL local\n LOCALBOOT 0\n',
  }

  it('keeps its files in force; a link of a host is a station with that profile', () => {
    lay(site)
    symlinkSync('911boot', join(folder.path, 'conf/tftp/pxelinux.cfg/01-52-54-00-00-00-07'))
    const plan = run('dnsmasq', 'conf/dnsmasq.conf')
    expect(plan.left.map(({ text }) => text)).toContain('foo=bar')
    expect(plan.left.find(({ file, line }) => file.endsWith('conf/dhcphosts') && line === 2)).toBeDefined()
    expect(plan.notes.join('\n')).toMatch(/two servers would answer DHCP/)
    expect(read('bivouac.yaml')).toMatch(/dhcphosts:[\s\S]*conf\/dhcphosts[\s\S]*hosts/)
    expect(read('bivouac.yaml')).not.toMatch(/networks:/)
    expect(read('dhcphosts')).toBe('52:54:00:00:00:09,nine,10.9.0.9\n')
    expect(read('depot/stations/kiosk.yaml')).toBe('macs: [52:54:00:00:00:07]\nprofile: 911boot\n')
    expect(run('dnsmasq', 'conf/dnsmasq.conf')).toMatchObject({ nothingToDo: true, kept: [] })
    expect(run('dnsmasq', 'conf/dnsmasq.conf', '--with-networks').nothingToDo).toBe(false)
    expect(read('bivouac.yaml')).toMatch(/networks:\n/)
  })

  it('copies its TFTP folder when told', () => {
    lay(site)
    symlinkSync('911boot', join(folder.path, 'conf/tftp/pxelinux.cfg/01-52-54-00-00-00-07'))
    symlinkSync('/etc/passwd', join(folder.path, 'conf/tftp/secret'))
    const plan = run('dnsmasq', 'conf/dnsmasq.conf', '--copy')
    expect(plan.left.find(({ text }) => text === 'secret')?.why).toMatch(/leads out of the tree/)
    expect(readlinkSync(join(folder.path, 'depot/pxelinux.cfg/01-52-54-00-00-00-07'))).toBe('911boot')
    expect(run('dnsmasq', 'conf/dnsmasq.conf', '--copy')).toMatchObject({ nothingToDo: true, kept: [] })
  })
})

describe('/srv/pxe', () => {
  const script =
    // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own marker, filled in on the station
    '#!gpxe\nkernel http://10.9.0.1/vmlinuz-virt ip=dhcp ssh_key=http://10.9.0.1/sshkeys.pub modloop=http://10.9.0.1/modloop-virt modules=loop,squashfs alpine_dev=nfs:10.9.0.1:/srv/pxe apkovl=http://10.9.0.1/configs/${net0/mac}.tar.gz alpine_repo=http://10.9.0.2/main console=ttyS0\ninitrd http://10.9.0.1/initramfs-virt\nsleep 3\nboot\n'

  it('becomes a profile and a station for each overlay', () => {
    lay({
      'srv/gpxe-script': script,
      'srv/vmlinuz-virt': 'k',
      'srv/initramfs-virt': 'i',
      'srv/modloop-virt': 'm',
      'srv/sshkeys.pub': '',
      'srv/configs/odd.tar.gz': '',
    })
    mkdirSync(join(folder.path, 'tree/etc'), { recursive: true })
    writeFileSync(join(folder.path, 'tree/etc/hostname'), 'kiosk-7\n')
    execFileSync('tar', ['-czf', join(folder.path, 'srv/configs/52:54:00:00:00:07.tar.gz'), '-C', join(folder.path, 'tree'), 'etc'])
    writeFileSync(join(folder.path, 'srv/configs/52-54-00-00-00-08.tar.gz'), 'no archive')
    expect(folder.run('import', 'srv-pxe', 'srv').stderr).toMatch(/add --copy/)
    const plan = run('srv-pxe', 'srv', '--copy')
    expect(plan.profiles).toMatchObject([
      {
        name: 'srv-pxe',
        value: {
          kind: 'alpine',
          kernel: 'vmlinuz-virt',
          initramfs: 'initramfs-virt',
          modloop: 'modloop-virt',
          repositories: ['http://10.9.0.2/main'],
          arguments: ['console=ttyS0'],
        },
      },
    ])
    expect(plan.left.map(({ text }) => text)).toEqual(expect.arrayContaining(['sleep 3', 'odd.tar.gz']))
    expect(read('depot/stations/kiosk-7.yaml')).toBe('macs: [52:54:00:00:00:07]\nprofile: srv-pxe\n')
    expect(read('depot/stations/pxe-525400000008.yaml')).toMatch(/52:54:00:00:00:08/)
    expect(read('depot/vmlinuz-virt')).toBe('k')
    expect(run('srv-pxe', 'srv', '--copy')).toMatchObject({ nothingToDo: true, kept: [] })
  })

  it('as the depot itself', () => {
    lay({ 'srv/gpxe-script': script, 'srv/vmlinuz-virt': 'k', 'srv/initramfs-virt': 'i' })
    const ended = folder.run('--json', '--depot', 'srv', 'import', 'srv-pxe', 'srv')
    expect(ended.stderr).toBe('')
    expect(read('bivouac.yaml')).toMatch(/depot: .*srv\n/)
    expect(read('srv/profiles/srv-pxe.yaml')).toMatch(/^kind: alpine\n/)
  })
})

describe('a netboot tree', () => {
  const menu = `#!ipxe
set base http://10.9.0.1:8000
menu Lab <%= boot %>
item debian Debian installer
item disk Local disk
item xen Xen
item gone Nowhere
choose --default nobody --timeout 3000 target && goto \${target}
:debian
kernel \${base}/debian/linux auto=true initrd=initrd.gz || goto failed
initrd \${base}/debian/initrd.gz
boot || goto failed
:disk
exit
:xen
kernel \${base}/xen dom0_mem=512M
module \${base}/vmlinuz
boot
`
  it('is kept as it is, and each item that can be one is a profile; the lint tells its mistakes', () => {
    lay({ 'http/menu.ipxe': menu, 'http/debian/linux': 'k', 'http/debian/initrd.gz': 'i' })
    const plan = run('netboot', 'http', '--copy')
    expect(plan.profiles.map(({ name, value }) => [name, value.kind])).toEqual([
      ['netboot-menu', 'script'],
      ['debian', 'linux'],
      ['disk', 'local'],
      ['xen', 'linux'],
    ])
    expect(read('depot/profiles/debian.yaml')).toMatch(/kernel: debian\/linux\n[\s\S]*debian\/initrd.gz/)
    expect(read('depot/templates/netboot-menu.ejs')).toContain('menu Lab <%%= boot %>')
    expect(plan.left.map(({ line, why }) => [line, why])).toEqual(
      expect.arrayContaining([
        [7, 'no label :gone is there'],
        [8, 'the default nobody names no item'],
        [10, 'no label :failed is there (its colon may be missing)'],
      ]),
    )
    expect(plan.profiles.find(({ name }) => name === 'xen')?.value).toMatchObject({
      arguments: ['dom0_mem=512M'],
      modules: [{ file: 'http://10.9.0.1:8000/vmlinuz' }],
    })
    expect(run('netboot', 'http', '--copy')).toMatchObject({ nothingToDo: true, kept: [] })
  })
})

describe('what cannot be read', () => {
  it.each([
    ['pxe-pilot', 'gone.yml', 4],
    ['dnsmasq', '.', 2],
    ['netboot', 'gone', 4],
    ['srv-pxe', 'gone', 4],
  ])('%s %s', (kind, path, code) => {
    const ended = folder.run('import', kind, path, '--copy')
    expect([ended.code, ended.stdout]).toEqual([code, ''])
    expect(ended.stderr).not.toMatch(/\n\s+at /)
  })

  it.each([
    ['netboot', 'menu.ipxe', 2],
    ['srv-pxe', 'configs/52-54-00-00-00-07.tar.gz', 0],
    ['dnsmasq', 'dnsmasq.conf', 2],
    ['pxe-pilot', 'pxe-pilot.yml', 2],
  ])('%s: a pipe in the place of %s is not waited for', (kind, name, code) => {
    mkdirSync(dirname(join(folder.path, 'old', name)), { recursive: true })
    execFileSync('mkfifo', [join(folder.path, 'old', name)])
    expect(folder.run('import', kind, kind === 'netboot' || kind === 'srv-pxe' ? 'old' : `old/${name}`, '--copy').code).toBe(code)
  })
})
