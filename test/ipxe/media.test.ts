import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { renderIso } from '../../src/ipxe/iso.ts'
import { InputError } from '../../src/boot/error.ts'
import { type FatFile, renderFat } from '../../src/ipxe/fat.ts'
import { bootFileOf, renderUsb } from '../../src/ipxe/media.ts'
import { describeWith, missingTools } from '../support/tool.ts'

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

describe('a CD', () => {
  const [floppy, fat] = [bytes(399_360), renderFat(files.slice(0, 1), options)]
  const parts = { epoch: options.epoch, label: 'BIVOUAC' }
  const catalogOf = (image: Uint8Array): Buffer => Buffer.from(image.subarray(22 * 2048, 22 * 2048 + 128))

  it('has a checked catalog with a floppy for BIOS and a file system for UEFI', () => {
    const image = Buffer.from(renderIso({ ...parts, floppy, fat }))
    const catalog = catalogOf(image)
    let sum = 0
    for (let at = 0; at < 32; at += 2) sum += catalog.readUInt16LE(at)
    expect([sum & 0xffff, catalog[1], catalog[30], catalog[31]]).toEqual([0, 0, 0x55, 0xaa])
    expect([...catalog.subarray(32, 34), catalog.readUInt16LE(38), catalog.readUInt32LE(40)]).toEqual([0x88, 2, 1, 23])
    expect([...catalog.subarray(64, 67), catalog[96], catalog[97]]).toEqual([0x91, 0xef, 1, 0x88, 0])
    expect(catalog.readUInt16LE(102) * 512).toBe(fat.length)
    const place = catalog.readUInt32LE(104) * 2048
    expect(Buffer.compare(image.subarray(place, place + fat.length), fat)).toBe(0)
    expect(Buffer.compare(image.subarray(23 * 2048, 23 * 2048 + floppy.length), floppy)).toBe(0)
    expect(image.readUInt32LE(16 * 2048 + 80) * 2048).toBe(image.length)
  })

  it('can be for one of the two', () => {
    expect([...catalogOf(renderIso({ ...parts, fat })).subarray(0, 2)]).toEqual([1, 0xef])
    expect(
      catalogOf(renderIso({ ...parts, fat }))
        .subarray(64)
        .every((byte) => byte === 0),
    ).toBe(true)
    expect([...catalogOf(renderIso({ ...parts, floppy })).subarray(32, 34)]).toEqual([0x88, 2])
  })

  it('refuses more than a floppy, and nothing', () => {
    expect(() => renderIso({ ...parts, floppy: bytes(1_474_561) })).toThrow(InputError)
    expect(() => renderIso(parts)).toThrow(InputError)
  })

  const missing = missingTools('xorriso')
  it.skipIf(missing.length > 0)(`is read by xorriso${missing.length > 0 ? ' (SKIPPED: missing xorriso)' : ''}`, () => {
    const path = join(folder, 'cd.iso')
    writeFileSync(path, renderIso({ ...parts, floppy, fat }))
    const said = execFileSync('xorriso', ['-indev', path, '-report_el_torito', 'plain', '-find', '/', '-exec', 'lsdl'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }).toString()
    expect(said).toMatch(/El Torito boot img : +1 +BIOS +y +fd1\.4/)
    expect(said).toMatch(/El Torito boot img : +2 +UEFI +y +none/)
    expect(said).toMatch(/1474560 .*BIOS\.IMG/i)
  })
})
