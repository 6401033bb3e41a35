import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { inspectOverlay } from '../../src/alpine/overlay.ts'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { BivouacError } from '../../src/boot/error.ts'
import { goodOverlay, overlayMembers } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/tool.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const folder = mkdtempSync(join(tmpdir(), 'bvc-overlay-'))
afterAll(() => rmSync(folder, { recursive: true }))

const pack = (members: readonly TarMember[]): Uint8Array => gzipSync(writeTar(members))
/** Our writer makes no such names; the archive is written with a stand-in of the same length, which is then changed in place. */
const renamed = (from: string, to: string): Uint8Array => {
  const tar = writeTar([{ kind: 'file', path: from, bytes: bytes('x') }])
  tar.set(bytes(to), 0)
  const block = tar.subarray(0, 512)
  block.set(bytes('        '), 148)
  block.set(
    bytes(
      `${block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
    ),
    148,
  )
  return gzipSync(tar)
}
const withFlag = (flag: string): Uint8Array => {
  const tar = writeTar([{ kind: 'file', path: 'etc/dev', bytes: new Uint8Array() }])
  tar.set(bytes(flag), 156)
  const block = tar.subarray(0, 512)
  block.set(bytes('        '), 148)
  block.set(
    bytes(
      `${block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
    ),
    148,
  )
  return gzipSync(tar)
}
const codes = async (source: Uint8Array): Promise<string[]> => (await inspectOverlay(source)).warnings.map(({ code }) => code)

describe('an overlay', () => {
  it('tells what stands in it, and has nothing to warn of when all is there', async () => {
    const report = await inspectOverlay(goodOverlay('station1'))
    expect(report).toMatchObject({ hostname: 'station1', world: ['alpine-base', 'openssh'], hasDefaultServices: false, warnings: [] })
    expect(report.services).toEqual(['boot/hostname', 'boot/networking', 'sysinit/devfs', 'sysinit/modloop'])
    expect(report.entries).toBe(overlayMembers('station1').length)
  })

  it('is read from a file as well', async () => {
    const path = join(folder, 'good.tar.gz')
    writeFileSync(path, goodOverlay('station1'))
    expect((await inspectOverlay(path)).hostname).toBe('station1')
    await expect(inspectOverlay(join(folder, 'none.tar.gz'))).rejects.toMatchObject({ code: 'overlay-missing' })
    await expect(inspectOverlay(folder)).rejects.toMatchObject({ code: 'overlay-read' })
  })

  it.each<[string, Uint8Array]>([
    ['overlay-gzip', new Uint8Array()],
    ['overlay-gzip', bytes('<html>404</html>')],
    ['overlay-gzip', goodOverlay('x').subarray(0, 100)],
    ['overlay-gzip', goodOverlay('x').subarray(0, -9)],
    ['overlay-encrypted', bytes('Salted__12345678and so on')],
    ['tar-cut', gzipSync(new Uint8Array())],
    ['tar-cut', gzipSync(gunzipSync(goodOverlay('x')).subarray(0, 1024))],
    ['tar-checksum', gzipSync(bytes('some text that is not tar'.repeat(100)))],
    ['overlay-path', renamed('aetc/passwd', '/etc/passwd')],
    ['overlay-path', renamed('aa/passwd', '../passwd')],
    ['overlay-path', renamed('etc/aa/passwd', 'etc/../passwd')],
    ['overlay-path', pack([{ kind: 'hardlink', path: 'etc/x', target: '../../etc/shadow' }])],
    ['overlay-path', pack([{ kind: 'hardlink', path: 'etc/x', target: '/etc/shadow' }])],
    ['overlay-device', withFlag('3')],
    ['overlay-device', withFlag('4')],
    ['overlay-device', withFlag('6')],
  ])('is refused with %s', async (code, hostile) => {
    const error = await inspectOverlay(hostile).catch((reason) => reason)
    expect(error).toBeInstanceOf(BivouacError)
    expect(error.code).toBe(code)
  })

  it('is refused when it unpacks to more than the bound, long before it is unpacked', async () => {
    const bomb = gzipSync(Buffer.concat([writeTar([{ kind: 'file', path: 'etc/x', bytes: new Uint8Array(64 * 1024 * 1024) }])]))
    const before = process.memoryUsage().rss
    await expect(inspectOverlay(bomb, { inflatedBytes: 1024 * 1024 })).rejects.toMatchObject({ code: 'overlay-size' })
    await expect(inspectOverlay(bomb)).resolves.toMatchObject({ entries: 1 })
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
  })

  it('is refused when it has more members than the bound', async () => {
    await expect(inspectOverlay(goodOverlay('x'), { entries: 2 })).rejects.toMatchObject({ code: 'tar-entries' })
  })

  const without = (...paths: string[]): TarMember[] => overlayMembers('s').filter(({ path }) => !paths.includes(path))
  it.each<[string, Uint8Array]>([
    ['dot-slash', renamed('aaetc/x', './etc/x')],
    ['top-level', pack([...overlayMembers('s'), { kind: 'file', path: 'README', bytes: bytes('x') }])],
    ['no-services', pack(overlayMembers('s').filter(({ path }) => !path.includes('runlevels')))],
    ['no-networking', pack(without('etc/runlevels/boot/networking'))],
    ['no-devfs', pack(without('etc/runlevels/sysinit/devfs'))],
    ['no-hostname-service', pack(without('etc/runlevels/boot/hostname'))],
    ['setuid', pack([...overlayMembers('s'), { kind: 'file', path: 'usr/bin/su', mode: 0o4755, bytes: bytes('x') }])],
    ['no-modloop', pack(without('etc/runlevels/sysinit/modloop'))],
    ['no-world', pack(without('etc/apk/world'))],
    ['no-hostname', pack(without('etc/hostname'))],
    ['root-open', pack(without('etc/shadow'))],
    ['root-open', pack([...without('etc/shadow'), { kind: 'file', path: 'etc/shadow', bytes: bytes('root:::0:::::\n') }])],
    ['own-repositories', pack([...overlayMembers('s'), { kind: 'file', path: 'etc/apk/repositories', bytes: bytes('http://a/v3.19/main\n') }])],
    [
      'through-link',
      pack([...overlayMembers('s'), { kind: 'link', path: 'etc/aaa', target: '/tmp' }, { kind: 'file', path: 'etc/aaa/x', bytes: bytes('x') }]),
    ],
  ])('warns of %s', async (code, overlay) => {
    expect(await codes(overlay)).toContain(code)
  })

  it('tells a remedy with every warning', async () => {
    const report = await inspectOverlay(pack([{ kind: 'file', path: 'README', bytes: bytes('x') }]))
    expect(report.warnings.length).toBeGreaterThan(4)
    for (const { remedy } of report.warnings) expect(remedy).toMatch(/^[a-z].{10,}/)
  })

  it('knows the script by which a composed overlay locks root', async () => {
    const script: TarMember = { kind: 'file', path: 'etc/local.d/bivouac-root.start', mode: 0o700, bytes: bytes('x') }
    const local: TarMember = { kind: 'link', path: 'etc/runlevels/default/local', target: '/etc/init.d/local' }
    expect(await codes(pack([...without('etc/shadow'), script]))).toContain('root-open')
    expect(await codes(pack([...without('etc/shadow'), script, local]))).not.toContain('root-open')
  })

  it('counts the init’s default services, which bring modloop but no network', async () => {
    const members = [
      ...overlayMembers('s').filter(({ path }) => !path.includes('runlevels')),
      { kind: 'file', path: 'etc/.default_boot_services', bytes: bytes('') } as const,
    ]
    const report = await inspectOverlay(pack(members))
    expect(report.hasDefaultServices).toBe(true)
    expect(report.warnings.map(({ code }) => code)).toEqual(['no-networking'])
  })

  it('throws only errors of ours, for 2,000 spoiled archives', async () => {
    const random = seededRandom(99)
    const tar = gunzipSync(goodOverlay('s'))
    const zipped = goodOverlay('s')
    for (let round = 0; round < 2000; round++) {
      const isInside = random() < 0.5
      const spoiled = Buffer.from(isInside ? tar : zipped)
      for (let turn = 0; turn < 3; turn++) spoiled[Math.floor(random() * spoiled.length)] = Math.floor(random() * 256)
      const outcome = await inspectOverlay(isInside ? gzipSync(spoiled, { level: 1 }) : spoiled).catch((error) => error)
      if (outcome instanceof Error && !(outcome instanceof BivouacError)) throw outcome
    }
  })
})

// lbu package: `tar -c -z` of what `apk audit --backup` lists, as busybox's tar writes it: no ./, owners by name and number.
describeWith(['busybox', 'root'], "an overlay made as Alpine's lbu makes it", () => {
  it('is accepted', async () => {
    const tree = join(folder, 'lbu')
    for (const path of ['etc/apk/keys', 'etc/runlevels/boot', 'etc/runlevels/sysinit', 'etc/network'])
      mkdirSync(join(tree, path), { recursive: true })
    const text = {
      'etc/hostname': 'alpine\n',
      'etc/apk/world': 'alpine-base\nopenssh\n',
      'etc/apk/repositories': 'http://a/main\n',
      'etc/network/interfaces': 'auto lo\n',
    }
    for (const [path, content] of Object.entries(text)) writeFileSync(join(tree, path), content)
    writeFileSync(join(tree, 'etc/shadow'), 'root:$6$abc$def:19000:0:::::\n', { mode: 0o640 })
    symlinkSync('/etc/init.d/networking', join(tree, 'etc/runlevels/boot/networking'))
    symlinkSync('/etc/init.d/hostname', join(tree, 'etc/runlevels/boot/hostname'))
    for (const name of ['devfs', 'modloop']) symlinkSync(`/etc/init.d/${name}`, join(tree, `etc/runlevels/sysinit/${name}`))
    const list = spawnSync('find', ['etc', '!', '-type', 'd', '-print'], { cwd: tree, encoding: 'utf8' }).stdout
    const { stdout } = spawnSync('busybox', ['tar', '-C', tree, '-c', '-z', '-f', '-', ...list.trim().split('\n')], { maxBuffer: 1e8 })
    const report = await inspectOverlay(stdout)
    expect(report).toMatchObject({ hostname: 'alpine', world: ['alpine-base', 'openssh'], repositories: ['http://a/main'] })
    expect(report.warnings.map(({ code }) => code)).toEqual(['own-repositories'])
  })
})
