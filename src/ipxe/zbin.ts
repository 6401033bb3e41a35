// Packs an iPXE BIOS image again from the `.bin` and `.zinfo` that its build left: copy, pack, fix the size fields. Used by patch.
// Written from the format: 16-byte records, a four-letter type and three little-endian words.
import { DecodeError } from '../boot/error.ts'
import { encodeLzma } from './lzma.ts'

type Step = { readonly type: string; readonly a: number; readonly b: number; readonly c: number }

const sizeLimit = 16 << 20
const widths: Record<string, number> = { B: 1, W: 2, L: 4 }

/** @throws DecodeError `zinfo-bad` for a length that is no multiple of 16 or an unknown type. */
export function parseZinfo(zinfo: Uint8Array): Step[] {
  if (zinfo.length % 16 !== 0 || zinfo.length === 0 || zinfo.length > 1 << 16)
    throw new DecodeError('zinfo-bad', `a .zinfo has records of 16 bytes, this one has ${zinfo.length} bytes`)
  const view = new DataView(zinfo.buffer, zinfo.byteOffset, zinfo.length)
  return Array.from({ length: zinfo.length / 16 }, (_, index) => {
    const at = index * 16
    const type = String.fromCharCode(...zinfo.subarray(at, at + 4))
    if (!/^(COPY|PACK|PAYL|(ADD|ADH|ADP|APP)[BWL])$/.test(type))
      throw new DecodeError('zinfo-bad', `a .zinfo record ${JSON.stringify(type)} is not known`)
    return { type, a: view.getUint32(at + 4, true), b: view.getUint32(at + 8, true), c: view.getUint32(at + 12, true) }
  })
}

/**
 * The packed image. The same bytes in give the same bytes out.
 * @throws DecodeError `zinfo-bad` when the records do not fit the image.
 */
export function packImage(bin: Uint8Array, zinfo: Uint8Array): Uint8Array {
  const input = Uint8Array.from(bin)
  const output = new Uint8Array(Math.min(bin.length * 4, sizeLimit) + 4096).fill(0xff)
  let length = 0
  let headLength = 0
  const alignTo = (align: number): void => {
    const step = Math.max(align, 1)
    if ((step & (step - 1)) !== 0) throw new DecodeError('zinfo-bad', 'a .zinfo record aligns to no power of two')
    length = Math.ceil(length / step) * step
  }
  const put = (bytes: Uint8Array): void => {
    if (length + bytes.length > output.length) throw new DecodeError('zinfo-bad', 'the .zinfo makes more than fits')
    output.set(bytes, length)
    length += bytes.length
  }
  const part = (offset: number, size: number): Uint8Array => {
    if (offset + size > input.length) throw new DecodeError('zinfo-bad', 'a .zinfo record reaches behind the image')
    return input.subarray(offset, offset + size)
  }
  for (const { type, a, b, c } of parseZinfo(zinfo)) {
    if (type === 'COPY') {
      alignTo(c)
      put(part(a, b))
    } else if (type === 'PACK') {
      alignTo(c)
      const data = part(a, b)
      filterJumps(data)
      put(packBlock(data))
    } else if (type === 'PAYL') {
      alignTo(c)
      headLength = length
    } else {
      const base = type.startsWith('APP') ? headLength : 0
      const counted = type.startsWith('ADD') ? length : type.startsWith('ADH') ? headLength : length - headLength
      addSize(output.subarray(0, length), base + a, widths[type.slice(3)] ?? 1, Math.ceil(counted / Math.max(b, 1)))
    }
  }
  return output.slice(0, length)
}

/** u32 length of what follows, LZMA stream, its CRC. */
function packBlock(data: Uint8Array): Uint8Array {
  const packed = encodeLzma(data, { lc: 2, lp: 0, pb: 0 })
  const block = new Uint8Array(packed.length + 8)
  const view = new DataView(block.buffer)
  view.setUint32(0, packed.length + 4, true)
  block.set(packed, 4)
  view.setUint32(packed.length + 4, crc32(packed), true)
  return block
}

/**
 * Makes the targets of near calls and jumps (e8, e9) absolute where they stay inside, so that equal targets become equal bytes.
 * Values that this leaves free take those that it would collide with, so it can be undone. Changes `data`.
 */
export function filterJumps(data: Uint8Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const limit = data.length - 5
  for (let offset = 0; offset <= limit; offset++) {
    if (data[offset] !== 0xe8 && data[offset] !== 0xe9) continue
    const target = view.getInt32(offset + 1, true)
    if (target >= -offset && target < limit - offset) view.setInt32(offset + 1, target + offset, true)
    else if (target >= limit - offset && target < limit) view.setInt32(offset + 1, target - limit, true)
    offset += 4
  }
}

/** CRC-32, reflected, seed all ones, no final inversion: what iPXE's unpacker checks. */
function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return crc >>> 0
}

function addSize(output: Uint8Array, offset: number, width: number, size: number): void {
  if (offset + width > output.length) throw new DecodeError('zinfo-bad', 'a size field is outside the image')
  const view = new DataView(output.buffer, output.byteOffset, output.length)
  const old = width === 1 ? view.getInt8(offset) : width === 2 ? view.getInt16(offset, true) : view.getInt32(offset, true)
  const value = old + size
  if (value < 0 || value >= 2 ** (8 * width)) throw new DecodeError('zinfo-bad', 'the image is too large for its size field')
  if (width === 1) view.setUint8(offset, value)
  else if (width === 2) view.setUint16(offset, value, true)
  else view.setUint32(offset, value, true)
}
