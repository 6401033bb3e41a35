import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readIndex } from '../../src/apk/index-file.ts'
import { verifySigned } from '../../src/apk/signature.ts'
import { BivouacError } from '../../src/boot/error.ts'
import { needTrustedKeys } from '../../src/mirror/key.ts'
import { listPlaces } from '../../src/mirror/place.ts'
import { syncPart } from '../../src/mirror/sync.ts'
import { verifyPlaces } from '../../src/mirror/verify.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { community, communityPackages, key, main, mainPackages, makeRig, partial, publish, type Rig, whole } from './rig.ts'

const codeOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => 'done',
    (error) => {
      expect(error).toBeInstanceOf(BivouacError)
      return (error as BivouacError).code
    },
  )

/** Whatever happened: what stations can see is a signed index, and each package that the notes promise is whole. */
async function expectSound({ root }: Rig): Promise<void> {
  const report = await verifyPlaces(root, await listPlaces(root), await needTrustedKeys(root))
  expect(report.problems).toEqual([])
}
const names = (root: string, folder: string): string[] =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder))
        .filter((name) => name.endsWith('.apk'))
        .sort()
    : []

describe('sync', () => {
  it('mirrors all of it, with upstream’s own bytes, and fetches nothing twice', async () => {
    const rig = await makeRig()
    const { root, upstream, options } = rig
    const report = await syncPart(whole, options)
    expect(report).toMatchObject({ downloaded: { files: 6 }, kept: 0, missing: [] })
    expect(names(root, main)).toEqual(['alpine-base-1.0-r0.apk', 'busybox-1.0-r0.apk', 'musl-1.0-r0.apk', 'openssh-1.0-r0.apk'])
    for (const { fileName, bytes } of communityPackages()) expect(Buffer.compare(rig.read(`${community}/${fileName}`), bytes)).toBe(0)
    verifySigned(rig.read(`${main}/APKINDEX.tar.gz`), await needTrustedKeys(root))
    await expectSound(rig)
    const hits = upstream.hits()
    expect(await syncPart(whole, options)).toMatchObject({ downloaded: { files: 0 }, kept: 6, places: [{ isChanged: false }, { isChanged: false }] })
    expect(upstream.hits()).toBe(hits + 2)
    expect(rig.events.map(({ kind }) => kind)).toEqual(['mirror-synced', 'mirror-synced'])
  })

  it('mirrors what worlds bring, across repositories, and names what is missing; the index stays upstream’s', async () => {
    const rig = await makeRig()
    const report = await syncPart(partial(['nginx'], ['htop', 'nonesuch']), rig.options)
    expect(report.missing).toMatchObject([{ dependency: 'nonesuch', reason: 'absent' }])
    expect(names(rig.root, main)).toEqual(['musl-1.0-r0.apk', 'openssh-1.0-r0.apk'])
    expect(names(rig.root, community)).toEqual(['htop-1.0-r0.apk', 'nginx-1.0-r0.apk'])
    expect(readIndex(rig.read(`${main}/APKINDEX.tar.gz`)).packages).toHaveLength(4)
    await expectSound(rig)
  })

  it('a newer package comes, the old one stays for its time and goes then', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    publish(rig.upstream, main, mainPackages('1.1-r0'))
    await syncPart(whole, rig.options)
    expect(names(rig.root, main)).toHaveLength(8)
    await expectSound(rig)
    rig.clock.at += 8 * 24 * 3600_000
    expect(await syncPart(whole, rig.options)).toMatchObject({ removed: 4 })
    expect(names(rig.root, main)).toEqual(['alpine-base-1.1-r0.apk', 'busybox-1.1-r0.apk', 'musl-1.1-r0.apk', 'openssh-1.1-r0.apk'])
    await expectSound(rig)
  })

  it('what lies there already is taken when it is right, and replaced when it is not', async () => {
    const rig = await makeRig()
    const [good, bad] = mainPackages() as [ReturnType<typeof makePackage>, ReturnType<typeof makePackage>]
    mkdirSync(join(rig.root, main), { recursive: true })
    writeFileSync(join(rig.root, main, good.fileName), good.bytes)
    const spoiled = bad.bytes.slice()
    spoiled[spoiled.length - 30] = (spoiled[spoiled.length - 30] as number) ^ 1
    writeFileSync(join(rig.root, main, bad.fileName), spoiled)
    expect(await syncPart(whole, rig.options)).toMatchObject({ downloaded: { files: 5 }, kept: 1 })
    await expectSound(rig)
  })

  it('put out anew under the same name, the file changes with its index', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const again = mainPackages().map((one) => (one.entry.name === 'openssh' ? makePackage({ name: 'openssh', files: { x: 'rebuilt' }, key }) : one))
    publish(rig.upstream, main, again)
    expect(await syncPart(whole, rig.options)).toMatchObject({ downloaded: { files: 1 } })
    await expectSound(rig)
  })

  it('a dry run changes nothing and tells nobody', async () => {
    const rig = await makeRig()
    expect(await syncPart(whole, { ...rig.options, dryRun: true })).toMatchObject({ downloaded: { files: 6 } })
    expect(readdirSync(rig.root)).toEqual(['keys'])
    expect(rig.events).toEqual([])
  })

  it('has several downloads at once, and not more than it was told', async () => {
    const rig = await makeRig()
    await syncPart(whole, { ...rig.options, jobs: 2 })
    expect(rig.upstream.figures().most).toBeLessThanOrEqual(2)
  })

  it('tells how far it is', async () => {
    const rig = await makeRig()
    const steps: string[] = []
    await syncPart(whole, { ...rig.options, onProgress: ({ step, doneFiles, totalFiles }) => void steps.push(`${step} ${doneFiles}/${totalFiles}`) })
    expect(steps).toContain('index 0/2')
    expect(steps).toContain('download 6/6')
    expect(steps.at(-1)).toBe('switch 6/6')
  })
})

describe('an upstream with faults: stations keep what they had', () => {
  const newer = [...mainPackages('2.0-r0')]
  const busybox = `${main}/busybox-2.0-r0.apk`
  const spoil = (bytes: Uint8Array, at: number): Uint8Array => {
    const copy = Uint8Array.from(bytes)
    copy.set([(copy.at(at) as number) ^ 1], at < 0 ? copy.length + at : at)
    return copy
  }
  const bytesOf = (name: string): Uint8Array => newer.find(({ entry }) => entry.name === name)?.bytes as Uint8Array

  it.each<[string, string, (rig: Rig) => void]>([
    ['a package that is away', 'upstream-missing', ({ upstream }) => upstream.put(busybox, undefined)],
    ['a package with a byte turned over', 'mirror-broken', ({ upstream }) => upstream.put(busybox, spoil(bytesOf('busybox'), -40))],
    ['another package under its name', 'upstream-size|mirror-broken', ({ upstream }) => upstream.put(busybox, bytesOf('musl'))],
    ['an error page in place of a package', 'upstream-size', ({ upstream }) => upstream.put(busybox, '<html>busy</html>')],
    ['a server in trouble', 'upstream-status', ({ upstream }) => upstream.fault(busybox, { kind: 503 })],
    [
      'an index signed with another key',
      'signature-untrusted',
      ({ upstream }) => upstream.put(`${main}/APKINDEX.tar.gz`, makeIndex(newer, makeApkKey('evil.rsa.pub'))),
    ],
    [
      'an index signed with another key under our key’s name',
      'signature-bad',
      ({ upstream }) => upstream.put(`${main}/APKINDEX.tar.gz`, makeIndex(newer, { ...makeApkKey('evil.rsa.pub'), keyName: key.keyName })),
    ],
    ['an index without signature', 'signature-missing', ({ upstream }) => upstream.put(`${main}/APKINDEX.tar.gz`, makeIndex(newer))],
    [
      'an index that was cut',
      'gzip-cut|signature-bad',
      ({ upstream }) => upstream.put(`${main}/APKINDEX.tar.gz`, makeIndex(newer, key).subarray(0, -20)),
    ],
    ['no index', 'upstream-missing', ({ upstream }) => upstream.put(`${main}/APKINDEX.tar.gz`, undefined)],
  ])('%s', async (_, codes, spoilIt) => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    const before = rig.read(`${main}/APKINDEX.tar.gz`)
    publish(rig.upstream, main, newer)
    spoilIt(rig)
    expect(codes.split('|')).toContain(await codeOf(syncPart(whole, rig.options)))
    expect(Buffer.compare(rig.read(`${main}/APKINDEX.tar.gz`), before)).toBe(0)
    expect(names(rig.root, main).filter((name) => name.includes('2.0'))).toEqual([])
    await expectSound(rig)
    expect(rig.events.at(-1)).toMatchObject({ kind: 'mirror-failed', detail: { name: 'all', reason: expect.stringMatching(/\S/) } })
    // And when the upstream is well again, the next run brings it all.
    rig.upstream.fault(busybox, undefined)
    publish(rig.upstream, main, newer)
    expect((await syncPart(whole, rig.options)).places[0]).toMatchObject({ isChanged: true })
    await expectSound(rig)
  })

  it('dying in the middle of a package', async () => {
    const rig = await makeRig({ withoutRanges: true })
    await syncPart(whole, rig.options)
    publish(rig.upstream, main, newer)
    rig.upstream.fault(busybox, { kind: 'cut', afterBytes: 20_000 })
    expect(await codeOf(syncPart(whole, rig.options))).toMatch(/^upstream-(cut|unreachable)$/)
    expect(readIndex(rig.read(`${main}/APKINDEX.tar.gz`)).packages[0]?.version).toBe('1.0-r0')
    expect(names(rig.root, main).filter((name) => name.includes('2.0'))).toEqual([])
    await expectSound(rig)
  })

  it('a good package of the same size that is not the one of the index', async () => {
    const rig = await makeRig()
    const [wanted] = communityPackages('1.1-r0').slice(1) as [ReturnType<typeof makePackage>]
    const other = Array.from({ length: 200 }, (_, at) =>
      makePackage({ name: 'htop', version: '1.1-r0', files: { 'usr/share/htop/version': `htop 1.1-r${at}\n` }, key }),
    ).find(({ bytes, entry }) => bytes.length === wanted.bytes.length && entry.checksum !== wanted.entry.checksum)
    expect(other).toBeDefined()
    publish(rig.upstream, community, [wanted])
    rig.upstream.put(`${community}/${wanted.fileName}`, other?.bytes)
    expect(await codeOf(syncPart(whole, rig.options))).toBe('mirror-broken')
    expect(existsSync(join(rig.root, community))).toBe(false)
  })

  it('goes on where it was: a package cut once is not fetched from its beginning', async () => {
    const rig = await makeRig()
    const path = `${main}/busybox-1.0-r0.apk`
    rig.upstream.fault(path, { kind: 'cut', afterBytes: 5_000, times: 1 })
    await syncPart(whole, rig.options)
    expect(rig.upstream.requests.filter((one) => one.path === path).map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=5000-'])
    await expectSound(rig)
  })

  it('after a run that failed, what was whole is not fetched again', async () => {
    const rig = await makeRig()
    rig.upstream.fault(`${community}/nginx-1.0-r0.apk`, { kind: 500 })
    expect(await codeOf(syncPart(whole, { ...rig.options, jobs: 1 }))).toBe('upstream-status')
    expect(names(rig.root, main)).toEqual([])
    rig.upstream.fault(`${community}/nginx-1.0-r0.apk`, undefined)
    await syncPart(whole, rig.options)
    expect(rig.upstream.hits(`${main}/busybox-1.0-r0.apk`)).toBe(1)
    await expectSound(rig)
  })

  it('an index that changes under way is read again, and its packages are taken', async () => {
    const rig = await makeRig()
    const path = `${main}/openssh-1.0-r0.apk`
    rig.upstream.put(path, undefined)
    const run = syncPart(whole, {
      ...rig.options,
      // The new index appears after the first was read.
      onProgress: ({ step }) => {
        if (step === 'download') publish(rig.upstream, main, mainPackages('1.1-r0'))
      },
    })
    expect(await run).toMatchObject({ places: [{ packages: 4 }, { packages: 2 }] })
    expect(readIndex(rig.read(`${main}/APKINDEX.tar.gz`)).packages.map(({ version }) => version)).toEqual(Array(4).fill('1.1-r0'))
    await expectSound(rig)
  })

  it('too little room is told before anything is fetched, with what to do', async () => {
    const rig = await makeRig()
    await syncPart(partial(['musl']), rig.options)
    const run = syncPart(whole, { ...rig.options, freeBytes: async () => 1000 })
    await expect(run).rejects.toThrow(/make room, or mirror less/)
    expect(rig.upstream.hits(`${main}/busybox-1.0-r0.apk`)).toBe(0)
    await expectSound(rig)
  })

  it('without a trusted key nothing is taken', async () => {
    const rig = await makeRig()
    expect(await codeOf(syncPart(whole, { ...rig.options, root: join(dirname(rig.root), 'other') }))).toBe('mirror-keys')
  })

  it('readers of the old state keep it while the new one is switched in', async () => {
    const rig = await makeRig()
    await syncPart(whole, rig.options)
    publish(rig.upstream, main, mainPackages('3.0-r0'))
    // Whatever index a station reads during the run, all its packages are there at that moment.
    let looks = 0
    const look = (): void => {
      const index = readIndex(new Uint8Array(readFileSync(join(rig.root, main, 'APKINDEX.tar.gz'))))
      for (const { name, version, sizeBytes } of index.packages) expect(statSync(join(rig.root, main, `${name}-${version}.apk`)).size).toBe(sizeBytes)
      looks++
    }
    const timer = setInterval(look, 1)
    await syncPart(whole, { ...rig.options, onProgress: look }).finally(() => clearInterval(timer))
    look()
    expect(looks).toBeGreaterThan(5)
  })
})
