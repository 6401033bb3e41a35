// Installer once, then the disk: the story of the endless install, with a real server, real firmware, a disk that says that it was started.
// One station's installer calls back as its last step; the other's never does, and its order ends in the stated fallback.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Mac, parseMac } from '../../src/boot/address.ts'
import { startMachine } from '../../src/qemu/machine.ts'
import { until } from '../support/netboot.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, stationFiles, wireNetwork } from '../support/virtual.ts'

const good = parseMac('52:54:00:dd:00:01')
const mute = parseMac('52:54:00:dd:00:02')
const chooser = parseMac('52:54:00:dd:00:03')
const folder = 'releases/stand-in/x86_64'
const installer = (more: string) =>
  `kind: linux\nkernel: ${folder}/vmlinuz-virt\ninitrds: [${folder}/initramfs-virt]\narguments: [ip=dhcp, "apkovl={base}/configs/{mac}.tar.gz", "callback={up}", panic=-1${more}]\nconsole: [ttyS0]\n`

/** A boot sector that writes a line to the first serial port and stops. */
function makeDisk(text: string): Uint8Array {
  const code = Buffer.from('fc31c08ed8be167cbaf803ac84c07403eeebf8f4ebfd', 'hex')
  const disk = Buffer.alloc(1 << 20)
  Buffer.concat([code, Buffer.from(`\r\n${text}\r\n\0`)]).copy(disk)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

describeBoot(['root', 'ip', 'curl'], 'an installer for the next boot', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'next',
      config: { networks: [wireNetwork], foreignIpxe: 'loader' },
      files: {
        ...stationFiles(good, 'good', 'profile: local\n'),
        ...stationFiles(mute, 'mute', 'profile: wait\n'),
        ...stationFiles(chooser, 'chooser', 'profile: choice\n'),
        'profiles/choice.yaml':
          'kind: menu\ndefault: lost\ntimeoutSeconds: 1\nentries:\n  - { label: The shell, shell: true }\n  - { label: Lost, name: lost, linux: { kernel: "http://10.9.0.1:8080/nobody" } }\n',
        'profiles/installer.yaml': installer(''),
        'profiles/mute-installer.yaml': installer(', bivouac_quiet=1'),
      },
    })
    mkdirSync(join(scene.folder, 'disk'))
    for (const name of ['good', 'mute']) writeFileSync(join(scene.folder, 'disk', name), makeDisk(`the disk of ${name}`))
  })
  afterAll(() => scene?.close())

  const boot = (name: string, mac: Mac, tap: string) =>
    startMachine({
      firmware: 'bios',
      cards: [cardOn(mac, scene.tap(tap))],
      folder: join(scene.folder, `machine-${tap}`),
      medium: { file: join(scene.folder, 'disk', name), kind: 'stick' },
      launcher: ['ip', 'netns', 'exec', scene.stationRoom],
    })

  const installs = async (mac: Mac) =>
    (await scene.events(mac)).filter(({ kind, detail }) => kind === 'script' && String(detail?.profile).endsWith('installer'))

  it('that calls back boots once, then the disk; one that does not ends in the fallback, and neither installs twice', async () => {
    for (const words of [
      ['good', '--profile', 'installer', '--once'],
      ['mute', '--profile', 'mute-installer', '--attempts', '1', '--fallback', 'local'],
    ]) {
      const { code, stdout, stderr } = await scene.command('boot', ...words)
      expect(`${stdout}${stderr}\nexit ${code}`).toMatch(/exit 0$/)
    }
    const first = [boot('good', good, 'good0'), boot('mute', mute, 'mute0')] as const
    try {
      await Promise.all([first[0].waitFor(/^BVC up \d/m, 90_000), first[1].waitFor(/^BVC default \d/m, 90_000)])
      await Promise.all(first.map(({ exited }) => exited))
    } finally {
      await Promise.all(first.map((machine) => machine.stop()))
    }
    expect(first[0].serial.text()).not.toMatch(/the disk of/)
    expect(kindsOf(await scene.waitForEvent(good, 'next-done', 5000))).toContain('up')
    expect(kindsOf(await scene.events(mute))).not.toContain('up')

    // A menu beside it: what its default leads to is not there, and each time it comes back.
    const menu = scene.boot('bios', [cardOn(chooser, scene.tap('menu0'))])
    const again = boot('good', good, 'good1')
    await again.waitFor(/^the disk of good/m, 90_000)
    await again.stop()
    // Within 20 seconds of its script a firmware that asks again is in the same boot.
    const begun = eventOf(await installs(mute), 'script').at
    await until(
      () => Date.now() - begun > 21_000,
      40_000,
      () => '',
    )
    const fallen = boot('mute', mute, 'mute1')
    await fallen.waitFor(/^the disk of mute/m, 90_000)
    await fallen.stop()

    await until(
      () => menu.serial.text().split('that did not boot. Back to the menu').length > 2,
      60_000,
      () => menu.serial.tail(30),
    )
    await menu.stop()

    const events = await scene.events(mute)
    expect(eventOf(events, 'next-failed').detail).toMatchObject({
      profile: 'mute-installer',
      reason: expect.stringMatching(/1 boot .* began and none called back: local/),
    })
    expect(await installs(good)).toHaveLength(1)
    expect(await installs(mute)).toHaveLength(1)
    for (const mac of [good, mute]) {
      expect((await scene.events(mac)).filter(({ kind }) => kind === 'script').at(-1)?.detail).toMatchObject({ profile: 'local' })
    }
    const orders = (await scene.command('boot', '--list')).stdout
    expect(orders).toMatch(/^mute .*failed/m)
    expect(orders).not.toMatch(/^good /m)
  })
})
