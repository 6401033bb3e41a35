// A CD image with up to two ways to boot, put together by ourselves: a floppy image for BIOS, a FAT file system for UEFI. Used by media.
// Written from ECMA-119 (ISO 9660) and the El Torito specification 1.0, with the UEFI platform of UEFI 2.10 section 13.3.2.
import { InputError } from '../boot/error.ts'

export type IsoParts = {
  /** iPXE's `.dsk`: BIOS sees it as a floppy in the drive. */
  readonly floppy?: Uint8Array
  /** A whole FAT file system with EFI/BOOT. */
  readonly fat?: Uint8Array
  /** Seconds since 1970. */
  readonly epoch: number
  readonly label: string
}

const sectorBytes = 2048
const floppyBytes = 1_474_560
const place = { volume: 16, bootRecord: 17, end: 18, pathLittle: 19, pathBig: 20, root: 21, catalog: 22, files: 23 }

type File = { readonly name: string; readonly bytes: Uint8Array; readonly sector: number }

/** The whole image. The same parts give the same bytes. @throws InputError `media-bad`. */
export function renderIso({ floppy, fat, epoch, label }: IsoParts): Uint8Array {
  if (floppy && floppy.length > floppyBytes) throw new InputError('media-bad', `the BIOS part has ${floppy.length} bytes, a floppy ${floppyBytes}`)
  const files: File[] = []
  let next = place.files
  for (const [name, bytes, sizeBytes] of [
    ['BIOS.IMG', floppy, floppyBytes],
    ['EFI.IMG', fat, fat?.length ?? 0],
  ] as const) {
    if (!bytes) continue
    const padded = new Uint8Array(sizeBytes)
    padded.set(bytes)
    files.push({ name, bytes: padded, sector: next })
    next += Math.ceil(sizeBytes / sectorBytes)
  }
  const image = Buffer.alloc(next * sectorBytes)
  const put = (bytes: Uint8Array, sector: number): void => image.set(bytes, sector * sectorBytes)
  put(renderVolume(next, epoch, label), place.volume)
  put(renderBootRecord(), place.bootRecord)
  put(Buffer.from('\xffCD001\x01', 'latin1'), place.end)
  put(
    renderPathTable((buffer, at) => buffer.writeUInt32LE(place.root, at), Buffer.from([1, 0])),
    place.pathLittle,
  )
  put(
    renderPathTable((buffer, at) => buffer.writeUInt32BE(place.root, at), Buffer.from([0, 1])),
    place.pathBig,
  )
  put(renderRoot(files, epoch), place.root)
  put(renderCatalog(files), place.catalog)
  for (const { bytes, sector } of files) put(bytes, sector)
  return image
}

/** A number in both byte orders, as ECMA-119 7.2.3 and 7.3.3 want it. */
function writeBoth(buffer: Buffer, at: number, value: number, width: 2 | 4): void {
  buffer.writeUIntLE(value, at, width)
  buffer.writeUIntBE(value, at + width, width)
}

/** ECMA-119 8.4: the primary volume descriptor. */
function renderVolume(sectors: number, epoch: number, label: string): Buffer {
  const volume = Buffer.alloc(sectorBytes)
  volume.write('\x01CD001\x01', 0, 'latin1')
  volume.fill(' ', 8, 72)
  volume.write(label.slice(0, 32), 40, 'latin1')
  writeBoth(volume, 80, sectors, 4)
  writeBoth(volume, 120, 1, 2)
  writeBoth(volume, 124, 1, 2)
  writeBoth(volume, 128, sectorBytes, 2)
  writeBoth(volume, 132, 10, 4)
  volume.writeUInt32LE(place.pathLittle, 140)
  volume.writeUInt32BE(place.pathBig, 148)
  volume.set(renderRecord('\0', place.root, sectorBytes, epoch, true), 156)
  volume.fill(' ', 190, 813)
  // 8.4.26: four dates of 16 digits and a zone; the last two are not given.
  const date = new Date(epoch * 1000).toISOString().replace(/\D/g, '').slice(0, 16)
  for (const [at, text] of [
    [813, date],
    [830, date],
    [847, '0'.repeat(16)],
    [864, '0'.repeat(16)],
  ] as const)
    volume.write(text, at, 'latin1')
  volume[881] = 1
  return volume
}

function renderBootRecord(): Buffer {
  const record = Buffer.alloc(71 + 4)
  record.write('\0CD001\x01EL TORITO SPECIFICATION', 0, 'latin1')
  record.writeUInt32LE(place.catalog, 71)
  return record
}

/** ECMA-119 9.4: one folder, the root. */
function renderPathTable(writePlace: (buffer: Buffer, at: number) => void, parent: Buffer): Buffer {
  const table = Buffer.alloc(10)
  table[0] = 1
  writePlace(table, 2)
  table.set(parent, 6)
  return table
}

function renderRoot(files: readonly File[], epoch: number): Buffer {
  return Buffer.concat([
    renderRecord('\0', place.root, sectorBytes, epoch, true),
    renderRecord('\x01', place.root, sectorBytes, epoch, true),
    ...files.map(({ name, sector, bytes }) => renderRecord(`${name};1`, sector, bytes.length, epoch, false)),
  ])
}

/** ECMA-119 9.1: a directory record. */
function renderRecord(name: string, sector: number, sizeBytes: number, epoch: number, isFolder: boolean): Buffer {
  const record = Buffer.alloc(33 + name.length + (name.length % 2 === 0 ? 1 : 0))
  record[0] = record.length
  writeBoth(record, 2, sector, 4)
  writeBoth(record, 10, sizeBytes, 4)
  const date = new Date(epoch * 1000)
  record.set([date.getUTCFullYear() - 1900, date.getUTCMonth() + 1, date.getUTCDate()], 18)
  record.set([date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()], 21)
  record[25] = isFolder ? 2 : 0
  writeBoth(record, 28, 1, 2)
  record[32] = name.length
  record.write(name, 33, 'latin1')
  return record
}

const efiPlatform = 0xef

/** El Torito 2.0: the BIOS part is the default entry, the UEFI part has a section of its own; alone it is the default. */
function renderCatalog(files: readonly File[]): Buffer {
  const [first, second] = files
  if (!first) throw new InputError('media-bad', 'a CD needs something to boot', { path: 'image.of' })
  const validation = Buffer.alloc(32)
  validation.set([1, platformOf(first)])
  validation.set([0x55, 0xaa], 30)
  let sum = 0
  for (let at = 0; at < 32; at += 2) sum += validation.readUInt16LE(at)
  validation.writeUInt16LE(-sum & 0xffff, 28)
  if (!second) return Buffer.concat([validation, renderEntry(first)])
  const header = Buffer.alloc(32)
  header.set([0x91, platformOf(second), 1])
  return Buffer.concat([validation, renderEntry(first), header, renderEntry(second)])
}

const platformOf = ({ name }: File): number => (name === 'EFI.IMG' ? efiPlatform : 0)

/** Media type 2 is a floppy of 1.44 MB of which one sector is loaded; 0 is no emulation, with the size in blocks of 512 bytes (0: up to the end). */
function renderEntry(file: File): Buffer {
  const entry = Buffer.alloc(32)
  const isEfi = platformOf(file) === efiPlatform
  const blocks = Math.ceil(file.bytes.length / 512)
  entry.set([0x88, isEfi ? 0 : 2])
  entry.writeUInt16LE(isEfi ? (blocks > 0xffff ? 0 : blocks) : 1, 6)
  entry.writeUInt32LE(file.sector, 8)
  return entry
}
