import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Artifacts, createArtifacts, type Manifest } from '../../src/ipxe/artifact.ts'
import { fingerprintOf } from '../../src/ipxe/fingerprint.ts'
import { digestOf } from '../../src/ipxe/input.ts'
import { createInstantLoaders } from '../../src/ipxe/instant.ts'
import { changeLoader, openBlank, patchArtifact } from '../../src/ipxe/patch.ts'
import { createPublisher, type Publisher } from '../../src/ipxe/publish.ts'
import { readSlot, renderAuthorities, renderSlot } from '../../src/ipxe/slot.ts'
import { authorityPem } from './support/certificate.ts'
import { decodeLzma } from './support/unlzma.ts'

let depot: string
let artifacts: Artifacts
let publisher: Publisher
let tick = 1000
beforeEach(async () => {
  depot = await mkdtemp(join(tmpdir(), 'bivouac-depot-'))
  artifacts = createArtifacts({ depot })
  publisher = createPublisher({ depot, artifacts, now: () => tick++ })
})
afterEach(() => rm(depot, { recursive: true, force: true }))

type Given = Parameters<Artifacts['add']>[0]
const given = (word: string, more: Partial<Given> = {}): Given => ({
  ...{
    fingerprint: fingerprintOf(word),
    kind: 'built',
    target: 'bin/undionly.kpxe',
    file: 'undionly.kpxe',
    announce: ['undionly.kpxe', 'gpxe.kpxe'],
  },
  ...{ source: { name: 's', from: '/s', pin: 'commit:1' }, settings: {}, toolchain: [], durationMs: 1, builtAt: tick++ },
  ...more,
})
const add = (word: string, more: Partial<Given> = {}): Promise<Manifest> =>
  artifacts.add(given(word, more), { [more.file ?? 'undionly.kpxe']: Buffer.from(`bytes of ${word}`) })
const announced = (name: string): Promise<string> => readFile(join(depot, 'ipxe', name), 'utf8')

describe('artifacts', () => {
  it('are kept under their fingerprint with size and hash', async () => {
    const one = await add('one')
    expect(one).toMatchObject({ sizeBytes: 12, sha256: expect.stringMatching(/^[0-9a-f]{64}$/), licence: expect.stringContaining('GPL') })
    expect(await artifacts.show(one.fingerprint.slice(0, 8))).toEqual(one)
    expect(readdirSync(join(depot, 'ipxe/artifacts', one.fingerprint)).sort()).toEqual(['manifest.json', 'undionly.kpxe'])
    await expect(artifacts.show('ffffff')).rejects.toMatchObject({ code: 'artifact-missing' })
    await expect(artifacts.show('../../..')).rejects.toMatchObject({ code: 'artifact-missing' })
  })

  it('do not change when the same is added again, and leave nothing half done', async () => {
    const one = await add('one')
    await Promise.all([add('one', { durationMs: 99 }), add('one', { durationMs: 98 })])
    expect(await artifacts.find(one.fingerprint)).toEqual(one)
    await expect(artifacts.add(given('two'), { 'other.file': Buffer.from('x') })).rejects.toThrow()
    expect(readdirSync(join(depot, 'ipxe/artifacts'))).toEqual([one.fingerprint])
  })

  it('are found out when somebody changed the file', async () => {
    const one = await add('one')
    await writeFile(artifacts.pathOf(one), 'other')
    await expect(artifacts.read(one)).rejects.toMatchObject({ code: 'artifact-damaged' })
  })

  it('are listed newest first, compared member by member, and pruned but for those in use', async () => {
    const [one, two, three] = [
      await add('one'),
      await add('two', { settings: { VLAN_CMD: true } }),
      await add('three', { from: [fingerprintOf('one')], kind: 'patched' }),
    ]
    expect((await artifacts.list()).map((each) => each.fingerprint)).toEqual([three, two, one].map((each) => each.fingerprint))
    expect(artifacts.diff(one, two).map(([path]) => path)).toEqual(['builtAt', 'fingerprint', 'settings.VLAN_CMD', 'sha256'])
    await publisher.publish(three)
    expect((await artifacts.prune(0, await publisher.inUse())).removed).toEqual([two.fingerprint])
    expect((await artifacts.list()).map((each) => each.fingerprint)).toEqual([three.fingerprint, one.fingerprint])
  })
})

describe('publishing', () => {
  it('gives the same bytes under both names', async () => {
    await publisher.publish(await add('one'))
    expect([await announced('undionly.kpxe'), await announced('gpxe.kpxe')]).toEqual(['bytes of one', 'bytes of one'])
    expect((await readlink(join(depot, 'ipxe/undionly.kpxe'))).startsWith('/')).toBe(false)
  })

  it('changes all names by one link, and goes back by one', async () => {
    await publisher.publish(await add('one'))
    await publisher.publish(
      await add('efi', { target: 'bin-x86_64-efi/snponly.efi', file: 'snponly.efi', announce: ['x86_64-efi/snponly.efi', 'snponly.efi'] }),
    )
    const before = await readlink(join(depot, 'ipxe/current'))
    await publisher.publish(await add('two'))
    expect(await announced('undionly.kpxe')).toBe('bytes of two')
    expect(await announced('x86_64-efi/snponly.efi')).toBe('bytes of efi')
    await publisher.rollback()
    expect(await readlink(join(depot, 'ipxe/current'))).toBe(before)
    expect([await announced('undionly.kpxe'), await announced('gpxe.kpxe'), await announced('snponly.efi')]).toEqual([
      'bytes of one',
      'bytes of one',
      'bytes of efi',
    ])
    await publisher.rollback()
    expect(existsSync(join(depot, 'ipxe/snponly.efi'))).toBe(false)
    await expect(publisher.rollback()).rejects.toMatchObject({ code: 'rollback-missing' })
    expect((await publisher.publish(await artifacts.show(fingerprintOf('two')))).number).toBe(4)
  })

  it('tells in a dry run what there would be, with every check, and changes nothing', async () => {
    const [one, two] = [await add('one'), await add('two')]
    await publisher.publish(one)
    const before = await readlink(join(depot, 'ipxe/current'))
    expect((await publisher.publish(two, undefined, true)).names['undionly.kpxe']).toBe(two.fingerprint)
    expect((await publisher.unpublish(['gpxe.kpxe'], true)).names).toEqual({ 'undionly.kpxe': one.fingerprint })
    await expect(publisher.publish(two, ['../x'], true)).rejects.toMatchObject({ code: 'name-bad' })
    await expect(publisher.rollback(true)).rejects.toMatchObject({ code: 'rollback-missing' })
    expect((await artifacts.prune(0, await publisher.inUse(), true)).removed).toEqual([two.fingerprint])
    expect([await readlink(join(depot, 'ipxe/current')), (await artifacts.list()).length]).toEqual([before, 2])
  })

  it('never shows a mixture, however often it changes', async () => {
    const both = [await add('one'), await add('two')] as const
    await publisher.publish(both[0])
    let isOver = false
    const reader = (async () => {
      while (!isOver) {
        const set = await readlink(join(depot, 'ipxe/current'))
        const [one, two] = await Promise.all(['undionly.kpxe', 'gpxe.kpxe'].map((name) => readFile(join(depot, 'ipxe', set, name), 'utf8')))
        expect(one).toBe(two)
      }
    })()
    for (let round = 0; round < 15; round++) await publisher.publish(both[round % 2 === 0 ? 1 : 0])
    isOver = true
    await reader
  })

  it('takes names away, keeps twenty sets, and takes turns', async () => {
    const one = await add('one')
    await Promise.all(Array.from({ length: 30 }, (_, index) => publisher.publish(one, [`name-${index}.kpxe`])))
    expect(Object.keys((await publisher.current())?.names ?? {})).toHaveLength(30)
    expect((await publisher.history()).length).toBe(21)
    await publisher.unpublish(['name-3.kpxe'])
    expect(existsSync(join(depot, 'ipxe/name-3.kpxe'))).toBe(false)
    expect(existsSync(join(depot, 'ipxe/name-4.kpxe'))).toBe(true)
    await expect(publisher.unpublish(['name-3.kpxe'])).rejects.toMatchObject({ code: 'name-missing' })
  })

  it.each(['../x', 'a/b/c.efi', 'artifacts', 'current', 'published/x', '.hidden', 'a b', ''])('refuses the name %j', async (name) => {
    await expect(publisher.publish(await add('one'), [name])).rejects.toMatchObject({ code: 'name-bad' })
  })

  it('does not replace a file that somebody put there', async () => {
    await mkdir(join(depot, 'ipxe'), { recursive: true })
    await writeFile(join(depot, 'ipxe/gpxe.kpxe'), 'mine')
    await expect(publisher.publish(await add('one'))).rejects.toMatchObject({ code: 'name-taken' })
    expect(await announced('gpxe.kpxe')).toBe('mine')
    expect(existsSync(join(depot, 'ipxe/undionly.kpxe'))).toBe(false)
    expect(lstatSync(join(depot, 'ipxe/gpxe.kpxe')).isFile()).toBe(true)
  })
})

describe('patching', () => {
  const script = '#!ipxe\necho first\n'
  const other = '#!ipxe\necho second\n'
  const old = 'ab'.repeat(32)
  const body = Buffer.concat([Buffer.from('begin'), renderSlot(script, 1024), Buffer.from(renderAuthorities([old], 2)), Buffer.from('end')])
  const slot = { scriptBytes: 1024, authorities: [old, old] }
  const efi: Partial<Given> = {
    target: 'bin-x86_64-efi/snponly.efi',
    file: 'snponly.efi',
    announce: ['snponly.efi'],
    slot,
    script: { text: script, sha256: 'x' },
  }

  it('changes script and CAs of a UEFI loader in place', async () => {
    const base = await artifacts.add(given('efi', efi), { 'snponly.efi': body })
    const would = await patchArtifact(artifacts, base, { script: other, trust: [authorityPem] }, () => tick++, true)
    expect((await artifacts.list()).length).toBe(1)
    const patched = await patchArtifact(artifacts, base, { script: other, trust: [authorityPem] }, () => tick++)
    expect([would.sha256, would.fingerprint, would.licence]).toEqual([patched.sha256, patched.fingerprint, patched.licence])
    const bytes = Buffer.from(await artifacts.read(patched))
    expect(bytes.length).toBe(body.length)
    expect(readSlot(bytes)).toBe(other)
    expect(bytes.includes(Buffer.from(digestOf(authorityPem).repeat(2), 'hex'))).toBe(true)
    expect(bytes.includes(Buffer.from(old, 'hex'))).toBe(false)
    expect(patched).toMatchObject({ kind: 'patched', from: [base.fingerprint], script: { text: other }, announce: ['snponly.efi'] })
    expect(await artifacts.read(base)).toEqual(body)
    expect((await patchArtifact(artifacts, base, { script: other, trust: [authorityPem] }, () => tick++)).fingerprint).toBe(patched.fingerprint)
  })

  it('of a patched loader keeps what the first patch did', async () => {
    const base = await artifacts.add(given('efi', efi), { 'snponly.efi': body })
    const trusted = await patchArtifact(artifacts, base, { trust: [authorityPem] }, () => tick++)
    const both = await patchArtifact(artifacts, trusted, { script: other }, () => tick++)
    const bytes = Buffer.from(await artifacts.read(both))
    expect([readSlot(bytes), bytes.includes(Buffer.from(digestOf(authorityPem).repeat(2), 'hex'))]).toEqual([other, true])
    expect(both.from).toEqual([base.fingerprint])
    expect((await patchArtifact(artifacts, base, { script: other, trust: [authorityPem] }, () => tick++)).sha256).toBe(both.sha256)
    expect((await patchArtifact(artifacts, both, { script }, () => tick++)).sha256).toBe(trusted.sha256)
  })

  it('packs a BIOS loader again from its kept image', async () => {
    const zinfo = Buffer.alloc(16)
    zinfo.write('PACK')
    zinfo.writeUInt32LE(body.length, 8)
    zinfo.writeUInt32LE(4, 12)
    const parts = { bin: 'undionly.kpxe.bin', zinfo: 'undionly.kpxe.zinfo' }
    const base = await artifacts.add(given('bios', { slot, parts }), {
      'undionly.kpxe': Buffer.from('packed by make'),
      'undionly.kpxe.bin': body,
      'undionly.kpxe.zinfo': zinfo,
    })
    const bytes = changeLoader(await openBlank(artifacts, base), { script: other })
    expect(readSlot(decodeLzma(bytes.subarray(4), 2, 0, 0).bytes)).toBe(other)
  })

  it.each<[string, Partial<Given>, string]>([
    ['built without a slot', {}, 'slot-missing'],
    ['a BIOS loader without its kept image', { slot }, 'slot-missing'],
    ['an image of several', { slot, kind: 'image', target: 'usb:x' }, 'patch-image'],
    ['a flash image', { slot, target: 'bin/8086100e.rom', file: '8086100e.rom' }, 'patch-media'],
    ['a UEFI loader whose mark is gone', { ...efi }, 'slot-missing'],
  ])('refuses %s', async (_, more, code) => {
    const base = await artifacts.add(given('x', more), { [more.file ?? 'undionly.kpxe']: Buffer.from('nothing to find') })
    await expect(patchArtifact(artifacts, base, { script: other }, () => 1)).rejects.toMatchObject({ code })
  })

  it('is done for one station while it asks, once for each script, and never with another script', async () => {
    const base = await artifacts.add(given('efi', efi), { 'snponly.efi': body })
    await publisher.publish(await patchArtifact(artifacts, base, { script: other, trust: [authorityPem] }, () => tick++))
    const loaders = createInstantLoaders({ artifacts, publisher, limitBytes: 3000 })
    const stations = await Promise.all(['a', 'b', 'a', 'c'].map((word) => loaders.open('snponly.efi', `#!ipxe\necho ${word}\n`)))
    expect(stations.map((one) => readSlot(one?.bytes ?? new Uint8Array()))).toEqual(['a', 'b', 'a', 'c'].map((word) => `#!ipxe\necho ${word}\n`))
    expect(stations[0]).toBe(stations[2])
    for (const one of stations) expect(Buffer.from(one?.bytes ?? []).includes(Buffer.from(digestOf(authorityPem).repeat(2), 'hex'))).toBe(true)
    expect(await loaders.open('undionly.kpxe', script)).toBeUndefined()
    await expect(loaders.open('snponly.efi', `#!ipxe\n${'x'.repeat(2000)}`)).rejects.toMatchObject({ code: 'script-too-long' })
    await publisher.publish(await add('plain'))
    await expect(loaders.open('undionly.kpxe', script)).rejects.toMatchObject({ code: 'slot-missing' })
  })
})
