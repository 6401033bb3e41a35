// MAC and IPv4 addresses and subnets, as every room writes them. Parsing is strict and normalises; nothing here touches a network.
import { DecodeError } from './error.ts'

/** An Ethernet address: lower case, colons (`52:54:00:12:34:56`). */
export type Mac = string & { readonly mac: unique symbol }

/** An IPv4 address in dotted form without leading zeros (`10.9.0.1`). */
export type Ipv4 = string & { readonly ipv4: unique symbol }

/** A subnet: its first address as an unsigned 32-bit number, and the prefix length. */
export type Subnet = { readonly network: number; readonly prefix: number }

const macSpellings = [/^([0-9a-f]{2})([:-])[0-9a-f]{2}(\2[0-9a-f]{2}){4}$/, /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/, /^[0-9a-f]{12}$/]

/** Any usual spelling, any case: colons, dashes, Cisco's dotted groups, bare digits. Throws DecodeError `mac`. */
export function parseMac(text: string): Mac {
  const mac = findMac(text)
  if (mac === undefined) throw new DecodeError('mac', `"${text.slice(0, 40)}" is not a MAC address such as 52:54:00:12:34:56`)
  return mac
}

/** The MAC that the text is, or undefined: for names where a MAC is one possibility among others. Throws nothing, because that is slow. */
export function findMac(text: string): Mac | undefined {
  if (text.length < 12 || text.length > 17) return undefined
  const lower = text.toLowerCase()
  if (!macSpellings.some((spelling) => spelling.test(lower))) return undefined
  return (lower.replace(/[^0-9a-f]/g, '').match(/../g) as string[]).join(':') as Mac
}

/** `52-54-00-12-34-56`, the form of URLs and file names. */
export const formatMacHyphen = (mac: Mac): string => mac.replaceAll(':', '-')

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** The six bytes at `offset` as a MAC. The caller has checked the length. */
export function decodeMac(bytes: Uint8Array, offset = 0): Mac {
  const pair = (index: number) => hexPairs[bytes[offset + index] as number]
  return `${pair(0)}:${pair(1)}:${pair(2)}:${pair(3)}:${pair(4)}:${pair(5)}` as Mac
}

/** The six bytes of a MAC. */
export function encodeMac(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(':'), (pair) => Number.parseInt(pair, 16))
}

/** Four decimal octets, nothing else. Throws DecodeError `ipv4`. */
export function parseIpv4(text: string): Ipv4 {
  const octets = text.split('.')
  const isGood = octets.length === 4 && octets.every((octet) => /^(0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) <= 255)
  if (!isGood) throw new DecodeError('ipv4', `"${text.slice(0, 40)}" is not an IPv4 address such as 10.9.0.1`)
  return text as Ipv4
}

/** An address as an unsigned 32-bit number. */
export function ipv4ToNumber(address: Ipv4): number {
  let value = 0
  for (const octet of address.split('.')) value = value * 256 + Number(octet)
  return value
}

/** The inverse of `ipv4ToNumber`; the number is 0 to 2^32 - 1. */
export function numberToIpv4(value: number): Ipv4 {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}` as Ipv4
}

/** `10.9.0.0/24`; host bits must be zero, prefix 1 to 30. Throws DecodeError `subnet`. */
export function parseSubnet(text: string): Subnet {
  const [address = '', prefixText = '', ...rest] = text.split('/')
  const prefix = Number(prefixText)
  if (rest.length || !/^[0-9]{1,2}$/.test(prefixText) || prefix < 1 || prefix > 30) {
    throw new DecodeError('subnet', `"${text.slice(0, 40)}" is not a subnet such as 10.9.0.0/24 (prefix 1 to 30)`)
  }
  const network = ipv4ToNumber(parseIpv4(address))
  const subnet = { network, prefix }
  if ((network & maskNumber(subnet)) >>> 0 !== network) {
    throw new DecodeError('subnet', `"${text}" has host bits set; the subnet is ${numberToIpv4((network & maskNumber(subnet)) >>> 0)}/${prefix}`)
  }
  return subnet
}

const maskNumber = ({ prefix }: Subnet): number => (0xffffffff << (32 - prefix)) >>> 0

/** `10.9.0.0/24` again. */
export const formatSubnet = (subnet: Subnet): string => `${numberToIpv4(subnet.network)}/${subnet.prefix}`

/** The subnet mask (`255.255.255.0`). */
export const subnetMask = (subnet: Subnet): Ipv4 => numberToIpv4(maskNumber(subnet))

/** The last address, which is everybody's. */
export const broadcastAddress = (subnet: Subnet): Ipv4 => numberToIpv4((subnet.network | ~maskNumber(subnet)) >>> 0)

/** Is the address in the subnet? Network and broadcast address count as inside. */
export function contains(subnet: Subnet, address: Ipv4): boolean {
  return containsNumber(subnet, ipv4ToNumber(address))
}

/** The same for an address as a number. */
export const containsNumber = (subnet: Subnet, value: number): boolean => (value & maskNumber(subnet)) >>> 0 === subnet.network

/** An inclusive run of addresses. */
export type AddressRange = { readonly first: number; readonly last: number }

/** `10.9.0.100-10.9.0.200`, or one address. Throws DecodeError `range`. */
export function parseRange(text: string): AddressRange {
  const [firstText = '', lastText = firstText, ...rest] = text.split('-').map((part) => part.trim())
  const [first, last] = [ipv4ToNumber(parseIpv4(firstText)), ipv4ToNumber(parseIpv4(lastText))]
  if (rest.length || last < first) throw new DecodeError('range', `"${text.slice(0, 60)}" is not a range such as 10.9.0.100-10.9.0.200`)
  return { first, last }
}

/** `10.9.0.100-10.9.0.200` again. */
export const formatRange = ({ first, last }: AddressRange): string => `${numberToIpv4(first)}-${numberToIpv4(last)}`
