import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createMessage, generateKey, readPrivateKey, sign } from 'openpgp'
import { describe, expect, it } from 'vitest'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { type ImportAsk, type ImportDeps, importRelease } from '../../src/release/import.ts'
import { readManifest } from '../../src/release/manifest.ts'
import { scanReleases } from '../../src/store/release.ts'
import { createUpstream } from '../../src/upstream/client.ts'
import { makeBootFiles, makeInitramfs, makeKernel, makeModloop, makeNetboot, releaseKeys } from '../support/release.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream, type TestUpstream } from '../support/upstream.ts'

const id = 'alpine/3.22.2/x86_64/lts'
const archiveName = 'alpine-netboot-3.22.2-x86_64.tar.gz'
const archivePath = `v3.22/releases/x86_64/${archiveName}`
const sha = (bytes: Uint8Array, kind = 'sha256') => createHash(kind).update(bytes).digest('hex')
const [keyName = '', keyText = ''] = Object.entries(releaseKeys)[0] ?? []

type Place = ImportDeps & { scratch: string; list: () => string[] }

async function makePlace(upstream?: TestUpstream): Promise<Place> {
  const scratch = await makeScratch()
  const depot = join(scratch, 'depot')
  const client = createUpstream({ sleep: async () => {} })
  return {
    scratch,
    depot,
    state: join(scratch, 'state'),
    packagesRoot: join(depot, 'apk'),
    upstream: () => client,
    ...(upstream && { mirror: upstream.url }),
    now: () => 1_700_000_000_000,
    unsquashfs: '/nonexistent/unsquashfs',
    list: () =>
      existsSync(depot)
        ? (readdirSync(depot, { recursive: true }) as string[]).filter((name) => /[^/]*(-|\.json|\.pub|\.tmp)[^/]*$/.test(name)).sort()
        : [],
  }
}

const run = (place: Place, ask: Partial<ImportAsk> & { source: string }) => importRelease(ask, place)

/** A tarball in the scratch folder, with its checksum unless told otherwise. */
async function putArchive(place: Place, bytes: Uint8Array, { name = archiveName, checksum = true } = {}): Promise<string> {
  const path = join(place.scratch, name)
  await writeFile(path, bytes)
  if (checksum) await writeFile(`${path}.sha256`, `${sha(bytes)}  ${name}\n`)
  return path
}

const placed = [`releases/${id}/initramfs-lts`, `releases/${id}/manifest.json`, `releases/${id}/modloop-lts`, `releases/${id}/vmlinuz-lts`]

/** Alpine's layout over HTTP: the list, the archive, its checksums. */
async function startMirror(archive: Uint8Array): Promise<TestUpstream> {
  const list = `---
-
  title: "Mini root filesystem"
  branch: v3.22
  arch: x86_64
  version: 3.22.2
  flavor: alpine-minirootfs
  file: alpine-minirootfs-3.22.2-x86_64.tar.gz
-
  title: "Netboot"
  desc: |
    Kernel, initramfs and modloop for
    netboot.
  branch: v3.22
  arch: x86_64
  version: 3.22.2
  flavor: alpine-netboot
  file: ${archiveName}
  iso: ${archiveName}
  date: 2025-10-08
  time: 09:42:18
  size: ${archive.length}
  sha256: ${sha(archive)}
  sha512: ${sha(archive, 'sha512')}
`
  return startTestUpstream({
    files: {
      'latest-stable/releases/x86_64/latest-releases.yaml': list,
      'v3.22/releases/x86_64/latest-releases.yaml': list,
      [archivePath]: archive,
      [`${archivePath}.sha512`]: `${sha(archive, 'sha512')}  ${archiveName}\n`,
    },
  })
}

describe('import of an archive', () => {
  it('puts the three files of the flavour in their place, with a manifest', async () => {
    const place = await makePlace()
    const files: Record<string, Buffer> = { ...makeBootFiles('lts'), ...makeBootFiles('virt'), 'config-lts': Buffer.from('x') }
    const archive = makeNetboot(files)
    const outcome = await run(place, { source: await putArchive(place, archive) })
    expect(outcome).toMatchObject({
      outcome: 'imported',
      id,
      verified: { checksum: 'sha256', checksumFrom: `${archiveName}.sha256`, signature: 'none' },
    })
    expect(outcome.warnings.map(({ code }) => code)).toEqual(['no-signature', 'modloop-unread', 'keys-not-trusted'])
    expect(place.list()).toEqual(placed)
    expect(readFileSync(join(place.depot, `releases/${id}/modloop-lts`))).toEqual(files['modloop-lts'])
    expect(await readManifest(place.depot, id)).toEqual({
      format: 1,
      id,
      version: '3.22.2',
      branch: 'v3.22',
      arch: 'x86_64',
      flavour: 'lts',
      kernelVersion: '6.12.31-0-lts',
      source: join(place.scratch, archiveName),
      archive: { name: archiveName, sizeBytes: archive.length, sha256: sha(archive) },
      importedAt: 1_700_000_000_000,
      verified: outcome.verified,
      agreed: { kernel: true, initramfs: true, modloop: false },
      keys: [keyName],
      files: ['vmlinuz-lts', 'initramfs-lts', 'modloop-lts'].map((name) => {
        const bytes = files[name] as Buffer
        return { name, sizeBytes: bytes.length, sha256: sha(bytes) }
      }),
      repositories: [],
    })
    expect((await scanReleases(place.depot)).releases).toMatchObject([{ id, branch: 'v3.22', version: '3.22.2' }])
  })

  it('does nothing the second time, and refuses another content under the same id', async () => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot(makeBootFiles('lts')))
    await run(place, { source })
    expect(await run(place, { source })).toMatchObject({ outcome: 'there', id })
    const before = readFileSync(join(place.depot, `releases/${id}/vmlinuz-lts`))
    await putArchive(place, makeNetboot(makeBootFiles('lts', '6.12.99-0-lts')))
    await expect(run(place, { source })).rejects.toThrow(expect.objectContaining({ name: 'ConflictError', code: 'release-differs' }))
    expect(readFileSync(join(place.depot, `releases/${id}/vmlinuz-lts`))).toEqual(before)
    expect(place.list()).toEqual(placed)
  })

  it('gives a folder that was laid by hand its manifest', async () => {
    const place = await makePlace()
    const files = makeBootFiles('lts')
    await mkdir(join(place.depot, 'releases', id), { recursive: true })
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(place.depot, 'releases', id, name), bytes)
    const source = await putArchive(place, makeNetboot(files))
    expect(await run(place, { source })).toMatchObject({ outcome: 'imported' })
    expect(place.list()).toEqual(placed)
  })

  it('writes nothing in a dry run, but reads the archive through', async () => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot(makeBootFiles('lts')))
    expect(await run(place, { source, dryRun: true })).toMatchObject({ outcome: 'would', id })
    expect(place.list()).toEqual([])
    await expect(run(place, { source, dryRun: true, flavour: 'virt' })).rejects.toThrow('take --flavour lts')
  })

  it('warns of virt, and trusts its keys when told to', async () => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot(makeBootFiles('virt')))
    const outcome = await run(place, { source, flavour: 'virt', trustKeys: true })
    expect(outcome.warnings.map(({ code }) => code)).toContain('flavour-virt')
    expect(outcome.keys).toEqual([{ name: keyName, outcome: 'added' }])
    expect(readFileSync(join(place.packagesRoot, 'keys', keyName), 'utf8')).toBe(keyText)
    expect((await run(place, { source, flavour: 'virt', trustKeys: true })).keys).toEqual([{ name: keyName, outcome: 'there' }])
  })

  const file = (path: string, bytes: Uint8Array = Buffer.from('x')): TarMember => ({ kind: 'file', path, bytes })
  const hostile: [string, Uint8Array, string][] = [
    ['a path that leaves', renamed(makeNetboot({ 'vmlinuz-lts': Buffer.from('x') }), 'boot/vmlinuz-lts', '../x/vmlinuz-lts'), 'archive-hostile'],
    ['an absolute path', renamed(makeNetboot({ 'vmlinuz-lts': Buffer.from('x') }), 'boot/vmlinuz-lts', '/oot/vmlinuz-lts'), 'archive-hostile'],
    ['a link in place of the kernel', gzipSync(writeTar([{ kind: 'link', path: 'boot/vmlinuz-lts', target: '/etc/shadow' }])), 'archive-hostile'],
    ['a kernel that comes twice', gzipSync(writeTar([file('boot/vmlinuz-lts'), file('vmlinuz-lts')])), 'archive-hostile'],
    ['no gzip', Buffer.from('hello hello'), 'archive-damaged'],
    ['gzip that is cut', makeNetboot(makeBootFiles('lts')).subarray(0, 400), 'archive-damaged'],
    ['no tar', gzipSync('hello'.repeat(1000)), 'tar-checksum'],
  ]
  it.each(hostile)('refuses %s and leaves nothing', async (_, bytes, code) => {
    const place = await makePlace()
    const source = await putArchive(place, bytes)
    await expect(run(place, { source })).rejects.toThrow(expect.objectContaining({ code }))
    expect(place.list()).toEqual([])
    expect(await readdir(join(place.depot, 'releases'), { recursive: true }).catch(() => [])).not.toContainEqual(expect.stringContaining('.tmp'))
  })

  it('refuses a wrong checksum, and a checksum file of something else', async () => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot(makeBootFiles('lts')))
    await writeFile(`${source}.sha256`, `${'0'.repeat(64)}  ${archiveName}\n`)
    await expect(run(place, { source })).rejects.toThrow(expect.objectContaining({ code: 'checksum-wrong' }))
    await writeFile(`${source}.sha256`, `${'0'.repeat(64)}  other.tar.gz\n`)
    await expect(run(place, { source })).rejects.toThrow(expect.objectContaining({ code: 'checksum-file' }))
    expect(place.list()).toEqual([])
  })
})

/** The archive with another name for a member, checksum and all. */
function renamed(archive: Uint8Array, from: string, to: string): Uint8Array {
  const safe = Buffer.from(writeTar([{ kind: 'file', path: from, bytes: Buffer.from('x') }]))
  expect(archive.length).toBeGreaterThan(0)
  safe.fill(0, 0, 100)
  safe.write(to, 0)
  safe.fill(' ', 148, 156)
  const sum = safe.subarray(0, 512).reduce((all, byte) => all + byte, 0)
  safe.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return gzipSync(safe)
}

describe('what does not belong together', () => {
  const mixed = { ...makeBootFiles('virt'), 'modloop-vanilla': makeModloop('vanilla') } as Record<string, Buffer>
  delete mixed['modloop-virt']

  it("refuses the source document's own virt and vanilla, with the remedy", async () => {
    const place = await makePlace()
    const folder = join(place.scratch, 'pxe')
    await mkdir(folder)
    for (const [name, bytes] of Object.entries(mixed)) await writeFile(join(folder, name), bytes)
    const ask = { source: folder, version: '3.15.0', arch: 'x86_64' }
    for (const flavour of ['virt', 'lts'])
      await expect(run(place, { ...ask, flavour })).rejects.toThrow(
        /mixes the flavours vanilla and virt .* --flavour lts \(virt lacks the drivers of real machines, vanilla ended with 3\.10\)/,
      )
    await expect(run(place, { ...ask, flavour: 'vanilla' })).rejects.toThrow(
      /v3\.15 has no flavour vanilla: it ended with Alpine 3\.10; take --flavour lts/,
    )
    expect(place.list()).toEqual([])
  })

  it('takes vanilla of the time when there was one', async () => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot(makeBootFiles('vanilla', '4.19.53-0-vanilla')), {
      name: 'alpine-netboot-3.10.2-x86_64.tar.gz',
    })
    expect(await run(place, { source, flavour: 'vanilla' })).toMatchObject({ id: 'alpine/3.10.2/x86_64/vanilla' })
  })

  it.each([
    [
      'kernel and initramfs',
      { 'vmlinuz-lts': makeKernel('6.12.99-0-lts') },
      'kernel-mix',
      /vmlinuz-lts is for 6\.12\.99-0-lts; initramfs-lts is for 6\.12\.31-0-lts/,
    ],
    ['a cut modloop', { 'modloop-lts': makeModloop('modules').subarray(0, 98) }, 'modloop-damaged', /is cut/],
    ['a cut initramfs', { 'initramfs-lts': makeInitramfs('6.12.31-0-lts').subarray(0, 300) }, 'initramfs-damaged', /cannot be unpacked|cut/],
    ['a damaged kernel', { 'vmlinuz-lts': makeKernel('6.12.31-0-lts').subarray(0, 0x400) }, 'kernel-header', /cut or damaged/],
  ])('refuses %s of different kernels or damaged', async (_, change, code, message) => {
    const place = await makePlace()
    const source = await putArchive(place, makeNetboot({ ...makeBootFiles('lts'), ...change }))
    const failure = await run(place, { source }).catch((error) => error)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(place.list()).toEqual([])
  })

  it.each([
    ['no modloop', ['vmlinuz-lts', 'initramfs-lts'], {}, 'release-incomplete'],
    ['nothing', [], {}, 'release-incomplete'],
    ['another flavour only', ['vmlinuz-lts', 'initramfs-lts', 'modloop-lts'], { flavour: 'virt' }, 'release-flavour'],
    ['no known version', ['vmlinuz-lts'], { version: '' }, 'release-version'],
    ['a version of another branch', ['vmlinuz-lts'], { branch: 'v3.21' }, 'release-version'],
    ['an unknown architecture', ['vmlinuz-lts'], { arch: 'mips' }, 'release-arch'],
    ['a flavour that is a path', ['vmlinuz-lts'], { flavour: '../../x' }, 'release-flavour'],
  ])('refuses a folder with %s', async (_, names, ask, code) => {
    const place = await makePlace()
    const folder = join(place.scratch, 'files')
    await mkdir(folder)
    const files = makeBootFiles('lts')
    for (const name of names) await writeFile(join(folder, name), files[name] as Buffer)
    await expect(run(place, { source: folder, version: '3.22.2', arch: 'x86_64', ...ask })).rejects.toThrow(expect.objectContaining({ code }))
  })

  it('takes a whole folder, and says that nothing vouches for it', async () => {
    const place = await makePlace()
    const folder = join(place.scratch, 'netboot-3.22.2/x86_64/boot')
    await mkdir(folder, { recursive: true })
    for (const [name, bytes] of Object.entries(makeBootFiles('lts'))) await writeFile(join(folder, name), bytes)
    const outcome = await run(place, { source: join(folder, '..') })
    expect(outcome).toMatchObject({ id, verified: { checksum: 'none', signature: 'none', note: expect.stringContaining('nothing to check') } })
    await expect(run(place, { source: folder, requireSignature: true })).rejects.toThrow('has no signature')
  })

  it('follows no link out of a folder', async () => {
    const place = await makePlace()
    const folder = join(place.scratch, 'netboot-3.22.2')
    await mkdir(folder)
    for (const [name, bytes] of Object.entries(makeBootFiles('lts')))
      await writeFile(join(folder, name === 'vmlinuz-lts' ? 'elsewhere' : name), bytes)
    await symlink('elsewhere', join(folder, 'vmlinuz-lts'))
    await expect(run(place, { source: folder, arch: 'x86_64' })).rejects.toThrow(expect.objectContaining({ code: 'source-link' }))
  })
})

describe('import from upstream', () => {
  it('pins latest-stable, checks against latest-releases.yaml, and is there the second time without a download', async () => {
    const mirror = await startMirror(makeNetboot(makeBootFiles('lts')))
    const place = await makePlace(mirror)
    expect(await run(place, { source: 'upstream' })).toMatchObject({
      outcome: 'imported',
      id,
      source: `${mirror.url}/${archivePath}`,
      verified: { checksum: 'sha256', checksumFrom: 'latest-releases.yaml' },
    })
    expect(await readManifest(place.depot, id)).toMatchObject({ branch: 'v3.22', version: '3.22.2' })
    expect(readdirSync(join(place.state, 'releases'))).toEqual([])
    const hits = mirror.hits(archivePath)
    expect(await run(place, { source: 'upstream', branch: 'v3.22' })).toMatchObject({ outcome: 'there', id })
    expect(mirror.hits(archivePath)).toBe(hits)
  })

  it('asks for nothing but the list in a dry run', async () => {
    const mirror = await startMirror(makeNetboot(makeBootFiles('lts')))
    const place = await makePlace(mirror)
    expect(await run(place, { source: 'upstream', dryRun: true })).toMatchObject({ outcome: 'would', id })
    expect(mirror.requests.map(({ path }) => path)).toEqual(['latest-stable/releases/x86_64/latest-releases.yaml'])
    expect(existsSync(place.depot)).toBe(false)
  })

  it('takes an older point release by the checksum beside it', async () => {
    const archive = makeNetboot(makeBootFiles('lts'))
    const mirror = await startMirror(archive)
    const place = await makePlace(mirror)
    const old = 'v3.22/releases/x86_64/alpine-netboot-3.22.0-x86_64.tar.gz'
    mirror.put(old, archive)
    await expect(run(place, { source: 'upstream', version: '3.22.0' })).rejects.toThrow(expect.objectContaining({ code: 'checksum-missing' }))
    mirror.put(`${old}.sha256`, `${sha(archive)}  alpine-netboot-3.22.0-x86_64.tar.gz\n`)
    expect(await run(place, { source: 'upstream', version: '3.22.0' })).toMatchObject({ id: 'alpine/3.22.0/x86_64/lts' })
    await expect(run(place, { source: 'upstream', version: '3.22.9' })).rejects.toThrow(expect.objectContaining({ code: 'upstream-missing' }))
  })

  it('goes on where a connection died, and where an earlier command ended', async () => {
    const mirror = await startMirror(makeNetboot({ ...makeBootFiles('lts'), 'config-lts': randomish(300_000) }))
    const place = await makePlace(mirror)
    mirror.fault(archivePath, { kind: 'cut', afterBytes: 100_000, times: 1 })
    expect(await run(place, { source: 'upstream' })).toMatchObject({ outcome: 'imported' })
    const ranges = mirror.requests.filter(({ path }) => path === archivePath).map(({ headers }) => headers.range)
    expect(ranges.length).toBe(2)
    expect(ranges[1]).toMatch(/^bytes=[1-9][0-9]*-$/)
  })

  it('keeps nothing of an upstream that dies for good but the part to go on with', async () => {
    const mirror = await startMirror(makeNetboot({ ...makeBootFiles('lts'), 'config-lts': randomish(300_000) }))
    const place = await makePlace(mirror)
    mirror.fault(archivePath, { kind: 'refuse' })
    await expect(run(place, { source: 'upstream' })).rejects.toThrow(expect.objectContaining({ name: 'OutsideError' }))
    expect(place.list()).toEqual([])
    mirror.fault(archivePath, undefined)
    expect(await run(place, { source: 'upstream' })).toMatchObject({ outcome: 'imported' })
  })

  it('refuses a second download at the same time, and leaves the first alone', async () => {
    const archive = makeNetboot(makeBootFiles('lts'))
    const upstream = await startMirror(archive)
    upstream.fault(archivePath, { kind: 'slow' })
    const place = await makePlace(upstream)
    const first = run(place, { source: 'upstream' })
    await expect.poll(() => upstream.hits(archivePath), { timeout: 30_000 }).toBe(1)
    await expect(run(place, { source: 'upstream' })).rejects.toMatchObject({ code: 'import-running' })
    upstream.fault(archivePath, undefined)
    upstream.release()
    expect(await first).toMatchObject({ outcome: 'imported', id })
    expect(await run(place, { source: 'upstream' })).toMatchObject({ outcome: 'there' })
  })

  it('refuses an archive that is another than the list says', async () => {
    const mirror = await startMirror(makeNetboot(makeBootFiles('lts')))
    const place = await makePlace(mirror)
    mirror.put(archivePath, makeNetboot(makeBootFiles('lts', '6.12.32-0-lts')))
    await expect(run(place, { source: 'upstream' })).rejects.toThrow(expect.objectContaining({ code: 'upstream-checksum' }))
    expect(place.list()).toEqual([])
  })

  it('says what to set when no upstream is configured', async () => {
    await expect(run(await makePlace(), { source: 'upstream' })).rejects.toThrow(/set mirror\.upstream/)
  })
})

/** Bytes that gzip cannot make smaller. */
function randomish(length: number): Buffer {
  const out: Buffer[] = []
  for (let at = 0; at < length; at += 32) out.push(createHash('sha256').update(String(at)).digest())
  return Buffer.concat(out)
}

describe('the signature', () => {
  const makeKey = async () => {
    const { privateKey, publicKey } = await generateKey({
      type: 'ecc',
      curve: 'ed25519Legacy',
      userIDs: [{ name: 'Alpine stand-in' }],
      format: 'armored',
    })
    const key = await readPrivateKey({ armoredKey: privateKey })
    const signFile = async (bytes: Uint8Array) => sign({ message: await createMessage({ binary: bytes }), signingKeys: key, detached: true })
    return { publicKey, fingerprint: key.getFingerprint().toUpperCase(), signFile }
  }

  it('is verified with the key that is pinned, and then its apk keys are trusted', async () => {
    const [place, key] = [await makePlace(), await makeKey()]
    const archive = makeNetboot(makeBootFiles('lts'))
    const source = await putArchive(place, archive)
    await writeFile(`${source}.asc`, await key.signFile(archive))
    await mkdir(join(place.depot, 'keys'), { recursive: true })
    await writeFile(join(place.depot, 'keys/alpine.asc'), key.publicKey)
    await expect(run(place, { source })).rejects.toThrow(/holds the key [0-9A-F]{40}, not 0482D84022F52DF1C4E7CD43293ACD0907D9495A/)
    const outcome = await run(place, { source, fingerprint: key.fingerprint, requireSignature: true })
    expect(outcome).toMatchObject({ outcome: 'imported', verified: { checksum: 'sha256', signature: 'good', fingerprint: key.fingerprint } })
    expect(outcome.verified).not.toHaveProperty('note')
    expect(outcome.keys).toEqual([{ name: keyName, outcome: 'added' }])
  })

  it('of another archive, by another key or damaged is refused', async () => {
    const [place, key, other] = [await makePlace(), await makeKey(), await makeKey()]
    const archive = makeNetboot(makeBootFiles('lts'))
    const source = await putArchive(place, archive)
    const file = join(place.scratch, 'key.asc')
    await writeFile(file, key.publicKey)
    const ask = { source, key: file, fingerprint: key.fingerprint }
    for (const wrong of [await key.signFile(Buffer.from('another')), await other.signFile(archive), 'no signature', '']) {
      await writeFile(`${source}.asc`, wrong)
      await expect(run(place, ask)).rejects.toThrow(expect.objectContaining({ name: 'OutsideError', code: 'signature-wrong' }))
    }
    expect(place.list()).toEqual([])
  })

  it('is said to be missing, and refused where one is required', async () => {
    const [place, key] = [await makePlace(), await makeKey()]
    const source = await putArchive(place, makeNetboot(makeBootFiles('lts')))
    const file = join(place.scratch, 'key.asc')
    await writeFile(file, key.publicKey)
    await expect(run(place, { source, requireSignature: true })).rejects.toThrow(/there is no key: --key FILE/)
    await expect(run(place, { source, key: file, fingerprint: key.fingerprint, requireSignature: true })).rejects.toThrow(/there is no signature/)
    await expect(run(place, { source, key: join(place.scratch, 'none') })).rejects.toThrow(/cannot be read/)
    await expect(run(place, { source, key: source })).rejects.toThrow(/is no OpenPGP public key/)
    expect((await run(place, { source, key: file, fingerprint: key.fingerprint })).warnings).toContainEqual(
      expect.objectContaining({ code: 'no-signature' }),
    )
  })
})
