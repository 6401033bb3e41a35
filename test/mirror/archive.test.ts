import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readTar } from '../../src/alpine/tar.ts'
import { encodeHead, tarEnd, tarPadding } from '../../src/alpine/tar-write.ts'
import { BivouacError, DecodeError } from '../../src/boot/error.ts'
import { writeArchive } from '../../src/mirror/archive-write.ts'
import { importArchive } from '../../src/mirror/import.ts'
import { needTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces } from '../../src/mirror/place.ts'
import { syncPart } from '../../src/mirror/sync.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { trustKey } from '../support/apk.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'
import { key, main, makeRig, partial, type Rig, whole } from './rig.ts'

type Member = { path: string; body: Uint8Array }

async function exportAll({ root }: Rig): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of writeArchive(root, await listPlaces(root), (await needTrustedKeys(root)).keys())) pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}

async function* inPieces(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const membersOf = (bytes: Uint8Array): Member[] => readTar(bytes).map(({ entry, body }) => ({ path: entry.path, body: Uint8Array.from(body) }))
const pack = (members: readonly Member[]): Uint8Array =>
  Buffer.concat([...members.flatMap(({ path, body }) => [encodeHead({ kind: 'file', path }, body.length), body, tarPadding(body.length)]), tarEnd])
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** The same archive with its list changed to go with whatever was done. */
function relist(
  members: Member[],
  change: (list: { folders: { folder: string; isWhole: boolean }[]; files: { path: string; sizeBytes: number; sha256: string }[] }) => void,
): Member[] {
  const [first, ...rest] = members as [Member, ...Member[]]
  const list = JSON.parse(new TextDecoder().decode(first.body))
  change(list)
  return [{ ...first, body: text(JSON.stringify(list)) }, ...rest]
}

async function emptyMirror(
  trusted = true,
): Promise<{ root: string; take: (bytes: Uint8Array, options?: object) => ReturnType<typeof importArchive> }> {
  const root = join(await makeScratch(), 'apk')
  mkdirSync(root)
  if (trusted) trustKey(root, key)
  return { root, take: (bytes, options = {}) => importArchive(inPieces(bytes), { root, now: () => 5, ...options }) }
}

describe('export and import', () => {
  it('carries a mirror to another machine, all of it or a part', async () => {
    for (const part of [whole, partial(['nginx'])]) {
      const rig = await makeRig()
      await syncPart(part, rig.options)
      const { root, take } = await emptyMirror()
      expect(await take(await exportAll(rig))).toMatchObject({ folders: ['v3.22/community/x86_64', 'v3.22/main/x86_64'], keys: [] })
      const report = await verifyPlaces(root, await listPlaces(root), await needTrustedKeys(root))
      expect(report).toMatchObject({ folders: 2, problems: [] })
      expect(Buffer.compare(rig.read(`${main}/APKINDEX.tar.gz`), (await import('node:fs')).readFileSync(join(root, main, 'APKINDEX.tar.gz')))).toBe(0)
    }
  })

  it('is the same bytes for the same mirror, whenever it was filled', async () => {
    const [one, other] = [await makeRig(), await makeRig()]
    other.clock.at += 1e9
    await syncPart(whole, one.options)
    await syncPart(whole, other.options)
    expect(Buffer.compare(await exportAll(one), await exportAll(other))).toBe(0)
  })

  it('believes only keys that are trusted here, unless told otherwise', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const bytes = await exportAll(rig)
    const { root, take } = await emptyMirror(false)
    await expect(take(bytes)).rejects.toMatchObject({ code: 'mirror-keys' })
    expect(await take(bytes, { trustKeys: true, dryRun: true })).toMatchObject({ keys: [key.keyName] })
    expect(readdirSync(root)).toEqual([])
    await take(bytes, { trustKeys: true })
    expect(readdirSync(join(root, 'keys'))).toEqual([key.keyName])
  })

  it('what is there already stays when the archive is wrong', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const { root, take } = await emptyMirror()
    const good = await exportAll(rig)
    await take(good)
    for (let at = 2_000; at < good.length; at += 9_001) {
      const spoiled = Uint8Array.from(good)
      spoiled[at] = (spoiled[at] as number) ^ 0x10
      await take(spoiled).then(
        // A byte that says nothing: padding, or a header's time and owner.
        () => undefined,
        (error) => expect(error).toBeInstanceOf(DecodeError),
      )
      expect((await verifyPlaces(root, await listPlaces(root), await needTrustedKeys(root))).problems).toEqual([])
    }
    expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it.each<[string, (members: Member[]) => Member[] | Uint8Array]>([
    ['archive-list', (all) => all.slice(1)],
    ['archive-list', (all) => [{ path: 'bivouac-mirror.json', body: text('{') }, ...all.slice(1)]],
    ['archive-list', (all) => relist(all, ({ files }) => files.push({ path: '../../etc/passwd', sizeBytes: 1, sha256: '0'.repeat(64) }))],
    ['archive-list', (all) => relist(all, ({ files }) => files.push({ path: '/etc/passwd', sizeBytes: 1, sha256: '0'.repeat(64) }))],
    ['archive-list', (all) => relist(all, ({ files }) => files.push({ path: 'v3.22/.hidden', sizeBytes: 1, sha256: '0'.repeat(64) }))],
    ['archive-stranger', (all) => [...all, { path: 'v3.22/main/x86_64/more.apk', body: text('x') }]],
    ['archive-stranger', (all) => [...all, all.at(-1) as Member]],
    ['archive-cut', (all) => all.slice(0, -1)],
    ['archive-file', (all) => [...all.slice(0, -1), { ...(all.at(-1) as Member), body: text('short') }]],
    [
      'archive-sha256',
      (all) => [...all.slice(0, -1), { path: (all.at(-1) as Member).path, body: new Uint8Array((all.at(-1) as Member).body.length) }],
    ],
    ['archive-folder', (all) => relist(all, ({ folders }) => folders.push({ folder: 'v3.99/main/x86_64', isWhole: false }))],
    ['archive-folder', (all) => relist(all, ({ folders }) => folders.push({ folder: 'keys', isWhole: false }))],
    ['archive-stranger', (all) => relist(all, ({ folders }) => folders.pop())],
    ['tar-cut', (all) => pack(all).subarray(0, -3000)],
    ['tar-cut', () => new Uint8Array()],
    ['tar-checksum', () => new Uint8Array(2000).fill(65)],
  ])('refuses a hostile archive with %s', async (code, change) => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const changed = change(membersOf(await exportAll(rig)))
    const { root, take } = await emptyMirror()
    await expect(take(changed instanceof Uint8Array ? changed : pack(changed))).rejects.toMatchObject({ code })
    expect(readdirSync(root)).toEqual(['keys'])
    expect(existsSync(join(root, '../../etc/passwd'))).toBe(false)
  })

  it('refuses links and devices under names of the list', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const members = membersOf(await exportAll(rig))
    const { take } = await emptyMirror()
    const last = members.pop() as Member
    const link = encodeHead({ kind: 'link', path: last.path, target: '/etc/passwd' }, 0)
    await expect(take(Buffer.concat([pack(members).subarray(0, -1024), link, tarEnd]))).rejects.toMatchObject({ code: 'archive-file' })
  })

  it('throws only errors of ours, and switches nothing, for 300 archives with bytes turned over', async () => {
    const rig = await makeRig()
    await syncPart(partial(['htop']), rig.options)
    const good = await exportAll(rig)
    const random = seededRandom(21)
    const { root, take } = await emptyMirror()
    for (let round = 0; round < 300; round++) {
      const spoiled = Uint8Array.from(good).subarray(0, random() < 0.2 ? Math.floor(random() * good.length) : good.length)
      for (let turn = Math.floor(random() * 4); turn >= 0 && spoiled.length; turn--)
        spoiled[Math.floor(random() * spoiled.length)] = Math.floor(random() * 256)
      await take(spoiled, { dryRun: true }).catch((error) => expect(error).toBeInstanceOf(BivouacError))
    }
    expect(readdirSync(root)).toEqual(['keys'])
  })

  it('notices a file that changes while it is exported', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const run = async (): Promise<void> => {
      let isFirst = true
      for await (const _ of writeArchive(rig.root, await listPlaces(rig.root), [])) {
        if (isFirst) writeFileSync(join(rig.root, main, 'openssh-1.0-r0.apk'), 'changed')
        isFirst = false
      }
    }
    await expect(run()).rejects.toMatchObject({ code: 'mirror-changed' })
  })
})
