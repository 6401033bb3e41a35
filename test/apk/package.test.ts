import { describe, expect, it } from 'vitest'
import { findMismatch, readPackage } from '../../src/apk/package.ts'
import { DecodeError } from '../../src/boot/error.ts'
import { makeApkKey, makePackage } from '../support/apk.ts'
import { seededRandom } from '../support/random.ts'

const key = makeApkKey()
const other = makeApkKey('other@bivouac-0002.rsa.pub')
const keys = new Map([[key.keyName, key.publicKey]])
const sample = makePackage({
  name: 'nginx',
  version: '1.26.2-r1',
  depends: ['so:libc.musl-x86_64.so.1', '!nginx-old', 'busybox>=1.36'],
  provides: ['cmd:nginx=1.26.2-r1', 'www-server'],
  installIf: ['a', 'b=1'],
  providerPriority: 20,
  files: { 'usr/sbin/nginx': Buffer.alloc(50_000, 'noise and more') },
  scripts: { '.post-install': '#!/bin/sh\n' },
  key,
})

const pieces = function* (bytes: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
const codeOf = async (run: () => Promise<unknown>): Promise<string> => {
  try {
    await run()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return (error as DecodeError).code
  }
  return 'taken'
}
const flip = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice()
  copy[at] = (copy[at] as number) ^ 1
  return copy
}

describe('a package', () => {
  it.each([1, 100, 4096, 1_000_000])('is read in pieces of %i bytes', async (size) => {
    const read = await readPackage(pieces(sample.bytes, size), { keys })
    expect(read.entry).toEqual(sample.entry)
    expect(read.signedBy).toBe(key.keyName)
    expect(Buffer.compare(read.control, sample.control)).toBe(0)
    expect(findMismatch(sample.entry, read)).toBeUndefined()
  })

  it('is read without a signature when nobody asks for one', async () => {
    const plain = makePackage({ name: 'own' })
    expect((await readPackage([plain.bytes])).signatures).toEqual([])
    expect(await codeOf(() => readPackage([plain.bytes], { keys }))).toBe('signature-missing')
  })

  it.each<[string, () => Uint8Array]>([
    ['signature-untrusted', () => makePackage({ name: 'x', key: other }).bytes],
    ['signature-bad', () => makePackage({ name: 'x', key: { keyName: key.keyName, privateKey: other.privateKey } }).bytes],
    ['package-data', () => sample.bytes.subarray(0, -1)],
    ['package-data', () => Buffer.concat([sample.bytes, Buffer.from('x')])],
    ['package-data', () => flip(sample.bytes, sample.bytes.length - 20)],
    ['package-data', () => Buffer.concat([sample.bytes.subarray(0, -sample.data.length)])],
    ['gzip-cut', () => sample.bytes.subarray(0, 200)],
    ['gzip-cut', () => new Uint8Array()],
    ['package-v3', () => Buffer.from('ADBd and then something')],
    ['gzip-bad', () => Buffer.from('<html><body>404 not found</body></html>')],
    ['package-info', () => makePackage({ name: 'x' }).data],
    ['package-name', () => makePackage({ name: '../../etc/passwd', files: {} }).bytes],
    ['package-name', () => makePackage({ name: 'x', arch: '../..' }).bytes],
  ])('is refused with %s', async (code, make) => {
    expect(await codeOf(() => readPackage([make()], code.startsWith('sig') ? { keys } : {}))).toBe(code)
  })

  it('another package under its name is noticed', async () => {
    const read = await readPackage([sample.bytes])
    expect(findMismatch({ ...sample.entry, version: '2-r0' }, read)).toMatch(/the index says nginx-2-r0/)
    expect(findMismatch({ ...sample.entry, sizeBytes: 5 }, read)).toMatch(/the index says 5/)
    expect(findMismatch({ ...sample.entry, checksum: makePackage({ name: 'nginx' }).entry.checksum }, read)).toMatch(/checksum/)
    const hex = Buffer.from(sample.entry.checksum.slice(2), 'base64').toString('hex')
    expect(findMismatch({ ...sample.entry, checksum: hex }, read)).toBeUndefined()
  })

  it('bounds the head and the file', async () => {
    const big = makePackage({ name: 'x', scripts: { '.post-install': 'x'.repeat(3_000_000) } })
    expect(await codeOf(() => readPackage([big.bytes], { limits: { controlBytes: 1_000_000 } }))).toBe('gzip-bomb')
    expect(await codeOf(() => readPackage([sample.bytes], { limits: { fileBytes: 1000 } }))).toBe('package-size')
  })

  it('one flipped bit anywhere is noticed: by the signature, the datahash, or the checksum of a stream', async () => {
    const { controlFrom } = await readPackage([sample.bytes])
    for (let at = 0; at < sample.bytes.length; at += 3) {
      const code = await codeOf(() => readPackage([flip(sample.bytes, at)], { keys }))
      // Other bytes of the signature's own gzip stream may mean the same signature.
      if (code === 'taken') expect(at).toBeLessThan(controlFrom)
    }
  })

  it('throws only DecodeError for 3,000 packages with bytes turned over', async () => {
    const random = seededRandom(5)
    for (let round = 0; round < 3_000; round++) {
      const spoiled = sample.bytes.slice(0, random() < 0.3 ? Math.floor(random() * sample.bytes.length) : sample.bytes.length)
      for (let turn = Math.floor(random() * 5); turn >= 0 && spoiled.length; turn--)
        spoiled[Math.floor(random() * spoiled.length)] = Math.floor(random() * 256)
      await codeOf(() => readPackage(pieces(spoiled, 700)))
    }
  })
})
