import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { needTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces } from '../../src/mirror/place.ts'
import { pruneMirror } from '../../src/mirror/prune.ts'
import { describeMirror } from '../../src/mirror/status.ts'
import { syncPart } from '../../src/mirror/sync.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { community, communityPackages, key, main, mainPackages, makeRig, partial, publish, type Rig, whole } from './rig.ts'

const verify = async ({ root }: Rig) => verifyPlaces(root, await listPlaces(root), await needTrustedKeys(root))
const flip = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] as number) ^ 1
  writeFileSync(path, bytes)
}

describe('verify', () => {
  it.each<[string, (rig: Rig) => void, object[]]>([
    ['nothing', () => undefined, []],
    [
      'a byte of a package’s data',
      ({ root }) => flip(join(root, main, 'busybox-1.0-r0.apk'), -100),
      [{ file: 'busybox-1.0-r0.apk', code: 'broken' }],
    ],
    [
      'a byte of a package’s control stream',
      ({ root }) => flip(join(root, main, 'musl-1.0-r0.apk'), 420),
      [{ file: 'musl-1.0-r0.apk', code: 'broken' }],
    ],
    ['a byte of a package’s signature', ({ root }) => flip(join(root, main, 'musl-1.0-r0.apk'), 150), [{ file: 'musl-1.0-r0.apk', code: 'broken' }]],
    ['a package that was cut', ({ root }) => writeFileSync(join(root, main, 'musl-1.0-r0.apk'), 'x'), [{ file: 'musl-1.0-r0.apk', code: 'broken' }]],
    [
      'a package that is gone',
      ({ root }) => rmSync(join(root, community, 'htop-1.0-r0.apk')),
      [{ folder: community, file: 'htop-1.0-r0.apk', code: 'missing' }],
    ],
    [
      'a file that nobody knows',
      ({ root }) => writeFileSync(join(root, main, 'own-1.0-r0.apk'), makePackage({ name: 'own' }).bytes),
      [{ file: 'own-1.0-r0.apk', code: 'extra' }],
    ],
    [
      'another package under its name',
      ({ root }) => writeFileSync(join(root, main, 'musl-1.0-r0.apk'), makePackage({ name: 'musl', key }).bytes),
      [{ file: 'musl-1.0-r0.apk', code: 'broken' }],
    ],
    ['a byte of the index', ({ root }) => flip(join(root, main, 'APKINDEX.tar.gz'), -30), [{ file: 'APKINDEX.tar.gz', code: 'index' }]],
    [
      'an index of somebody else',
      ({ root }) => writeFileSync(join(root, main, 'APKINDEX.tar.gz'), makeIndex(mainPackages(), makeApkKey('evil.rsa.pub'))),
      [{ file: 'APKINDEX.tar.gz', code: 'index' }],
    ],
    [
      'an older index put back by hand',
      ({ root }) => writeFileSync(join(root, main, 'APKINDEX.tar.gz'), makeIndex(mainPackages().slice(1), key)),
      [{ code: 'contents' }, { file: 'musl-1.0-r0.apk', code: 'extra' }],
    ],
    ['notes that are damaged', ({ root }) => appendFileSync(join(root, main, '.contents.json'), '}'), [{ file: '.contents.json', code: 'contents' }]],
  ])('%s turned over or put there is found and named', async (_, spoil, problems) => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    spoil(rig)
    expect((await verify(rig)).problems).toMatchObject(problems)
  })

  it('of a part nothing more is wanted than was synced', async () => {
    const rig = await makeRig()
    await syncPart(partial(['openssh']), rig.options)
    expect(await verify(rig)).toMatchObject({ packages: 2, problems: [] })
    rmSync(join(rig.root, main, 'openssh-1.0-r0.apk'))
    expect((await verify(rig)).problems).toMatchObject([{ code: 'missing' }])
  })

  it('a folder that only requests of stations filled lacks nothing', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    rmSync(join(rig.root, main, '.contents.json'))
    rmSync(join(rig.root, main, 'musl-1.0-r0.apk'))
    expect((await verify(rig)).problems).toEqual([])
  })

  it('what a byte spoiled, the next sync mends', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    writeFileSync(join(rig.root, main, 'busybox-1.0-r0.apk'), 'cut')
    expect(await syncPart(whole, rig.options)).toMatchObject({ downloaded: { files: 1 } })
    expect((await verify(rig)).problems).toEqual([])
  })
})

describe('status and prune', () => {
  it('tells folder by folder what is here', async () => {
    const rig = await makeRig()
    await syncPart(partial(['nginx']), rig.options)
    expect(await describeMirror(rig.root)).toMatchObject([
      { folder: community, kind: 'sync', named: 2, here: 1, isWhole: false },
      { folder: main, named: 4, here: 2 },
    ])
  })

  it('removes what no index has named for so long, and unfinished downloads; nothing on a dry run', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    publish(rig.upstream, community, communityPackages('1.1-r0'))
    await syncPart(whole, rig.options)
    const prune = (dryRun: boolean) => pruneMirror(rig.root, { olderMs: 3600_000, now: () => rig.clock.at, dryRun })
    expect((await prune(false)).files).toEqual([])
    rig.clock.at += 2 * 3600_000
    const files = [`${community}/htop-1.0-r0.apk`, `${community}/nginx-1.0-r0.apk`]
    expect((await prune(true)).files.toSorted()).toEqual(files)
    expect((await prune(false)).files.toSorted()).toEqual(files)
    expect((await prune(false)).files).toEqual([])
    expect((await verify(rig)).problems).toEqual([])
  })

  it('removes what a killed import, snapshot or download left, once it is old', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const left = ['.import.0123abcd.tmp', 'snapshots/.spring.89abcdef.tmp', `${main}/.busybox-1.0-r0.apk.01234567.tmp`]
    for (const path of left.slice(0, 2)) {
      mkdirSync(join(rig.root, path, main), { recursive: true })
      writeFileSync(join(rig.root, path, main, 'a.apk'), 'half')
    }
    writeFileSync(join(rig.root, left[2] as string), 'half')
    const prune = (laterMs: number, dryRun = false) => pruneMirror(rig.root, { olderMs: 0, now: () => Date.now() + laterMs, dryRun })
    expect((await prune(3600_000, true)).files).toEqual([])
    expect(await prune(24 * 3600_000, true)).toEqual({ files: left, bytes: 12 })
    expect((await prune(24 * 3600_000)).files).toEqual(left)
    expect(left.filter((path) => existsSync(join(rig.root, path)))).toEqual([])
    expect((await verify(rig)).problems).toEqual([])
  })
})
