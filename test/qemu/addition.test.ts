// Additions to the initramfs, really loaded: by iPXE on BIOS, and on UEFI, whose kernels find them by the words of the kernel line.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { cardOn, createScene, describeBoot, type Scene, stationFiles, wireNetwork } from '../support/virtual.ts'

const mac = { bios: parseMac('52:54:00:aa:04:01'), uefi: parseMac('52:54:00:aa:04:02') }
const files = {
  ...stationFiles(mac.bios, 'hut-bios', 'profile: added\n'),
  ...stationFiles(mac.uefi, 'hut-uefi', 'profile: added\n'),
  'profiles/added.yaml': 'kind: alpine\nadditions: [first, second]\narguments: [console=ttyS0, quiet, panic=-1]\n',
  'additions/first/etc/first': 'one\n',
  // The stand-in's init says what it makes of each module that is named here.
  'additions/second/modules': 'dummy-of-the-addition\n',
}

describeBoot(['root', 'ip', 'curl'], 'additions to the initramfs', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({ name: 'addition', config: { networks: [wireNetwork] }, files })
  })
  afterAll(() => scene?.close())

  it.each([
    ['bios', mac.bios],
    ['uefi', mac.uefi],
  ] as const)('%s: the kernel unpacks them behind the stock one', async (firmware, own) => {
    const machine = scene.boot(firmware, [cardOn(own, scene.tap(`${firmware}0`))])
    await machine.waitFor(/^BVC up \d/m, 150_000)
    expect(machine.serial.text()).toMatch(/^BVC .*dummy-of-the-addition/m)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok/m)
    await scene.waitForEvent(own, 'up', 10_000)
  })
})
