// Looks into an initramfs: cpio archives one after the other, each plain or packed by gzip or zstd, as the kernel takes them. Called by release
// for keys, modules and versions. It unpacks nothing to disk and holds only what it is asked to keep.
import { Readable, type Transform } from 'node:stream'
import { crc32, createInflateRaw, createZstdDecompress } from 'node:zlib'
import { DecodeError } from '../boot/error.ts'
import { type CpioMember, createCpioReader } from './cpio-read.ts'

export type InitramfsOptions = {
  /** Unpacked bytes of all archives together; default 1 GiB. */
  readonly maxInflatedBytes?: number
  readonly maxMembers?: number
  readonly keepBytes?: (member: CpioMember) => number
  readonly onMember: (member: CpioMember, body: Uint8Array) => void
}

const pieceBytes = 256 * 1024
const maxSegments = 64

/**
 * Reads all archives of the image and calls `onMember` for each member. Throws DecodeError when one of them is damaged, packed in a way that
 * is not known (xz and lz4 are not Alpine's), or over the bounds. (Linux Documentation/driver-api/early-userspace/buffer-format.rst)
 */
export async function readInitramfs(image: Uint8Array, { maxInflatedBytes = 1 << 30, ...options }: InitramfsOptions): Promise<void> {
  let leftBytes = maxInflatedBytes
  let segments = 0
  for (let at = 0; at < image.length; ) {
    if (image[at] === 0) {
      at++
      continue
    }
    if (++segments > maxSegments) throw new DecodeError('initramfs-segments', `more than ${maxSegments} archives one after the other`)
    const reader = createCpioReader(options)
    const rest = image.subarray(at)
    const opened = openSegment(rest)
    if (!opened) {
      at += reader.push(rest)
    } else {
      const { usedBytes, inflatedBytes } = await readPacked(opened, leftBytes, reader)
      leftBytes -= inflatedBytes
      at += usedBytes
    }
    reader.end()
  }
  if (!segments) throw new DecodeError('initramfs-empty', 'the initramfs is empty')
}

/** A packed archive: `frontBytes` before what the engine takes, `tail` checks and counts what stands behind it. */
type Segment = {
  readonly packed: Uint8Array
  readonly frontBytes: number
  readonly engine: Transform & { readonly bytesWritten: number }
  readonly tail?: (after: Uint8Array, sum: number, inflatedBytes: number) => number
}

/** How a segment is packed, by its first bytes; undefined for a plain cpio archive. */
function openSegment(rest: Uint8Array): Segment | undefined {
  const [first, second] = rest
  if (first === 0x30) return undefined
  // Not Gunzip, which takes a plain archive behind a packed one for a damaged member.
  if (first === 0x1f && second === 0x8b) return { packed: rest, frontBytes: gzipHeaderBytes(rest), engine: createInflateRaw(), tail: checkGzipTail }
  if (first === 0x28 && second === 0xb5) return { packed: rest.subarray(0, zstdFrameBytes(rest)), frontBytes: 0, engine: createZstdDecompress() }
  throw new DecodeError(
    'initramfs-packing',
    `an archive that is neither plain, gzip nor zstd (it begins with ${Buffer.from(rest.subarray(0, 4)).toString('hex')})`,
  )
}

async function readPacked(
  { packed, frontBytes, engine, tail }: Segment,
  leftBytes: number,
  reader: { push: (chunk: Uint8Array) => number },
): Promise<{ usedBytes: number; inflatedBytes: number }> {
  let inflatedBytes = 0
  let sum = 0
  const source = Readable.from(cut(packed.subarray(frontBytes)), { objectMode: false })
  source.pipe(engine)
  try {
    for await (const chunk of engine as AsyncIterable<Uint8Array>) {
      inflatedBytes += chunk.length
      if (inflatedBytes > leftBytes) throw new DecodeError('initramfs-big', 'the initramfs unpacks to more than is allowed')
      sum = crc32(chunk, sum)
      if (reader.push(chunk) < chunk.length) throw new DecodeError('cpio-header', 'something that is no cpio archive follows within a packed one')
    }
  } catch (error) {
    if (error instanceof DecodeError) throw error
    throw new DecodeError('initramfs-damaged', `the initramfs cannot be unpacked: ${(error as Error).message}`, { cause: error })
  } finally {
    source.destroy()
    engine.destroy()
  }
  const usedBytes = frontBytes + engine.bytesWritten
  return { usedBytes: tail ? usedBytes + tail(packed.subarray(usedBytes), sum, inflatedBytes) : packed.length, inflatedBytes }
}

function* cut(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/** Length of a gzip member's header. (RFC 1952, section 2.3) */
function gzipHeaderBytes(bytes: Uint8Array): number {
  const flags = bytes[3] ?? 0xff
  if (bytes[2] !== 8 || flags & 0xe0) throw new DecodeError('initramfs-damaged', 'the initramfs has a gzip header that is damaged')
  let at = 10
  if (flags & 4) at += 2 + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8))
  for (const flag of [8, 16]) {
    if (!(flags & flag)) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) throw new DecodeError('initramfs-damaged', 'the initramfs has a gzip header that is cut')
    at = end + 1
  }
  return flags & 2 ? at + 2 : at
}

function checkGzipTail(after: Uint8Array, sum: number, inflatedBytes: number): number {
  if (after.length < 8) throw new DecodeError('initramfs-damaged', 'the initramfs is cut')
  const view = new DataView(after.buffer, after.byteOffset, 8)
  if (view.getUint32(0, true) !== sum || view.getUint32(4, true) !== inflatedBytes % 2 ** 32)
    throw new DecodeError('initramfs-damaged', 'the initramfs is damaged: its checksum is wrong')
  return 8
}

/** Length of the first zstd frame. (RFC 8878, sections 3.1.1.1 and 3.1.1.2) */
function zstdFrameBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const refuse = (): never => {
    throw new DecodeError('initramfs-damaged', 'the initramfs has a zstd frame that is cut or damaged')
  }
  if (bytes.length < 6 || view.getUint32(0, true) !== 0xfd2fb528) refuse()
  const descriptor = bytes[4] as number
  const isSingle = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] as number
  let at = 5 + (isSingle ? 0 : 1) + dictionaryBytes + sizeBytes
  for (let isLast = false; !isLast; ) {
    if (at + 3 > bytes.length) refuse()
    const header = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)
    isLast = (header & 1) === 1
    const kind = (header >> 1) & 3
    if (kind === 3) refuse()
    at += 3 + (kind === 1 ? 1 : header >> 3)
  }
  at += descriptor & 4 ? 4 : 0
  if (at > bytes.length) refuse()
  return at
}
