// Stations that boot all the way, from the real server, by loaders that were really built: PXE on BIOS and UEFI, and a stick where DHCP tells nothing.
// Runs when IPXE_SRC names a checkout, like the test beside.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatMacHyphen, parseMac } from '../../src/boot/address.ts'
import { readRecipe } from '../../src/ipxe/recipe-file.ts'
import { type IpxeTools, openIpxeTools } from '../../src/ipxe/tools.ts'
import { missingTools } from '../support/tool.ts'
import { cardOn, createScene, eventOf, kindsOf, type Scene, serverAddress, stationFiles, wireNetwork } from '../support/virtual.ts'
import { bootLoader, type Way } from './machine.ts'

const given = process.env.IPXE_SRC
const missing = missingTools('root', 'ip', 'qemu-system-x86_64', '/dev/net/tun')
const why =
  given === undefined
    ? 'set IPXE_SRC to a checkout of iPXE'
    : missing.length > 0 && process.env.BIVOUAC_REQUIRE_TOOLS !== '1'
      ? `missing ${missing.join(', ')}`
      : undefined
const minutes = 60_000
const recipes = resolve(import.meta.dirname, '../../ipxe')
const mac = {
  bios: parseMac('52:54:00:ab:00:01'),
  uefi: parseMac('52:54:00:ab:00:02'),
  biosStick: parseMac('52:54:00:ab:00:03'),
  uefiStick: parseMac('52:54:00:ab:00:04'),
}
const ownRoad = ['script', 'kernel', 'initramfs', 'overlay', 'modloop', 'up']

describe.skipIf(why !== undefined)(`stations with our own iPXE${why ? ` (SKIPPED: ${why})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bivouac-own-'))
  const depot = join(folder, 'depot')
  let tools: IpxeTools
  let scene: Scene
  let stick: string

  beforeAll(async () => {
    tools = await openIpxeTools({
      depot,
      state: process.env.IPXE_STATE ?? join(folder, 'state'),
      recipesFolder: recipes,
      site: { base: `http://${serverAddress}:8080` },
      now: Date.now,
    })
    await tools.sources.add({ from: given ?? '', name: 'checkout', ...(process.env.IPXE_REVISION ? { revision: process.env.IPXE_REVISION } : {}) })
    for (const name of ['undionly', 'snponly-x86_64', 'usb']) {
      const manifest = await tools.builds.wait(tools.builds.start(await readRecipe(recipes, name, { source: 'checkout' }), true).id)
      stick = tools.artifacts.pathOf(manifest)
    }
    scene = await createScene({
      name: 'own',
      config: { networks: [wireNetwork], foreignIpxe: 'loader' },
      files: {
        ...stationFiles(mac.bios, 'hut-bios'),
        ...stationFiles(mac.uefi, 'hut-uefi'),
        ...stationFiles(mac.biosStick, 'hut-stick'),
        ...stationFiles(mac.uefiStick, 'hut-disk'),
      },
      prepare: ({ folder: own }) => cpSync(join(depot, 'ipxe'), join(own, 'depot/ipxe'), { recursive: true, verbatimSymlinks: true, force: true }),
    })
  }, 30 * minutes)
  afterAll(async () => {
    await scene?.close()
    await tools?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it.each([
    ['bios', 'undionly.kpxe'],
    ['uefi', 'snponly.efi'],
  ] as const)('%s: %s by TFTP, its own script, up', { timeout: 5 * minutes }, async (firmware, file) => {
    const machine = scene.boot(firmware, [cardOn(mac[firmware], scene.tap(`${firmware}0`))])
    await machine.waitFor(/^BVC up \d/m, 2 * minutes)
    const events = await scene.waitForEvent(mac[firmware], 'up', 10_000)
    expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(['discover', 'ack', 'loader', ...ownRoad]))
    expect(eventOf(events, 'loader').detail).toMatchObject({ via: 'tftp', file: expect.stringContaining(file) })
    // Only the script inside our loader asks under this name.
    expect(eventOf(events, 'script').detail?.file).toBe(`boot/${formatMacHyphen(mac[firmware])}.ipxe`)
  })

  it.each<[Way, keyof typeof mac]>([
    ['bios-stick', 'biosStick'],
    ['uefi-stick', 'uefiStick'],
  ])('%s: no loader from the network, script, up', { timeout: 5 * minutes }, async (way, name) => {
    const own = join(folder, way)
    mkdirSync(own)
    cpSync(stick, join(own, 'stick.img'))
    const station = bootLoader(way, own, 'stick.img', mac[name], {
      tap: scene.tap(`${name.slice(0, 8)}0`),
      launcher: ['ip', 'netns', 'exec', scene.stationRoom],
    })
    try {
      const events = await scene.waitForEvent(mac[name], 'up', 2 * minutes).catch((error: Error) => {
        throw new Error(`${error.message}\nserial line:\n${station.text().slice(-3000)}`)
      })
      expect([...new Set(kindsOf(events))]).toEqual(expect.arrayContaining(ownRoad))
      expect(kindsOf(events)).not.toContain('loader')
    } finally {
      await station.stop()
    }
  })
})
