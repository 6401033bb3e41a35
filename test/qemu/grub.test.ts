// Debian's GRUB as network loader, BIOS and UEFI: booted from the station's record by a per-MAC file that nobody wrote.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { formatMacHyphen, parseMac } from '../../src/boot/address.ts'
import { makeGrub, watchTftp } from '../support/netboot.ts'
import { cardOn, createScene, describeBoot, eventOf, type Scene, stationFiles, wireNetwork } from '../support/virtual.ts'

const stations = { bios: parseMac('52:54:00:cc:00:01'), uefi: parseMac('52:54:00:cc:00:02'), chain: parseMac('52:54:00:cc:00:03') }
const folder = 'releases/stand-in/x86_64'
const tools = ['root', 'ip', 'curl', 'tcpdump', 'grub-mkimage', '/usr/lib/grub/i386-pc/modinfo.sh', '/usr/lib/grub/x86_64-efi/modinfo.sh']

describeBoot(tools, 'GRUB from the record', () => {
  let scene: Scene
  beforeAll(async () => {
    const work = mkdtempSync(join(tmpdir(), 'bvc-grub-'))
    makeGrub(join(work, 'grub.0'), 'bios')
    makeGrub(join(work, 'grub.efi'), 'uefi')
    scene = await createScene({
      name: 'grub',
      config: { networks: [wireNetwork], foreignIpxe: 'loader', loaders: { 0: 'grub.0', 7: 'grub.efi' } },
      files: {
        'ipxe/grub.0': readFileSync(join(work, 'grub.0')),
        'ipxe/grub.efi': readFileSync(join(work, 'grub.efi')),
        ...stationFiles(stations.bios, 'hut-bios', 'profile: tftp-linux\n'),
        ...stationFiles(stations.uefi, 'hut-uefi', 'profile: choice\n'),
        ...stationFiles(stations.chain, 'hut-chain', 'profile: other\n'),
        'profiles/other.yaml': 'kind: chain\ntarget: hello.ipxe\n',
        'hello.ipxe': '#!ipxe\necho chained by iPXE\npoweroff\n',
        'profiles/tftp-linux.yaml': `kind: linux\nkernel: ${folder}/vmlinuz-virt\ninitrds: [${folder}/initramfs-virt]\narguments: [ip=dhcp, "apkovl={base}/configs/{mac}.tar.gz", panic=-1]\nconsole: [ttyS0]\n`,
        'profiles/choice.yaml':
          'kind: menu\ntimeoutSeconds: 1\ndefault: tftp-linux\nentries:\n  - label: The disk\n    name: disk\n    local: true\n  - label: Linux by TFTP\n    profile: tftp-linux\n',
      },
    })
    rmSync(work, { recursive: true })
  })
  afterAll(() => scene?.close())

  it('BIOS and UEFI: its own file by MAC, kernel and initrd by TFTP, up; a menu takes its default', async () => {
    const { names } = await watchTftp(scene.lab, scene.serverRoom, 'eth0')
    await Promise.all([check('bios', names), check('uefi', names)])
  })

  it('BIOS: what GRUB cannot do goes to iPXE', async () => {
    const machine = scene.boot('bios', [cardOn(stations.chain, scene.tap('chain0'))])
    await machine.waitFor(/chained by iPXE/, 90_000)
  })

  async function check(firmware: 'bios' | 'uefi', names: () => string[]): Promise<void> {
    const mac = stations[firmware]
    const machine = scene.boot(firmware, [cardOn(mac, scene.tap(`${firmware}0`))])
    await machine.waitFor(/^BVC up \d/m, 150_000)
    expect(machine.serial.text()).toMatch(new RegExp(`^BVC card eth0 ${mac} by BOOTIF`, 'm'))
    expect(machine.serial.text()).toMatch(new RegExp(`^BVC overlay ok hut-${firmware}`, 'm'))
    const events = await scene.waitForEvent(mac, 'up', 5000)
    const own = `grub/grub.cfg-01-${formatMacHyphen(mac)}`
    expect(eventOf(events, 'script').detail).toMatchObject({ via: 'tftp', profile: firmware === 'bios' ? 'tftp-linux' : 'choice', file: `/${own}` })
    expect(names().map((name) => name.replace(/^\//, ''))).toEqual(
      expect.arrayContaining([own, `${folder}/vmlinuz-virt`, `${folder}/initramfs-virt`]),
    )
  }
})
