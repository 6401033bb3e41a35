import { mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { OutsideError } from '../../src/boot/error.ts'
import { createAccept } from '../../src/overlay/accept.ts'
import { createBlobs } from '../../src/overlay/blob.ts'
import { createDesk } from '../../src/overlay/desk.ts'
import { createHistory } from '../../src/overlay/history.ts'
import { chooseKept, linesOf, type OverlayVersion, readHistory } from '../../src/overlay/history-entry.ts'
import { goodOverlay, overlayMembers } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'
import { mac } from '../support/site.ts'
import { createRig } from './rig.ts'

const own = mac('52:54:00:12:34:56')
const place = 'configs/52-54-00-12-34-56.tar.gz'

async function open(keep = 20) {
  const root = await makeScratch()
  const [depot, state] = [join(root, 'depot'), join(root, 'state')]
  await mkdir(depot)
  await mkdir(state)
  let at = 1000
  const now = (): number => at++
  const blobs = createBlobs(state, () => Date.now() + 3_600_000)
  const make = () => createHistory({ depot, state, blobs, keep, now })
  const history = make()
  const file = join(state, 'overlays/history/52-54-00-12-34-56.jsonl')
  const save = async (name: string, kind: OverlayVersion['kind'] = 'saved') => {
    const path = join(root, 'upload')
    await writeFile(path, goodOverlay(name))
    return history.append({ mac: own, kind, who: 'ops', source: { file: path } })
  }
  return { depot, state, blobs, history, make, save, file }
}

describe('the history of an overlay', () => {
  it('keeps each version with who and when, and the same bytes once', async () => {
    const { history, save, make, blobs } = await open()
    const [first, again, second] = [await save('a'), await save('a'), await save('b')]
    expect(again).toEqual(first)
    expect([first.version, second.version]).toEqual([1, 2])
    const { versions } = await make().list(own)
    expect(versions).toEqual((await history.list(own)).versions)
    expect(versions).toMatchObject([{ version: 1, kind: 'saved', who: 'ops' }, { version: 2 }])
    expect(await readFile((await history.read(first.digest)).path)).toEqual(Buffer.from(goodOverlay('a')))
    expect((await stat(blobs.pathOf(first.digest))).mode & 0o777).toBe(0o600)
  })

  it('survives a torn last line, and goes on behind it', async () => {
    const { save, make, file } = await open()
    await save('a')
    const second = await save('b')
    const { size } = await stat(file)
    for (const cut of [1, 20, 60]) {
      await truncate(file, size - cut)
      const after = make()
      expect((await after.list(own)).versions.map(({ version }) => version)).toEqual(cut === 1 ? [1, 2] : [1])
      await after.append({ mac: own, kind: 'uploaded', who: 'ops', source: { digest: second.digest } })
      const read = (await make().list(own)).versions.at(-1)
      expect(read).toMatchObject({ version: 2, digest: second.digest })
      await writeFile(file, `${(await readFile(file, 'utf8')).split('\n')[0]}\n${JSON.stringify({ ...second })}\n`)
    }
  })

  it('reads any bytes without an error, and writes what it read', () => {
    const random = seededRandom(5)
    const entry: OverlayVersion = { version: 3, at: 5, kind: 'saved', digest: 'a'.repeat(64), sizeBytes: 9, who: 'x' }
    const good = [entry, { booted: 'b'.repeat(64), at: 6 }, { pin: 3, at: 7, who: 'y' }].map((line) => JSON.stringify(line)).join('\n')
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.from(good)
      for (let turn = 0; turn < 1 + random() * 4; turn++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
      const state = readHistory(bytes.toString('utf8'))
      const text = linesOf(state)
        .map((line) => JSON.stringify(line))
        .join('\n')
      expect(readHistory(text)).toEqual(state)
    }
  })

  it('keeps so many, but never loses the last booted, the one in force or the pinned', async () => {
    const { history, save, make, blobs } = await open(4)
    const first = await save('first')
    await history.noteBooted(own, first.digest)
    const composed = await save('composed', 'composed')
    await history.rollback(own, composed.version, 'ops')
    for (let at = 0; at < 12; at++) await save(`s${at}`)
    const { versions, booted } = await make().list(own)
    expect(versions.map(({ version }) => version)).toEqual([1, 2, 13, 14])
    expect(booted?.digest).toBe(first.digest)
    expect(await make().prune()).toBe(10)
    for (const { digest } of versions) expect(await blobs.find(digest)).toBeDefined()
    expect((await readdir(join(blobs.pathOf('x'), '..'))).length).toBe(4)
  })

  it('chooses by these rules, whatever the order', () => {
    const version = (at: number, kind: OverlayVersion['kind']): OverlayVersion => ({
      version: at,
      at,
      kind,
      digest: String(at).padStart(64, '0'),
      sizeBytes: 1,
      who: '',
    })
    const versions = [version(1, 'composed'), version(2, 'saved'), version(3, 'saved'), version(4, 'saved')]
    expect(chooseKept({ versions }, 2).map((one) => one.version)).toEqual([1, 4])
    expect(chooseKept({ versions }, 3).map((one) => one.version)).toEqual([1, 3, 4])
  })

  it('fills no disk for whoever asks with many MACs, and forgets no order', async () => {
    const { depot, state, blobs, save } = await open()
    const { digest } = await save('a')
    const history = createHistory({ depot, state, blobs, keep: 5, now: () => 1, maxJournals: 3 })
    for (let at = 0; at < 10; at++) await history.append({ mac: mac(`52:54:00:00:00:0${at}`), kind: 'found', who: 'x', source: { digest } })
    expect((await readdir(join(state, 'overlays/history'))).length).toBe(3)
    await history.append({ mac: mac('52:54:00:00:00:09'), kind: 'saved', who: 'x', source: { digest } })
    expect((await readdir(join(state, 'overlays/history'))).length).toBe(4)
  })

  it('takes many at once in turn', async () => {
    const { history, save, make } = await open(1000)
    const { digest } = await save('a')
    const other = await save('b')
    const asks = Array.from({ length: 40 }, (_, at) => ({
      mac: own,
      kind: 'saved' as const,
      who: 'x',
      source: { digest: at % 2 ? digest : other.digest },
    }))
    await Promise.all(asks.map(history.append))
    const versions = (await make().list(own)).versions.map(({ version }) => version)
    expect(new Set(versions).size).toBe(versions.length)
    // None is lost or counted twice, in memory or on disk.
    expect(versions).toEqual(versions.map((_, at) => at + 1))
    expect(versions).toEqual((await history.list(own)).versions.map(({ version }) => version))
    expect(versions.length).toBeGreaterThan(2)
  })
})

describe('going back', () => {
  it('says what to do where nothing of the kind in force lies before it', async () => {
    const { history, save } = await open()
    await expect(history.rollback(own, undefined, 'ops')).rejects.toThrow('there is no version before the one in force (kept: none)')
    await save('a', 'composed')
    await save('b')
    await expect(history.rollback(own, undefined, 'ops')).rejects.toThrow(/no archive before the one in force \(kept: 1, 2\); name another/)
  })

  it('puts an archive back whole, as a version of its own, and only tells when asked to', async () => {
    const { depot, history, save } = await open()
    await save('a')
    await save('b')
    expect(await history.rollback(own, 1, 'ops', true)).toMatchObject({ by: 'archive', version: { version: 1 } })
    await expect(stat(join(depot, place))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await history.rollback(own, undefined, 'ops')).toMatchObject({ by: 'archive', path: place, version: { version: 1 } })
    expect(await readFile(join(depot, place))).toEqual(Buffer.from(goodOverlay('a')))
    expect((await history.list(own)).versions.at(-1)).toMatchObject({ version: 3, kind: 'rollback', note: 'to version 1', who: 'ops' })
    // And once more is forward again.
    expect(await history.rollback(own, undefined, 'ops')).toMatchObject({ version: { version: 2 } })
    await expect(history.rollback(own, 99, 'ops')).rejects.toMatchObject({ code: 'version-missing' })
  })

  it('takes the place of the archive under the spelling that is there', async () => {
    const { depot, history, save } = await open()
    await mkdir(join(depot, 'configs'))
    await writeFile(join(depot, 'configs/52:54:00:12:34:56.tar.gz'), 'old')
    await save('a')
    expect(await history.rollback(own, 1, 'ops')).toMatchObject({ path: 'configs/52:54:00:12:34:56.tar.gz' })
  })

  it('holds a composed version until it is released, whatever the layers say', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/motd': 'one' })
    const first = await rig.make()
    const keep = (composed: typeof first) => rig.history.append({ mac: own, kind: 'composed', who: 'bivouac', source: { digest: composed.digest } })
    await keep(first)
    await rig.lay({ 'overlays/base/etc/motd': 'two!' })
    const second = await rig.make()
    await keep(second)
    expect(await rig.history.rollback(own, undefined, 'ops')).toMatchObject({ by: 'pin', version: { version: 1 } })
    expect(await rig.make()).toMatchObject({
      digest: first.digest,
      contentId: first.contentId,
      identity: first.identity,
      layers: ['base'],
      pinned: { version: 1, who: 'ops' },
    })
    expect(await rig.history.rollback(own, 1, 'ops')).toMatchObject({ by: 'none' })
    expect(await rig.history.release(own, 'ops')).toBe(true)
    expect(await rig.history.release(own, 'ops')).toBe(false)
    const now = await rig.make()
    expect(now.digest).toBe(second.digest)
    expect(now.pinned).toBeUndefined()
  })
})

describe('an overlay that is saved', () => {
  async function upload(rig: Awaited<ReturnType<typeof createRig>>, bytes: Uint8Array): Promise<string> {
    const file = join(rig.state, 'upload')
    await writeFile(file, bytes)
    return file
  }

  it('is in force at once, with its version, its report and what changed', async () => {
    const rig = await createRig()
    await rig.lay({ [place]: goodOverlay('by-hand') })
    const accepted = await rig.accept({ mac: own, who: '10.9.0.7', file: await upload(rig, goodOverlay('saved')) })
    expect(accepted).toMatchObject({ path: place, report: { hostname: 'saved' }, version: { kind: 'saved', who: '10.9.0.7' } })
    expect(accepted.diff?.files).toMatchObject([{ path: 'etc/hostname', change: 'changed', text: '@@ -1,1 +1,1 @@\n-by-hand\n+saved\n' }])
    expect(await readFile(join(rig.depot, place))).toEqual(Buffer.from(goodOverlay('saved')))
    // What stood there by hand is kept too.
    expect((await rig.history.list(own)).versions.map(({ kind }) => kind)).toEqual(['found', 'saved'])
  })

  it('holds the secrets that the station was given before, whatever their mode', async () => {
    const rig = await createRig()
    const about = { isSecret: true, secretPaths: ['etc/wifi.conf'] }
    await rig.history.append({ mac: own, kind: 'composed', who: 'bivouac', source: { file: await upload(rig, goodOverlay('given')) }, ...about })
    const accepted = await rig.accept({ mac: own, who: '10.9.0.7', file: await upload(rig, goodOverlay('saved')) })
    expect(accepted.version).toMatchObject({ kind: 'saved', ...about })
    const desk = createDesk({
      depot: rig.depot,
      overlays: rig,
      findOverlay: () => ({ missing: 'not asked' }),
      findBoot: () => ({ sshKeys: false, repositories: [] }),
    })
    const psk = gzipSync(writeTar([...overlayMembers('later'), { kind: 'file', path: 'etc/wifi.conf', bytes: Buffer.from('psk=horse\n') }]))
    await rig.accept({ mac: own, who: '10.9.0.7', file: await upload(rig, psk) })
    const diff = await desk.diff(own, 2, 3)
    expect(diff.files).toContainEqual(expect.objectContaining({ path: 'etc/wifi.conf', change: 'added', isMasked: true }))
    expect(JSON.stringify(diff)).not.toContain('horse')
  })

  it.each<[string, TarMember[]]>([
    ['tar-entries', Array.from({ length: 20_001 }, (_, at) => ({ kind: 'link', path: `etc/l${at}`, target: 'x' }))],
    ['layer-path', [{ kind: 'file', path: 'etc/a\tb', bytes: new Uint8Array() }]],
    ['layer-depth', [{ kind: 'directory', path: `${'a/'.repeat(69)}a` }]],
    ['layer-link', [{ kind: 'hardlink', path: 'etc/b', target: 'etc/none' }]],
  ])('that cannot be laid over layers (%s) is refused for a station that has some', async (code, members) => {
    const rig = await createRig()
    const file = await upload(rig, gzipSync(writeTar([...overlayMembers('odd'), ...members])))
    await rig.lay({ [place]: goodOverlay('good') })
    await rig.history.append({ mac: own, kind: 'composed', who: 'bivouac', source: { file: join(rig.depot, place) } })
    const error = await rig.accept({ mac: own, who: 'x', file }).then(
      () => expect.fail('it was taken'),
      (reason) => reason,
    )
    expect(error.code).toBe(code)
    expect(await readFile(join(rig.depot, place))).toEqual(Buffer.from(goodOverlay('good')))
    // By itself it can be served.
    expect(await rig.accept({ mac: mac('52:54:00:12:34:99'), who: 'x', file })).toMatchObject({ version: { version: 1 } })
  })

  it.each([[undefined], [goodOverlay('good')]])('is taken back when its version cannot be written down', async (before) => {
    const rig = await createRig()
    if (before) await rig.lay({ [place]: before })
    const append: typeof rig.history.append = async (ask) => {
      if (ask.kind === 'saved') throw new OutsideError('write-failed', 'no space left on device', true)
      return rig.history.append(ask)
    }
    const accept = createAccept({ depot: rig.depot, blobs: rig.blobs, history: { ...rig.history, append }, maxBytes: 1_000_000 })
    const file = await upload(rig, goodOverlay('saved'))
    await expect(accept({ mac: own, who: 'x', file })).rejects.toMatchObject({ code: 'write-failed' })
    expect(await readFile(join(rig.depot, place)).catch(() => undefined)).toEqual(before && Buffer.from(before))
  })

  it('is compared and not taken on trial', async () => {
    const rig = await createRig()
    const outcome = await rig.accept({ mac: own, who: 'x', file: await upload(rig, goodOverlay('a')), isDryRun: true })
    expect(outcome.path).toBeUndefined()
    await expect(stat(join(rig.depot, place))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  const big = gzipSync(writeTar([...overlayMembers('x'), { kind: 'file', path: 'etc/noise', bytes: noise(2_000_000) }]))
  function noise(size: number): Uint8Array {
    const random = seededRandom(1)
    return Uint8Array.from({ length: size }, () => random() * 256)
  }
  it.each<[string, Uint8Array]>([
    ['overlay-cut', Buffer.from([0x1f, 0x8b, 0x08])],
    ['overlay-cut', new Uint8Array()],
    ['overlay-gzip', goodOverlay('x').subarray(0, -9)],
    ['overlay-gzip', goodOverlay('x').subarray(0, 200)],
    ['overlay-gzip', Buffer.from('<html>not an overlay, but long enough for one</html>')],
    ['overlay-too-big', big],
    ['tar-cut', gzipSync(new Uint8Array(700), { level: 0 })],
    ['overlay-encrypted', Buffer.from(`Salted__${'x'.repeat(100)}`)],
    [
      'overlay-link',
      gzipSync(
        writeTar([
          { kind: 'link', path: 'etc/a', target: '/tmp' },
          { kind: 'file', path: 'etc/a/b', bytes: new Uint8Array(2000) },
        ]),
      ),
    ],
    ['overlay-path', gzipSync(writeTar([{ kind: 'hardlink', path: 'etc/a', target: '../../x' }]))],
    ['overlay-empty', gzipSync(Buffer.concat([writeTar([]), noise(600).fill(0)]), { level: 0 })],
  ])('is refused with %s, and what is in force stays', async (code, bytes) => {
    const rig = await createRig()
    await rig.lay({ [place]: goodOverlay('good') })
    const error = await rig.accept({ mac: own, who: 'x', file: await upload(rig, bytes) }).then(
      () => expect.fail('it was taken'),
      (reason) => reason,
    )
    expect(error.code).toBe(code)
    expect(await readFile(join(rig.depot, place))).toEqual(Buffer.from(goodOverlay('good')))
    expect((await rig.history.list(own)).versions).toEqual([])
    expect(await readdir(join(rig.state, 'overlays/blobs')).catch(() => [])).toEqual([])
  })

  it('lets a held composition go', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    const { digest } = await rig.make()
    const { version } = await rig.history.append({ mac: own, kind: 'composed', who: 'x', source: { digest } })
    await rig.history.rollback(own, version, 'ops')
    await rig.accept({ mac: own, who: 'x', file: await upload(rig, goodOverlay('a')) })
    expect(await rig.history.pinOf(own)).toBeUndefined()
  })
})
