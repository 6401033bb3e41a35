import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { inspectOverlay } from '../../src/alpine/overlay.ts'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { writeIndex } from '../../src/apk/index-file.ts'
import { createKnownPackages } from '../../src/overlay/known-package.ts'
import { type LintContext, lintOverlay } from '../../src/overlay/lint.ts'
import { lintArchive, lintLayer } from '../../src/overlay/lint-source.ts'
import { overlayMembers } from '../support/overlay.ts'
import { makeScratch } from '../support/scratch.ts'
import { release } from './rig.ts'

const file = (path: string, text: string): TarMember => ({ kind: 'file', path, bytes: new TextEncoder().encode(text) })
const service = (path: string): TarMember => ({ kind: 'link', path: `etc/runlevels/${path}`, target: `/etc/init.d/${path.split('/')[1]}` })

async function codes(members: readonly TarMember[], context: Partial<LintContext> = {}): Promise<string[]> {
  const report = await inspectOverlay(gzipSync(writeTar(members)))
  return lintOverlay(report, { hasSiteKeys: false, ...context }).map(({ code }) => code)
}

describe('the linter', () => {
  const good = overlayMembers('s')

  it('has nothing to say of a good overlay', async () => {
    expect(await codes(good, { release })).toEqual([])
  })

  it.each([
    ['release-drift', 'http://m/v3.19/main\n'],
    ['release-drift', 'http://m/v3.22/main\nhttp://m/edge/testing\n'],
    ['moving-branch', 'http://m/latest-stable/main\n'],
  ])('finds %s in %j', async (code, text) => {
    expect(await codes([...good, file('etc/apk/repositories', text)], { release })).toContain(code)
  })

  it('leaves repositories of the release’s own branch alone', async () => {
    expect(await codes([...good, file('etc/apk/repositories', 'http://m/v3.22/main\n#http://m/v3.1/x\n')], { release })).toEqual(['own-repositories'])
  })

  it('knows that nobody fetches ssh keys beside run levels', async () => {
    expect(await codes(good, { hasSiteKeys: true })).toEqual(['ssh-keys-unfetched'])
    expect(await codes([...good, file('root/.ssh/authorized_keys', 'x')], { hasSiteKeys: true })).toEqual(['no-sshd'])
    const served = [...good, file('root/.ssh/authorized_keys', 'x'), service('default/sshd')]
    expect(await codes(served, { hasSiteKeys: true })).toEqual(['host-keys'])
    expect(await codes([...served, file('etc/ssh/ssh_host_ed25519_key', 'x')], { hasSiteKeys: true })).toEqual([])
  })

  it('names packages that no repository has', async () => {
    const names = new Set(['alpine-base', 'openssh'])
    const hasPackage = (name: string): boolean => names.has(name)
    expect(await codes(good, { hasPackage })).toEqual([])
    const members = [...good.filter(({ path }) => path !== 'etc/apk/world'), file('etc/apk/world', 'openssh\nopnssh~9\n!gone\n')]
    const report = await inspectOverlay(gzipSync(writeTar(members)))
    const [only] = lintOverlay(report, { hasSiteKeys: false, hasPackage })
    expect(only).toMatchObject({ code: 'unknown-package', text: expect.stringContaining('opnssh of') })
  })
})

describe('the packages of a mirror', () => {
  it('are known when all repositories of the station are here', async () => {
    const root = await makeScratch()
    const entry = {
      name: 'tool',
      version: '1-r0',
      arch: 'x86_64',
      checksum: 'Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
      provides: ['cmd:tool=1-r0', 'old-tool'],
    }
    const whole = {
      sizeBytes: 1,
      installedBytes: 1,
      description: 'x',
      url: 'x',
      license: 'x',
      origin: 'tool',
      maintainer: '',
      commit: '',
      builtSeconds: 0,
      providerPriority: 0,
      depends: [],
      installIf: [],
    }
    const path = join(root, 'v3.22/main/x86_64/APKINDEX.tar.gz')
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, writeIndex({ description: 'x', packages: [{ ...entry, ...whole }] }))
    const known = createKnownPackages(root)
    const has = await known({ repositories: ['apk/v3.22/main'], release })
    expect(['tool', 'old-tool', 'cmd:tool', 'other'].map((name) => has?.(name))).toEqual([true, true, true, false])
    expect(await known({ repositories: ['apk/v3.22/main', 'apk/v3.22/community'], release })).toBeUndefined()
    expect(await known({ repositories: ['http://elsewhere/v3.22/main'], release })).toBeUndefined()
    expect(await known({ repositories: [], release })).toBeUndefined()
  })
})

describe('a layer or an archive by itself', () => {
  it('has its mistakes as warnings, with places', async () => {
    const depot = await makeScratch()
    await mkdir(join(depot, 'overlays/base/etc'), { recursive: true })
    await writeFile(join(depot, 'overlays/base/layer.yaml'), 'packages: x\nnope: 1\n')
    expect(await lintLayer(depot, 'base')).toMatchObject([
      { code: 'wrong-type' },
      { code: 'unknown-key', text: expect.stringContaining('overlays/base/layer.yaml:2') },
    ])
    await writeFile(join(depot, 'overlays/base/layer.yaml'), '')
    await writeFile(join(depot, 'overlays/base/etc/x.ejs'), '<% if ( %>')
    expect(await lintLayer(depot, 'base')).toMatchObject([{ code: 'template-syntax' }])
    expect(await lintLayer(depot, 'none')).toBeUndefined()
    await writeFile(join(depot, 'x.tar.gz'), 'Salted__and so on')
    expect(await lintArchive(join(depot, 'x.tar.gz'))).toMatchObject([{ code: 'overlay-encrypted', remedy: expect.stringContaining('without -e') }])
    await expect(lintArchive(join(depot, 'none.tar.gz'))).rejects.toMatchObject({ code: 'overlay-missing' })
  })
})
