import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createTarReader, readTar, type TarEntry } from '../../src/alpine/tar.ts'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { DecodeError, InputError } from '../../src/boot/error.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/tool.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const long = `etc/${'a'.repeat(60)}/${'b'.repeat(60)}.conf`
const veryLong = `etc/${'c'.repeat(160)}.conf`

const members: TarMember[] = [
  { kind: 'file', path: 'etc/hostname', bytes: bytes('station1\n') },
  { kind: 'directory', path: 'etc' },
  { kind: 'link', path: 'etc/runlevels/boot/networking', target: '/etc/init.d/networking' },
  { kind: 'file', path: 'etc/shadow', mode: 0o640, gid: 42, bytes: bytes('root:!::0:::::\n') },
  { kind: 'hardlink', path: 'etc/same', target: 'etc/hostname' },
  { kind: 'file', path: long, bytes: bytes('long') },
  { kind: 'file', path: veryLong, bytes: bytes('very long') },
  { kind: 'link', path: 'etc/far', target: `/x/${'d'.repeat(150)}` },
  { kind: 'file', path: 'etc/élan', bytes: bytes('utf-8') },
  { kind: 'file', path: 'etc/block', bytes: new Uint8Array(1024).fill(7) },
]

/** One header block; the caller may spoil it before the checksum is made. */
function header(name: string, change: (block: Uint8Array) => void = () => undefined, sizeBytes = 0, flag = '0'): Uint8Array {
  const [block] = [writeTar([{ kind: 'file', path: 'x', bytes: new Uint8Array() }]).slice(0, 512)]
  block.fill(0, 0, 100)
  block.set(bytes(name))
  block.set(bytes(sizeBytes.toString(8).padStart(11, '0')), 124)
  block.set(bytes(flag), 156)
  change(block)
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
  return block
}

const end = new Uint8Array(1024)
const archive = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))
const padded = (text: string): Uint8Array => {
  const body = new Uint8Array(Math.ceil(bytes(text).length / 512) * 512)
  body.set(bytes(text))
  return body
}
const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return (error as DecodeError).code
  }
  return 'taken'
}

describe('tar', () => {
  it('gives back what it wrote, in the order of the names', () => {
    const read = readTar(writeTar(members, 86_400))
    expect(read.map(({ entry }) => entry.path)).toEqual(
      members.map(({ path }) => path).toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
    )
    for (const { entry, body } of read) {
      const member = members.find(({ path }) => path === entry.path) as TarMember
      expect(entry).toMatchObject({ kind: member.kind, uid: 0, gid: member.gid ?? 0, owner: '', group: '', modifiedSeconds: 86_400 })
      if (member.kind === 'file') expect(Buffer.compare(body, member.bytes)).toBe(0)
      if ('target' in member) expect(entry.target).toBe(member.target)
    }
    expect(read.find(({ entry }) => entry.path === 'etc/shadow')?.entry.mode).toBe(0o640)
  })

  it('writes the same bytes whatever the order in which members are given', () => {
    expect(Buffer.compare(writeTar(members), writeTar(members.toReversed()))).toBe(0)
  })

  it.each(['/etc/x', '../x', 'etc/../x', './x', 'a//b', 'a\0b', ''])('refuses to write %j', (path) => {
    expect(() => writeTar([{ kind: 'file', path, bytes: new Uint8Array() }])).toThrow(InputError)
  })

  it('refuses a path that comes twice', () => {
    expect(() => writeTar([members[0] as TarMember, members[0] as TarMember])).toThrow('comes twice')
  })

  it('reads pieces of any size', () => {
    const whole = writeTar(members)
    for (const size of [1, 7, 511, 512, 513, 4000]) {
      const paths: string[] = []
      const reader = createTarReader({ onEntry: ({ path }) => paths.push(path) })
      for (let at = 0; at < whole.length; at += size) reader.push(whole.subarray(at, at + size))
      reader.end()
      expect(paths).toHaveLength(members.length)
    }
  })

  it('keeps only as much of a body as it is asked to', () => {
    const kept = new Map<string, number>()
    const reader = createTarReader({ keepBytes: () => 3, onEntry: ({ path }, body) => kept.set(path, body.length) })
    reader.push(writeTar(members))
    reader.end()
    expect(kept.get('etc/block')).toBe(3)
    expect(kept.get('etc/far')).toBe(0)
  })

  it('reads GNU long names and base-256 numbers', () => {
    const name = `etc/${'n'.repeat(200)}`
    const big = header('x', (block) => block.set([0x80, 0, 0, 0, 0, 0, 0, 5], 108), 0)
    const read = readTar(archive(header('././@LongLink', undefined, name.length + 1, 'L'), padded(`${name}\0`), big, end))
    expect(read[0]?.entry).toMatchObject({ path: name, uid: 5 })
  })

  it.each<[string, Uint8Array]>([
    ['tar-cut', writeTar(members).subarray(0, 700)],
    ['tar-cut', writeTar(members).subarray(0, 1024)],
    ['tar-cut', new Uint8Array()],
    ['tar-checksum', bytes('not a tar archive at all'.repeat(50))],
    ['tar-type', archive(header('x', undefined, 0, 'S'), end)],
    ['tar-size', archive(header('x', undefined, 512, '5'), new Uint8Array(512), end)],
    ['tar-name', archive(header(''), end)],
    ['tar-gap', archive(new Uint8Array(512), header('x'), end)],
    [
      'tar-number',
      archive(
        header('x', (block) => block.set(bytes('98765432'), 108)),
        end,
      ),
    ],
    [
      'tar-number',
      archive(
        header('x', (block) => block.set(new Uint8Array(12).fill(0xbf), 124)),
        end,
      ),
    ],
    ['tar-extension', archive(header('x', undefined, 4 * 1024 * 1024, 'x'), end)],
    ['tar-pax', archive(header('x', undefined, 12, 'x'), padded('99 path=abc\n'), header('y'), end)],
    ['tar-pax', archive(header('x', undefined, 12, 'x'), padded('12 pathXabc\n'), header('y'), end)],
    ['tar-pax', archive(header('x', undefined, 5, 'x'), padded('hello'), header('y'), end)],
    ['tar-size', archive(header('x', undefined, 11, 'x'), padded('11 size=99\n'), header('y'), end)],
    ['tar-type', archive(header('x', undefined, 22, 'x'), padded('22 GNU.sparse.major=1\n'), header('y'), end)],
    ['tar-cut', archive(header('x', undefined, 11, 'x'), padded('11 path=ab\n'), end)],
  ])('refuses with %s', (code, hostile) => {
    expect(codeOf(() => readTar(hostile))).toBe(code)
  })

  it('bounds the number of members', () => {
    expect(codeOf(() => readTar(writeTar(members), { entries: 3 }))).toBe('tar-entries')
  })

  it('throws only DecodeError and ends, for 20,000 archives with bytes turned over', () => {
    const random = seededRandom(7)
    const whole = writeTar(members)
    let taken = 0
    for (let round = 0; round < 20_000; round++) {
      const spoiled = whole.slice(0, random() < 0.3 ? Math.floor(random() * whole.length) : whole.length)
      for (let turn = Math.floor(random() * 6); turn > 0 && spoiled.length; turn--) {
        const at = Math.floor(random() * spoiled.length)
        spoiled[at] = Math.floor(random() * 256)
        // Every other time the checksum is mended, so that what lies behind it is reached.
        if (random() < 0.5) mendChecksum(spoiled, at - (at % 512))
      }
      if (codeOf(() => readTar(spoiled)) === 'taken') taken++
    }
    expect(taken).toBeGreaterThan(1000)
    expect(taken).toBeLessThan(19_000)
  })
})

function mendChecksum(whole: Uint8Array, start: number): void {
  const block = whole.subarray(start, start + 512)
  if (block.length < 512) return
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
}

describeWith(['tar', 'busybox'], "tar, read and written by others' programs", () => {
  const folder = mkdtempSync(join(tmpdir(), 'bvc-tar-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('is unpacked by GNU tar and by busybox to the same names', () => {
    writeFileSync(join(folder, 'ours.tar'), writeTar(members))
    const names = members.map(({ path, kind }) => (kind === 'directory' ? `${path}/` : path)).toSorted()
    const list = (...command: [string, ...string[]]): string[] =>
      execFileSync(command[0], [...command.slice(1), join(folder, 'ours.tar')], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } })
        .trim()
        .split('\n')
        .toSorted()
    expect(list('tar', '--quoting-style=literal', '-tf')).toEqual(names)
    expect(list('busybox', 'tar', '-tf').map((name) => (name === 'etc' ? 'etc/' : name))).toHaveLength(names.length)
  })

  it.each([
    ['gnu', ['--format=gnu']],
    ['pax', ['--format=pax']],
    ['ustar', ['--format=ustar']],
    ['v7', ['--format=v7']],
  ])('reads what GNU tar writes as %s', (format, options) => {
    const tree = join(folder, `tree-${format}`)
    mkdirSync(join(tree, 'etc/runlevels/boot'), { recursive: true })
    writeFileSync(join(tree, 'etc/hostname'), 'gnu\n')
    symlinkSync('/etc/init.d/networking', join(tree, 'etc/runlevels/boot/networking'))
    if (format === 'gnu' || format === 'pax') writeFileSync(join(tree, veryLong), 'x')
    const { stdout } = spawnSync('tar', [...options, '-C', tree, '-cf', '-', 'etc'])
    const found = new Map<string, TarEntry>(readTar(stdout).map(({ entry }) => [entry.path, entry]))
    expect(found.get('etc/runlevels/boot/networking')).toMatchObject({ kind: 'link', target: '/etc/init.d/networking' })
    expect(found.get('etc')).toMatchObject({ kind: 'directory' })
    expect(found.has(veryLong)).toBe(format === 'gnu' || format === 'pax')
    rmSync(tree, { recursive: true })
  })
})
