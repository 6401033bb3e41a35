// What can be made: `<bin directory>/<drivers>.<media>`, as iPXE's make names it. Used by recipes, forms and the build.
// A name that does not parse here never reaches make.
import { InputError } from '../boot/error.ts'

export type Platform = 'pcbios' | 'efi' | 'sbi'
export type Arch = 'i386' | 'x86_64' | 'arm32' | 'arm64' | 'riscv32' | 'riscv64' | 'loong64'

/** One bin directory of iPXE. `crossPrefix` names the tool chain where the host's own compiler will not do. */
export type BinDir = {
  readonly name: string
  readonly arch: Arch
  readonly platform: Platform
  readonly secureBoot: boolean
  readonly crossPrefix?: string
}

export type Target = {
  readonly binDir: BinDir
  /** `undionly`, `snponly`, `ipxe`, a driver, a PCI id; several joined by `--`. */
  readonly drivers: string
  readonly media: string
}

const crossPrefixes: Partial<Record<Arch, string>> = {
  arm32: 'arm-linux-gnueabi-',
  arm64: 'aarch64-linux-gnu-',
  riscv32: 'riscv64-linux-gnu-',
  riscv64: 'riscv64-linux-gnu-',
  loong64: 'loongarch64-linux-gnu-',
}

const binDir = (name: string, arch: Arch, platform: Platform): BinDir => {
  const crossPrefix = crossPrefixes[arch]
  return { name, arch, platform, secureBoot: name.endsWith('-sb'), ...(crossPrefix ? { crossPrefix } : {}) }
}

/** Every bin directory that makes loaders. `-sb` ones admit only files that are reviewed for Secure Boot. */
export const binDirs: ReadonlyMap<string, BinDir> = new Map(
  [
    binDir('bin', 'i386', 'pcbios'),
    binDir('bin-x86_64-pcbios', 'x86_64', 'pcbios'),
    ...(['i386', 'x86_64', 'arm32', 'arm64', 'riscv32', 'riscv64', 'loong64'] as const).map((arch) => binDir(`bin-${arch}-efi`, arch, 'efi')),
    ...(['x86_64', 'arm64', 'riscv64', 'loong64'] as const).map((arch) => binDir(`bin-${arch}-efi-sb`, arch, 'efi')),
    binDir('bin-riscv32', 'riscv32', 'sbi'),
    binDir('bin-riscv64', 'riscv64', 'sbi'),
  ].map((one) => [one.name, one]),
)

/** Media of each platform with their use, for forms and refusals. */
export const mediaOf: Readonly<Record<Platform, Readonly<Record<string, string>>>> = {
  pcbios: {
    kpxe: 'network boot program, keeps the UNDI driver (undionly)',
    kkpxe: 'the same, keeps UNDI and PXE',
    kkkpxe: 'the same, with an exit hook too',
    pxe: 'network boot program, unloads the PXE stack',
    lkrn: 'looks like a Linux kernel: for syslinux, GRUB, QEMU -kernel',
    iso: 'CD image (needs xorriso and isolinux)',
    usb: 'disk image for a USB stick',
    hd: 'partition image, for an active partition behind a boot sector',
    dsk: 'floppy image',
    pdsk: 'floppy image, padded to 1.44 MB',
    sdsk: 'floppy image with syslinux',
    vhd: 'virtual disk (needs qemu-img)',
    raw: 'no prefix at all',
    rom: 'flash image by PCI id',
    mrom: 'flash image by PCI id, over 64 kB',
    pcirom: 'PCI-only flash image',
    isarom: 'ISA flash image',
    exe: 'DOS program',
    nbi: 'Etherboot image',
  },
  efi: {
    efi: 'UEFI program',
    efidrv: 'UEFI driver',
    'drv.efi': 'UEFI driver, by another name',
    efirom: 'UEFI flash image by PCI id',
    iso: 'CD image (needs xorriso and mtools)',
    usb: 'FAT disk image (needs syslinux and a mtools that works; better: the recipe usb)',
  },
  sbi: { sbi: 'SBI firmware payload', lkrn: 'looks like a Linux kernel', pf32: 'parallel flash image' },
}

const driversPattern = /^[a-z0-9](?:[a-z0-9_]|-(?!--))*$/

/**
 * Takes a target apart.
 * @throws InputError `target-unknown` with what is allowed, for anything that is not a target.
 */
export function parseTarget(text: string): Target {
  const [, folder = '', drivers = '', media = ''] = /^([a-z0-9_-]{1,40})\/([a-z0-9_-]{1,120})\.([a-z0-9]{1,8}(?:\.efi)?)$/.exec(text) ?? []
  const found = binDirs.get(folder)
  if (!found)
    throw refuse(
      text,
      folder === '' ? 'a target is <bin directory>/<drivers>.<media>, as in bin/undionly.kpxe' : `bin directories: ${[...binDirs.keys()].join(' ')}`,
    )
  if (!driversPattern.test(drivers)) throw refuse(text, 'drivers are lower-case names or PCI ids, several joined by --')
  if (!(media in mediaOf[found.platform])) throw refuse(text, `media of ${found.platform}: ${Object.keys(mediaOf[found.platform]).join(' ')}`)
  if (drivers === 'undionly' && found.platform !== 'pcbios') throw refuse(text, 'undionly is for BIOS; UEFI has snponly')
  if (drivers.startsWith('snp') && found.platform !== 'efi') throw refuse(text, 'snp and snponly are for UEFI; BIOS has undionly')
  return { binDir: found, drivers, media }
}

const refuse = (text: string, allowed: string): InputError =>
  new InputError('target-unknown', `${JSON.stringify(text.slice(0, 80))} is no target of iPXE; ${allowed}`, { path: 'target' })

export const formatTarget = ({ binDir: { name }, drivers, media }: Target): string => `${name}/${drivers}.${media}`

/** The file's own name: `snponly.efi`. */
export const fileName = ({ drivers, media }: Target): string => `${drivers}.${media}`

/**
 * The names in the loader library under which this target is announced: BIOS ones at the root, UEFI ones under their
 * architecture (boot/firmware.ts); `undionly.kpxe` also as `gpxe.kpxe`, the x86-64 ones also bare.
 */
export function announcedNames(target: Target): string[] {
  const file = fileName(target)
  const { platform, arch, secureBoot } = target.binDir
  if (platform === 'pcbios')
    return file === 'undionly.kpxe' && arch === 'i386' ? [file, 'gpxe.kpxe'] : [arch === 'i386' ? file : `${arch}-pcbios/${file}`]
  const folder = `${arch}-${platform}${secureBoot ? '-sb' : ''}`
  return folder === 'x86_64-efi' && target.media === 'efi' ? [`${folder}/${file}`, file] : [`${folder}/${file}`]
}

/** Whether a binary of this target is LZMA-packed, so that its script slot is in the `.bin` beside it and not in the file. */
export const isPacked = ({ binDir: { platform }, media }: Target): boolean =>
  platform === 'pcbios' && ['kpxe', 'kkpxe', 'kkkpxe', 'pxe', 'lkrn', 'hd', 'dsk', 'raw', 'usb'].includes(media)
