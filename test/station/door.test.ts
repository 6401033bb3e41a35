import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { BivouacError, MissingError } from '../../src/boot/error.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { splitBoots } from '../../src/boot/progress.ts'
import { goodOverlay } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { base, createRoom, mac, otherMac, putRelease, type Room, release } from '../support/station.ts'

let room: Room
const uuid = 'b8945908-d6a6-41a9-8ff4-0123456789ab'
beforeEach(() => {
  room = createRoom({ stations: [{ name: 'station1', macs: [mac], uuid, group: 'xl' }] })
  putRelease(room)
  room.put('configs/default.tar.gz', goodOverlay('default'))
})
afterEach(() => room.remove())

const codeOf = async (name: string, request = {}): Promise<string> => {
  try {
    await room.open(name, request)
  } catch (error) {
    expect(error).toBeInstanceOf(BivouacError)
    return (error as BivouacError).code
  }
  return 'opened'
}
const told = (): (string | undefined)[] => room.events.map(({ kind, detail }) => `${kind} ${detail?.file}`)

describe('the door', () => {
  it('serves one tree under the same names for TFTP and HTTP', async () => {
    room.put('data/notes.txt', 'notes')
    for (const via of ['tftp', 'http'] as const) {
      expect(await room.fetch('data/notes.txt', { via })).toBe('notes')
      expect(await room.fetch('/data/notes.txt', { via })).toBe('notes')
      expect(await room.fetch('52-54-00-12-34-56/data/notes.txt', { via })).toBe('notes')
    }
    expect(room.events).toEqual([])
  })

  it('tells the whole boot of a station, step by step, with its MAC', async () => {
    room.put('undionly.kpxe', 'loader')
    room.put('sshkeys.pub', 'keys')
    room.put('apk/v3.22/main/x86_64/APKINDEX.tar.gz', 'index')
    room.put('apk/v3.22/main/x86_64/musl-1.apk', 'package')
    const names = [
      `${mac.replaceAll(':', '-')}/undionly.kpxe`,
      'boot.ipxe',
      'boot/52-54-00-12-34-56.ipxe',
      release.kernel,
      release.initramfs,
      `configs/${mac}.tar.gz`,
      'apk/v3.22/main/x86_64/APKINDEX.tar.gz',
      'apk/v3.22/main/x86_64/musl-1.apk',
      release.modloop ?? '',
      'sshkeys.pub',
    ]
    for (const name of names) await room.fetch(name)
    expect(room.events.map(({ kind }) => kind)).toEqual([
      'loader',
      'script-offered',
      'script',
      'kernel',
      'initramfs',
      'overlay',
      'index',
      'package',
      'modloop',
      'ssh-keys',
    ])
    for (const event of room.events) {
      expect(event).toMatchObject({ mac, ip: '10.9.0.50', detail: { via: 'http', sizeBytes: expect.any(Number), durationMs: expect.any(Number) } })
      expect(names).toContain(event.detail?.file)
    }
    expect(room.events[2]?.detail).toMatchObject({ profile: 'default', boots: true, offers: 'overlay,modloop' })
    expect(room.events[5]?.detail).toMatchObject({ path: 'configs/default.tar.gz', from: 'default' })
    expect(room.presence.sinceLoaderMs(mac)).toBeGreaterThanOrEqual(0)
  })

  it('promises in the script what progress then waits for', async () => {
    await room.fetch('boot/52-54-00-12-34-56.ipxe')
    const due = (events: readonly BootEvent[]): readonly string[] => splitBoots(events)[0]?.due ?? []
    expect(due(room.events)).toEqual(['kernel', 'initramfs', 'overlay', 'modloop', 'up'])
    await room.fetch(`configs/${mac}.tar.gz`)
    expect(due(room.events)).toEqual(['kernel', 'initramfs', 'modloop', 'up'])
  })

  it('makes the event when the last byte is out: not for a probe, not for half of it, not twice', async () => {
    const { content, done } = await room.open(release.kernel)
    done(0)
    done(content.sizeBytes - 1)
    expect(room.events).toEqual([])
    done(content.sizeBytes)
    done(content.sizeBytes)
    expect(told()).toEqual([`kernel ${release.kernel}`])
    const part = await room.open(release.initramfs, { range: true })
    part.done(3)
    expect(told()).toEqual([`kernel ${release.kernel}`, `initramfs ${release.initramfs}`])
  })

  it('learns who asks from the names that carry a MAC, and keeps to DHCP’s word otherwise', async () => {
    await room.fetch('boot/52-54-00-12-34-56.ipxe', { peer: '::ffff:10.9.0.51' })
    expect(room.presence.find('10.9.0.51')).toBe(mac)
    await room.fetch(`configs/${otherMac}.tar.gz`, { peer: '10.9.0.51' })
    expect(room.presence.find('10.9.0.51')).toBe(mac)
    expect(room.events.map((event) => event.mac)).toEqual([mac, otherMac])
  })
})

describe('loaders', () => {
  it('are found bare and below ipxe/, in the depot and in the distribution', async () => {
    mkdirSync(join(room.root, 'distribution'))
    writeFileSync(join(room.root, 'distribution/undionly.kpxe'), 'of the distribution')
    for (const name of ['undionly.kpxe', 'ipxe/undionly.kpxe', 'gpxe.kpxe', 'ipxe/gpxe.kpxe', '525400123456/undionly.kpxe']) {
      expect(await room.fetch(name, { via: 'tftp' })).toBe('of the distribution')
    }
    expect(room.events[0]?.detail).toMatchObject({ source: 'distribution', via: 'tftp' })
    room.put('ipxe/undionly.kpxe', 'of the depot')
    expect(await room.fetch('undionly.kpxe')).toBe('of the depot')
    room.put('ipxe/x86_64-efi/snponly.efi', 'efi')
    const { content } = await room.open('ipxe/x86_64-efi/snponly.efi')
    expect(content.type).toBe('application/efi')
  })

  it('that nobody has are missing', async () => {
    expect(await codeOf('ipxe/arm64-efi/snponly.efi')).toBe('file-missing')
    expect(await codeOf('undionly.kpxe')).toBe('file-missing')
  })

  it('are no way out of the depot', async () => {
    writeFileSync(join(room.root, 'secret.efi'), 'secret')
    symlinkSync(join(room.root, 'secret.efi'), join(room.depot, 'snponly.efi'))
    expect(await codeOf('snponly.efi')).toBe('file-missing')
    expect(await codeOf('ipxe/../../secret.efi')).toBe('file-missing')
  })
})

describe('gpxe-script', () => {
  it('for a stranger has the default overlay, when there is one that can be served', async () => {
    const text = await room.fetch('gpxe-script')
    expect(text).toContain(`apkovl=${base}/configs/\${net0/mac}.tar.gz`)
    expect(room.events[0]).toMatchObject({ kind: 'script', detail: { profile: 'default', boots: true } })
    expect(room.events[0]?.mac).toBeUndefined()
  })

  it('offers no overlay that some MAC would not get: iPXE puts in the MAC of its first card, whoever was at this address before', async () => {
    room.presence.learn('10.9.0.50', mac)
    expect(await room.fetch('gpxe-script')).toContain('apkovl=')
    // Another station's own is broken: with its MAC the URL would give nothing, and Alpine would come up open.
    room.put(`configs/${otherMac}.tar.gz`, 'broken')
    for (const peer of ['10.9.0.50', '10.9.0.51']) expect(await room.fetch('gpxe-script', { peer })).not.toContain('apkovl=')
    room.put(`configs/${otherMac}.tar.gz`, goodOverlay('mended'))
    for (const peer of ['10.9.0.50', '10.9.0.51']) expect(await room.fetch('gpxe-script', { peer })).toContain('apkovl=')
    // Only this station has one.
    rmSync(join(room.depot, 'configs/default.tar.gz'))
    room.put(`configs/${mac}.tar.gz`, goodOverlay('own'))
    const text = await room.fetch('gpxe-script')
    expect(text).not.toContain('apkovl=')
    expect(text).toMatch(/^#!gpxe\n[\s\S]*\/boot\/\$\{net\$\{nic\}\/mac:hexhyp\}\.ipxe/)
  })

  it('for a stranger without a default overlay finds out who asks', async () => {
    rmSync(join(room.depot, 'configs/default.tar.gz'))
    room.put('configs/52-54-00-12-34-56.tar.gz', goodOverlay('own'))
    const text = await room.fetch('gpxe-script')
    expect(text).toMatch(/^#!gpxe\n/)
    expect(text).not.toContain('apkovl')
    expect(text).toContain(`/boot/\${net\${nic}/mac:hexhyp}.ipxe`)
    // The MAC told, the very same station gets its own.
    expect(await room.fetch('boot/52-54-00-12-34-56.ipxe')).toContain('apkovl=')
  })
})

describe('pxelinux', () => {
  it('asks by UUID in its own order of bytes, by MAC, by address, and last for the default', async () => {
    room.presence.learn('10.9.0.50', mac)
    for (const key of ['085994b8-a6d6-a941-8ff4-0123456789ab', uuid, '01-52-54-00-12-34-56', '0A090032', 'default']) {
      const text = await room.fetch(`pxelinux.cfg/${key}`, { via: 'tftp' })
      expect(text).toContain(`KERNEL ${release.kernel}`)
      expect(text).toContain('IPAPPEND 2')
      expect(text).not.toMatch(/BOOTIF=|initrd=/)
    }
    for (const key of ['0A09003', '0A0900', '11111111-2222-3333-4444-555555555555']) expect(await codeOf(`pxelinux.cfg/${key}`)).toBe('file-missing')
    expect(room.events.filter(({ kind }) => kind === 'file-missing')).toEqual([])
  })

  it('takes the operator’s own file first', async () => {
    room.put('pxelinux.cfg/01-52-54-00-12-34-56', 'DEFAULT mine\n')
    expect(await room.fetch('bios/pxelinux.cfg/01-52-54-00-12-34-56', { via: 'tftp' })).toBe('DEFAULT mine\n')
  })
})

describe('what is not there', () => {
  it('is told, but not more than a peer should fill the log with', async () => {
    for (let round = 0; round < 5; round++) expect(await codeOf('data/nothing')).toBe('file-missing')
    expect(told()).toEqual(['file-missing data/nothing'])
    for (let index = 0; index < 200; index++) await codeOf(`data/nothing${index}`)
    expect(room.events.length).toBe(20)
    await codeOf('data/nothing', { peer: '10.9.0.99' })
    expect(room.events.length).toBe(21)
  })

  it('an overlay that was asked for and is not there is its own alarm', async () => {
    rmSync(join(room.depot, 'configs/default.tar.gz'))
    room.pass()
    expect(await codeOf(`configs/${mac}.tar.gz`)).toBe('overlay-missing')
    expect(room.events).toMatchObject([{ kind: 'overlay-missing', detail: { reason: expect.stringContaining('no overlay') } }])
  })

  it('the operator’s own and everything outside stays inside', async () => {
    room.put('stations/a.yaml', 'name: a')
    room.put('.git/config', 'x')
    symlinkSync('stations', join(room.depot, 'alias'))
    for (const name of [
      'stations/a.yaml',
      'profiles/x.yaml',
      'alias/a.yaml',
      '.git/config',
      '../x',
      '52-54-00-12-34-56/stations/a.yaml',
      '52-54-00-12-34-56/../stations/a.yaml',
      'configs/../stations/a.yaml',
    ]) {
      expect(await codeOf(name), name).toBe('file-missing')
    }
  })

  it('profile kind ignore has no script', async () => {
    room.setRecords({ stations: [{ name: 's', macs: [mac], profile: 'ignore' }] })
    expect(await codeOf('boot/52-54-00-12-34-56.ipxe')).toBe('script-refused')
    expect(told()).toEqual(['script-refused boot/52-54-00-12-34-56.ipxe'])
  })

  it('an overlay by its own path is looked through as well', async () => {
    room.put('configs/groups/s.tar.gz', 'broken')
    expect(await codeOf('configs/groups/s.tar.gz')).toBe('overlay-missing')
    expect((await room.fetch('configs/default.tar.gz')).length).toBe(goodOverlay('default').length)
    expect(await codeOf('configs/nothing.tar.gz')).toBe('overlay-missing')
  })
})

describe('what stations tell of themselves', () => {
  it('selects profiles, and a UUID of zeros is none', async () => {
    room.setRecords({
      profiles: [
        { name: 'default', kind: 'alpine' },
        { name: 'dell', kind: 'local', match: { manufacturer: 'Dell Inc.' } },
        { name: 'zero', kind: 'wait', match: { uuid: '00000000-0000-0000-0000-000000000000' } },
      ],
    })
    await room.fetch('boot/52-54-00-12-34-56.ipxe', { facts: { manufacturer: 'Dell Inc.' } })
    await room.fetch('boot/52-54-00-12-34-56.ipxe', { facts: { uuid: '00000000-0000-0000-0000-000000000000' } })
    expect(room.events.map(({ detail }) => detail?.profile)).toEqual(['dell', 'wait'])
    expect(room.events[1]?.detail?.boots).toBe(false)
  })

  it('may be anything: 20,000 names and facts throw only our errors and give only whole scripts', async () => {
    room.put('data/x', 'x')
    const random = seededRandom(31)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    const junk = (): string =>
      Array.from({ length: Math.floor(random() * 30) }, () => String.fromCharCode(Math.floor(random() * (random() < 0.8 ? 128 : 65_536)))).join('')
    const parts = [
      'boot',
      'configs',
      'groups',
      'pxelinux.cfg',
      'ipxe',
      'data',
      'x',
      '..',
      '.',
      mac,
      '525400123456.ipxe',
      `${mac}.tar.gz`,
      'default.tar.gz',
      '01-52-54-00-12-34-56',
      'gpxe-script',
      'autoexec.ipxe',
      'boot.ipxe',
      'stations',
      '%00',
      `\${net0/mac}`,
      '__proto__',
      'constructor',
    ]
    const hosts = [base, 'http://evil host/', 'http://x"y', `http://\${x}`, '', 'http://[::1]:8080']
    let scripts = 0
    for (let round = 0; round < 20_000; round++) {
      const name =
        random() < 0.2 ? junk() : Array.from({ length: 1 + Math.floor(random() * 4) }, () => (random() < 0.9 ? pick(parts) : junk())).join('/')
      const facts = random() < 0.5 ? {} : Object.fromEntries(['uuid', 'serial', 'manufacturer', 'buildarch', '__proto__'].map((key) => [key, junk()]))
      const request = {
        facts,
        peer: pick(['10.9.0.50', '::ffff:10.9.0.7', 'fe80::1%eth0', '', junk()]),
        via: pick(['tftp', 'http'] as const),
        httpBase: random() < 0.9 ? base : pick(hosts),
      }
      try {
        const { content, done } = await room.open(name, request)
        const text = Buffer.from(await content.read(0, content.sizeBytes)).toString('latin1')
        content.close()
        done(content.sizeBytes)
        if (/^#!g?i?pxe/.test(text)) {
          scripts++
          expect(text).toMatch(/^#!(ipxe|gpxe)\n[\n -~]+\n$/)
          expect(text).not.toContain('evil')
        }
      } catch (error) {
        if (!(error instanceof BivouacError)) throw error
      }
    }
    expect(scripts).toBeGreaterThan(500)
    for (const event of room.events) expect(String(event.detail?.file ?? '')).toMatch(/^[ -~]{0,200}$/)
  })

  it('an unknown name is a MissingError, for every face to tell as it can', async () => {
    await expect(room.open('nothing')).rejects.toBeInstanceOf(MissingError)
    expect(parseMac('525400123456')).toBe(mac)
  })
})
