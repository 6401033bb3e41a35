// Text for clients that ask in netascii mode (RFC 1350 section 1, RFC 764): line ends as CR LF. Called by desk.ts; whole small files only.
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import type { Tables } from './table.ts'

/** The mode is for text. What is bigger is no text, and a boot file that is translated by mistake would not boot. */
export const netasciiBytesMax = 1024 * 1024

const lineFeed = 10
const carriageReturn = 13

/** LF as CR LF, CR as CR NUL: a client that translates back, such as tftp-hpa, gets the same bytes. */
export function toNetascii(bytes: Uint8Array): Buffer {
  const marks = bytes.reduce((count, byte) => (byte === lineFeed || byte === carriageReturn ? count + 1 : count), 0)
  const out = Buffer.allocUnsafe(bytes.length + marks)
  let at = 0
  for (const byte of bytes) {
    if (byte === lineFeed) out[at++] = carriageReturn
    out[at++] = byte
    if (byte === carriageReturn) out[at++] = 0
  }
  return out
}

/**
 * The content as netascii, in its own size. Closing it closes the original. Undefined when there is no memory for it at the moment. Throws
 * or rejects with what the file says; the caller has checked the size.
 */
export function translate(content: Content, key: string, tables: Tables): Content | Promise<Content> | undefined {
  const make = (): Buffer | Promise<Buffer> => {
    const bytes = content.whole ?? (content.sizeBytes ? content.read(0, content.sizeBytes) : new Uint8Array(0))
    const check = (all: Uint8Array) => {
      if (all.length !== content.sizeBytes) throw new OutsideError('tftp-file-changed', 'the file changed its size', true)
      return toNetascii(all)
    }
    return bytes instanceof Promise ? bytes.then(check) : check(bytes)
  }
  const lent = tables.borrow(`${key} ${content.etag} netascii`, 2 * content.sizeBytes, make)
  if (!lent) return undefined
  const wrap = ({ bytes, release }: { bytes: Buffer; release: () => void }): Content => ({
    sizeBytes: bytes.length,
    etag: `${content.etag}-netascii`,
    type: content.type,
    whole: bytes,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    close: () => {
      release()
      content.close()
    },
  })
  return lent instanceof Promise ? lent.then(wrap) : wrap(lent)
}
