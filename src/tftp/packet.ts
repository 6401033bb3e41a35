// TFTP datagrams as values and back (RFC 1350 section 5, RFC 2347). Called by desk.ts; never decides anything.
import { DecodeError } from '../boot/error.ts'

/** An option as it stands in the packet: the name in the client's spelling, the value as text. */
export type OptionPair = readonly [name: string, value: string]

export type Request = { readonly op: 'rrq' | 'wrq'; readonly name: string; readonly mode: string; readonly options: readonly OptionPair[] }
export type TftpPacket =
  | Request
  | { readonly op: 'data'; readonly block: number; readonly bytes: Uint8Array }
  | { readonly op: 'ack'; readonly block: number }
  | { readonly op: 'error'; readonly code: number; readonly message: string }
  | { readonly op: 'oack'; readonly options: readonly OptionPair[] }

/** ERROR codes (RFC 1350 appendix I, RFC 2347). */
export const tftpError = { other: 0, missing: 1, access: 2, full: 3, illegal: 4, unknownId: 5, exists: 6, noUser: 7, options: 8 } as const

const opcodes = { rrq: 1, wrq: 2, data: 3, ack: 4, error: 5, oack: 6 } as const

// RFC 2347 says 512; long paths with many options are let through as far as one Ethernet frame.
const requestBytesMax = 1472

/**
 * Any datagram. Throws DecodeError `tftp-short`, `tftp-opcode`, `tftp-request`. Lenient where firmware is sloppy: bytes after an ACK, an
 * ERROR text without its NUL, an option without a value at the end, zeros after the last option.
 */
export function decodePacket(datagram: Uint8Array): TftpPacket {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength)
  if (bytes.length < 4) throw new DecodeError('tftp-short', `${bytes.length} bytes are no TFTP packet`)
  const opcode = bytes.readUInt16BE(0)
  if (opcode === opcodes.rrq) return decodeRequest('rrq', bytes)
  if (opcode === opcodes.wrq) return decodeRequest('wrq', bytes)
  if (opcode === opcodes.data) return { op: 'data', block: bytes.readUInt16BE(2), bytes: bytes.subarray(4) }
  if (opcode === opcodes.ack) return { op: 'ack', block: bytes.readUInt16BE(2) }
  if (opcode === opcodes.error) return { op: 'error', code: bytes.readUInt16BE(2), message: bytes.toString('utf8', 4).split('\0', 1)[0] ?? '' }
  if (opcode === opcodes.oack) return { op: 'oack', options: pairUp(splitText(bytes)) }
  throw new DecodeError('tftp-opcode', `opcode ${opcode} is unknown`)
}

/** The block number of an ACK, or -1 for anything else: what nearly every datagram on the data port is, without making a value of it. */
export function readAck(bytes: Uint8Array): number {
  return bytes.length >= 4 && bytes[0] === 0 && bytes[1] === opcodes.ack ? ((bytes[2] as number) << 8) | (bytes[3] as number) : -1
}

export function encodePacket(packet: TftpPacket): Buffer {
  if (packet.op === 'data') {
    const bytes = Buffer.allocUnsafe(4 + packet.bytes.length)
    writeDataHead(bytes, 0, packet.block)
    bytes.set(packet.bytes, 4)
    return bytes
  }
  if (packet.op === 'ack') return encodeHead(opcodes.ack, packet.block)
  if (packet.op === 'error') return Buffer.concat([encodeHead(opcodes.error, packet.code), encodeTexts([packet.message])])
  const head = Buffer.from([0, opcodes[packet.op]])
  const texts = packet.op === 'oack' ? [] : [packet.name, packet.mode]
  return Buffer.concat([head, encodeTexts([...texts, ...packet.options.flat()])])
}

/** The four bytes before a block. Block numbers count on beyond 65535; on the wire they roll over to 0. */
export function writeDataHead(bytes: Uint8Array, offset: number, block: number): void {
  bytes[offset] = 0
  bytes[offset + 1] = opcodes.data
  bytes[offset + 2] = (block >>> 8) & 0xff
  bytes[offset + 3] = block & 0xff
}

function decodeRequest(op: 'rrq' | 'wrq', bytes: Buffer): Request {
  if (bytes.length > requestBytesMax) throw new DecodeError('tftp-request', `a request of ${bytes.length} bytes`)
  const [name, mode, ...rest] = splitText(bytes)
  if (name === undefined || mode === undefined) throw new DecodeError('tftp-request', 'a request without name or mode')
  return { op, name, mode: mode.toLowerCase(), options: pairUp(rest) }
}

/** The texts that end with a NUL; what stands behind the last NUL is none. */
const splitText = (bytes: Buffer): string[] => bytes.toString('utf8', 2).split('\0').slice(0, -1)

function pairUp(texts: readonly string[]): OptionPair[] {
  const pairs: OptionPair[] = []
  for (let index = 0; index + 1 < texts.length && texts[index] !== ''; index += 2) {
    pairs.push([texts[index] as string, texts[index + 1] as string])
  }
  return pairs
}

function encodeHead(opcode: number, number: number): Buffer {
  return Buffer.from([0, opcode, (number >>> 8) & 0xff, number & 0xff])
}

const encodeTexts = (texts: readonly string[]): Buffer => Buffer.from(texts.map((text) => `${text.replaceAll('\0', '')}\0`).join(''))
