import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { diffOverlays, formatMode } from '../../src/overlay/diff.ts'
import { diffTexts } from '../../src/overlay/text-diff.ts'
import { makeScratch } from '../support/scratch.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const file = (path: string, text: string, mode = 0o644): TarMember => ({ kind: 'file', path, bytes: bytes(text), mode })
const link = (path: string, target: string): TarMember => ({ kind: 'link', path, target })

async function compare(before: readonly TarMember[], after: readonly TarMember[], secretPaths: string[] = []) {
  const folder = await makeScratch()
  const paths = [join(folder, 'a.tar.gz'), join(folder, 'b.tar.gz')] as const
  await writeFile(paths[0], gzipSync(writeTar(before)))
  await writeFile(paths[1], gzipSync(writeTar(after)))
  return diffOverlays({ path: paths[0], secretPaths }, { path: paths[1], secretPaths })
}

describe('two overlays', () => {
  it('differ in packages, services and files', async () => {
    const diff = await compare(
      [file('etc/apk/world', 'a\nb\n'), link('etc/runlevels/boot/x', '/etc/init.d/x'), file('etc/motd', 'one\ntwo\n'), file('etc/gone', 'x')],
      [file('etc/apk/world', 'b\nc\n'), link('etc/runlevels/default/x', '/etc/init.d/x'), file('etc/motd', 'one\n2\n', 0o755), file('etc/new', '')],
    )
    expect(diff).toMatchObject({ packages: { added: ['c'], removed: ['a'] }, services: { added: ['default/x'], removed: ['boot/x'] }, isSame: false })
    expect(diff.files.map(({ path, change }) => `${change} ${path}`)).toEqual([
      'changed etc/apk/world',
      'removed etc/gone',
      'changed etc/motd',
      'added etc/new',
      'removed etc/runlevels/boot/x',
      'added etc/runlevels/default/x',
    ])
    expect(diff.files[2]).toMatchObject({
      before: '-rw-r--r-- 0:0 8 bytes',
      after: '-rwxr-xr-x 0:0 6 bytes',
      text: '@@ -1,2 +1,2 @@\n one\n-two\n+2\n',
    })
  })

  it('of many services and many long texts are compared in a moment, and every change is told', async () => {
    const many = (level: string): TarMember[] => Array.from({ length: 40_000 }, (_, at) => link(`etc/runlevels/${level}/s${at}`, '/x'))
    const text = (letter: string): string => Array.from({ length: 1900 }, (_, at) => `${letter}${at}`).join('\n')
    const texts = (letter: string): TarMember[] => Array.from({ length: 300 }, (_, at) => file(`etc/t${at}`, text(letter)))
    const started = performance.now()
    const diff = await compare([...many('a'), ...texts('a')], [...many('b'), ...texts('b')])
    // Each pair of lines and each pair of services compared with one another took half a minute.
    expect(performance.now() - started).toBeLessThan(15_000)
    expect([diff.services.added.length, diff.services.removed.length, diff.files.length]).toEqual([40_000, 40_000, 80_300])
    expect(diff.files.filter(({ change, text }) => change === 'changed' && text?.includes('-a1899\n') && text.includes('+b1899\n'))).toHaveLength(300)
  }, 60_000)

  it('hold so much text and no more, and the packages all the same', async () => {
    const texts = (letter: string): TarMember[] => Array.from({ length: 200 }, (_, at) => file(`etc/t${at}`, letter.repeat(60_000)))
    const diff = await compare([...texts('a'), file('etc/apk/world', 'a\n')], [...texts('b'), file('etc/apk/world', 'b\n')])
    const shown = diff.files.filter(({ text }) => text !== undefined)
    expect([diff.files.length, shown.length, diff.packages]).toEqual([201, 140, { added: ['b'], removed: ['a'] }])
  })

  it('are the same when they are', async () => {
    const members = [file('etc/a', 'x'), link('etc/b', 'a')]
    expect(await compare(members, members)).toMatchObject({ isSame: true, files: [] })
  })

  it.each([
    ['etc/shadow', 0o644],
    ['etc/ssh/ssh_host_ed25519_key', 0o644],
    ['etc/own.conf', 0o600],
    ['etc/told.conf', 0o644],
    ['etc/ssl/server.key', 0o644],
  ])('are told to differ in %s, and its text is not shown', async (path, mode) => {
    const diff = await compare([file(path, 'secret-one', mode)], [file(path, 'secret-two', mode)], ['etc/told.conf'])
    expect(diff.files).toMatchObject([{ path, change: 'changed', isMasked: true }])
    expect(JSON.stringify(diff)).not.toMatch(/secret-(one|two)/)
  })

  it('do not differ in the id that follows from all the rest', async () => {
    const self = (id: string, release: string): TarMember => file('etc/bivouac/overlay', `overlay=${id}\nrelease=${release}\n`)
    expect((await compare([self('aa', 'r1')], [self('bb', 'r1')])).isSame).toBe(true)
    expect((await compare([self('aa', 'r1')], [self('bb', 'r2')])).files).toMatchObject([{ text: '@@ -1,1 +1,1 @@\n-release=r1\n+release=r2\n' }])
  })

  it('show no text of what is no text, and compare it all the same', async () => {
    const diff = await compare([file('etc/x', 'a\0b')], [file('etc/x', 'a\0c')])
    expect(diff.files).toMatchObject([{ path: 'etc/x' }])
    expect(diff.files[0]?.text).toBeUndefined()
  })
})

describe('two texts', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', 'long line'), { maxLength: 30 }).map((lines) => lines.map((line) => `${line}\n`).join(''))
  it('give a diff by which the one becomes the other', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(apply(before, diffTexts(before, after))).toBe(after)
      }),
      { seed: 3, numRuns: 500 },
    )
  })

  it('share hunks where they change nearby', () => {
    const lines = Array.from({ length: 40 }, (_, at) => `${at}`)
    const changed = lines.with(5, 'x').with(9, 'y').with(30, 'z')
    expect(diffTexts(`${lines.join('\n')}\n`, `${changed.join('\n')}\n`).match(/^@@.*@@$/gm)).toEqual(['@@ -3,11 +3,11 @@', '@@ -28,7 +28,7 @@'])
  })
})

/** What patch(1) does. */
function apply(before: string, diff: string): string {
  const lines = before.split('\n').slice(0, -1)
  const out: string[] = []
  let at = 0
  for (const hunk of diff.split(/^(?=@@)/m).filter(Boolean)) {
    const [head = '', ...body] = hunk.replace(/\n$/, '').split('\n')
    const [, start = '0', count = '0'] = /^@@ -(\d+),(\d+)/.exec(head) ?? []
    const from = Number(count) === 0 ? Number(start) : Number(start) - 1
    out.push(...lines.slice(at, from))
    at = from
    for (const line of body) {
      if (line[0] !== '-') out.push(line.slice(1))
      if (line[0] !== '+') expect(lines[at++]).toBe(line.slice(1))
    }
  }
  return [...out, ...lines.slice(at)].map((line) => `${line}\n`).join('')
}

it('modes are shown as ls does', () => {
  expect([
    formatMode('file', 0o4755),
    formatMode('file', 0o640),
    formatMode('directory', 0o1777),
    formatMode('link', 0o777),
    formatMode('file', 0o2644),
  ]).toEqual(['-rwsr-xr-x', '-rw-r-----', 'drwxrwxrwt', 'lrwxrwxrwx', '-rw-r-Sr--'])
})
