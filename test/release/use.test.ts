import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { indexRecords, type Profile, profileSchema, type Release, type Site, type Station, stationSchema } from '../../src/boot/record.ts'
import { diffReleases } from '../../src/release/diff.ts'
import { formatManifestFile, readManifest, setRepositories } from '../../src/release/manifest.ts'
import { listAbandoned, planPrune, removeRelease } from '../../src/release/prune.ts'
import { usageOf } from '../../src/release/usage.ts'
import { applyEdits, copyProfile, editProfile, editStation } from '../../src/release/use.ts'
import { verifyRelease } from '../../src/release/verify.ts'
import type { ReleaseManifest } from '../../src/store/manifest.ts'
import { bareSite } from '../support/site.ts'
import { makeScratch } from '../support/scratch.ts'
import { createHash } from 'node:crypto'

const id = 'alpine/3.22.2/x86_64/lts'

async function makeDepot(files: Record<string, string>): Promise<{ depot: string; read: (file: string) => string }> {
  const depot = await makeScratch()
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(depot, file)), { recursive: true })
    writeFileSync(join(depot, file), text)
  }
  return { depot, read: (file) => readFileSync(join(depot, file), 'utf8') }
}

describe('use', () => {
  const cases: [string, string, string][] = [
    ['adds the key', 'kind: alpine   # mine\n\n# last\n', `kind: alpine   # mine\n\n# last\nrelease: ${id}\n`],
    [
      'replaces the value alone',
      '# first\nkind: alpine\nrelease:   alpine/old    # why\narguments: [a,   b]\n',
      `# first\nkind: alpine\nrelease:   ${id}    # why\narguments: [a,   b]\n`,
    ],
    [
      'takes the commented key of a new depot',
      'kind: alpine\n# release: alpine/x    # a folder\n# overlay: required\n',
      `kind: alpine\nrelease: ${id}    # a folder\n# overlay: required\n`,
    ],
    ['replaces a quoted value', 'kind: alpine\nrelease: "alpine/old"\n', `kind: alpine\nrelease: ${id}\n`],
    ['writes a profile in braces anew', '{ kind: alpine, sshKeys: false }\n', `{ kind: alpine, sshKeys: false, release: ${id} }\n`],
    ['ends the last line', 'kind: alpine', `kind: alpine\nrelease: ${id}\n`],
  ]
  it.each(cases)('%s, and keeps the rest to the byte', async (_, before, after) => {
    const { depot, read } = await makeDepot({ 'profiles/p.yaml': before })
    const edit = await editProfile(depot, 'p', id)
    expect(read('profiles/p.yaml')).toBe(before)
    expect(await applyEdits(depot, [edit])).toEqual(['profiles/p.yaml'])
    expect(read('profiles/p.yaml')).toBe(after)
    expect(await applyEdits(depot, [await editProfile(depot, 'p', id)])).toEqual([])
  })

  it('makes a file for a profile that is built in', async () => {
    const { depot, read } = await makeDepot({})
    await applyEdits(depot, [await editProfile(depot, 'alpine', id)])
    expect(read('profiles/alpine.yaml')).toBe(`kind: alpine\nrelease: ${id}\n`)
  })

  it.each([
    ['a profile of another kind', 'kind: menu\n', 'profile-kind'],
    ['no profile', '- a\n', 'wrong-type'],
    ['single files', 'kind: alpine\nkernel: vmlinuz-lts\ninitramfs: initramfs-lts\n', 'boot-files'],
    ['a mistake elsewhere', 'kind: alpine\noverlays: x\n', 'unknown-key'],
    ['broken YAML', 'kind: alpine\nrelease: [\n', 'yaml'],
  ])('refuses %s and changes nothing', async (_, text, code) => {
    const { depot, read } = await makeDepot({ 'profiles/p.yaml': text })
    await expect(editProfile(depot, 'p', id)).rejects.toThrow(expect.objectContaining({ code }))
    expect(read('profiles/p.yaml')).toBe(text)
  })

  it('gives one station a profile of its own', async () => {
    const station = 'mac: 52:54:00:12:34:56  # kiosk\nprofile: p\n'
    const { depot, read } = await makeDepot({
      'profiles/p.yaml': '# fleet\nkind: alpine\nmatch: { group: a }\nsshKeys: false\n',
      'stations/k.yml': station,
    })
    await applyEdits(depot, [await copyProfile(depot, 'p', 'k-release', id), await editStation(depot, 'k', 'k-release')])
    expect(read('stations/k.yml')).toBe(station.replace('profile: p', 'profile: k-release'))
    expect(read('profiles/k-release.yaml')).toBe(`# fleet\nkind: alpine\nsshKeys: false\nrelease: ${id}\n`)
    expect(read('profiles/p.yaml')).toContain('match')
    await expect(editStation(depot, 'none', 'p')).rejects.toThrow('there is no station none')
  })
})

const release = (version: string, arch = 'x86_64'): Release => {
  const folder = `releases/alpine/${version}/${arch}/lts`
  return { id: `alpine/${version}/${arch}/lts`, kernel: `${folder}/vmlinuz-lts`, initramfs: `${folder}/initramfs-lts`, flavour: 'lts', arch }
}
const site: Site = { ...bareSite, defaultProfile: 'alpine', unknown: 'wait' }
const [old, next] = [release('3.22.1'), release('3.22.2')]
const kernelOf = (one: Release, at: number, file = one.kernel): BootEvent => ({ at, kind: 'kernel', detail: { file } })

function recordsOf(profiles: object[], stations: object[], releases = [old, next]) {
  const parsed = profiles.map((profile): Profile => profileSchema.parse(profile))
  return indexRecords(
    stations.map((station): Station => stationSchema.parse({ macs: ['52:54:00:00:00:01'], ...station })),
    parsed,
    releases,
  )
}

describe('who uses a release', () => {
  it('is who names it, also a profile that nobody has yet', () => {
    const records = recordsOf(
      [{ name: 'p', kind: 'alpine', release: old.id }],
      [
        { name: 's', profile: 'p' },
        { name: 'other', macs: ['52:54:00:00:00:02'] },
      ],
    )
    expect(usageOf(records, site, []).get(old.id)).toEqual({ profiles: ['p'], stations: ['s'] })
    expect(usageOf(records, site, []).get(next.id)).toEqual({ profiles: [], stations: [] })
  })

  it('is who gets the only one there is, for each architecture', () => {
    const records = recordsOf([], [{ name: 's' }], [old, release('3.22.1', 'aarch64')])
    const usage = usageOf(records, site, [])
    expect([...usage.values()].map(({ profiles }) => profiles)).toEqual([['alpine'], ['alpine']])
    expect(usageOf(records, { ...site, defaultProfile: 'wait' }, []).get(old.id)?.profiles).toEqual([])
    expect(usageOf(records, { ...site, defaultProfile: 'menu' }, []).get(old.id)?.profiles).toEqual(['alpine'])
  })

  it('is who names a file of it', () => {
    const records = recordsOf([{ name: 'p', kind: 'alpine', kernel: old.kernel, initramfs: old.initramfs }], [])
    expect(usageOf(records, site, []).get(old.id)?.profiles).toEqual(['p'])
  })

  it('tells when a station last booted from it, whatever stood before the path', () => {
    const records = recordsOf([], [])
    const events = [kernelOf(old, 5), kernelOf(old, 9, `/${old.kernel}`), kernelOf(old, 7, `52-54-00-00-00-01/${old.kernel}`)]
    expect(usageOf(records, site, events).get(old.id)?.lastBootAt).toBe(9)
  })
})

describe('prune', () => {
  const day = 86_400_000
  it('keeps what is in use and what was booted lately', () => {
    const records = recordsOf([{ name: 'p', kind: 'alpine', release: next.id }], [])
    const fate = (events: BootEvent[]) => planPrune(records, usageOf(records, site, events), new Map(), 100 * day, 7).map(({ fate: one }) => one)
    expect(fate([])).toEqual(['removed', 'kept'])
    expect(fate([kernelOf(old, 94 * day)])).toEqual(['kept', 'kept'])
    expect(fate([kernelOf(old, 92 * day)])).toEqual(['removed', 'kept'])
  })

  it('removes the folder and the empty ones above it, and nothing else', async () => {
    const { depot } = await makeDepot({ [`releases/${old.id}/vmlinuz-lts`]: 'x', [`releases/${next.id}/vmlinuz-lts`]: 'x' })
    await removeRelease(depot, old.id)
    expect(existsSync(join(depot, 'releases/alpine/3.22.1'))).toBe(false)
    expect(existsSync(join(depot, `releases/${next.id}/vmlinuz-lts`))).toBe(true)
    await removeRelease(depot, next.id)
    expect(existsSync(join(depot, 'releases'))).toBe(true)
    await expect(removeRelease(depot, '../x')).rejects.toThrow(expect.objectContaining({ code: 'release-id' }))
  })

  it('finds imports that were interrupted, but not one that runs', async () => {
    const now = Date.now()
    const { depot } = await makeDepot({ 'releases/a/.lts.12345678.tmp/x': '', 'releases/a/.lts.87654321.tmp/x': '', 'releases/a/.git/x': '' })
    utimesSync(join(depot, 'releases/a/.lts.12345678.tmp'), now / 1000 - 7200, now / 1000 - 7200)
    utimesSync(join(depot, 'releases/a/.git'), 1, 1)
    expect(await listAbandoned(depot, ['releases/a', 'releases/gone'], now)).toEqual(['releases/a/.lts.12345678.tmp'])
  })
})

const sha = (text: string) => createHash('sha256').update(text).digest('hex')
const manifest: ReleaseManifest = {
  format: 1,
  id,
  version: '3.22.2',
  branch: 'v3.22',
  arch: 'x86_64',
  flavour: 'lts',
  kernelVersion: '6.12.31-0-lts',
  source: 'x',
  importedAt: 1,
  verified: { checksum: 'none', signature: 'none' },
  keys: [],
  files: [
    { name: 'vmlinuz-lts', sizeBytes: 1, sha256: sha('k') },
    { name: 'initramfs-lts', sizeBytes: 1, sha256: sha('i') },
  ],
  repositories: [],
}
const laid = (more: Record<string, string> = {}) =>
  makeDepot({
    [`releases/${id}/manifest.json`]: formatManifestFile(manifest),
    [`releases/${id}/vmlinuz-lts`]: 'k',
    [`releases/${id}/initramfs-lts`]: 'i',
    ...more,
  })

describe('the manifest of a release', () => {
  it('takes repositories, and refuses what is none', async () => {
    const { depot } = await laid()
    await setRepositories(depot, id, ['apk/snapshots/spring/v3.22/main', 'http://10.9.0.4/v3.22/main'])
    expect(await readManifest(depot, id)).toEqual({ ...manifest, repositories: ['apk/snapshots/spring/v3.22/main', 'http://10.9.0.4/v3.22/main'] })
    await expect(setRepositories(depot, id, ['../x'])).rejects.toThrow(expect.objectContaining({ code: 'repository' }))
    await expect(setRepositories(depot, 'alpine/none', [])).rejects.toThrow(expect.objectContaining({ code: 'release-manifest' }))
    await expect(readManifest(depot, '../../etc')).rejects.toThrow(expect.objectContaining({ code: 'release-id' }))
  })

  it('tells a file that was changed, one that is gone, and one too many', async () => {
    const { depot } = await laid({ [`releases/${id}/notes.txt`]: 'x' })
    expect(await verifyRelease(depot, id)).toMatchObject({
      state: 'good',
      files: [{ state: 'good' }, { state: 'good' }, { name: 'notes.txt', state: 'extra' }],
    })
    writeFileSync(join(depot, `releases/${id}/vmlinuz-lts`), 'K')
    expect(await verifyRelease(depot, id)).toMatchObject({ state: 'damaged', files: [{ name: 'vmlinuz-lts', state: 'changed' }, {}, {}] })
    expect(await verifyRelease(depot, 'alpine/by-hand')).toEqual({ id: 'alpine/by-hand', state: 'unknown', files: [] })
  })

  it('is compared by facts and parts', () => {
    expect(diffReleases(manifest, manifest)).toEqual([])
    const other = { ...manifest, flavour: 'virt', repositories: ['a'], files: [{ name: 'vmlinuz-virt', sizeBytes: 2, sha256: sha('v') }] }
    expect(diffReleases(manifest, other)).toEqual([
      { name: 'flavour', before: 'lts', after: 'virt' },
      { name: 'repositories', before: 'none', after: 'a' },
      { name: 'vmlinuz', before: `1 bytes, sha256 ${sha('k').slice(0, 12)}`, after: `2 bytes, sha256 ${sha('v').slice(0, 12)}` },
      { name: 'initramfs', before: `1 bytes, sha256 ${sha('i').slice(0, 12)}`, after: 'not there' },
    ])
  })
})
