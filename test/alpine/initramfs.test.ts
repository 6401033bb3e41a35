import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { packCpio } from '../../src/alpine/cpio.ts'
import { readInitramfs } from '../../src/alpine/initramfs.ts'
import { checkSquashfs, readKernelVersion } from '../../src/alpine/kernel.ts'
import { DecodeError } from '../../src/boot/error.ts'
import { seededRandom } from '../support/random.ts'
import { makeKernel, makeModloop } from '../support/release.ts'

const archive = (...paths: string[]): Buffer =>
  Buffer.from(packCpio(paths.map((path) => ({ kind: 'file', path, mode: 0o644, bytes: new TextEncoder().encode(path) }))))

async function list(image: Uint8Array, maxInflatedBytes?: number): Promise<string[]> {
  const found: string[] = []
  await readInitramfs(image, {
    keepBytes: ({ sizeBytes }) => Math.min(sizeBytes, 1000),
    onMember: ({ path }, body) => found.push(path === Buffer.from(body).toString() ? path : `${path}?`),
    ...(maxInflatedBytes && { maxInflatedBytes }),
  })
  return found
}

const zeros = Buffer.alloc(517)
const forms: [string, Buffer][] = [
  ['plain', archive('a', 'b')],
  ['gzip', gzipSync(archive('a', 'b'))],
  ['zstd', zstdCompressSync(archive('a', 'b'))],
  ['gzip after gzip', Buffer.concat([gzipSync(archive('a')), gzipSync(archive('b'))])],
  ['gzip after gzip with zeros between', Buffer.concat([gzipSync(archive('a')), zeros, gzipSync(archive('b')), zeros])],
  ['plain (microcode), then gzip', Buffer.concat([archive('a'), gzipSync(archive('b'))])],
  ['gzip, then plain', Buffer.concat([gzipSync(archive('a')), archive('b')])],
  ['zstd, then gzip', Buffer.concat([zstdCompressSync(archive('a')), gzipSync(archive('b'))])],
  ['gzip, then zstd', Buffer.concat([gzipSync(archive('a')), zstdCompressSync(archive('b'))])],
  ['zstd after zstd', Buffer.concat([zstdCompressSync(archive('a')), zeros, zstdCompressSync(archive('b'))])],
]

describe('readInitramfs', () => {
  it.each(forms)('reads %s', async (_, image) => {
    expect(await list(image)).toEqual(['a', 'b'])
  })

  const bad: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'initramfs-empty'],
    ['xz', Buffer.from('fd377a585a000004', 'hex'), 'initramfs-packing'],
    ['gzip that is cut', gzipSync(archive('a')).subarray(0, 60), 'initramfs-damaged'],
    ['gzip without its checksum', gzipSync(archive('a')).subarray(0, -8), 'initramfs-damaged'],
    ['zstd that is cut', zstdCompressSync(archive('a')).subarray(0, 40), 'initramfs-damaged'],
    ['text in gzip', gzipSync('hello'), 'cpio-header'],
  ]
  it.each(bad)('refuses %s', async (_, image, code) => {
    await expect(list(image)).rejects.toThrow(expect.objectContaining({ name: 'DecodeError', code }))
  })

  it('refuses a flipped byte in what gzip packed', async () => {
    const image = gzipSync(archive('a'), { level: 0 })
    const at = image.indexOf('070701') + 112
    image[at] = (image[at] as number) ^ 1
    await expect(list(image)).rejects.toThrow(expect.objectContaining({ code: 'initramfs-damaged' }))
  })

  it('refuses what unpacks to more than is allowed', async () => {
    const bomb = gzipSync(Buffer.concat([archive('a'), Buffer.alloc(20_000_000)]))
    await expect(list(bomb, 1_000_000)).rejects.toThrow(expect.objectContaining({ code: 'initramfs-big' }))
  })

  it('throws nothing but DecodeError for damaged images', async () => {
    const random = seededRandom(4)
    for (let run = 0; run < 400; run++) {
      const bytes = Uint8Array.from((forms[run % forms.length] as [string, Buffer])[1])
      for (let hit = 0; hit <= random() * 5; hit++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
      await list(bytes.subarray(0, Math.ceil(random() * bytes.length)), 1 << 24).catch((error) => {
        if (!(error instanceof DecodeError)) throw error
      })
    }
  })
})

describe('readKernelVersion', () => {
  it('reads the header of a bzImage', () => {
    expect(readKernelVersion(makeKernel('6.12.31-0-lts'))).toBe('6.12.31-0-lts')
  })

  it('finds the banner of another image, packed or not', () => {
    const image = Buffer.concat([Buffer.alloc(5000), Buffer.from('Linux version 6.6.4-0-lts (buildozer@build) ')])
    expect(readKernelVersion(image)).toBe('6.6.4-0-lts')
    expect(readKernelVersion(gzipSync(image))).toBe('6.6.4-0-lts')
  })

  it('says nothing of what does not tell', () => {
    expect(readKernelVersion(Buffer.from('vmlinuz'))).toBeUndefined()
  })

  it('throws nothing but DecodeError', () => {
    const random = seededRandom(9)
    for (let run = 0; run < 2000; run++) {
      const bytes = makeKernel('6.12.31-0-lts')
      for (let hit = 0; hit <= random() * 4; hit++) bytes[0x200 + Math.floor(random() * 0x30)] = Math.floor(random() * 256)
      try {
        readKernelVersion(bytes.subarray(0, Math.ceil(random() * bytes.length)))
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
  })
})

describe('checkSquashfs', () => {
  it('takes a whole image and refuses a cut one, and what is none', () => {
    const image = makeModloop('content')
    expect(() => checkSquashfs(image.subarray(0, 96), image.length)).not.toThrow()
    expect(() => checkSquashfs(image.subarray(0, 96), image.length - 1)).toThrow('is cut')
    expect(() => checkSquashfs(Buffer.alloc(96), 96)).toThrow('no squashfs')
    expect(() => checkSquashfs(image.subarray(0, 50), 50)).toThrow('no squashfs')
  })
})
