// Debian's pxelinux in a BIOS PC: booted from the station's record, and the names that it asks for beside those that `pxelinux resolve` lists.
// GRUB's names too, BIOS and UEFI.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseIpv4, parseMac } from '../../src/boot/address.ts'
import { listPxelinuxNames } from '../../src/dnsmasq/pxelinux.ts'
import { copyInto, makeGrub, pxelinuxFiles, until, watchTftp } from '../support/netboot.ts'
import { cardOn, createScene, describeBoot, eventOf, type Scene, serverAddress, stationFiles, wireNetwork } from '../support/virtual.ts'

const mac = parseMac('52:54:00:bb:00:01')
const grubMac = parseMac('52:54:00:bb:00:02')
const tools = ['root', 'ip', 'curl', 'tcpdump', ...pxelinuxFiles]
const folder = 'releases/stand-in/x86_64'
const config = { networks: [wireNetwork], foreignIpxe: 'loader', loaders: { 0: 'pxelinux.0' } }

describeBoot(tools, 'pxelinux from the record', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'pxelinux',
      config,
      files: {
        ...stationFiles(mac, 'hut-pxe', 'address: 10.9.0.31\nprofile: alpine-like\n'),
        'profiles/alpine-like.yaml': `kind: linux\nkernel: ${folder}/vmlinuz-virt\ninitrds: [${folder}/initramfs-virt]\narguments: [ip=dhcp, "apkovl={file:configs/52-54-00-bb-00-01.tar.gz}", panic=-1]\nconsole: [ttyS0]\n`,
      },
    })
  })
  afterAll(() => scene?.close())

  it('kind linux: pxelinux.0 and ldlinux.c32 of the distribution, kernel and initrd by TFTP, BOOTIF by IPAPPEND 2, up', async () => {
    const { names } = await watchTftp(scene.lab, scene.serverRoom, 'eth0')
    const machine = scene.boot('bios', [cardOn(mac, scene.tap('pxe0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/^BVC card eth0 52:54:00:bb:00:01 by BOOTIF/m)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-pxe/m)
    const events = await scene.waitForEvent(mac, 'up', 5000)
    expect(eventOf(events, 'script').detail).toMatchObject({ via: 'tftp', profile: 'alpine-like', file: 'pxelinux.cfg/01-52-54-00-bb-00-01' })
    expect(names()).toContain(`${folder}/vmlinuz-virt`)
  })

  it('kind chain: it hands over to iPXE, which goes on by HTTP', async () => {
    scene.put('ipxe/hello.ipxe', '#!ipxe\necho chained by iPXE\npoweroff\n')
    scene.put('profiles/alpine-like.yaml', 'kind: chain\ntarget: ipxe/hello.ipxe\n')
    await until(
      async () => (await scene.command('explain', 'hut-pxe', '--json')).stdout.includes('hello.ipxe'),
      20_000,
      () => scene.server.output(),
    )
    const machine = scene.boot('bios', [cardOn(mac, scene.tap('pxe1'))])
    await machine.waitFor(/chained by iPXE/, 90_000)
  })
})

describeBoot([...tools, 'grub-mkimage', '/usr/lib/grub/x86_64-efi/modinfo.sh'], 'the names that pxelinux and GRUB ask for', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'pxenames',
      config: { ...config, tftp: { enabled: false }, loaders: { 0: 'pxelinux.0', 7: 'grub.efi' } },
      files: {
        ...stationFiles(mac, 'hut-pxe', 'address: 10.9.0.31\n'),
        ...stationFiles(grubMac, 'hut-grub', 'address: 10.9.0.32\n'),
        'ipxe/grub.efi': 'only its name counts: another server has the file',
      },
    })
  })
  afterAll(() => scene?.close())

  it('are those of the resolver, in its order; GRUB has the same keys behind its own name', async () => {
    const served = join(scene.folder, 'tftp')
    copyInto(served, pxelinuxFiles)
    makeGrub(join(served, 'grub.efi'), 'uefi')
    const program = join(import.meta.dirname, '../support/tftp-server.ts')
    const tftp = scene.lab.spawn(scene.serverRoom, [process.execPath, program, JSON.stringify({ address: serverAddress, folder: served })])
    await tftp.waitFor(/listening/, 20_000)
    const { names } = await watchTftp(scene.lab, scene.serverRoom, 'eth0')
    const grub = scene.boot('uefi', [cardOn(grubMac, scene.tap('grub0'))])
    const machine = scene.boot('bios', [cardOn(mac, scene.tap('pxe0'))])
    await until(
      () => names().includes('pxelinux.cfg/default'),
      60_000,
      () => `${names().join('\n')}\n${machine.serial.tail(20)}`,
    )
    const asked = names().filter((name) => name.includes('pxelinux.cfg/'))
    const uuid = /pxelinux\.cfg\/([0-9a-f-]{36})/.exec(asked[0] ?? '')?.[1]
    const listed = listPxelinuxNames({ mac, ip: parseIpv4('10.9.0.31') })
    expect(asked).toEqual([...(uuid === undefined ? [] : [`pxelinux.cfg/${uuid}`]), ...listed])

    await until(
      () => names().includes('/grub/grub.cfg'),
      90_000,
      () => `${names().join('\n')}\n${grub.serial.tail(20)}`,
    )
    const keys = names().flatMap((name) => /^\/grub\/grub\.cfg(?:-(.*))?$/.exec(name)?.[1] ?? [])
    const wanted = listPxelinuxNames({ mac: grubMac, ip: parseIpv4('10.9.0.32') }).map((name) => name.replace('pxelinux.cfg/', ''))
    expect(keys.filter((key) => !/^[0-9a-f]{8}-/.test(key))).toEqual(wanted.filter((name) => name !== 'default'))
  })
})
