// The bytes of a transfer, laid out as DATA packets one behind the other: whole files prepared once for all, big ones piece by piece.
// Called by desk.ts, which sends them by offset. Never holds more than its tables and one piece for each transfer.
import { OutsideError } from '../boot/error.ts'
import type { Content } from '../boot/content.ts'
import { writeDataHead } from './packet.ts'
import type { Loan, Tables } from './table.ts'

export type Blocks = {
  /** Number of the last block, which is shorter than the others or empty (RFC 1350 section 6). */
  readonly count: number
  /** Whether the packet of this block is in memory: if so, `bytes`, `offsetOf` and `lengthOf` tell where. */
  readonly has: (block: number) => boolean
  readonly bytes: () => Buffer
  readonly offsetOf: (block: number) => number
  readonly lengthOf: (block: number) => number
  /** Brings in this block and those behind it; a promise when the bytes have to be waited for. Throws or rejects when they cannot be had. */
  readonly load: (block: number) => void | Promise<void>
  readonly close: () => void
}

export type BlockOptions = {
  readonly content: Content
  readonly blksize: number
  /** Names the content among all: the same key and etag mean the same bytes. */
  readonly key: string
  readonly tables: Tables
  /** How many bytes of a big file may be laid out at once, asked before each piece. */
  readonly pieceBytes: () => number
}

/** Files up to here are prepared whole: every loader is smaller, kernels are not. */
const tableFileBytesMax = 2 * 1024 * 1024

export function createBlocks({ content, blksize, key, tables, pieceBytes }: BlockOptions): Blocks {
  const stride = blksize + 4
  const count = Math.floor(content.sizeBytes / blksize) + 1
  let first = 1
  let last = 0
  let packets: Buffer = Buffer.alloc(0)
  let loan: Loan | undefined
  let isClosed = false

  const hold = (bytes: Buffer, from: number, to: number) => {
    packets = bytes
    first = from
    last = to
  }
  const takeLoan = (lent: Loan) => {
    if (isClosed) return lent.release()
    loan = lent
    hold(lent.bytes, 1, count)
  }
  const layOut = (from: number, to: number): Buffer | Promise<Buffer> => {
    const offset = (from - 1) * blksize
    const length = Math.min(to * blksize, content.sizeBytes) - offset
    const write = (bytes: Uint8Array) => writePackets(bytes, length, from, to, blksize)
    if (content.whole) return write(content.whole.subarray(offset, offset + length))
    const bytes = length > 0 ? content.read(offset, length) : new Uint8Array(0)
    return bytes instanceof Promise ? bytes.then(write) : write(bytes)
  }
  const loadTable = (): void | Promise<void> | 'no room' => {
    const sizeBytes = content.sizeBytes + 4 * count
    const lent = tables.borrow(`${key} ${content.etag} ${content.sizeBytes} ${blksize}`, sizeBytes, () => layOut(1, count))
    if (!lent) return 'no room'
    return lent instanceof Promise ? lent.then(takeLoan) : takeLoan(lent)
  }
  const load = (block: number): void | Promise<void> => {
    if (content.sizeBytes <= tableFileBytesMax) {
      const loaded = loadTable()
      if (loaded !== 'no room') return loaded
    }
    const to = Math.min(block + Math.max(1, Math.floor(pieceBytes() / blksize)) - 1, count)
    const bytes = layOut(block, to)
    return bytes instanceof Promise ? bytes.then((late) => hold(late, block, to)) : hold(bytes, block, to)
  }
  const close = () => {
    isClosed = true
    loan?.release()
    content.close()
  }
  return {
    count,
    has: (block) => block >= first && block <= last,
    bytes: () => packets,
    offsetOf: (block) => (block - first) * stride,
    lengthOf: (block) => (block < count ? stride : 4 + content.sizeBytes - (count - 1) * blksize),
    load,
    close,
  }
}

/** DATA packets of the blocks `from` to `to` in one buffer. Throws OutsideError when the file gave another number of bytes than it said. */
function writePackets(bytes: Uint8Array, expected: number, from: number, to: number, blksize: number): Buffer {
  if (bytes.length !== expected) throw new OutsideError('tftp-file-changed', `the file gave ${bytes.length} bytes instead of ${expected}`, true)
  const packets = Buffer.allocUnsafe(bytes.length + 4 * (to - from + 1))
  let at = 0
  for (let block = from; block <= to; block++) {
    const start = (block - from) * blksize
    const part = bytes.subarray(start, start + blksize)
    writeDataHead(packets, at, block)
    packets.set(part, at + 4)
    at += 4 + part.length
  }
  return packets
}
