import { link, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { eventually, folder, indexPath, key, makeBigPackage, makePullRig, readContent } from './pull-rig.ts'

const busybox = makePackage({ name: 'busybox', version: '1.36.1-r31', key })
const big = makeBigPackage('firmware', 6_000_000)
const medium = makeBigPackage('grub', 1_000_000)
const pathOf = ({ fileName }: { fileName: string }): string => `${folder}/${fileName}`

describe('packages from the upstream', () => {
  it.each([
    ['small', busybox],
    ['medium', medium],
    ['big', big],
  ])('a hundred stations ask for a %s one, the upstream is asked once', async (_, one) => {
    const rig = await makePullRig({ packages: [one] })
    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.get(pathOf(one))))
    expect(answers.every((bytes) => bytes.equals(one.bytes))).toBe(true)
    expect(rig.server.hits(pathOf(one))).toBe(1)
    expect(rig.server.hits(indexPath)).toBe(1)
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz', one.fileName])
    expect((await readFile(join(rig.root, pathOf(one)))).equals(one.bytes)).toBe(true)
    expect((await rig.get(pathOf(one))).equals(one.bytes)).toBe(true)
    expect(rig.server.hits()).toBe(2)
    await eventually(() => rig.pull.describe()).toMatchObject({ misses: 1, keptFiles: 1, keptBytes: one.bytes.length, running: 0, isReachable: true })
  })

  it('gives the first bytes while the last are still on their way, and ranges of it', async () => {
    const rig = await makePullRig({ packages: [big] })
    rig.server.fault(pathOf(big), { kind: 'slow', afterBytes: 3_000_000 })
    const content = await rig.pull.open(pathOf(big))
    expect(content.sizeBytes).toBe(big.bytes.length)
    expect(Buffer.from(await content.read(0, 1000)).equals(big.bytes.subarray(0, 1000))).toBe(true)
    const other = await rig.pull.open(pathOf(big))
    expect(other.etag).toBe(content.etag)
    expect(Buffer.from(await other.read(2_500_000, 100_000)).equals(big.bytes.subarray(2_500_000, 2_600_000))).toBe(true)
    other.close()
    const whole = readContent(content)
    rig.server.release()
    expect((await whole).equals(big.bytes)).toBe(true)
    expect(rig.server.hits(pathOf(big))).toBe(1)
  })

  it('are served from the folder without an upstream, also after a restart', async () => {
    const rig = await makePullRig({ packages: [busybox] })
    await rig.get(indexPath)
    await rig.get(pathOf(busybox))
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz', busybox.fileName])
    await rig.server.close()
    const later = await rig.again()
    expect((await rig.get(indexPath, later)).equals(makeIndex([busybox], key))).toBe(true)
    expect((await rig.get(pathOf(busybox), later)).equals(busybox.bytes)).toBe(true)
    await expect(rig.get(`${folder}/other-1.0-r0.apk`, later)).rejects.toMatchObject({ code: expect.stringMatching(/^upstream-/), mayRetry: true })
  })

  it('that the index does not name any more are still served', async () => {
    const next = makePackage({ name: 'busybox', version: '1.36.1-r32', key })
    const rig = await makePullRig({ packages: [busybox] })
    await rig.get(pathOf(busybox))
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz', busybox.fileName])
    rig.publish([next])
    rig.server.put(pathOf(busybox), undefined)
    rig.clock.now += 11 * 60_000
    expect((await rig.get(indexPath)).equals(makeIndex([next], key))).toBe(true)
    expect((await rig.get(pathOf(busybox))).equals(busybox.bytes)).toBe(true)
    expect((await rig.get(pathOf(next))).equals(next.bytes)).toBe(true)
  })

  it('of another size than the index says are had anew', async () => {
    const rig = await makePullRig({ packages: [busybox] })
    await rig.get(indexPath)
    await writeFile(join(rig.root, pathOf(busybox)), 'cut short')
    expect((await rig.get(pathOf(busybox))).equals(busybox.bytes)).toBe(true)
    await eventually(async () => (await stat(join(rig.root, pathOf(busybox)))).size).toBe(busybox.bytes.length)
  })

  it('nobody has are missing, and the upstream is not asked for each station', async () => {
    const rig = await makePullRig({ packages: [busybox] })
    const none = `${folder}/none-1.0-r0.apk`
    await expect(rig.get(none)).rejects.toMatchObject({ code: 'upstream-missing' })
    await Promise.all(Array.from({ length: 20 }, () => expect(rig.get(none)).rejects.toMatchObject({ code: 'upstream-missing' })))
    expect(rig.server.hits(none)).toBe(1)
    await expect(rig.get('v3.99/main/x86_64/a-1-r0.apk')).rejects.toMatchObject({ code: 'upstream-missing' })
    await expect(rig.get('v3.99/main/x86_64/b-1-r0.apk')).rejects.toMatchObject({ code: 'upstream-missing' })
    expect(rig.server.requests.filter(({ path }) => path.startsWith('v3.99'))).toHaveLength(1)
  })

  it('are as many at once as allowed, the others wait, and too many are told to come again', async () => {
    const many = Array.from({ length: 12 }, (_, at) => makePackage({ name: `p${at}`, key }))
    const rig = await makePullRig({ packages: many, transfers: 2, waiting: 8 })
    await rig.get(indexPath)
    for (const one of many) rig.server.fault(pathOf(one), { kind: 'hang' })
    const asked = many.map((one) =>
      rig.get(pathOf(one)).then(
        () => 'got' as const,
        (error: { code: string }) => error.code,
      ),
    )
    await eventually(() => rig.pull.describe()).toMatchObject({ running: 2, waiting: 8 })
    for (const one of many) rig.server.fault(pathOf(one), undefined)
    rig.server.release()
    const outcomes = await Promise.all(asked)
    expect(outcomes.filter((outcome) => outcome === 'got')).toHaveLength(10)
    expect(outcomes.filter((outcome) => outcome === 'mirror-busy')).toHaveLength(2)
  })

  it('go when they are too many, the longest unused first, and nothing that has another name elsewhere', async () => {
    const many = Array.from({ length: 6 }, (_, at) => makeBigPackage(`p${at}`, 100_000))
    const rig = await makePullRig({ packages: many, maxBytes: 350_000 })
    for (const one of many.slice(0, 3)) {
      await rig.get(pathOf(one))
      await eventually(rig.list).toContain(one.fileName)
      rig.clock.now += 1000
    }
    await eventually(() => rig.pull.describe().keptFiles).toBe(3)
    await rig.get(pathOf(many[0] as (typeof many)[0]))
    rig.clock.now += 1000
    await rig.get(pathOf(many[3] as (typeof many)[0]))
    await eventually(() => rig.pull.describe().keptFiles).toBe(3)
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz', 'p0-1.0-r0.apk', 'p2-1.0-r0.apk', 'p3-1.0-r0.apk'])
    // What a snapshot has too frees nothing, and what a sync lists is needed: neither goes.
    await link(join(rig.root, folder, 'p2-1.0-r0.apk'), join(rig.root, 'snapshot.apk'))
    const digest = '0'.repeat(64)
    const contents = { format: 1, kind: 'sync', indexSha256: digest, switchedAt: 0, isWhole: false, files: { 'p0-1.0-r0.apk': ['x', 1, digest] } }
    await writeFile(join(rig.root, folder, '.contents.json'), JSON.stringify(contents))
    for (const one of many.slice(4)) await rig.get(pathOf(one))
    await expect
      .poll(async () => (await rig.list()).filter((name) => name.endsWith('.apk')))
      .toEqual(['p0-1.0-r0.apk', 'p2-1.0-r0.apk', 'p3-1.0-r0.apk', 'p4-1.0-r0.apk', 'p5-1.0-r0.apk'])
    await rig.pull.close()
    const later = await rig.again()
    expect(later.describe().keptFiles).toBe(3)
  })
})

describe('nothing broken is served as complete, nor kept', () => {
  const faults = [
    ['ends early twice', { kind: 'cut', afterBytes: 500_000 }],
    ['ends early at once', { kind: 'cut', afterBytes: 0 }],
    ['stops moving', { kind: 'short', afterBytes: 500_000 }],
    ['says a wrong length', { kind: 'long' }],
    ['answers 500', { kind: 500 }],
    ['closes the door', { kind: 'refuse' }],
  ] as const

  it.each(faults)('when the upstream %s', async (_, fault) => {
    for (const one of [medium, big]) {
      const rig = await makePullRig({ packages: [one], client: { headersMs: 300, stallMs: 300 } })
      await rig.get(indexPath)
      rig.server.fault(pathOf(one), fault)
      const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => rig.get(pathOf(one))))
      expect(outcomes.map(({ status }) => status)).toEqual(Array(10).fill('rejected'))
      await eventually(rig.list).toEqual(['APKINDEX.tar.gz'])
      expect(rig.events.filter(({ kind }) => kind === 'mirror-failed').length).toBeLessThanOrEqual(1)
      rig.server.fault(pathOf(one), undefined)
      rig.server.release()
      rig.clock.now += 20_000
      expect((await rig.get(pathOf(one))).equals(one.bytes)).toBe(true)
    }
  })

  it.each([
    ['with ranges', {}],
    ['without ranges', { withoutRanges: true }],
  ])('a connection that ends early once is taken up again, %s', async (_, options) => {
    const { startTestUpstream } = await import('../support/upstream.ts')
    const rig = await makePullRig({ packages: [], server: await startTestUpstream(options) })
    rig.publish([big])
    rig.server.fault(pathOf(big), { kind: 'cut', afterBytes: 2_000_000, times: 1 })
    expect((await rig.get(pathOf(big))).equals(big.bytes)).toBe(true)
    expect(rig.server.hits(pathOf(big))).toBe(2)
    await eventually(rig.list).toContain(big.fileName)
  })

  it('when the bytes are not what the signed index says', async () => {
    const forged = makePackage({ name: 'grub', key, files: { 'usr/share/grub/forged': 'x'.repeat(50) } })
    const padded = Buffer.concat([forged.bytes, Buffer.alloc(medium.bytes.length - forged.bytes.length)])
    const flipped = Buffer.from(medium.bytes)
    flipped[500_000] = (flipped[500_000] ?? 0) ^ 1
    for (const bytes of [flipped, padded, Buffer.alloc(medium.bytes.length)]) {
      const rig = await makePullRig({ packages: [medium] })
      rig.server.put(pathOf(medium), bytes)
      const content = await rig.pull.open(pathOf(medium))
      await content.read(0, 1000)
      await expect(Promise.resolve().then(() => content.read(bytes.length - 1, 1))).rejects.toMatchObject({ code: 'mirror-broken' })
      content.close()
      await eventually(() => rig.pull.describe().running).toBe(0)
      await eventually(rig.list).toEqual(['APKINDEX.tar.gz'])
      expect(rig.kinds()).toEqual(['mirror-failed'])
    }
  })

  it('when it is a good package of the right size, and another one than the index names', async () => {
    const make = (byte: number) => makePackage({ name: 'tool', key, files: { 'usr/share/tool/noise': Buffer.alloc(70_000, byte) } })
    const named = make(1)
    const other = [...Array(250).keys()].map((at) => make(at + 2)).find(({ bytes }) => bytes.length === named.bytes.length)
    const rig = await makePullRig({ packages: [named] })
    rig.server.put(pathOf(named), other?.bytes)
    await expect(rig.get(pathOf(named))).rejects.toMatchObject({ code: 'mirror-broken', message: expect.stringMatching(/checksum/) })
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz'])
  })

  it('when the size is not what the index says', async () => {
    const rig = await makePullRig({ packages: [medium] })
    rig.server.put(pathOf(medium), medium.bytes.subarray(0, 900_000))
    await expect(rig.get(pathOf(medium))).rejects.toMatchObject({ code: 'upstream-size' })
    expect(await rig.list()).toEqual(['APKINDEX.tar.gz'])
  })

  it('when a package that no index names has no signature that we trust', async () => {
    const stranger = makePackage({ name: 'stranger', key: makeApkKey('stranger.rsa.pub') })
    const known = makePackage({ name: 'known', key })
    const rig = await makePullRig({ packages: [busybox] })
    for (const one of [stranger, known]) rig.server.put(pathOf(one), one.bytes)
    await expect(rig.get(pathOf(stranger))).rejects.toMatchObject({ code: 'mirror-broken' })
    expect((await rig.get(pathOf(known))).equals(known.bytes)).toBe(true)
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz', known.fileName])
  })

  it('a package that was put out anew under its name is had by the index that names it', async () => {
    const old = makePackage({ name: 'tool', key, files: { 'usr/share/tool/text': 'one' } })
    const anew = makePackage({ name: 'tool', key, files: { 'usr/share/tool/text': 'other, and longer' } })
    const rig = await makePullRig({ packages: [old] })
    await rig.get(indexPath)
    rig.publish([anew])
    rig.clock.now += 40_000
    expect((await rig.get(pathOf(anew))).equals(anew.bytes)).toBe(true)
    expect((await rig.get(indexPath)).equals(makeIndex([anew], key))).toBe(true)
  })
})

describe('a disk that takes no more', () => {
  const full = (afterBytes: number) => {
    let left = afterBytes
    return async (path: string, flags: string, mode?: number) => {
      const { open } = await import('node:fs/promises')
      const file = await open(path, flags, mode)
      const write = file.write.bind(file) as (...given: unknown[]) => Promise<{ bytesWritten: number }>
      const refuse = async (bytes: Uint8Array, offset: number, length: number, position: number) => {
        if (left < length) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
        left -= length
        return write(bytes, offset, length, position)
      }
      return Object.assign(file, { write: refuse as unknown as typeof file.write })
    }
  }

  it.each([
    ['small', busybox, 100],
    ['big, from the beginning', big, 100],
    ['big, in the middle', big, 3_000_000],
  ])('the station has its package all the same: %s', async (_, one, afterBytes) => {
    const rig = await makePullRig({ packages: [one], openFile: full(afterBytes) })
    expect((await rig.get(indexPath)).equals(makeIndex([one], key))).toBe(true)
    const answers = await Promise.all(Array.from({ length: 10 }, () => rig.get(pathOf(one))))
    expect(answers.every((bytes) => bytes.equals(one.bytes))).toBe(true)
    expect(rig.server.hits(pathOf(one))).toBe(1)
    await eventually(() => rig.pull.describe().running).toBe(0)
    await eventually(async () => (await rig.list()).filter((name) => name.endsWith('.apk') || name.startsWith('.'))).toEqual([])
    expect(rig.kinds()).toContain('mirror-failed')
    expect(rig.kinds().length).toBe(1)
  })
})

describe('an upstream that is away', () => {
  it('does not hold up every package in turn, and one file that hangs says nothing of the others', async () => {
    const rig = await makePullRig({ packages: [busybox, medium], client: { headersMs: 300 } })
    await rig.get(indexPath)
    rig.server.fault(pathOf(busybox), { kind: 'hang' })
    await expect(rig.get(pathOf(busybox))).rejects.toMatchObject({ code: 'upstream-timeout' })
    expect((await rig.get(pathOf(medium))).equals(medium.bytes)).toBe(true)
    rig.server.fault(pathOf(busybox), { kind: 'refuse' })
    await expect(rig.get(pathOf(busybox))).rejects.toMatchObject({ code: 'upstream-unreachable' })
    const before = rig.server.hits()
    for (let at = 0; at < 20; at++)
      await expect(rig.get(`${folder}/p${at}-1-r0.apk`)).rejects.toMatchObject({ code: 'upstream-down', mayRetry: true })
    expect(rig.server.hits()).toBe(before)
    rig.server.fault(pathOf(busybox), undefined)
    rig.clock.now += 6_000
    expect((await rig.get(pathOf(busybox))).equals(busybox.bytes)).toBe(true)
    rig.server.release()
  })
})

describe('reading while it grows', () => {
  it('goes on from the disk when the file was kept, however slow the reader', async () => {
    const rig = await makePullRig({ packages: [medium] })
    const slow = await rig.pull.open(pathOf(medium))
    const start = await slow.read(0, 1000)
    expect((await rig.get(pathOf(medium))).equals(medium.bytes)).toBe(true)
    await eventually(() => rig.pull.describe()).toMatchObject({ running: 0, keptFiles: 1 })
    expect(Buffer.concat([start, await slow.read(1000, medium.bytes.length)]).equals(medium.bytes)).toBe(true)
    slow.close()
  })

  it('cuts every reader when the end is not good, and closes the draft when the last has left', async () => {
    const rig = await makePullRig({ packages: [big], client: { stallMs: 300, headersMs: 300 } })
    await rig.get(indexPath)
    rig.server.fault(pathOf(big), { kind: 'cut', afterBytes: 2_000_000 })
    const readers: Content[] = []
    for (let at = 0; at < 5; at++) readers.push(await rig.pull.open(pathOf(big)))
    const reads = await Promise.allSettled(readers.map((reader) => reader.read(5_000_000, 1000)))
    expect(reads.every(({ status }) => status === 'rejected')).toBe(true)
    for (const reader of readers) expect(() => reader.read(0, 10)).toThrow()
    for (const reader of readers) {
      reader.close()
      reader.close()
    }
    await eventually(rig.list).toEqual(['APKINDEX.tar.gz'])
  })
})
