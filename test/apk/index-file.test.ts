import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { writeTar } from '../../src/alpine/tar-write.ts'
import { formatIndex, type IndexedPackage, parseIndex, readIndex, writeIndex } from '../../src/apk/index-file.ts'
import { signFile, splitSigned, verifySigned, writeCutTar } from '../../src/apk/signature.ts'
import { DecodeError } from '../../src/boot/error.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { seededRandom } from '../support/random.ts'

const key = makeApkKey()
const other = makeApkKey('other@bivouac-0002.rsa.pub')
const trusted = new Map([[key.keyName, key.publicKey]])
const packages = [
  makePackage({ name: 'busybox', version: '1.36.1-r15', provides: ['cmd:sh=1.36.1-r15', '/bin/sh'], depends: ['so:libc.musl-x86_64.so.1'], key }),
  makePackage({ name: 'musl', version: '1.2.5-r0', provides: ['so:libc.musl-x86_64.so.1=1'], key }),
  makePackage({ name: 'busybox-openrc', version: '1.36.1-r15', installIf: ['busybox=1.36.1-r15', 'openrc'], providerPriority: 10, key }),
]
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const file = (path: string, text: string) => ({ kind: 'file', path, bytes: bytes(text) }) as const

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return (error as DecodeError).code
  }
  return 'taken'
}

describe('APKINDEX.tar.gz', () => {
  it('gives back what was written, signed or not', () => {
    const sorted = packages.map(({ entry }) => entry).toSorted((one, two) => (one.name < two.name ? -1 : 1))
    for (const index of [makeIndex(packages), makeIndex(packages, key), makeIndex(packages, key, 'sha256')])
      expect(readIndex(index)).toEqual({ description: 'test', packages: sorted })
  })

  it('is the same bytes whatever the order of the packages', () => {
    expect(Buffer.compare(makeIndex(packages), makeIndex(packages.toReversed()))).toBe(0)
  })

  it('reads a block with letters that are not known, and one that lacks most', () => {
    const text = 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:a\nV:1\nX:new\nz:lower\n\nC:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:b\nV:2-r1\nS:5\n'
    expect(parseIndex(text).map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
      ['a', 0],
      ['b', 5],
    ])
  })

  it('writes no line that a description could forge', () => {
    const evil: IndexedPackage = { ...(packages[0]?.entry as IndexedPackage), description: 'x\nP:evil\n\nP:other' }
    expect(parseIndex(formatIndex([evil])).map(({ name }) => name)).toEqual(['busybox'])
  })

  it.each([
    ['index-name', 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:../x\nV:1\n'],
    ['index-name', 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:x\nV:1/../../y\n'],
    ['index-name', 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:.x\nV:1\n'],
    ['index-name', 'P:x\n'],
    ['index-arch', 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:x\nV:1\nA:../..\n'],
    ['index-checksum', 'C:Q1xx\nP:x\nV:1\n'],
    ['index-number', 'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:x\nV:1\nS:-1\n'],
    ['index-line', 'nonsense\n'],
  ])('refuses with %s', (code, text) => {
    expect(codeOf(() => parseIndex(text))).toBe(code)
  })

  it('bounds what it inflates and how many packages it keeps', () => {
    const bomb = gzipSync(writeTar([file('APKINDEX', '\n'.repeat(3_000_000))]))
    expect(codeOf(() => readIndex(bomb, { bytes: 1_000_000 }))).toBe('gzip-bomb')
    expect(codeOf(() => readIndex(makeIndex(packages), { packages: 2 }))).toBe('index-long')
  })

  it('reads only what the signature covers: an index among the signatures is refused', () => {
    const inner = writeIndex({ description: '', packages: [] })
    const smuggled = gzipSync(writeCutTar([file(`.SIGN.RSA.${key.keyName}`, 'x'), file('APKINDEX', 'P:evil\nV:1\n')]))
    expect(codeOf(() => readIndex(Buffer.concat([smuggled, inner])))).toBe('signature-mixed')
    const twice = gzipSync(writeTar([file('APKINDEX', ''), file('x/APKINDEX', '')]))
    expect(readIndex(twice).packages).toEqual([])
  })

  it('throws only DecodeError for 3,000 indexes with bytes turned over', () => {
    const random = seededRandom(11)
    const whole = makeIndex(packages, key)
    const plain = writeTar([file('DESCRIPTION', 'x'), file('APKINDEX', formatIndex(packages.map(({ entry }) => entry)))])
    let refused = 0
    for (let round = 0; round < 3_000; round++) {
      // Half of them are spoiled before the compression, so that tar and text are reached.
      const source = round % 2 ? whole.slice() : plain.slice()
      for (let turn = Math.floor(random() * 4); turn >= 0; turn--) source[Math.floor(random() * source.length)] = Math.floor(random() * 256)
      const spoiled =
        round % 2 ? source.subarray(0, random() < 0.2 ? Math.floor(random() * source.length) : source.length) : gzipSync(source, { level: 1 })
      if (codeOf(() => readIndex(spoiled)) !== 'taken') refused++
    }
    expect(refused).toBeGreaterThan(1_000)
  })
})

describe('signatures', () => {
  it.each(['sha1', 'sha256', 'sha512'] as const)('takes what was signed with %s by a trusted key', (algorithm) => {
    expect(verifySigned(makeIndex(packages, key, algorithm), trusted).keyName).toBe(key.keyName)
  })

  it('takes the first signature whose key is trusted', () => {
    expect(verifySigned(signFile(makeIndex(packages, key), other), trusted).keyName).toBe(key.keyName)
  })

  it.each<[string, () => Uint8Array]>([
    ['signature-missing', () => makeIndex(packages)],
    ['signature-untrusted', () => makeIndex(packages, other)],
    ['signature-bad', () => Buffer.concat([makeIndex(packages, key).subarray(0, -1), Buffer.from([0x77])])],
    ['signature-bad', () => signFile(makeIndex(packages), { keyName: key.keyName, privateKey: other.privateKey })],
  ])('refuses with %s', (code, make) => {
    expect(codeOf(() => verifySigned(make(), trusted))).toBe(code)
  })

  it('one flipped bit anywhere in the file is noticed', () => {
    const whole = makeIndex(packages, key)
    for (let at = 0; at < whole.length; at += 7) {
      const spoiled = whole.slice()
      spoiled[at] = (spoiled[at] as number) ^ 1
      // Other bytes of the signature's own gzip stream may mean the same signature.
      if (codeOf(() => verifySigned(spoiled, trusted)) === 'taken') expect(at).toBeLessThan(splitSigned(whole).signedFrom)
    }
  })
})
