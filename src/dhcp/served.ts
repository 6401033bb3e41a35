// One network as DHCP serves it: our address there and the options that all its clients get, encoded once. Used by selection, reply and engine.
import { broadcastAddress, type Ipv4, ipv4ToNumber, subnetMask } from '../boot/address.ts'
import type { Arrival } from '../boot/client.ts'
import type { Network } from '../boot/network.ts'
import { forever } from './book.ts'
import { encodeOption, encodeU32, option } from './option.ts'

export type Served = {
  readonly network: Network
  readonly arrival: Arrival
  /** Our address, as number and as the bytes of option 54. */
  readonly address: number
  readonly addressBytes: Uint8Array
  /** Our address as text, for option 66. */
  readonly addressText: Uint8Array
  /** Lease time, renewal and rebinding time of the network's usual lease (51, 58, 59). */
  readonly usualTimes: readonly (readonly [code: number, value: Uint8Array])[]
  /** Options that do not depend on the client, in the order in which we send them unasked: ours, with the operator's in their place. */
  readonly common: ReadonlyMap<number, Uint8Array>
  /** The operator's own options (`options:` of the network), which go to everybody. */
  readonly own: ReadonlyMap<number, Uint8Array>
}

/** Codes that belong to the protocol: an operator's bytes there would break every exchange. Lore: 77 in a reply is echoed by iPXE as its own. */
const reserved: ReadonlySet<number> = new Set(
  [option.overload, option.messageType, option.serverId, option.clientId, option.userClass, option.relayAgent].map(({ code }) => code),
)

/** `serverAddress` is where this network's clients reach us; `httpBase` has no slash at its end. */
export function prepareNetwork(network: Network, serverAddress: Ipv4, httpBase: string): Served {
  const address = ipv4ToNumber(serverAddress)
  const own = new Map(
    Object.entries(network.options)
      .map(([code, hex]) => [Number(code), new Uint8Array(Buffer.from(hex, 'hex'))] as const)
      .filter(([code]) => !reserved.has(code)),
  )
  return {
    network: { ...network, serverAddress },
    arrival: { network: network.name, mode: network.mode, serverAddress, httpBase },
    address,
    addressBytes: encodeU32(address),
    addressText: Buffer.from(serverAddress, 'latin1'),
    usualTimes: encodeTimes(network.leaseSeconds),
    common: new Map([...commonOptions(network), ...own]),
    own,
  }
}

/** Lease time, and the times at which the client asks again (RFC 2131 section 4.4.5); a lease without end has none. */
export function encodeTimes(seconds: number): Served['usualTimes'] {
  const lease = [option.leaseSeconds.code, encodeU32(seconds)] as const
  if (seconds === forever) return [lease]
  return [
    lease,
    [option.renewSeconds.code, encodeU32(Math.floor(seconds / 2))],
    [option.rebindSeconds.code, encodeU32(Math.floor((seconds * 7) / 8))],
  ]
}

function commonOptions({ subnet, router, dns, ntp, domain }: Network): (readonly [number, Uint8Array])[] {
  const addresses = (list: readonly Ipv4[]) => list.map(ipv4ToNumber)
  return [
    [option.subnetMask.code, encodeOption(option.subnetMask, ipv4ToNumber(subnetMask(subnet)))],
    ...(router.length ? [[option.router.code, encodeOption(option.router, addresses(router))] as const] : []),
    ...(dns.length ? [[option.dns.code, encodeOption(option.dns, addresses(dns))] as const] : []),
    ...(domain ? [[option.domainName.code, encodeOption(option.domainName, domain)] as const] : []),
    [option.broadcastAddress.code, encodeOption(option.broadcastAddress, ipv4ToNumber(broadcastAddress(subnet)))],
    ...(ntp.length ? [[option.ntp.code, encodeOption(option.ntp, addresses(ntp))] as const] : []),
  ]
}
