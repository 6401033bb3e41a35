// A real dnsmasq gives the addresses and knows nothing of booting; the server adds what to boot.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, stationFiles } from '../support/virtual.ts'

const [bios, uefi, http] = [parseMac('52:54:00:ab:00:01'), parseMac('52:54:00:ab:00:02'), parseMac('52:54:00:ab:00:03')]

describeBoot(['root', 'ip', 'curl', 'dnsmasq'], 'beside another DHCP server', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'proxy',
      config: { networks: [{ name: 'wire', interface: 'eth0', mode: 'proxy', subnet: '10.9.0.0/24' }], foreignIpxe: 'loader' },
      files: { ...stationFiles(bios, 'hut-bios'), ...stationFiles(uefi, 'hut-uefi'), ...stationFiles(http, 'hut-http') },
      prepare: ({ lab, stationRoom, folder }) => {
        const other = lab.namespace('other')
        lab.veth({ namespace: other, name: 'eth0', address: '10.9.0.2/24' }, { namespace: stationRoom, name: 'port1' })
        lab.ip(stationRoom, 'link', 'set', 'port1', 'master', 'br0')
        const range = '--dhcp-range=10.9.0.200,10.9.0.250,1h'
        lab.spawn(other, [
          'dnsmasq',
          '-k',
          '--conf-file=/dev/null',
          '-p0',
          '--interface=eth0',
          range,
          `--dhcp-leasefile=${folder}/leases`,
          '--user=root',
        ])
      },
    })
  })
  afterAll(() => scene?.close())

  it.each([
    ['bios', bios, 'hut-bios', 'undionly.kpxe', 'tftp'],
    ['uefi', uefi, 'hut-uefi', 'snponly.efi', 'tftp'],
    ['uefi-http', http, 'hut-http', 'snponly.efi', 'http'],
  ] as const)('%s: the address is the other server’s, the boot is ours', async (firmware, mac, name, loader, via) => {
    const machine = scene.boot(firmware, [cardOn(mac, scene.tap(`${firmware}0`))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/^BVC address 10\.9\.0\.2\d\d\/24$/m)
    expect(machine.serial.text()).toMatch(new RegExp(`^BVC overlay ok ${name}$`, 'm'))
    const events = await scene.waitForEvent(mac, 'up', 5000)
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(['loader', 'script', 'kernel', 'initramfs', 'overlay', 'modloop', 'up']))
    expect(kindsOf(events).filter((kind) => kind === 'loader')).toHaveLength(1)
    expect(eventOf(events, 'loader').detail).toMatchObject({ via, file: expect.stringContaining(loader) })
  })
})
