import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { type Ipv4, type Mac, parseMac } from '../../src/boot/address.ts'
import type { Client, Stage } from '../../src/boot/client.ts'
import { openVersion } from '../../src/station/file.ts'
import { createLooks } from '../../src/station/look.ts'
import { createShelf } from '../../src/station/shelf.ts'
import { goodOverlay } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { base, createRoom, mac, otherMac, putRelease, type Room, type RoomInput, release } from '../support/station.ts'

const rooms: Room[] = []
afterEach(() => {
  for (const room of rooms.splice(0)) room.remove()
})
function roomOf(input: RoomInput = {}): Room {
  const room = createRoom({ stations: [{ name: 'station1', macs: [mac, otherMac], group: 'xl' }], ...input })
  rooms.push(room)
  putRelease(room)
  return room
}
const client = (stage: Stage, arch = 0, who: Mac = mac): Client => ({
  mac: who,
  stage,
  archs: [arch],
  isHttpBoot: false,
  speaksHttp: stage !== 'firmware',
  arrival: { network: 'lab', mode: 'server', serverAddress: '10.9.0.1' as Ipv4, httpBase: base },
})
const found = async (room: Room, who: Mac = mac): Promise<string> => {
  const overlay = await room.gate.findOverlay(who)
  return 'path' in overlay ? `${overlay.from} ${overlay.path}` : (overlay.broken ?? 'none')
}

describe('the overlay of a station', () => {
  const spellings = ['52:54:00:12:34:56', '52-54-00-12-34-56', '5254.0012.3456', '525400123456', '52-54-00-12-34-56'.toUpperCase(), '525400ABCDEF']

  it.each(spellings)('is found under the file name %s, before the group’s and the default', async (name) => {
    const room = roomOf()
    room.put(`configs/${name}.tar.gz`, goodOverlay('own'))
    room.put('configs/groups/xl.tar.gz', goodOverlay('group'))
    room.put('configs/default.tar.gz', goodOverlay('default'))
    expect(await found(room)).toBe(`station configs/${name}.tar.gz`)
  })

  it('is its own, or its group’s, or the default', async () => {
    const room = roomOf()
    expect(await found(room)).toBe('none')
    room.put('configs/default.tar.gz', goodOverlay('default'))
    expect(await found(room)).toBe('default configs/default.tar.gz')
    room.put('configs/groups/s.tar.gz', goodOverlay('group'))
    expect(await found(room)).toBe('default configs/default.tar.gz')
    room.put('configs/groups/xl.tar.gz', goodOverlay('group'))
    expect(await found(room)).toBe('group configs/groups/xl.tar.gz')
    expect(await found(room, parseMac('52:54:00:00:00:09'))).toBe('default configs/default.tar.gz')
    room.put('configs/52-54-00-ab-cd-ef.tar.gz', goodOverlay('own'))
    expect(await found(room)).toBe('station configs/52-54-00-ab-cd-ef.tar.gz')
    room.put('configs/52:54:00:12:34:56.tar.gz', goodOverlay('own'))
    expect(await found(room)).toBe('station configs/52:54:00:12:34:56.tar.gz')
    expect(await found(room, otherMac)).toBe('station configs/52-54-00-ab-cd-ef.tar.gz')
  })

  it('under two spellings is the document’s', async () => {
    const room = roomOf()
    room.put('configs/52-54-00-12-34-56.tar.gz', goodOverlay('one'))
    room.put('configs/52:54:00:12:34:56.tar.gz', goodOverlay('two'))
    expect(await found(room)).toBe('station configs/52:54:00:12:34:56.tar.gz')
  })

  it('that is broken is not passed over for a less exact one', async () => {
    const room = roomOf()
    room.put('configs/default.tar.gz', goodOverlay('default'))
    room.put('configs/groups/xl.tar.gz', 'not gzip')
    expect(await found(room)).toBe('configs/groups/xl.tar.gz')
    room.put('configs/52-54-00-12-34-56.tar.gz', '')
    expect(await found(room)).toBe('configs/52-54-00-12-34-56.tar.gz')
  })

  it('is seen when it is mended, replaced or taken away, within 100 ms', async () => {
    const room = roomOf()
    const path = 'configs/52-54-00-12-34-56.tar.gz'
    room.put(path, 'broken')
    expect(await found(room)).toBe(path)
    room.put(path, goodOverlay('mended'))
    expect(await found(room)).toBe(`station ${path}`)
    writeFileSync(join(room.depot, 'configs/.new'), goodOverlay('replaced'))
    renameSync(join(room.depot, 'configs/.new'), join(room.depot, path))
    room.pass(100)
    const overlay = await room.gate.findOverlay(mac)
    expect('path' in overlay && overlay.report.hostname).toBe('replaced')
    rmSync(join(room.depot, path))
    room.pass(100)
    expect(await found(room)).toBe('none')
  })

  it.each([
    ['a link out of the depot', (_: Room, path: string) => symlinkSync('/etc/passwd', path)],
    [
      'a link to the operator’s sources',
      (room: Room, path: string) => {
        room.put('overlays/x.tar.gz', goodOverlay('x'))
        symlinkSync('../overlays/x.tar.gz', path)
      },
    ],
    ['a link to nothing', (_: Room, path: string) => symlinkSync('nothing', path)],
    ['a folder', (_: Room, path: string) => mkdirSync(path)],
  ])('that is %s cannot be served', async (_, make) => {
    const room = roomOf()
    mkdirSync(join(room.depot, 'configs'))
    make(room, join(room.depot, 'configs/52-54-00-12-34-56.tar.gz'))
    room.pass()
    expect(await found(room)).toBe('configs/52-54-00-12-34-56.tar.gz')
    await expect(room.open(`configs/${mac}.tar.gz`)).rejects.toMatchObject({ code: 'overlay-missing' })
  })

  it('that becomes a pipe between the look at it and the look through it holds nobody', async () => {
    const room = roomOf()
    const path = 'configs/52-54-00-12-34-56.tar.gz'
    const full = join(room.depot, path)
    const swap = (): number => {
      rmSync(full)
      execFileSync('mkfifo', [full])
      return 1000
    }
    room.put(path, goodOverlay('x'))
    const limits = {
      get entries() {
        return swap()
      },
    }
    const shelf = createShelf({ depot: room.depot, now: room.now, limits })
    expect(await shelf.find(mac, undefined)).toMatchObject({ path })
    room.pass()
    expect(await shelf.find(mac, undefined)).toMatchObject({ broken: path })

    rmSync(full)
    room.put(path, goodOverlay('x'))
    const version = await createLooks({ depot: room.depot, now: room.now, revalidateMs: 100 }).look(path)
    swap()
    expect(await openVersion(version)).toBeUndefined()
  })

  it('may be a link inside the shelf', async () => {
    const room = roomOf()
    room.put('configs/groups/xl.tar.gz', goodOverlay('xl'))
    symlinkSync('groups/xl.tar.gz', join(room.depot, 'configs/525400123456.tar.gz'))
    room.pass()
    expect(await found(room)).toBe('station configs/525400123456.tar.gz')
    expect((await room.fetch(`configs/${mac}.tar.gz`)).length).toBe(goodOverlay('xl').length)
  })
})

describe('a plan', () => {
  it('has the release, the overlay and the reasons', async () => {
    const room = roomOf()
    room.put('configs/default.tar.gz', goodOverlay('default'))
    const plan = await room.gate.plan(mac, {})
    expect(plan.boot).toMatchObject({ files: { kernel: release.kernel }, overlay: 'configs/default.tar.gz' })
    expect(plan.overlay?.report.hostname).toBe('default')
    expect(plan.why.map(({ rule }) => rule)).toEqual(['station', 'default', 'release', 'overlay'])
  })

  it('without overlay is what the site says, and a bare Alpine only where it is asked for by name', async () => {
    for (const [withoutOverlay, kind] of [
      ['wait', 'wait'],
      ['local', 'local'],
      ['menu', 'menu'],
      ['bare', 'alpine'],
      ['gone', 'wait'],
    ] as const) {
      const room = roomOf({
        site: { withoutOverlay },
        profiles: [
          { name: 'default', kind: 'alpine' },
          { name: 'bare', kind: 'alpine', overlay: 'none' },
        ],
      })
      const plan = await room.gate.plan(mac, {})
      expect(plan.profile.kind).toBe(kind)
      expect(plan.why.find(({ rule, held }) => rule === 'overlay' && !held)?.text).toContain('no overlay')
    }
  })

  it('reports a broken overlay once a minute, and only when it was wanted', async () => {
    const room = roomOf()
    room.put('configs/52-54-00-12-34-56.tar.gz', 'broken')
    room.put('configs/default.tar.gz', goodOverlay('default'))
    expect((await room.gate.plan(mac, {})).profile.kind).toBe('wait')
    await room.gate.plan(mac, {})
    expect(room.events).toHaveLength(1)
    expect(room.events[0]).toMatchObject({ kind: 'overlay-broken', mac, detail: { file: 'configs/52-54-00-12-34-56.tar.gz' } })
    room.pass(60_000)
    await room.gate.plan(mac, {})
    expect(room.events).toHaveLength(2)
    await room.gate.explain(mac)
    room.setRecords({ stations: [{ name: 'station1', macs: [mac], profile: 'local' }] })
    room.pass(60_000)
    await room.gate.plan(mac, {})
    expect(room.events).toHaveLength(2)
  })

  it.each([0, 1, 2])('waits when a file of the release is not there (%i)', async (index) => {
    const room = roomOf()
    room.put('configs/default.tar.gz', goodOverlay('default'))
    const path = [release.kernel, release.initramfs, release.modloop ?? ''][index] as string
    rmSync(join(room.depot, path))
    room.pass()
    const plan = await room.gate.plan(mac, {})
    expect(plan.profile.kind).toBe('wait')
    expect(plan.boot).toBeUndefined()
    expect(plan.why.find(({ rule, held }) => rule === 'release' && !held)?.text).toBe(`${path} is not in the depot`)
  })

  it('takes the menu’s choice only from a station that has a menu, and only what the menu has', async () => {
    const profiles = [
      { name: 'default', kind: 'menu' },
      { name: 'desk', kind: 'alpine' },
      { name: 'bare', kind: 'alpine', overlay: 'none' },
    ]
    const room = roomOf({
      stations: [
        { name: 'one', macs: [mac] },
        { name: 'two', macs: [otherMac], profile: 'local' },
      ],
      profiles,
    })
    room.put('configs/default.tar.gz', goodOverlay('default'))
    const kindOf = async (who: Mac, chosen: string): Promise<string> => (await room.gate.plan(who, {}, chosen)).profile.name
    expect(await kindOf(mac, 'desk')).toBe('desk')
    for (const chosen of ['bare', 'nothing', 'ignore', '__proto__']) expect(await kindOf(mac, chosen)).toBe('default')
    expect(await kindOf(otherMac, 'desk')).toBe('local')
  })
})

describe('decisions', () => {
  it('see the loaders and the loader’s memory', () => {
    const room = roomOf({ site: { foreignIpxe: 'loader' } })
    expect(room.gate.decide(client('firmware'))).toMatchObject({ kind: 'lease', trouble: expect.stringContaining('undionly.kpxe') })
    room.put('ipxe/undionly.kpxe', 'loader')
    expect(room.gate.decide(client('firmware'))).toMatchObject({ kind: 'loader', file: 'undionly.kpxe' })
    expect(room.gate.decide(client('ipxe'))).toMatchObject({ kind: 'loader' })
    room.presence.loaderFetched(mac)
    expect(room.gate.decide(client('ipxe'))).toMatchObject({ kind: 'script', url: `${base}/boot.ipxe` })
    room.pass(120_000)
    expect(room.gate.decide(client('ipxe'))).toMatchObject({ kind: 'loader' })
    expect(room.gate.decide(client('bivouac'))).toMatchObject({ kind: 'script' })
  })
})

describe('explain', () => {
  it('tells, without a packet and without an event, all that the station would get', async () => {
    const room = roomOf()
    room.put('ipxe/undionly.kpxe', 'loader')
    room.put('configs/groups/xl.tar.gz', goodOverlay('xl'))
    const told = await room.gate.explain(mac, { httpBase: base })
    expect(JSON.parse(JSON.stringify(told))).toEqual(told)
    expect(told.dhcp.map(({ stage, arch, decision }) => [stage, arch, decision.kind])).toEqual([
      ['firmware', 0, 'loader'],
      ['firmware', 7, 'lease'],
      ['ipxe', 0, 'script'],
      ['ipxe', 7, 'script'],
      ['bivouac', 0, 'script'],
      ['bivouac', 7, 'script'],
    ])
    expect(told.dhcp[0]?.loader).toEqual({ path: join(room.depot, 'ipxe/undionly.kpxe'), source: 'depot', depotPath: 'ipxe/undionly.kpxe' })
    expect(told).toMatchObject({ mac, station: 'station1', overlay: { path: 'configs/groups/xl.tar.gz', from: 'group', warnings: [] } })
    expect(told.script).toMatchObject({
      name: 'boot/52-54-00-12-34-56.ipxe',
      profile: 'default',
      kind: 'alpine',
      boots: true,
      offers: ['overlay', 'modloop'],
    })
    expect(told.script.text).toBe(await room.fetch('boot/52-54-00-12-34-56.ipxe'))
    expect(told.script.why.some(({ held }) => held)).toBe(true)
    expect(room.events.map(({ kind }) => kind)).toEqual(['script'])
  })

  it('gives the losing rules too, and the reason for waiting', async () => {
    const room = roomOf({
      profiles: [
        { name: 'default', kind: 'alpine' },
        { name: 'kiosk', kind: 'local', match: { role: 'kiosk' } },
      ],
    })
    const told = await room.gate.explain(mac)
    expect(told.script.why).toContainEqual({ rule: 'match', held: false, text: 'profile kiosk wants role=kiosk, the station has none' })
    expect(told.script).toMatchObject({ profile: 'wait', boots: false })
    expect(told.overlay).toMatchObject({ missing: expect.stringContaining('no overlay') })
  })

  it('names the more exact overlays that are not there, and the quirks that do not hold', async () => {
    const quirks = [
      { name: 'thin', when: { oui: '00:80:64' }, loader: 'thin.kpxe' },
      { name: 'uefi', when: { vendorClass: 'PXEClient:Arch:00007' }, loader: 'own.efi' },
      { name: 'never-asked', when: { arch: 99 }, loader: 'x' },
    ]
    const room = roomOf({ site: { quirks } })
    for (const name of ['thin.kpxe', 'own.efi', 'undionly.kpxe']) room.put(`ipxe/${name}`, name)
    room.put('configs/default.tar.gz', goodOverlay('default'))
    const told = await room.gate.explain(mac, { stage: 'firmware' })
    expect(told.overlay).toMatchObject({ from: 'default', passed: ['configs/52-54-00-12-34-56.tar.gz', 'configs/groups/xl.tar.gz'] })
    const quirksOf = (arch: number) =>
      told.dhcp
        .find((one) => one.arch === arch)
        ?.decision.why.flatMap(({ rule, held, text }) => (rule === 'quirk' ? `${held ? '+' : '-'} ${text}` : []))
    expect(quirksOf(7)).toEqual(['+ rule uefi', '- rule thin is for MACs of 00:80:64'])
    expect(quirksOf(0)).toEqual([
      '- rule thin is for MACs of 00:80:64',
      '- rule uefi is for the vendor class PXEClient:Arch:00007',
      '- rule never-asked is for architecture 99',
    ])
  })

  it('can be asked for one kind of firmware', async () => {
    const told = await roomOf().gate.explain(mac, { archs: [16], stage: 'firmware' })
    expect(told.dhcp).toMatchObject([{ stage: 'firmware', arch: 16, firmware: 'x86-64 UEFI HTTP' }])
  })

  it('has no script for profile kind ignore', async () => {
    const told = await roomOf({ profiles: [{ name: 'default', kind: 'ignore' }] }).gate.explain(mac)
    expect(told.script.text).toBeUndefined()
  })
})

describe('never an open station', () => {
  const good = goodOverlay('x')
  const states: Record<string, Uint8Array | string | undefined> = {
    absent: undefined,
    good,
    empty: '',
    'a page': '<html>it works</html>',
    'cut gzip': good.subarray(0, good.length - 20),
    'gzip of nothing': gzipSync(''),
    'gzip of text': gzipSync('not a tar'.repeat(200)),
    'cut tar': gzipSync(Buffer.alloc(700, 1)),
    encrypted: 'Salted__abcdefgh',
  }
  const names = Object.keys(states)

  it('whatever the shelf holds, a script names an overlay exactly when that overlay is served, and boots Alpine only with one or by name', async () => {
    const random = seededRandom(2026)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    for (let round = 0; round < 150; round++) {
      const withoutOverlay = pick(['wait', 'local', 'menu', 'bare', 'default', 'gone'])
      const profile = pick(['default', 'bare', 'menu', undefined])
      const room = roomOf({
        stations: [{ name: 'station1', macs: [mac], group: 'xl', ...(profile && { profile }) }],
        profiles: [
          { name: 'default', kind: 'alpine' },
          { name: 'bare', kind: 'alpine', overlay: 'none' },
        ],
        site: { withoutOverlay, unknown: pick(['wait', 'default', 'bare', 'local']) },
      })
      const shelf = {
        'configs/52-54-00-12-34-56.tar.gz': pick(names),
        'configs/groups/xl.tar.gz': pick(names),
        'configs/default.tar.gz': pick(names),
      }
      for (const [path, state] of Object.entries(shelf)) {
        const content = states[state]
        if (content !== undefined) room.put(path, content)
      }
      const stranger = parseMac('52:54:00:00:00:77')
      for (const [who, form] of [
        [mac, 'boot'],
        [stranger, 'boot'],
        [mac, 'gpxe'],
        [undefined, 'gpxe'],
        [mac, 'pxelinux'],
        [stranger, 'pxelinux'],
      ] as const) {
        const peer = who ? '10.9.0.60' : '10.9.0.61'
        if (who) room.presence.learn(peer, who)
        const name = form === 'gpxe' ? 'gpxe-script' : form === 'boot' ? `boot/${who}.ipxe` : `pxelinux.cfg/01-${who?.replaceAll(':', '-')}`
        const text = await room.fetch(name, { peer })
        const overlay = await room.gate.findOverlay(who ?? parseMac('52:54:00:99:99:99'))
        const told = JSON.stringify({ round, shelf, withoutOverlay, profile, form, who, text })
        const boots = /^(kernel|KERNEL) /m.test(text)
        if (text.includes('apkovl=')) {
          expect('path' in overlay, told).toBe(true)
          expect(await room.fetch(`configs/${who ?? '52:54:00:99:99:99'}.tar.gz`, { peer }), told).toBe(Buffer.from(good).toString('latin1'))
        } else if (boots) {
          const plan = who ? await room.gate.plan(who, {}) : undefined
          expect(plan?.boot?.profile.overlay, told).toBe('none')
        }
        // And the other way round: what cannot be served is a 404 without a body, never bytes.
        if (!('path' in overlay) && who) await expect(room.open(`configs/${who}.tar.gz`), told).rejects.toMatchObject({ code: 'overlay-missing' })
      }
      room.remove()
    }
  })

  it('what a script named is had for three minutes, though the file is half written, damaged or gone by then', async () => {
    const room = roomOf()
    const path = 'configs/52-54-00-12-34-56.tar.gz'
    const bytes = (overlay: Uint8Array) => Buffer.from(overlay).toString('latin1')
    room.put(path, good)
    // Nobody was promised anything yet.
    room.put(path, good.subarray(0, 40))
    await expect(room.open(path)).rejects.toMatchObject({ code: 'overlay-missing' })
    room.put(path, good)
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).toContain('apkovl=')
    room.put(path, good.subarray(0, 40))
    expect(await room.fetch(path)).toBe(bytes(good))
    rmSync(join(room.depot, path))
    room.pass(100_000)
    expect(await room.fetch(`configs/${mac}.tar.gz`)).toBe(bytes(good))
    expect(room.events.at(-1)).toMatchObject({ kind: 'overlay', mac, detail: { path, promised: expect.stringContaining('no overlay') } })
    // The next script offers none, and other stations are promised nothing by it.
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).not.toContain('apkovl=')
    await expect(room.open(`configs/${otherMac}.tar.gz`)).rejects.toMatchObject({ code: 'overlay-missing' })
    room.put(path, goodOverlay('new'))
    expect(await room.fetch(path)).toBe(bytes(goodOverlay('new')))
    rmSync(join(room.depot, path))
    room.pass(180_000)
    await expect(room.open(path)).rejects.toMatchObject({ code: 'overlay-missing' })
  })

  it('a more exact overlay that is just being written does not take away the one that was promised', async () => {
    const room = roomOf()
    room.put('configs/default.tar.gz', good)
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).toContain('apkovl=')
    room.put('configs/52-54-00-12-34-56.tar.gz', good.subarray(0, 40))
    expect(await room.fetch('configs/52-54-00-12-34-56.tar.gz')).toBe(Buffer.from(good).toString('latin1'))
    expect(room.events.at(-1)?.detail?.path).toBe('configs/default.tar.gz')
  })

  it('nothing that was seen before the clock was set back is believed', async () => {
    const room = roomOf()
    room.put('configs/default.tar.gz', good)
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).toContain('apkovl=')
    room.pass(-3_600_000)
    rmSync(join(room.depot, 'configs/default.tar.gz'))
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).not.toContain('apkovl=')
    await expect(room.open('configs/52-54-00-12-34-56.tar.gz')).rejects.toMatchObject({ code: 'overlay-missing' })
  })

  it('an argument in a record cannot bring an overlay of its own', async () => {
    const room = roomOf({ stations: [{ name: 's', macs: [mac], arguments: ['apkovl=http://evil/x.tar.gz'] }] })
    room.put('configs/default.tar.gz', goodOverlay('x'))
    const text = await room.fetch('boot/52-54-00-12-34-56.ipxe')
    expect(text).not.toContain('evil')
    expect(text).toContain('Reason: profile default: apkovl: apkovl= cannot be a free argument')
    expect(room.events.map(({ kind }) => kind)).toEqual(['script-refused', 'script'])
    expect(room.events[1]?.detail).toMatchObject({ profile: 'wait', boots: false })
  })

  it('a kernel line that is too long makes the station wait and say so', async () => {
    const room = roomOf({ stations: [{ name: 's', macs: [mac], arguments: Array.from({ length: 20 }, () => 'x'.repeat(120)) }] })
    room.put('configs/default.tar.gz', goodOverlay('x'))
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).toMatch(
      /^echo Reason: profile default: .*the kernel line has [0-9]+ bytes and may have 2047/m,
    )
  })
})
