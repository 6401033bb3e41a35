// The station's wire is another subnet: a real relay agent carries its DHCP to the server, everything else is routed.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, serverAddress, stationFiles, wireNetwork } from '../support/virtual.ts'

const [bios, uefi] = [parseMac('52:54:00:ac:00:01'), parseMac('52:54:00:ac:00:02')]
const far = { name: 'far', subnet: '10.8.0.0/24', serverAddress, pool: ['10.8.0.100-10.8.0.150'], router: ['10.8.0.1'] }

describeBoot(['root', 'ip', 'curl', 'dhcrelay', 'sysctl'], 'behind a relay', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'relay',
      config: { networks: [wireNetwork, far], foreignIpxe: 'loader' },
      files: { ...stationFiles(bios, 'hut-bios'), ...stationFiles(uefi, 'hut-uefi') },
      prepare: ({ lab, serverRoom, stationRoom }) => {
        const router = lab.namespace('router')
        lab.veth({ namespace: router, name: 'up0', address: '10.9.0.2/24' }, { namespace: stationRoom, name: 'port1' })
        lab.ip(stationRoom, 'link', 'set', 'port1', 'master', 'br0')
        lab.veth({ namespace: router, name: 'down0', address: '10.8.0.1/24' }, { namespace: stationRoom, name: 'port2' })
        lab.bridge(stationRoom, 'br8', ['port2'])
        lab.ip(serverRoom, 'route', 'add', '10.8.0.0/24', 'via', '10.9.0.2')
        lab.spawn(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
        lab.spawn(router, ['dhcrelay', '-4', '-d', '-a', '-iu', 'up0', '-id', 'down0', serverAddress])
      },
    })
  })
  afterAll(() => scene?.close())

  it.each([
    ['bios', bios, 'hut-bios', 'undionly.kpxe'],
    ['uefi', uefi, 'hut-uefi', 'snponly.efi'],
  ] as const)('%s: gets an address of its own subnet and boots', async (firmware, mac, name, loader) => {
    const machine = scene.boot(firmware, [cardOn(mac, scene.tap(`${firmware}0`, 'br8'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/^BVC address 10\.8\.0\.1\d\d\/24$/m)
    expect(machine.serial.text()).toMatch(new RegExp(`^BVC overlay ok ${name}$`, 'm'))
    const events = await scene.waitForEvent(mac, 'up', 5000)
    expect(eventOf(events, 'ack')).toMatchObject({ network: 'far', ip: expect.stringMatching(/^10\.8\.0\./) })
    expect(eventOf(events, 'loader').detail).toMatchObject({ via: 'tftp', file: expect.stringContaining(loader) })
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(['script', 'kernel', 'initramfs', 'overlay', 'modloop', 'ssh-keys']))
  })
})
