import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { type CpioEntry, packCpio } from '../../src/alpine/cpio.ts'
import { type CpioMember, createCpioReader } from '../../src/alpine/cpio-read.ts'
import { seededRandom } from '../support/random.ts'

type Read = { members: (CpioMember & { body: string })[]; taken: number }

function read(bytes: Uint8Array, pieceBytes = bytes.length || 1, keep = Number.MAX_SAFE_INTEGER): Read {
  const members: Read['members'] = []
  const reader = createCpioReader({
    maxMembers: 1000,
    keepBytes: ({ sizeBytes }) => Math.min(sizeBytes, keep, bytes.length),
    onMember: (member, body) => members.push({ ...member, body: Buffer.from(body).toString('latin1') }),
  })
  let taken = 0
  for (let at = 0; at < bytes.length; at += pieceBytes) taken += reader.push(bytes.subarray(at, at + pieceBytes))
  reader.end()
  return { members, taken }
}

const text = (body: string) => new TextEncoder().encode(body)
const entries: CpioEntry[] = [
  { kind: 'file', path: 'etc/modules', mode: 0o644, bytes: text('loop\n') },
  { kind: 'file', path: 'etc/empty', mode: 0o600, bytes: text('') },
  { kind: 'link', path: 'bin/sh', target: 'busybox' },
  { kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
]

describe('createCpioReader', () => {
  it.each([1, 3, 110, 4096])('reads what packCpio wrote, in pieces of %i bytes', (pieceBytes) => {
    const { members } = read(packCpio(entries), pieceBytes)
    expect(members.map(({ kind, path, body }) => [kind, path, body])).toEqual([
      ['directory', 'etc', ''],
      ['file', 'etc/modules', 'loop\n'],
      ['file', 'etc/empty', ''],
      ['directory', 'bin', ''],
      ['link', 'bin/sh', 'busybox'],
      ['directory', 'dev', ''],
      ['other', 'dev/console', ''],
    ])
    expect(members[1]?.mode).toBe(0o644)
  })

  it('goes on over archives with zeros between, and stops at what is none', () => {
    const two = Buffer.concat([packCpio(entries), new Uint8Array(1000), packCpio([{ kind: 'directory', path: 'second', mode: 0o755 }])])
    expect(read(two).members.at(-1)?.path).toBe('second')
    expect(read(Buffer.concat([two, Uint8Array.of(0x1f, 0x8b, 1, 2)])).taken).toBe(two.length)
  })

  it('keeps no more than it is asked to', () => {
    expect(read(packCpio(entries), 7, 2).members.map(({ body }) => body)).toEqual(['', 'lo', '', '', 'busybox', '', ''])
  })

  it('reads any members back', () => {
    const member = fc.record({
      name: fc.stringMatching(/^[a-z0-9._-]{1,12}$/).filter((name) => !/^\.{1,2}$/.test(name)),
      body: fc.uint8Array({ maxLength: 300 }),
    })
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ({ name }) => name, maxLength: 20 }), fc.integer({ min: 1, max: 700 }), (list, pieceBytes) => {
        const packed = packCpio(list.map(({ name, body }) => ({ kind: 'file', path: name, mode: 0o644, bytes: body })))
        const expected = list.map(({ name, body }) => [name, Buffer.from(body).toString('latin1')])
        expect(read(packed, pieceBytes).members.map(({ path, body }) => [path, body])).toEqual(expected)
      }),
    )
  })

  const write = (what: string, at: number) => (bytes: Buffer) => {
    bytes.write(what, at)
    return bytes
  }
  const bad: [string, (bytes: Buffer) => Buffer, string][] = [
    ['nothing', () => Buffer.alloc(0), 'cpio-cut'],
    ['zeros', () => Buffer.alloc(512), 'cpio-cut'],
    ['a cut archive', (bytes) => bytes.subarray(0, 300), 'cpio-cut'],
    ['another magic', write('070707', 0), 'cpio-header'],
    ['a field that is no number', write('zzzz', 60), 'cpio-header'],
    ['a name without end', write('x', 113), 'cpio-name'],
    ['a name of 4 GB', write('ffffffff', 94), 'cpio-name'],
  ]
  it.each(bad)('refuses %s', (_, change, code) => {
    expect(() => read(change(Buffer.from(packCpio(entries))))).toThrow(expect.objectContaining({ name: 'DecodeError', code }))
  })

  it('refuses members without number', () => {
    const many = packCpio(Array.from({ length: 1001 }, (_, at) => ({ kind: 'directory', path: `d${at}`, mode: 0o755 })))
    expect(() => read(many)).toThrow(expect.objectContaining({ code: 'cpio-members' }))
  })

  it('throws nothing but DecodeError for damaged archives', () => {
    const random = seededRandom(20261121)
    const good = packCpio(entries)
    for (let run = 0; run < 3000; run++) {
      const bytes = Uint8Array.from(good)
      for (let hit = 0; hit <= random() * 6; hit++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
      try {
        read(bytes.subarray(0, Math.ceil(random() * bytes.length)), 1 + Math.floor(random() * 200))
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
  })
})
