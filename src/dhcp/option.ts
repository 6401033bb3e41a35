// DHCP options: the one table of codes, names and shapes, and the option area's coding. Used by the whole room; unknown options stay bytes.
import { DecodeError } from '../boot/error.ts'
import { readText } from './text.ts'

/** What an option's bytes mean. Addresses are unsigned 32-bit numbers. */
type Shapes = {
  ipv4: number
  ipv4s: readonly number[]
  u8: number
  u16: number
  u16s: readonly number[]
  u32: number
  text: string
  bytes: Uint8Array
}
export type Shape = keyof Shapes
export type Option<S extends Shape = Shape> = { readonly code: number; readonly shape: S }

const define = <S extends Shape>(code: number, shape: S): Option<S> => ({ code, shape })

/** Every option that we name, by IANA's register (RFC 2132 where nothing else is said). */
export const option = {
  subnetMask: define(1, 'ipv4'),
  router: define(3, 'ipv4s'),
  dns: define(6, 'ipv4s'),
  logServer: define(7, 'ipv4s'),
  hostName: define(12, 'text'),
  domainName: define(15, 'text'),
  rootPath: define(17, 'text'),
  interfaceMtu: define(26, 'u16'),
  broadcastAddress: define(28, 'ipv4'),
  staticRoute: define(33, 'ipv4s'),
  ntp: define(42, 'ipv4s'),
  vendorOptions: define(43, 'bytes'),
  requestedAddress: define(50, 'ipv4'),
  leaseSeconds: define(51, 'u32'),
  overload: define(52, 'u8'),
  messageType: define(53, 'u8'),
  serverId: define(54, 'ipv4'),
  parameterList: define(55, 'bytes'),
  message: define(56, 'text'),
  maxMessageBytes: define(57, 'u16'),
  renewSeconds: define(58, 'u32'),
  rebindSeconds: define(59, 'u32'),
  vendorClass: define(60, 'text'),
  clientId: define(61, 'bytes'),
  tftpServerName: define(66, 'text'),
  bootFile: define(67, 'text'),
  /** RFC 3004, or a bare name as iPXE sends it. */
  userClass: define(77, 'bytes'),
  /** RFC 4702. */
  fqdn: define(81, 'bytes'),
  /** RFC 3046: always echoed as it came. */
  relayAgent: define(82, 'bytes'),
  /** RFC 4578: 93, 94, 97. */
  clientArch: define(93, 'u16s'),
  clientInterface: define(94, 'bytes'),
  clientUuid: define(97, 'bytes'),
  /** RFC 3011. */
  subnetSelection: define(118, 'ipv4'),
  /** RFC 3397: compressed names, not text. */
  domainSearch: define(119, 'bytes'),
  /** RFC 3442: packed routes, not addresses. */
  classlessRoute: define(121, 'bytes'),
  /** RFC 5859. */
  tftpServers: define(150, 'ipv4s'),
  /** iPXE's own sub-options, both ways. */
  ipxe: define(175, 'bytes'),
  /** RFC 5071: what pxelinux reads. */
  pxelinuxMagic: define(208, 'u32'),
  pxelinuxConfigFile: define(209, 'text'),
  pxelinuxPathPrefix: define(210, 'text'),
  pxelinuxRebootSeconds: define(211, 'u32'),
} as const satisfies Record<string, Option>

export const padCode = 0
export const endCode = 255

/** Options by code, in the order sent; an option that came in pieces is whole (RFC 3396). The bytes may be views into the packet. */
export type Options = Map<number, Uint8Array>

/** The option's value, or undefined when it is absent or its length does not fit its shape: clients lie, and one bad option spoils no packet. */
export function readOption<S extends Shape>(options: Options, { code, shape }: Option<S>): Shapes[S] | undefined {
  const bytes = options.get(code)
  return bytes && (decodeValue(bytes, shape) as Shapes[S] | undefined)
}

function decodeValue(bytes: Uint8Array, shape: Shape): Shapes[Shape] | undefined {
  switch (shape) {
    case 'ipv4':
    case 'u32':
      return bytes.length === 4 ? readU32(bytes, 0) : undefined
    case 'u8':
      return bytes.length === 1 ? bytes[0] : undefined
    case 'u16':
      return bytes.length === 2 ? readU16(bytes, 0) : undefined
    case 'u16s':
      return readMany(bytes, 2, readU16)
    case 'ipv4s':
      return readMany(bytes, 4, readU32)
    case 'text':
      return readText(bytes)
    case 'bytes':
      return bytes
  }
}

function readMany(bytes: Uint8Array, size: number, read: (bytes: Uint8Array, at: number) => number): readonly number[] | undefined {
  if (bytes.length === 0 || bytes.length % size) return undefined
  const values: number[] = []
  for (let at = 0; at < bytes.length; at += size) values.push(read(bytes, at))
  return values
}

/** The value as the option's bytes. A number that does not fit is cut to its width. */
export function encodeOption<S extends Shape>({ shape }: Option<S>, value: Shapes[S]): Uint8Array {
  switch (shape) {
    case 'ipv4':
    case 'u32':
      return encodeU32(value as number)
    case 'u8':
      return Uint8Array.of(value as number)
    case 'u16':
      return encodeU16(value as number)
    case 'u16s':
      return Uint8Array.from((value as readonly number[]).flatMap((one) => [...encodeU16(one)]))
    case 'ipv4s':
      return Uint8Array.from((value as readonly number[]).flatMap((one) => [...encodeU32(one)]))
    case 'text':
      return Buffer.from(value as string, 'latin1')
    default:
      return value as Uint8Array
  }
}

export const readU16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number)

export const readU32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0

const encodeU16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value)

export const encodeU32 = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)

/**
 * Reads one option area (of the packet or of an encapsulating option) into `into`, joining what came in pieces (RFC 3396).
 * A missing end mark is forgiven. Throws DecodeError `option-cut` when a length leads out of the area.
 */
export function decodeOptions(bytes: Uint8Array, start: number, end: number, into: Options): void {
  let at = start
  while (at < end) {
    const code = bytes[at++] as number
    if (code === padCode) continue
    if (code === endCode) return
    const length = at < end ? (bytes[at++] as number) : Number.NaN
    if (!(at + length <= end)) throw new DecodeError('option-cut', `option ${code} is longer than the packet`)
    const value = bytes.subarray(at, at + length)
    const former = into.get(code)
    into.set(code, former ? join(former, value) : value)
    at += length
  }
}

function join(one: Uint8Array, other: Uint8Array): Uint8Array {
  const whole = new Uint8Array(one.length + other.length)
  whole.set(one)
  whole.set(other, one.length)
  return whole
}

/** How many bytes the option takes in an area, its pieces' heads included (RFC 3396). */
export const encodedLength = (value: Uint8Array): number => value.length + 2 * Math.max(1, Math.ceil(value.length / 255))

/** Writes one option, in pieces of 255 bytes where it must be. Answers the offset behind it; the caller has checked the room. */
export function writeOption(into: Uint8Array, at: number, code: number, value: Uint8Array): number {
  const { length } = value
  let [next, from] = [at, 0]
  do {
    const size = Math.min(255, length - from)
    into[next++] = code
    into[next++] = size
    for (const stop = from + size; from < stop; ) into[next++] = value[from++] as number
  } while (from < length)
  return next
}
