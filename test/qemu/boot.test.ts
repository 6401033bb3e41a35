// Stations boot from a real server process that gives the addresses: by the firmware's own means, up to the report of the running system.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, stationFiles, wireNetwork } from '../support/virtual.ts'

const mac = {
  bios: parseMac('52:54:00:aa:00:01'),
  uefi: parseMac('52:54:00:aa:00:02'),
  http: parseMac('52:54:00:aa:00:03'),
  idle: parseMac('52:54:00:aa:00:04'),
  second: parseMac('52:54:00:aa:00:05'),
  stranger: parseMac('52:54:00:aa:00:06'),
}
const wholeRoad = ['discover', 'offer', 'ack', 'loader', 'script', 'kernel', 'initramfs', 'overlay', 'modloop', 'ssh-keys', 'up']

describeBoot(['root', 'ip', 'curl'], 'a station boots', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({
      name: 'boot',
      // Our loader goes out first, also to QEMU's own iPXE, so that it really crosses TFTP.
      config: { networks: [wireNetwork], foreignIpxe: 'loader' },
      files: {
        ...stationFiles(mac.bios, 'hut-bios', 'address: 10.9.0.11\n'),
        ...stationFiles(mac.uefi, 'hut-uefi'),
        ...stationFiles(mac.http, 'hut-http'),
        ...stationFiles(mac.second, 'hut-two'),
      },
    })
  })
  afterAll(() => scene?.close())

  it('BIOS: ROM, undionly.kpxe by TFTP, script, kernel, overlay, modloop, keys, up', async () => {
    const machine = scene.boot('bios', [cardOn(mac.bios, scene.tap('bios0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    const text = machine.serial.text()
    expect(text).toMatch(/^BVC card eth0 52:54:00:aa:00:01 by BOOTIF$/m)
    expect(text).toMatch(/^BVC address 10\.9\.0\.11\/24$/m)
    expect(text).toMatch(/^BVC overlay ok hut-bios$/m)
    expect(text).toMatch(/^BVC modloop ok /m)
    expect(text).toMatch(/^BVC ssh-keys ok 2$/m)
    expect(await machine.exited).toBe(0)

    const events = await scene.waitForEvent(mac.bios, 'up', 5000)
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(wholeRoad))
    expect(kindsOf(events).filter((kind) => kind === 'loader')).toHaveLength(1)
    expect(eventOf(events, 'loader')).toMatchObject({ ip: '10.9.0.11', detail: { via: 'tftp', file: expect.stringContaining('undionly.kpxe') } })
    expect(eventOf(events, 'overlay').detail).toMatchObject({ via: 'http' })
  })

  it('UEFI PXE: OVMF, snponly.efi by TFTP, up', async () => {
    const machine = scene.boot('uefi', [cardOn(mac.uefi, scene.tap('uefi0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/Start PXE over IPv4/)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-uefi$/m)
    const events = await scene.waitForEvent(mac.uefi, 'up', 5000)
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(wholeRoad))
    expect(eventOf(events, 'loader').detail).toMatchObject({ via: 'tftp', file: expect.stringContaining('snponly.efi') })
    // The firmware, our loader and the initramfs have one and the same address.
    expect(new Set(events.flatMap(({ kind, ip }) => (kind === 'ack' && ip ? [ip] : []))).size).toBe(1)
  })

  it('UEFI HTTP Boot: OVMF, snponly.efi by HTTP, up', async () => {
    const machine = scene.boot('uefi-http', [cardOn(mac.http, scene.tap('http0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/URI: http:\/\/10\.9\.0\.1:8080\/.*snponly\.efi/)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-http$/m)
    const events = await scene.waitForEvent(mac.http, 'up', 5000)
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(wholeRoad))
    expect(eventOf(events, 'loader').detail).toMatchObject({ via: 'http', file: expect.stringContaining('snponly.efi') })
  })

  it('two cards: the system uses the one that it booted from, though the other has a link too', async () => {
    // The first card's wire leads nowhere: whoever took it would wait for ever.
    scene.lab.bridge(scene.stationRoom, 'br1')
    const idle = cardOn(mac.idle, scene.tap('idle0', 'br1'), { boots: false })
    const machine = scene.boot('bios', [idle, cardOn(mac.second, scene.tap('two0'))])
    await machine.waitFor(/^BVC up \d/m, 120_000)
    expect(machine.serial.text()).toMatch(/^BVC card eth1 52:54:00:aa:00:05 by BOOTIF$/m)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-two$/m)
    expect(eventOf(await scene.waitForEvent(mac.second, 'up', 5000), 'up').mac).toBe(mac.second)
  })

  it('an unknown station without an overlay waits, is never open, and boots by itself when record and overlay are there', async () => {
    const machine = scene.boot('bios', [cardOn(mac.stranger, scene.tap('new0'))])
    await machine.waitFor(/^Bivouac has nothing to boot/m, 90_000)
    expect(kindsOf(await scene.events(mac.stranger))).not.toContain('kernel')
    for (const [name, content] of Object.entries(stationFiles(mac.stranger, 'hut-late'))) scene.put(name, content)
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-late$/m)
    expect(machine.serial.text()).not.toContain('open-station')
    const events = await scene.waitForEvent(mac.stranger, 'up', 5000)
    expect(kindsOf(events).indexOf('script')).toBeLessThan(kindsOf(events).indexOf('kernel'))
  })
})

describeBoot(['root', 'ip', 'curl'], 'a foreign iPXE, as the settings are without a word', () => {
  const rom = parseMac('52:54:00:aa:01:01')
  let scene: Scene
  beforeAll(async () => {
    scene = await createScene({ name: 'rom', config: { networks: [wireNetwork] }, files: stationFiles(rom, 'hut-rom') })
  })
  afterAll(() => scene?.close())

  it('gets the script at once from our DHCP, without a loader and without waiting for a proxy', async () => {
    const machine = scene.boot('bios', [cardOn(rom, scene.tap('rom0'))])
    await machine.waitFor(/^BVC up \d/m, 90_000)
    expect(machine.serial.text()).toMatch(/^BVC overlay ok hut-rom$/m)
    const events = await scene.waitForEvent(rom, 'up', 5000)
    expect(kindsOf(events)).not.toContain('loader')
    expect(eventOf(events, 'discover').detail).toMatchObject({ stage: 'ipxe' })
    // Lore: QEMU's ROM waits four seconds between offer and request unless option 175 tells it that there is no proxy.
    expect(eventOf(events, 'request').at - eventOf(events, 'offer').at).toBeLessThan(3000)
  })
})
