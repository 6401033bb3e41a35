import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/boot/error.ts'
import { announcedNames, binDirs, formatTarget, isPacked, mediaOf, parseTarget } from '../../src/ipxe/target.ts'
import { seededRandom } from '../support/random.ts'

describe('targets', () => {
  it.each([
    ['bin/undionly.kpxe', 'i386', 'pcbios', ['undionly.kpxe', 'gpxe.kpxe'], true],
    ['bin/ipxe.usb', 'i386', 'pcbios', ['ipxe.usb'], true],
    ['bin/8086100e.mrom', 'i386', 'pcbios', ['8086100e.mrom'], false],
    ['bin/virtio-net--intel.kpxe', 'i386', 'pcbios', ['virtio-net--intel.kpxe'], true],
    ['bin-x86_64-pcbios/undionly.kpxe', 'x86_64', 'pcbios', ['x86_64-pcbios/undionly.kpxe'], true],
    ['bin-x86_64-efi/snponly.efi', 'x86_64', 'efi', ['x86_64-efi/snponly.efi', 'snponly.efi'], false],
    ['bin-x86_64-efi-sb/ipxe.efi', 'x86_64', 'efi', ['x86_64-efi-sb/ipxe.efi'], false],
    ['bin-arm64-efi/snponly.efi', 'arm64', 'efi', ['arm64-efi/snponly.efi'], false],
    ['bin-i386-efi/ipxe.drv.efi', 'i386', 'efi', ['i386-efi/ipxe.drv.efi'], false],
    ['bin-riscv64/ipxe.sbi', 'riscv64', 'sbi', ['riscv64-sbi/ipxe.sbi'], false],
  ])('%s', (text, arch, platform, names, packed) => {
    const target = parseTarget(text)
    expect([target.binDir.arch, target.binDir.platform, announcedNames(target), isPacked(target)]).toEqual([arch, platform, names, packed])
    expect(formatTarget(target)).toBe(text)
  })

  it.each([
    'undionly.kpxe',
    'bin/undionly',
    'bin/undionly.efi',
    'bin-x86_64-efi/undionly.efi',
    'bin/snponly.kpxe',
    'bin-x86_64-linux/tests.linux',
    'bin/../bin/ipxe.pxe',
    'bin/ipxe.pxe;id',
    'bin/$(id).pxe',
    'bin/a,b.pxe',
    'bin/ ipxe.pxe',
    'bin/ipxe.pxe\n',
    'bin/--x.pxe',
    '/bin/ipxe.pxe',
    '',
  ])('refuses %j before make sees it', (text) => {
    expect(() => parseTarget(text)).toThrow(InputError)
  })

  it('lets random text through only if it formats back to itself', () => {
    const random = seededRandom(3)
    const parts = [
      ...binDirs.keys(),
      ...Object.values(mediaOf).flatMap((media) => Object.keys(media)),
      'ipxe',
      'snponly',
      '/',
      '.',
      '-',
      '--',
      '$',
      '`',
      '\n',
      'é',
      '..',
    ]
    let taken = 0
    for (let round = 0; round < 20_000; round++) {
      const pick = () => parts[Math.floor(random() * parts.length)]
      const text =
        round % 2 ? `bin/ipxe.${pick()}${random() < 0.5 ? '' : pick()}` : Array.from({ length: 1 + Math.floor(random() * 6) }, pick).join('')
      try {
        expect(formatTarget(parseTarget(text))).toBe(text)
        expect(text).toMatch(/^[a-z0-9_/.-]+$/)
        taken++
      } catch (error) {
        if (!(error instanceof InputError)) throw error
      }
    }
    expect(taken).toBeGreaterThan(10)
  })
})
