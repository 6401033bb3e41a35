// The roads of the field that are not our own: the literal `/gpxe-script`, given out by somebody else's DHCP server, and pxelinux.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, serverAddress, stationFiles, wireNetwork } from '../support/virtual.ts'

const [gpxe, sys] = [parseMac('52:54:00:ad:00:01'), parseMac('52:54:00:ad:00:02')]

describeBoot(['root', 'ip', 'curl', 'dnsmasq'], 'the /gpxe-script of the document', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'gpxe',
      files: stationFiles(gpxe, 'hut-gpxe'),
      prepare: ({ lab, serverRoom, folder }) => {
        const boot = `--dhcp-boot=http://${serverAddress}:8080/gpxe-script`
        const range = '--dhcp-range=10.9.0.200,10.9.0.250,1h'
        lab.spawn(serverRoom, [
          'dnsmasq',
          '-k',
          '--conf-file=/dev/null',
          '-p0',
          '--interface=eth0',
          range,
          boot,
          `--dhcp-leasefile=${folder}/leases`,
          '--user=root',
        ])
      },
    })
  })
  afterAll(() => scene?.close())

  it('iPXE itself puts its MAC into the overlay’s URL and gets that overlay', async () => {
    const machine = scene.boot('bios', [cardOn(gpxe, scene.tap('gpxe0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/http:\/\/10\.9\.0\.1:8080\/gpxe-script\.\.\. ok/)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-gpxe$/m)
    const events = await scene.waitForEvent(gpxe, 'up', 5000)
    expect(eventOf(events, 'overlay').detail?.file).toMatch(/^(t\/\*\/)?configs\/52[:-]54[:-]00[:-]ad[:-]00[:-]01\.tar\.gz$/)
  })
})

const syslinux = { loader: '/usr/lib/PXELINUX/pxelinux.0', module: '/usr/lib/syslinux/modules/bios/ldlinux.c32' }

describeBoot(['root', 'ip', 'curl', ...Object.values(syslinux)], 'pxelinux', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'syslinux',
      config: { networks: [wireNetwork], foreignIpxe: 'loader', loaders: { 0: 'pxelinux.0' } },
      files: {
        ...stationFiles(sys, 'hut-sys'),
        'ipxe/pxelinux.0': readFileSync(syslinux.loader),
        'pxelinux.0': readFileSync(syslinux.loader),
        'ldlinux.c32': readFileSync(syslinux.module),
      },
    })
  })
  afterAll(() => scene?.close())

  it('gets its configuration rendered, and IPAPPEND 2 names the card on the kernel line', async () => {
    const machine = scene.boot('bios', [cardOn(sys, scene.tap('sys0'))])
    await machine.waitFor(/^BVC up \d/m, 120_000)
    expect(machine.serial.text()).toMatch(/^BVC card eth0 52:54:00:ad:00:02 by BOOTIF$/m)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-sys$/m)
    const events = await scene.waitForEvent(sys, 'up', 5000)
    expect(kindsOf(events)).toEqual(expect.arrayContaining(['loader', 'script', 'kernel', 'initramfs', 'overlay', 'up']))
    expect(eventOf(events, 'script').detail?.file).toContain('pxelinux.cfg/')
  })
})
