import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeIndex } from '../../src/apk/index-file.ts'
import { namesOf } from '../../src/mirror/pull-index-fetch.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { eventually, folder, indexPath, key, makePullRig, type PullRig } from './pull-rig.ts'

const one = makePackage({ name: 'one', key })
const two = makePackage({ name: 'two', key })
const first = makeIndex([one], key)
const second = makeIndex([one, two], key)
const minutes = 60_000

/** A rig that has the first index, and whose time for the next look has come. */
async function makeAged(more = {}): Promise<PullRig> {
  const rig = await makePullRig({ packages: [one], ...more })
  expect((await rig.get(indexPath)).equals(first)).toBe(true)
  rig.clock.now += 11 * minutes
  return rig
}

describe('indexes', () => {
  it('are asked for once for everybody, and believed for the minutes that were set', async () => {
    const rig = await makePullRig({ packages: [one] })
    const answers = await Promise.all(Array.from({ length: 100 }, () => rig.get(indexPath)))
    expect(answers.every((bytes) => bytes.equals(first))).toBe(true)
    rig.publish([one, two])
    rig.clock.now += 9 * minutes
    expect((await rig.get(indexPath)).equals(first)).toBe(true)
    expect(rig.server.hits()).toBe(1)
    rig.clock.now += 2 * minutes
    const next = await Promise.all(Array.from({ length: 100 }, () => rig.get(indexPath)))
    expect(next.every((bytes) => bytes.equals(second))).toBe(true)
    expect(rig.server.hits()).toBe(2)
    expect(rig.events).toEqual([])
    expect(rig.pull.describe().indexes).toEqual([{ path: indexPath, ageSeconds: 0, packages: 2 }])
  })

  it('that did not change are not sent again, and keep the date of the upstream', async () => {
    const rig = await makeAged()
    await rig.get(indexPath)
    expect(rig.server.requests.at(-1)?.headers['if-none-match']).toMatch(/^"/)
    const { mtimeMs } = await stat(join(rig.root, indexPath))
    const later = await rig.again()
    expect((await rig.get(indexPath, later)).equals(first)).toBe(true)
    expect(rig.server.requests.at(-1)?.headers).not.toHaveProperty('if-none-match')
    expect((await later.open(indexPath)).modifiedAt).toBe(mtimeMs)
    expect(rig.server.hits()).toBe(3)
  })

  it('are yesterday’s at once when the upstream is away, which is said once, and once when it is back', async () => {
    const rig = await makeAged()
    for (const kind of ['refuse', 500, 404] as const) {
      rig.server.fault(indexPath, { kind })
      for (let station = 0; station < 20; station++) expect((await rig.get(indexPath)).equals(first)).toBe(true)
      expect(rig.events.map(({ kind: told }) => told)).toEqual(['mirror-stale'])
      expect(rig.events[0]?.detail).toMatchObject({ file: indexPath, ageMinutes: 11 })
      expect(rig.pull.describe().indexes[0]?.stale).toBeDefined()
      rig.server.fault(indexPath, undefined)
      rig.clock.now += minutes
      // The one who asks first does not wait either; the answer is for the next.
      await rig.get(indexPath)
      await eventually(() => rig.kinds()).toEqual(['mirror-stale', 'mirror-synced'])
      expect(rig.pull.describe().indexes[0]?.stale).toBeUndefined()
      rig.events.length = 0
      rig.clock.now += 11 * minutes
    }
  })

  it('are asked for a few times only while the upstream is away', async () => {
    const rig = await makeAged()
    rig.server.fault(indexPath, { kind: 'refuse' })
    const before = rig.server.hits()
    for (let station = 0; station < 50; station++) await rig.get(indexPath)
    // Twice, for the first try may have met a connection that was just being closed.
    expect(rig.server.hits() - before).toBe(2)
  })

  it('are waited for a little when the upstream is slow, and then yesterday’s for all', async () => {
    const rig = await makeAged({ patienceMs: 200 })
    rig.publish([one, two])
    rig.server.fault(indexPath, { kind: 'hang', times: 1 })
    const startedAt = performance.now()
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.get(indexPath)))
    expect(answers.every((bytes) => bytes.equals(first))).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(1_900)
    expect(rig.kinds()).toEqual(['mirror-stale'])
    rig.server.release()
    await eventually(() => rig.kinds()).toEqual(['mirror-stale', 'mirror-synced'])
    expect((await rig.get(indexPath)).equals(second)).toBe(true)
  })

  it.each([
    ['signed by somebody else', makeIndex([one, two], makeApkKey('stranger.rsa.pub'))],
    ['signed by somebody else under our key’s name', makeIndex([one, two], { ...makeApkKey('thief.rsa.pub'), keyName: key.keyName })],
    ['without signature', makeIndex([one, two])],
    ['cut short', second.subarray(0, second.length - 20)],
    ['no index', Buffer.from('<html>login here</html>')],
    ['empty', Buffer.alloc(0)],
  ])('are never switched in when they are %s', async (_, bytes) => {
    const rig = await makeAged()
    rig.server.put(indexPath, bytes)
    expect((await rig.get(indexPath)).equals(first)).toBe(true)
    expect((await readFile(join(rig.root, indexPath))).equals(first)).toBe(true)
    expect(rig.kinds()).toEqual(['mirror-stale'])
    const fresh = await makePullRig()
    fresh.server.put(indexPath, bytes)
    await expect(fresh.get(indexPath)).rejects.toMatchObject({ code: 'mirror-untrusted' })
    expect(await fresh.list()).toEqual([])
  })

  it('are passed on without keys, which is said once', async () => {
    const rig = await makePullRig({ packages: [one], withoutKeys: true })
    expect((await rig.get(indexPath)).equals(first)).toBe(true)
    rig.publish([one, two])
    rig.clock.now += 11 * minutes
    expect((await rig.get(indexPath)).equals(second)).toBe(true)
    expect((await rig.get(`${folder}/${two.fileName}`)).equals(two.bytes)).toBe(true)
    expect(rig.events).toHaveLength(1)
    expect(rig.events[0]?.detail?.reason).toMatch(/no key/)
  })

  it('that change while they are on their way are had whole', async () => {
    const rig = await makeAged()
    rig.publish([one, two])
    rig.server.fault(indexPath, { kind: 'slow', times: 1 })
    const asked = rig.get(indexPath)
    await eventually(() => rig.server.figures().running).toBe(1)
    rig.publish([two])
    rig.server.release()
    expect((await asked).equals(second)).toBe(true)
    rig.clock.now += 11 * minutes
    expect((await rig.get(indexPath)).equals(makeIndex([two], key))).toBe(true)
  })

  it('that are cut on their way are not taken', async () => {
    const rig = await makeAged({ client: { stallMs: 300, headersMs: 300 } })
    for (const kind of ['cut', 'short', 'long'] as const) {
      rig.publish([one, two])
      rig.server.fault(indexPath, { kind, afterBytes: 50 })
      expect((await rig.get(indexPath)).equals(first)).toBe(true)
      rig.server.release()
      rig.clock.now += minutes
    }
    expect((await readFile(join(rig.root, indexPath))).equals(first)).toBe(true)
  })

  it('nobody has are missing', async () => {
    const rig = await makePullRig()
    await expect(rig.get('v3.22/none/x86_64/APKINDEX.tar.gz')).rejects.toMatchObject({ code: 'upstream-missing' })
    await expect(rig.get('v3.22/none/x86_64/APKINDEX.tar.gz')).rejects.toMatchObject({ code: 'upstream-missing' })
    expect(rig.server.hits()).toBe(1)
  })

  it('of apk v3 are passed on as bytes', async () => {
    const rig = await makePullRig()
    const adb = Buffer.concat([Buffer.from('ADBd'), Buffer.alloc(100, 7)])
    rig.server.put(`${folder}/Packages.adb`, adb)
    rig.server.put(`${folder}/Broken.adb`, '<html>')
    expect((await rig.get(`${folder}/Packages.adb`)).equals(adb)).toBe(true)
    await expect(rig.get(`${folder}/Broken.adb`)).rejects.toMatchObject({ code: 'mirror-untrusted' })
  })

  it('of a folder that a sync keeps are left to it', async () => {
    const rig = await makePullRig({ packages: [one], isHeld: () => true })
    await expect(Promise.resolve().then(() => rig.pull.open(indexPath))).rejects.toMatchObject({ code: 'file-missing' })
    await mkdir(join(rig.root, folder), { recursive: true })
    await writeFile(join(rig.root, indexPath), first)
    const rig2 = await rig.again()
    expect((await rig.get(indexPath, rig2)).equals(first)).toBe(true)
    expect(rig.server.hits()).toBe(0)
    expect((await rig.get(`${folder}/${one.fileName}`, rig2)).equals(one.bytes)).toBe(true)
    await writeFile(join(rig.root, indexPath), second)
    await eventually(async () => (await rig.get(indexPath, rig2)).equals(second)).toBe(true)
    await eventually(() => rig2.describe().indexes[0]?.packages).toBe(2)
    expect(rig.server.hits(indexPath)).toBe(0)
  })

  it('of a folder that a sync has switched in the meantime stay as it switched them', async () => {
    let held = false
    const rig = await makeAged({ isHeld: () => held })
    rig.publish([two])
    rig.server.fault(indexPath, { kind: 'slow', times: 1 })
    const asked = rig.get(indexPath)
    await eventually(() => rig.server.figures().running).toBe(1)
    held = true
    await writeFile(join(rig.root, indexPath), second)
    rig.server.release()
    expect((await asked).equals(second)).toBe(true)
    expect((await readFile(join(rig.root, indexPath))).equals(second)).toBe(true)
  })

  it('that somebody else put there are read anew', async () => {
    const rig = await makePullRig({ packages: [one] })
    await rig.get(indexPath)
    await stat(join(rig.root, indexPath))
    await writeFile(join(rig.root, indexPath), second)
    rig.clock.now += 5_000
    await eventually(async () => (await rig.get(indexPath)).equals(second)).toBe(true)
    await eventually(() => rig.pull.describe().indexes[0]?.packages).toBe(2)
  })
})

it('the names of a big index are read bit by bit, and others have their turns meanwhile', async () => {
  const [{ entry }] = [one]
  const packages = Array.from({ length: 3_001 }, (_, at) => ({ ...entry, name: `p${at}` }))
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const names = await namesOf(writeIndex({ description: 'big', packages }))
  isOver = true
  expect([names.size, names.get(`p3000-${entry.version}.apk`)?.name]).toEqual([3_001, 'p3000'])
  expect(turns).toBeGreaterThanOrEqual(5)
})
