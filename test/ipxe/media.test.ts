import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { InputError } from '../../src/boot/error.ts'
import { type FatFile, renderFat } from '../../src/ipxe/fat.ts'
import { bootFileOf, renderUsb } from '../../src/ipxe/media.ts'
import { describeWith } from '../support/tool.ts'

const folder = mkdtempSync(join(tmpdir(), 'bivouac-media-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bytes = (length: number, seed = 7): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * seed + (index >> 8)) & 0xff)
const options = { epoch: 1_700_000_000, serial: 0x12345678, label: 'BIVOUAC' }
const files: FatFile[] = [
  { path: 'EFI/BOOT/BOOTX64.EFI', bytes: bytes(300_123) },
  { path: 'EFI/BOOT/BOOTAA64.EFI', bytes: bytes(5000, 3) },
  { path: 'autoexec.ipxe', bytes: Buffer.from('#!ipxe\n') },
  { path: 'apks/x86_64/a-package-with-a-long-name-1.2.3-r0.apk', bytes: bytes(1024, 11) },
  { path: 'apks/x86_64/a-package-with-a-long-name-1.2.4-r0.apk', bytes: bytes(1, 13) },
  { path: 'empty', bytes: new Uint8Array(0) },
]

/** BIOS image with iPXE's shape: code, partition 4 over the first two cylinders, signature. */
function fakeBios(): Uint8Array {
  const disk = bytes(400_384)
  const view = new DataView(disk.buffer)
  disk.fill(0, 440, 510)
  disk.set([0x80, 1, 1, 0, 0xeb, 63, 32, 1], 494)
  view.setUint32(502, 32, true)
  view.setUint32(506, 4064, true)
  disk.set([0x55, 0xaa], 510)
  return disk
}

describe('a FAT file system', () => {
  it('is the same bytes each time, whatever the order of the files', () => {
    expect(Buffer.compare(renderFat(files, options), renderFat([...files].reverse(), options))).toBe(0)
  })

  it.each(['a:b', 'a\nb', '..', 'x/../y', 'dot.', 'a//b', ''])('refuses the name %j', (path) => {
    expect(() => renderFat([{ path, bytes: new Uint8Array(1) }], options)).toThrow(InputError)
  })

  it('refuses two files of one name', () => {
    expect(() => renderFat([...files, { path: 'efi/boot/bootx64.efi', bytes: new Uint8Array(1) }], options)).toThrow(/twice/)
  })
})

describeWith(['fsck.fat', 'mcopy', 'mdir'], 'a FAT file system, read by dosfstools and mtools', () => {
  it.each<[string, number, number]>([
    ['FAT16', 0, 1],
    ['FAT16 with larger clusters', 40 << 20, 4],
    ['FAT32', 300 << 20, 8],
  ])('%s', (_, minimumBytes, clusterSectors) => {
    const path = join(folder, `fat-${clusterSectors}.img`)
    const image = renderFat(files, { ...options, minimumBytes })
    expect(image[13]).toBe(clusterSectors)
    writeFileSync(path, image)
    expect(execFileSync('fsck.fat', ['-n', '-v', path]).toString()).not.toMatch(/[Dd]iffer|[Ii]nvalid|[Bb]ad|orphan|Wrong/)
    for (const file of files)
      expect(
        Buffer.compare(
          execFileSync('mcopy', ['-n', '-i', path, `::${file.path}`, '-'], { maxBuffer: 1 << 24, env: { ...process.env, MTOOLS_SKIP_CHECK: '1' } }),
          file.bytes,
        ),
      ).toBe(0)
    expect(execFileSync('mdir', ['-i', path, '-b', '-/', '::']).toString()).toContain('a-package-with-a-long-name-1.2.4-r0.apk')
  })
})

describe('a USB stick', () => {
  const stick = renderUsb({ bios: fakeBios(), files, epoch: options.epoch, serial: 1 })
  const view = new DataView(stick.buffer)
  const entry = (number: number) => ({
    active: stick[446 + 16 * (number - 1)],
    type: stick[450 + 16 * (number - 1)],
    start: view.getUint32(454 + 16 * (number - 1), true),
    count: view.getUint32(458 + 16 * (number - 1), true),
  })

  it('has the BIOS partition where it was, and an EFI system partition behind it', () => {
    expect(entry(4)).toEqual({ active: 0x80, type: 0xeb, start: 32, count: 4064 })
    expect(entry(1)).toMatchObject({ active: 0, type: 0xef, start: 4096 })
    expect(entry(1).start + entry(1).count).toBe(stick.length / 512)
    expect(Buffer.compare(stick.subarray(512, 400_384), fakeBios().subarray(512))).toBe(0)
    expect(Buffer.compare(stick.subarray(0, 440), fakeBios().subarray(0, 440))).toBe(0)
    expect(Buffer.from(stick.subarray(4096 * 512 + 3, 4096 * 512 + 10)).toString()).toBe('BIVOUAC')
  })

  it('can be for UEFI alone', () => {
    const alone = renderUsb({ files: files.slice(0, 1), epoch: 0, serial: 1 })
    expect([alone[450], new DataView(alone.buffer).getUint32(454, true), alone[510]]).toEqual([0xef, 2048, 0x55])
    expect(bootFileOf('arm64')).toBe('EFI/BOOT/BOOTAA64.EFI')
  })

  it('refuses a BIOS image that is no disk', () => {
    expect(() => renderUsb({ bios: bytes(5000), files, epoch: 0, serial: 1 })).toThrow(InputError)
  })
})
