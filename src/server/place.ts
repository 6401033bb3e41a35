// Where this server is, seen from a station: own addresses, what URLs begin with, the network of a station. Used by rooms and doors of server.
import { isIP } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { contains, type Ipv4, ipv4ToNumber } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Station } from '../boot/record.ts'
import type { Config } from '../config.ts'
import type { Lease } from '../store/port.ts'

/** What URLs begin with in texts for this address: the configured URL, else our own address on the wire that it is on. */
export function findHttpBase({ http, networks }: Config, peer: string): string {
  if (http.url) return http.url
  const own = ownAddresses()
  const direct = own.find(({ cidr, address }) => cidr && isBeside(cidr, address, peer))?.address
  const relayed = networks.find(({ subnet }) => isIpv4(peer) && contains(subnet, peer))?.serverAddress
  const address = direct ?? relayed ?? own.find(({ internal }) => !internal)?.address ?? '127.0.0.1'
  return `http://${address}:${http.port}`
}

// The kernel is asked once a second at most: its answer costs more than sending a small loader's packets.
export const ownAddresses = createOwnAddresses(() => performance.now())

function createOwnAddresses(nowMs: () => number): () => readonly NetworkInterfaceInfo[] {
  let known: readonly NetworkInterfaceInfo[] = []
  let staleAtMs = Number.NEGATIVE_INFINITY
  return () => {
    if (nowMs() < staleAtMs) return known
    known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ family }) => family === 'IPv4'))
    staleAtMs = nowMs() + 1000
    return known
  }
}

export const isIpv4 = (text: string): text is Ipv4 => isIP(text) === 4

/** The network that is named, else that of the record's address, of the lease, or the first one. Throws InputError for a name that no network has. */
export function findStationPlace({ http, networks }: Config, lease: Lease | undefined, station: Station | undefined, wanted: string | undefined) {
  const own = station?.address
  const network =
    wanted === undefined
      ? (networks.find(({ subnet }) => own && contains(subnet, own)) ?? networks.find(({ name }) => name === lease?.network) ?? networks[0])
      : networks.find(({ name }) => name === wanted)
  if (!network && wanted !== undefined)
    throw new InputError(
      'network',
      `there is no network "${wanted.slice(0, 64)}" (there are: ${networks.map(({ name }) => name).join(', ') || 'none'})`,
    )
  if (!network) return undefined
  const serverAddress = network.serverAddress ?? (ownAddresses().find(({ address }) => contains(network.subnet, address as Ipv4))?.address as Ipv4)
  const httpBase = http.url ?? (serverAddress && http.port ? `http://${serverAddress}${http.port === 80 ? '' : `:${http.port}`}` : undefined)
  return {
    network: network.name,
    mode: network.mode,
    ...(serverAddress && { serverAddress }),
    ...(httpBase && { httpBase }),
    ...(lease?.network === network.name && { leaseIp: lease.ip }),
  }
}

/** Is the peer in the subnet of this interface address (`10.9.0.1/24`)? */
function isBeside(cidr: string, address: string, peer: string): boolean {
  const prefix = Number(cidr.slice(cidr.indexOf('/') + 1))
  const subnet = { network: (ipv4ToNumber(address as Ipv4) & (0xffffffff << (32 - prefix))) >>> 0, prefix }
  return isIpv4(peer) && contains(subnet, peer)
}
