import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isMirrorName, parsePullName } from '../../src/mirror/pull-name.ts'
import { seededRandom } from '../support/random.ts'
import { makePullRig } from './pull-rig.ts'

describe('names of the mirror', () => {
  it.each([
    ['v3.22/main/x86_64/APKINDEX.tar.gz', 'index'],
    ['edge/testing/aarch64/APKINDEX.tar.gz', 'index'],
    ['v3.23/main/x86_64/Packages.adb', 'index'],
    ['v3.22/community/x86_64/libstdc++-14.2.0-r6.apk', 'package'],
    ['v3.22/main/x86_64/linux-lts-6.12.40_git20260101-r0.apk', 'package'],
    ['v3.22/main/x86_64/busybox-1.36.1~beta-r31.apk', 'package'],
  ])('%s is asked for upstream: %s', (path, kind) => {
    expect(parsePullName(path)).toMatchObject({ kind, path, folder: dirname(path) })
    expect(isMirrorName(path)).toBe(true)
  })

  it.each([
    'keys/some@site-0001.rsa.pub',
    'snapshots/2026-11/v3.22/main/x86_64/APKINDEX.tar.gz',
    'private/x86_64/APKINDEX.tar.gz',
    'private/kiosk/x86_64/kiosk-1.0-r0.apk',
  ])('%s is served and never asked for', (path) => {
    expect(parsePullName(path)).toBeUndefined()
    expect(isMirrorName(path)).toBe(true)
  })

  it.each([
    '',
    'v3.22',
    'v3.22/main/x86_64',
    'v3.22/main/x86_64/',
    'v3.22/main/x86_64/.hidden-1-r0.apk',
    'v3.22/main/x86_64/../../../etc/passwd',
    'v3.22/main/../x86_64/APKINDEX.tar.gz',
    'v3.22/../main/x86_64/APKINDEX.tar.gz',
    '../v3.22/main/x86_64/APKINDEX.tar.gz',
    '/v3.22/main/x86_64/APKINDEX.tar.gz',
    'v3.22//main/x86_64/APKINDEX.tar.gz',
    'v3.22/main/x86_64/APKINDEX.tar.gz?x=1',
    'v3.22/main/x86_64/a-1-r0.apk\n',
    'v3.22/main/x86_64/a%2f-1-r0.apk',
    'v3.22/main/x86_64/latest-releases.yaml',
    'keys/site.rsa',
    'keys/sub/site.rsa.pub',
    'KEYS/site.rsa',
    'configs/52-54-00-12-34-56.tar.gz',
    'stations/a.yaml',
    'bivouac.yaml',
  ])('%j is neither', (path) => {
    expect(parsePullName(path)).toBeUndefined()
    expect(isMirrorName(path)).toBe(false)
  })

  it('whatever comes in, nothing is asked or written outside', async () => {
    const rig = await makePullRig()
    const random = seededRandom(4)
    const parts = [
      'v3.22',
      'edge',
      'main',
      'x86_64',
      '..',
      '.',
      '',
      'APKINDEX.tar.gz',
      'a-1-r0.apk',
      'Packages.adb',
      'keys',
      '\\',
      '%2e%2e',
      '\0',
      '~',
      ' ',
    ]
    const odd = ['/', '//', '\\', '?', '#', '%00', '\n']
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
    for (let round = 0; round < 3000; round++) {
      const path = Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(parts)).join(random() < 0.8 ? '/' : pick(odd))
      await Promise.resolve()
        .then(() => rig.pull.open(path))
        .then(
          (content) => content.close(),
          (error: { code: string }) => expect(error.code).toMatch(/^(file-missing|upstream-missing)$/),
        )
      expect(parsePullName(path)?.path ?? path).toBe(path)
    }
    const asked = new Set(rig.server.requests.map(({ path }) => path))
    for (const path of asked) expect(path).toMatch(/^(v3\.22|edge)\/main\/x86_64\/(APKINDEX\.tar\.gz|Packages\.adb|a-1-r0\.apk)$/)
    expect(readdirSync(rig.root)).toEqual(['keys'])
    expect(existsSync(join(dirname(rig.root), 'x86_64'))).toBe(false)
  })
})
