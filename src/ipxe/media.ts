// One USB stick or CD for BIOS and UEFI, put together from loaders by ourselves (Debian 12's mtools breaks iPXE's own EFI step). Used by build.
// The CD is in iso.ts; the stick:
//   sector 0: iPXE's boot code and partition table · partition 4: iPXE for BIOS · partition 1: FAT with EFI/BOOT/BOOT<ARCH>.EFI
import type { Artifacts, Manifest } from './artifact.ts'
import { InputError } from '../boot/error.ts'
import { sha256 } from './fingerprint.ts'
import { type FatFile, renderFat } from './fat.ts'
import { renderIso } from './iso.ts'
import { type Arch, parseTarget } from './target.ts'

/** Where firmware looks on removable media. UEFI specification 2.10, section 3.5.1.1. */
const bootFiles: Partial<Record<Arch, string>> = {
  i386: 'IA32',
  x86_64: 'X64',
  arm32: 'ARM',
  arm64: 'AA64',
  riscv32: 'RISCV32',
  riscv64: 'RISCV64',
  loong64: 'LOONGARCH64',
}

export const bootFileOf = (arch: Arch): string => `EFI/BOOT/BOOT${bootFiles[arch]}.EFI`

export type UsbParts = {
  /** iPXE's `.usb` for BIOS: boot sector and partition. */
  readonly bios?: Uint8Array
  readonly files: readonly FatFile[]
  readonly epoch: number
  readonly serial: number
}

const sectorBytes = 512
// Partitions begin at whole MiB, as firmware and people expect.
const alignSectors = 2048
const heads = 64
const sectorsPerTrack = 32

/** The whole disk. The same parts give the same bytes. */
export function renderUsb({ bios, files, epoch, serial }: UsbParts): Uint8Array {
  const biosEnd = bios ? Math.max(bios.length / sectorBytes, endOfPartitions(bios)) : 1
  const start = Math.ceil(biosEnd / alignSectors) * alignSectors
  const fat = files.length > 0 ? renderFat(files, { epoch, serial, label: 'BIVOUAC', hiddenSectors: start }) : new Uint8Array(0)
  const disk = new Uint8Array(start * sectorBytes + fat.length)
  if (bios) disk.set(bios)
  disk.set(fat, start * sectorBytes)
  const view = new DataView(disk.buffer)
  view.setUint32(440, serial, true)
  disk.set([0x55, 0xaa], 510)
  if (fat.length > 0) writePartition(view, 446, start, fat.length / sectorBytes)
  return disk
}

/** Type ef: EFI system partition. Not active: BIOS boots the other one. */
function writePartition(view: DataView, at: number, start: number, count: number): void {
  if (view.getUint8(at + 4) !== 0) throw new InputError('media-bad', 'the BIOS image has a first partition of its own')
  writeAddress(view, at + 1, start)
  view.setUint8(at + 4, 0xef)
  writeAddress(view, at + 5, start + count - 1)
  view.setUint32(at + 8, start, true)
  view.setUint32(at + 12, count, true)
}

function writeAddress(view: DataView, at: number, sector: number): void {
  const cylinder = Math.min(Math.floor(sector / (heads * sectorsPerTrack)), 1023)
  view.setUint8(at, Math.floor(sector / sectorsPerTrack) % heads)
  view.setUint8(at + 1, ((cylinder & 0x300) >> 2) | ((sector % sectorsPerTrack) + 1))
  view.setUint8(at + 2, cylinder & 0xff)
}

/** First sector behind every partition of a disk image. */
function endOfPartitions(disk: Uint8Array): number {
  const view = new DataView(disk.buffer, disk.byteOffset, disk.length)
  if (disk.length < sectorBytes || view.getUint16(510, true) !== 0xaa55)
    throw new InputError('media-bad', 'the BIOS image is no disk image: use a .usb target')
  return Math.max(...[446, 462, 478, 494].map((at) => view.getUint32(at + 8, true) + view.getUint32(at + 12, true)))
}

/** The forms of images, each with what its BIOS part must be. */
export const imageForms = { usb: { ending: 'img', bios: 'usb' }, iso: { ending: 'iso', bios: 'dsk' } } as const
export type ImageForm = keyof typeof imageForms

export const imageName = (form: ImageForm, name = 'bivouac'): string => `${name}.${imageForms[form].ending}`

export type ImageAsk = {
  readonly form: ImageForm
  readonly fingerprint: string
  readonly name?: string
  readonly parts: readonly Manifest[]
  readonly epoch: number
  readonly startedAt: number
  readonly now: () => number
}

/**
 * Puts built loaders together and keeps the disk image as an artifact.
 * @throws InputError `media-bad` for parts that cannot share one.
 */
export async function assembleImage(artifacts: Artifacts, ask: ImageAsk): Promise<Manifest> {
  const { form, fingerprint, name, parts, epoch, startedAt, now } = ask
  const found = await sortParts(artifacts, form, parts)
  const [first] = parts
  if (!first) throw new InputError('media-bad', 'an image needs parts', { path: 'image.of' })
  const file = imageName(form, name)
  const image = renderImage(form, found, epoch, Number.parseInt(sha256(fingerprint).slice(0, 8), 16))
  return artifacts.add(
    {
      ...{
        fingerprint,
        kind: 'image',
        target: `${form}:${parts.map((part) => part.target).join('+')}`,
        file,
        announce: [file],
        from: parts.map((part) => part.fingerprint),
      },
      ...{
        source: first.source,
        settings: first.settings,
        toolchain: [...new Set(parts.flatMap((part) => part.toolchain))],
        builtAt: startedAt,
        durationMs: now() - startedAt,
      },
      ...(name === undefined ? {} : { name }),
      ...(first.script ? { script: first.script } : {}),
      ...(first.trust ? { trust: first.trust } : {}),
    },
    { [file]: image },
  )
}

type Found = { readonly bios?: Uint8Array; readonly files: readonly FatFile[] }

/** The BIOS part and the files for UEFI. */
async function sortParts(artifacts: Artifacts, form: ImageForm, parts: readonly Manifest[]): Promise<Found> {
  const files: FatFile[] = []
  let bios: Uint8Array | undefined
  for (const part of parts) {
    const { binDir, media } = parseTarget(part.target)
    const bytes = await artifacts.read(part)
    const wanted = imageForms[form].bios
    if (media === wanted && binDir.platform === 'pcbios' && !bios) bios = bytes
    else if (media === 'efi' && !files.some((one) => one.path === bootFileOf(binDir.arch))) files.push({ path: bootFileOf(binDir.arch), bytes })
    else
      throw new InputError('media-bad', `${part.target} has no place on this image: one .${wanted} of BIOS, and one .efi for each architecture`, {
        path: 'image.of',
      })
  }
  return { files, ...(bios ? { bios } : {}) }
}

function renderImage(form: ImageForm, { bios, files }: Found, epoch: number, serial: number): Uint8Array {
  if (form === 'usb') return renderUsb({ files, epoch, serial, ...(bios ? { bios } : {}) })
  const fat = files.length > 0 ? renderFat(files, { epoch, serial, label: 'BIVOUAC' }) : undefined
  return renderIso({ epoch, label: 'BIVOUAC', ...(bios ? { floppy: bios } : {}), ...(fat ? { fat } : {}) })
}
