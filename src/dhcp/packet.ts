// A DHCP message, bytes ↔ value (RFC 2131 section 2). Used by the engine and by tests as a client; looks at no meaning.
//
//  0 op htype hlen hops | 4 xid | 8 secs flags | 12 ciaddr | 16 yiaddr | 20 siaddr | 24 giaddr | 28 chaddr 16 | 44 sname 64 | 108 file 128 | 236 cookie, options
import { DecodeError } from '../boot/error.ts'
import { decodeOptions, encodedLength, endCode, type Options, option, readOption, readU16, readU32, writeOption } from './option.ts'
import { readText } from './text.ts'

/** The values of option 53, at the index of their number. */
const messageTypes = [undefined, 'discover', 'offer', 'request', 'decline', 'ack', 'nak', 'release', 'inform'] as const
export type MessageType = NonNullable<(typeof messageTypes)[number]>

/** Addresses are unsigned 32-bit numbers, 0 for none. `chaddr` has `hlen` bytes. `sname` and `file` are text, at most 64 and 128 bytes. */
export type Packet = {
  readonly op: 'request' | 'reply'
  readonly htype: number
  readonly hops: number
  readonly xid: number
  readonly secs: number
  readonly isBroadcast: boolean
  readonly ciaddr: number
  readonly yiaddr: number
  readonly siaddr: number
  readonly giaddr: number
  readonly chaddr: Uint8Array
  readonly sname: string
  readonly file: string
  readonly options: Options
}

const cookie = 0x63825363
const headerBytes = 240
/** BOOTP relays and old firmware drop anything shorter (RFC 1542, section 2.1). */
const leastBytes = 300
const largestBytes = 65_507

/** The message type, or undefined for BOOTP and for types of later RFCs. */
export const messageType = ({ options }: Packet): MessageType | undefined => messageTypes[readOption(options, option.messageType) ?? 0]

/** The bytes of option 53. */
export const encodeMessageType = (type: MessageType): Uint8Array => Uint8Array.of(messageTypes.indexOf(type))

/** One datagram. Options in `file` and `sname` (52) are read too, and 52 is gone afterwards. Values may be views into `bytes`. Throws only DecodeError. */
export function decodePacket(bytes: Uint8Array): Packet {
  if (bytes.length < headerBytes) throw new DecodeError('packet-short', `${bytes.length} bytes are no DHCP message`)
  if (readU32(bytes, 236) !== cookie) throw new DecodeError('packet-cookie', 'the magic cookie is missing')
  const [op, hlen] = [bytes[0] as number, bytes[2] as number]
  if (op !== 1 && op !== 2) throw new DecodeError('packet-op', `op ${op} is neither request nor reply`)
  if (hlen > 16) throw new DecodeError('packet-hlen', `a hardware address of ${hlen} bytes`)
  // A view of a plain array is made several times faster than one of a Buffer.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const options: Options = new Map()
  decodeOptions(plain, headerBytes, plain.length, options)
  const overload = readOverload(plain, options)
  return {
    op: op === 1 ? 'request' : 'reply',
    htype: bytes[1] as number,
    hops: bytes[3] as number,
    xid: readU32(bytes, 4),
    secs: readU16(bytes, 8),
    isBroadcast: (bytes[10] as number) >= 0x80,
    ciaddr: readU32(bytes, 12),
    yiaddr: readU32(bytes, 16),
    siaddr: readU32(bytes, 20),
    giaddr: readU32(bytes, 24),
    chaddr: plain.subarray(28, 28 + hlen),
    sname: overload & 2 ? '' : readText(bytes, 44, 108),
    file: overload & 1 ? '' : readText(bytes, 108, 236),
    options,
  }
}

/** RFC 2131 section 4.1 and RFC 3396 section 5: first the options field, then `file`, then `sname`. */
function readOverload(bytes: Uint8Array, options: Options): number {
  const overload = readOption(options, option.overload) ?? 0
  if (overload & 1) decodeOptions(bytes, 108, 236, options)
  if (overload & 2) decodeOptions(bytes, 44, 108, options)
  options.delete(option.overload.code)
  return overload
}

// One message is made at a time; what leaves is a copy.
const scratch = Buffer.alloc(largestBytes)

/**
 * The datagram, at least 300 bytes. Options that would make it longer than `limitBytes` are left out, the last ones first; the relay's
 * option 82 keeps its room and stands last (RFC 3046 section 2.1). Never throws for a packet of the type's bounds.
 */
export function encodePacket(packet: Packet, limitBytes: number = largestBytes): Buffer {
  writeHeader(packet)
  const relayAgent = packet.options.get(option.relayAgent.code)
  const limit = Math.min(limitBytes, largestBytes) - 1 - (relayAgent ? encodedLength(relayAgent) : 0)
  let at = headerBytes
  for (const [code, value] of packet.options) {
    if (value !== relayAgent && at + encodedLength(value) <= limit) at = writeOption(scratch, at, code, value)
  }
  if (relayAgent && at + encodedLength(relayAgent) < largestBytes) at = writeOption(scratch, at, option.relayAgent.code, relayAgent)
  scratch[at++] = endCode
  if (at < leastBytes) scratch.fill(0, at, leastBytes)
  const bytes = Buffer.allocUnsafe(Math.max(at, leastBytes))
  scratch.copy(bytes, 0, 0, bytes.length)
  return bytes
}

function writeHeader(packet: Packet): void {
  scratch.fill(0, 0, headerBytes)
  scratch[0] = packet.op === 'request' ? 1 : 2
  scratch[1] = packet.htype
  scratch[2] = packet.chaddr.length
  scratch[3] = packet.hops
  writeU32(4, packet.xid)
  scratch[8] = packet.secs >>> 8
  scratch[9] = packet.secs
  scratch[10] = packet.isBroadcast ? 0x80 : 0
  writeU32(12, packet.ciaddr)
  writeU32(16, packet.yiaddr)
  writeU32(20, packet.siaddr)
  writeU32(24, packet.giaddr)
  for (let at = 0; at < packet.chaddr.length; at++) scratch[28 + at] = packet.chaddr[at] as number
  if (packet.sname) scratch.write(packet.sname, 44, 64, 'latin1')
  if (packet.file) scratch.write(packet.file, 108, 128, 'latin1')
  writeU32(236, cookie)
}

function writeU32(at: number, value: number): void {
  scratch[at] = value >>> 24
  scratch[at + 1] = value >>> 16
  scratch[at + 2] = value >>> 8
  scratch[at + 3] = value
}
