// Bytes → text where every packet needs it: one native call in place of a string grown by characters. Used by option, pxe, book and engine.
import { type Ipv4, numberToIpv4 } from '../boot/address.ts'

const scratch = Buffer.alloc(65_536)

/** Latin-1 up to the first NUL: firmware ends strings with one, and sends whatever its maker typed. */
export function readText(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let length = 0
  for (let at = start; at < end && bytes[at] !== 0; at++) scratch[length++] = bytes[at] as number
  return length ? scratch.toString('latin1', 0, length) : ''
}

const digits = Buffer.from('0123456789abcdef', 'latin1')
const dash = '-'.charCodeAt(0)
const uuidLength = 36

/** Sixteen bytes in the given order, from `start`, as a printed UUID. */
export function readUuidText(bytes: Uint8Array, start: number, order: readonly number[]): string {
  let length = 0
  for (const index of order) {
    const byte = bytes[start + index] as number
    scratch[length++] = digits[byte >> 4] as number
    scratch[length++] = digits[byte & 15] as number
    if (length === 8 || length === 13 || length === 18 || length === 23) scratch[length++] = dash
  }
  return scratch.toString('latin1', 0, uuidLength)
}

let last = 0
let lastText = numberToIpv4(0)

/** The address as text. One packet asks for the same one several times: the last is remembered. */
export function addressText(ip: number): Ipv4 {
  if (ip !== last) {
    last = ip
    lastText = numberToIpv4(ip)
  }
  return lastText
}
