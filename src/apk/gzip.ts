// Takes gzip files apart into their members, each inflated within a bound: apk's formats give every member a meaning of its own.
// Called by signature and index-file on whole files of a few megabytes; packages are read in a stream by package.ts. Throws only DecodeError.
import { constants, crc32, inflateRawSync } from 'node:zlib'
import { DecodeError } from '../boot/error.ts'

/** One member: where it stands in the file, and what it inflates to. */
export type GzipMember = { readonly start: number; readonly end: number; readonly content: Uint8Array }

/** Node's inflate with `info`, which the types do not know: how many bytes of the input were used. */
type Inflated = { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } }

/**
 * The first member from `start` on, at most `maxBytes` when inflated. Throws DecodeError `gzip-bad`, `gzip-cut` or `gzip-bomb`.
 * (RFC 1952)
 */
export function readMember(bytes: Uint8Array, start: number, maxBytes: number): GzipMember {
  const body = start + headerLength(bytes.subarray(start))
  const { content, used } = inflate(bytes.subarray(body), maxBytes)
  const end = body + used + 8
  if (end > bytes.length) throw new DecodeError('gzip-cut', 'the gzip stream ends before its checksum')
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + end - 8, 8)
  if (trailer.getUint32(0, true) !== crc32(content) || trailer.getUint32(4, true) !== content.length % 2 ** 32)
    throw new DecodeError('gzip-bad', 'the gzip checksum is wrong: the file was damaged or cut')
  return { start, end, content }
}

/** What the first 4 KB of a member inflate to, unchecked: enough to tell what it is. Throws DecodeError when it is not gzip. */
export function peekMember(bytes: Uint8Array, start: number): Uint8Array {
  const body = start + headerLength(bytes.subarray(start))
  try {
    return inflateRawSync(bytes.subarray(body, body + 4096), { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 8 * 1024 * 1024 })
  } catch {
    return new Uint8Array()
  }
}

function inflate(bytes: Uint8Array, maxBytes: number): { content: Uint8Array; used: number } {
  try {
    const { buffer, engine } = inflateRawSync(bytes, { info: true, maxOutputLength: Math.max(1, maxBytes) } as object) as unknown as Inflated
    return { content: buffer, used: engine.bytesWritten }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new DecodeError('gzip-bomb', `inflates to more than ${maxBytes} bytes`)
    throw new DecodeError(code === 'Z_BUF_ERROR' ? 'gzip-cut' : 'gzip-bad', `the gzip stream cannot be read: ${message}`)
  }
}

const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const

/** ID1 ID2 CM FLG MTIME(4) XFL OS, then what the flags tell. */
function headerLength(bytes: Uint8Array): number {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) throw new DecodeError('gzip-bad', 'not a gzip stream')
  const flag = bytes[3] ?? flags.reserved
  if (flag & flags.reserved) throw new DecodeError('gzip-bad', 'a gzip header with flags that nobody knows')
  let at = 10
  if (flag & flags.extra) at += 2 + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8))
  for (const text of [flags.name, flags.comment]) {
    if (!(flag & text)) continue
    const end = bytes.indexOf(0, at)
    if (end < 0) throw new DecodeError('gzip-cut', 'the gzip header has no end')
    at = end + 1
  }
  if (flag & flags.headerCrc) at += 2
  if (at >= bytes.length) throw new DecodeError('gzip-cut', 'the gzip header has no end')
  return at
}
