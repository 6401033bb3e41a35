// Who asks: what one DHCP message or one HTTP request tells about a station. Made by dhcp/client and the HTTP routes, read by decide.
import type { Ipv4, Mac } from './address.ts'

/**
 * How far the asker has come. `firmware`: a PXE or HTTP Boot ROM. `ipxe`: an iPXE that is not ours, or does not say so
 * (a ROM, a distribution's loader). `bivouac`: the iPXE whose embedded script set our user class. `system`: no boot
 * client at all (udhcpc in the initramfs, the running system, a laptop).
 */
export type Stage = 'firmware' | 'ipxe' | 'bivouac' | 'system'

/** The user class (option 77) that our embedded script sets, by which decide knows our own loader. */
export const ownUserClass = 'bivouac'

/** The door through which the question came: which network, and what addresses an answer may name. */
export type Arrival = {
  readonly network: string
  readonly mode: 'server' | 'proxy'
  /** Our own address on that network: server identifier and next server. */
  readonly serverAddress: Ipv4
  /** `http://10.9.0.1:8080`, no slash at the end. */
  readonly httpBase: string
}

/** One DHCP asker. `archs` is option 93 in the order sent, empty when absent. */
export type Client = {
  readonly mac: Mac
  readonly stage: Stage
  readonly archs: readonly number[]
  /** Printed form, lower case with dashes, as iPXE's `${uuid}`; undefined when absent or all zero or all ones. */
  readonly uuid?: string
  readonly vendorClass?: string
  readonly userClass?: string
  /** Option 61 as hex, and the name that it claims (option 12): lines of dnsmasq's host files may go by them. */
  readonly clientId?: string
  readonly hostname?: string
  /** The vendor class begins with `HTTPClient` (UEFI HTTP Boot). */
  readonly isHttpBoot: boolean
  /** iPXE feature 0x13 (HTTP) in option 175. */
  readonly speaksHttp: boolean
  readonly arrival: Arrival
}

/** What a station tells of itself to the script route; every field as iPXE expands it, unchecked beyond printable ASCII. */
export type Facts = {
  readonly uuid?: string
  readonly serial?: string
  readonly asset?: string
  readonly manufacturer?: string
  readonly product?: string
  readonly buildarch?: string
  readonly platform?: string
  readonly hostname?: string
}
