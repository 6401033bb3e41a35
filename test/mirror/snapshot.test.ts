import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { needTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces, placeOf } from '../../src/mirror/place.ts'
import { findUsers, listSnapshots, makeSnapshot, removeSnapshot, type SnapshotOptions } from '../../src/mirror/snapshot.ts'
import { syncPart } from '../../src/mirror/sync.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { key, main, mainPackages, makeRig, partial, publish, type Rig, whole } from './rig.ts'

const places = [placeOf('v3.22/main', 'x86_64'), placeOf('v3.22/community', 'x86_64')]
const ask = async ({ root, clock }: Rig, more: Partial<SnapshotOptions> = {}): Promise<SnapshotOptions> => ({
  root,
  name: 'spring',
  places,
  keys: new Map([[key.keyName, key.publicKey]]),
  now: () => clock.at,
  ...more,
})

describe('snapshots', () => {
  it('keep what a mirror had, long after the mirror has gone on', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const made = await makeSnapshot(await ask(rig))
    expect(made).toMatchObject({ packages: 6, repositories: ['snapshots/spring/v3.22/main', 'snapshots/spring/v3.22/community'] })
    const frozen = `snapshots/spring/${main}`
    expect(statSync(join(rig.root, frozen, 'busybox-1.0-r0.apk')).ino).toBe(statSync(join(rig.root, main, 'busybox-1.0-r0.apk')).ino)
    const index = rig.read(`${frozen}/APKINDEX.tar.gz`)
    publish(rig.upstream, main, mainPackages('2.0-r0'))
    await syncPart(whole, rig.options)
    rig.clock.at += 30 * 24 * 3600_000
    await syncPart(whole, rig.options)
    expect(readdirSync(join(rig.root, main)).filter((name) => name.includes('1.0'))).toEqual([])
    expect(Buffer.compare(rig.read(`${frozen}/APKINDEX.tar.gz`), index)).toBe(0)
    const report = await verifyPlaces(rig.root, await listPlaces(rig.root, 'snapshots/spring'), await needTrustedKeys(rig.root))
    expect(report).toMatchObject({ folders: 2, packages: 6, problems: [] })
  })

  it('of worlds hold what these bring, and refuse what was not mirrored', async () => {
    const rig = await makeRig()
    await syncPart(partial(['nginx']), rig.options)
    await expect(makeSnapshot(await ask(rig, { worlds: [['htop']] }))).rejects.toMatchObject({
      code: 'snapshot-lacking',
      message: expect.stringContaining('htop-1.0-r0.apk'),
    })
    expect(await listSnapshots(rig.root)).toEqual([])
    expect(await makeSnapshot(await ask(rig, { worlds: [['nginx', 'nonesuch']] }))).toMatchObject({
      packages: 3,
      missing: [{ dependency: 'nonesuch' }],
    })
    expect(await listSnapshots(rig.root)).toMatchObject([{ name: 'spring', packages: 3 }])
  })

  it('never change, and nothing is made of one that fails', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    await makeSnapshot(await ask(rig, { dryRun: true }))
    expect(await listSnapshots(rig.root)).toEqual([])
    await makeSnapshot(await ask(rig))
    await expect(makeSnapshot(await ask(rig))).rejects.toMatchObject({ code: 'snapshot-exists' })
    await expect(makeSnapshot(await ask(rig, { name: '../x' }))).rejects.toMatchObject({ code: 'snapshot-name' })
    await expect(makeSnapshot(await ask(rig, { name: 'other', places: [placeOf('v9.9/main', 'x86_64')] }))).rejects.toMatchObject({
      code: 'snapshot-place',
    })
    rmSync(join(rig.root, main, 'openssh-1.0-r0.apk'))
    await expect(makeSnapshot(await ask(rig, { name: 'other' }))).rejects.toMatchObject({ code: 'snapshot-lacking' })
    expect(readdirSync(join(rig.root, 'snapshots'))).toEqual(['spring'])
  })

  it('a package that was broken on the disk is not frozen', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    rmSync(join(rig.root, main, '.contents.json'))
    const path = join(rig.root, main, 'openssh-1.0-r0.apk')
    writeFileSync(path, new Uint8Array(statSync(path).size))
    await expect(makeSnapshot(await ask(rig, { worlds: [['openssh']] }))).rejects.toMatchObject({ code: 'snapshot-lacking' })
  })

  it('are removed only when no release boots from them', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    await makeSnapshot(await ask(rig))
    const releases = [
      { id: 'alpine/3.22.2/x86_64/lts', repositories: ['apk/snapshots/spring/v3.22/main'] },
      { id: 'elsewhere', repositories: ['http://10.9.0.2:8081/snapshots/spring/v3.22/main'] },
      { id: 'other', repositories: ['apk/snapshots/springtime/v3.22/main'] },
      { id: 'none' },
    ]
    const users = findUsers('spring', releases)
    expect(users).toEqual(['alpine/3.22.2/x86_64/lts', 'elsewhere'])
    await expect(removeSnapshot(rig.root, 'spring', users)).rejects.toMatchObject({ code: 'snapshot-used' })
    await removeSnapshot(rig.root, 'spring', [])
    expect(readdirSync(join(rig.root, 'snapshots'))).toEqual([])
    expect(statSync(join(rig.root, main, 'busybox-1.0-r0.apk')).size).toBeGreaterThan(0)
    await expect(removeSnapshot(rig.root, 'spring', [])).rejects.toMatchObject({ code: 'snapshot-unknown' })
  })
})
