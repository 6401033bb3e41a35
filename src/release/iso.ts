// Reads ISO 9660 images with Rock Ridge names, as Alpine's are: a list of the files, and their bytes in pieces. Called by iso-source.
// It throws only DecodeError for what is in the image, follows no link, and stays within bounds whatever the image says.
import { DecodeError } from '../boot/error.ts'

/** Reads so many bytes at an offset; fewer at the end. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>

/** One regular file. `path` is relative; `offset` and `sizeBytes` are where its bytes lie in the image. */
export type IsoFile = { readonly path: string; readonly offset: number; readonly sizeBytes: number }

export type IsoLimits = { readonly entries: number; readonly folderBytes: number; readonly depth: number }
export const isoLimits: IsoLimits = { entries: 100_000, folderBytes: 16 * 1024 * 1024, depth: 12 }

const sectorBytes = 2048
const decoder = new TextDecoder()

type Extent = { readonly offset: number; readonly sizeBytes: number }
type Entry = Extent & { readonly name: string; readonly kind: 'file' | 'folder' | 'other' }

/**
 * All regular files. Links and devices are passed over. Throws DecodeError: `iso-header` (no ISO 9660), `iso-damaged` (an extent or a record that
 * leads out of the image), `iso-name`, `iso-bounds`. (ECMA-119, sections 8.4 and 9.1; IEEE P1282 for Rock Ridge; IEEE P1281 for SUSP)
 */
export async function listIso(readAt: ReadAt, imageBytes: number, limits: IsoLimits = isoLimits): Promise<IsoFile[]> {
  const root = await readRoot(readAt, imageBytes)
  const files: IsoFile[] = []
  const waiting: { extent: Extent; path: string; depth: number }[] = [{ extent: root, path: '', depth: 0 }]
  const seen = new Set<number>()
  let entries = 0
  for (let folder = waiting.shift(); folder; folder = waiting.shift()) {
    // A folder that is its own child would never end.
    if (seen.has(folder.extent.offset)) throw new DecodeError('iso-damaged', `the folder ${folder.path.slice(0, 80)} comes twice in the image`)
    seen.add(folder.extent.offset)
    for (const entry of await readFolder(readAt, folder.extent, imageBytes, limits)) {
      if (++entries > limits.entries) throw new DecodeError('iso-bounds', `more than ${limits.entries} entries`)
      const path = folder.path ? `${folder.path}/${entry.name}` : entry.name
      if (entry.kind === 'file') files.push({ path, offset: entry.offset, sizeBytes: entry.sizeBytes })
      else if (entry.kind === 'folder') {
        if (folder.depth + 1 > limits.depth) throw new DecodeError('iso-bounds', `folders more than ${limits.depth} deep`)
        waiting.push({ extent: entry, path, depth: folder.depth + 1 })
      }
    }
  }
  return files
}

async function readRoot(readAt: ReadAt, imageBytes: number): Promise<Extent> {
  for (let sector = 16; sector < 32; sector++) {
    const bytes = await readAt(sector * sectorBytes, sectorBytes)
    if (bytes.length < sectorBytes || decoder.decode(bytes.subarray(1, 6)) !== 'CD001' || bytes[0] === 255) break
    if (bytes[0] !== 1) continue
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (view.getUint16(128, true) !== sectorBytes) throw new DecodeError('iso-header', 'an ISO image with blocks of another size than 2048')
    return checkExtent({ offset: view.getUint32(158, true) * sectorBytes, sizeBytes: view.getUint32(166, true) }, imageBytes)
  }
  throw new DecodeError('iso-header', 'not an ISO 9660 image, or cut')
}

function checkExtent<E extends Extent>(extent: E, imageBytes: number): E {
  if (extent.offset + extent.sizeBytes > imageBytes) throw new DecodeError('iso-damaged', 'the image is cut: a file of it lies behind its end')
  return extent
}

async function readFolder(readAt: ReadAt, extent: Extent, imageBytes: number, limits: IsoLimits): Promise<Entry[]> {
  if (extent.sizeBytes > limits.folderBytes) throw new DecodeError('iso-bounds', `a folder of ${extent.sizeBytes} bytes`)
  const bytes = await readAt(extent.offset, extent.sizeBytes)
  if (bytes.length < extent.sizeBytes) throw new DecodeError('iso-damaged', 'the image is cut')
  const entries: Entry[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] as number
    // No record crosses a sector; the rest of one is zeros.
    if (length === 0) {
      at = (Math.floor(at / sectorBytes) + 1) * sectorBytes
      continue
    }
    if (length < 34 || at + length > bytes.length) throw new DecodeError('iso-damaged', 'a record of a folder is damaged')
    const entry = await decodeRecord(bytes.subarray(at, at + length), readAt, imageBytes)
    if (entry) entries.push(entry)
    at += length
  }
  return entries
}

/** One directory record (ECMA-119, 9.1); undefined for `.` and `..`. */
async function decodeRecord(record: Uint8Array, readAt: ReadAt, imageBytes: number): Promise<Entry | undefined> {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
  const nameBytes = record[32] as number
  if (33 + nameBytes > record.length || nameBytes < 1) throw new DecodeError('iso-damaged', 'a record of a folder is damaged')
  const plain = record.subarray(33, 33 + nameBytes)
  if (nameBytes === 1 && (plain[0] as number) < 2) return undefined
  const flags = record[25] as number
  const systemUse = record.subarray(33 + nameBytes + (nameBytes % 2 === 0 ? 1 : 0))
  const rock = await readRockRidge(systemUse, readAt)
  const name =
    rock.name ||
    decoder
      .decode(plain)
      .replace(/;[0-9]*$/, '')
      .replace(/\.$/, '')
      .toLowerCase()
  if (name === '.' || name === '..' || /[/\0]/.test(name) || name.length > 255)
    throw new DecodeError('iso-name', `a name that no file may have: ${JSON.stringify(name.slice(0, 80))}`)
  const extent = { offset: (view.getUint32(2, true) + (record[1] as number)) * sectorBytes, sizeBytes: view.getUint32(10, true) }
  if (rock.isOther) return { name, kind: 'other', offset: 0, sizeBytes: 0 }
  // A file in several extents (over 4 GB), or interleaved, is none of Alpine's.
  if (flags & 0x80 || record[26] || record[27]) throw new DecodeError('iso-bounds', `${name.slice(0, 80)} lies in several pieces`)
  return checkExtent<Entry>({ name, kind: flags & 2 ? 'folder' : 'file', ...extent }, imageBytes)
}

type RockRidge = { name: string; isOther: boolean }

/** The alternate name (NM) and the kind (PX, SL) in a system use area and at most four that continue it (CE). */
async function readRockRidge(area: Uint8Array, readAt: ReadAt): Promise<RockRidge> {
  const found: RockRidge = { name: '', isOther: false }
  let next: Uint8Array | undefined = area
  for (let areas = 0; next && areas < 5; areas++) {
    const more: Extent | undefined = readFields(next, found)
    next = more && (await readAt(more.offset, more.sizeBytes))
  }
  return found
}

function readFields(area: Uint8Array, found: RockRidge): Extent | undefined {
  let more: Extent | undefined
  for (let at = 0; at + 4 <= area.length; ) {
    const length = area[at + 2] as number
    if (length < 4 || at + length > area.length) break
    const field = area.subarray(at, at + length)
    const view = new DataView(field.buffer, field.byteOffset, field.byteLength)
    const tag = String.fromCharCode(field[0] as number, field[1] as number)
    if (tag === 'NM' && length > 5 && !((field[4] as number) & 6)) found.name += decoder.decode(field.subarray(5))
    else if (tag === 'SL') found.isOther = true
    else if (tag === 'PX' && length >= 8) found.isOther ||= ![0o100000, 0o040000].includes(view.getUint32(4, true) & 0o170000)
    else if (tag === 'CE' && length >= 28) {
      const sizeBytes = view.getUint32(20, true)
      if (sizeBytes > sectorBytes) throw new DecodeError('iso-damaged', 'a name that goes on for more than a sector')
      more = { offset: view.getUint32(4, true) * sectorBytes + view.getUint32(12, true), sizeBytes }
    } else if (tag === 'ST') break
    at += length
  }
  return more
}
