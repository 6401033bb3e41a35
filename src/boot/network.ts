// A network that DHCP answers on: its mode, its addresses, its options. Schema and logic lint. Pure: no interface is looked at here.
import { z } from 'zod'
import {
  type AddressRange,
  broadcastAddress,
  contains,
  formatRange,
  type Ipv4,
  ipv4ToNumber,
  numberToIpv4,
  parseRange,
  parseSubnet,
  type Subnet,
} from './address.ts'
import { ipv4Schema, nameSchema } from './field.ts'
import type { Station } from './record.ts'

const subnetSchema = z.string().transform((text, context): Subnet => {
  try {
    return parseSubnet(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})
const rangeSchema = z.string().transform((text, context): AddressRange => {
  try {
    return parseRange(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

/** One entry of `networks:`. */
export const networkSchema = z.strictObject({
  name: nameSchema,
  /** The interface whose wire this is. Absent: reached through relays only. */
  interface: z
    .string()
    .regex(/^[A-Za-z0-9_.@-]{1,15}$/, 'an interface name such as eth1')
    .optional(),
  /** `server` gives addresses; `proxy` leaves them to another DHCP server and adds what to boot. */
  mode: z.enum(['server', 'proxy']).default('server'),
  subnet: subnetSchema,
  /** Our own address on it. Absent: the interface's first address inside the subnet. */
  serverAddress: ipv4Schema.optional(),
  pool: z.array(rangeSchema).max(64).default([]),
  router: z.array(ipv4Schema).max(8).default([]),
  dns: z.array(ipv4Schema).max(8).default([]),
  ntp: z.array(ipv4Schema).max(8).default([]),
  domain: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i, 'a domain name')
    .optional(),
  /** Lease time in seconds, given to everybody who does not ask for less. */
  leaseSeconds: z.number().int().min(120).max(0xffffffff).default(3600),
  /** Addresses of relays (giaddr) that may speak for this network though they are outside its subnet. */
  relays: z.array(ipv4Schema).max(64).default([]),
  /** Further options to send: code → hex bytes (`"0a090001"`). They win over ours. */
  options: z
    .record(
      z.string().regex(/^([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-4])$/, 'an option code, 1 to 254'),
      z.string().regex(/^([0-9a-f]{2}){1,255}$/i, 'bytes in hex, such as "0a090001"'),
    )
    .default({}),
})
export type Network = z.infer<typeof networkSchema>

/** One mistake in the logic of the configuration. `code` is stable; `path` leads to the value. */
export type Lint = { readonly code: string; readonly path: string; readonly message: string; readonly severity: 'error' | 'warning' }

/** Ranges in their subnets, no address twice, the server and routers not in the pool, no option that DHCP itself needs, stations inside a network. */
export function lintNetworks(networks: readonly Network[], stations: readonly Station[]): Lint[] {
  return [
    ...networks.flatMap((network, index) => lintNetwork(network, `networks[${index}]`)),
    ...lintPairs(networks),
    ...lintRelays(networks),
    ...lintStations(networks, stations),
  ]
}

const error = (code: string, path: string, message: string): Lint => ({ code, path, message, severity: 'error' })
const warning = (code: string, path: string, message: string): Lint => ({ code, path, message, severity: 'warning' })

function lintNetwork(network: Network, path: string): Lint[] {
  const { subnet, pool, mode } = network
  const found: Lint[] = []
  const inside = (address: Ipv4, where: string) => {
    if (!contains(subnet, address)) found.push(error('outside-subnet', `${path}.${where}`, `${address} is outside the subnet`))
    else if (isEdge(subnet, address)) found.push(error('edge-address', `${path}.${where}`, `${address} is the subnet's network or broadcast address`))
  }
  // Behind relays our own address lies in another network, so only a local one can be checked.
  if (network.serverAddress && network.interface) inside(network.serverAddress, 'serverAddress')
  for (const [at, address] of network.router.entries()) inside(address, `router[${at}]`)
  for (const [at, range] of pool.entries()) {
    inside(numberToIpv4(range.first), `pool[${at}]`)
    if (range.last !== range.first) inside(numberToIpv4(range.last), `pool[${at}]`)
    for (const own of [network.serverAddress, ...network.router]) {
      if (own && isIn(range, own))
        found.push(error('pool-holds-own', `${path}.pool[${at}]`, `${formatRange(range)} holds ${own}, which is the server's or a router's`))
    }
    for (const other of pool.slice(0, at)) {
      if (range.first <= other.last && other.first <= range.last)
        found.push(error('pool-overlap', `${path}.pool[${at}]`, `${formatRange(range)} overlaps ${formatRange(other)}`))
    }
  }
  for (const code of Object.keys(network.options)) {
    if (ownOptions.has(Number(code)))
      found.push(error('option-owned', `${path}.options.${code}`, `option ${code} is made by the DHCP server itself for each answer; take it out`))
  }
  if (mode === 'proxy' && pool.length)
    found.push(error('proxy-pool', `${path}.pool`, 'a proxy gives no addresses; take out the pool or use mode: server'))
  if (mode === 'proxy' && !network.interface)
    found.push(error('proxy-interface', `${path}.interface`, 'a proxy needs the interface that it listens on'))
  if (mode === 'server' && !pool.length)
    found.push(warning('no-pool', `${path}.pool`, 'no pool: only stations with an address of their own are served'))
  if (mode === 'server' && !network.interface && !network.serverAddress)
    found.push(
      error('no-server-address', `${path}.serverAddress`, 'a network behind relays needs serverAddress, our address that its stations reach'),
    )
  return found
}

/** Requested address, lease time, overload, message type, server, request list, maximum size, client and relay: wrong when they are fixed. */
const ownOptions: ReadonlySet<number> = new Set([50, 51, 52, 53, 54, 55, 57, 61, 82])

const isIn = (range: AddressRange, address: Ipv4): boolean => ipv4ToNumber(address) >= range.first && ipv4ToNumber(address) <= range.last

const isEdge = (subnet: Subnet, address: Ipv4): boolean => ipv4ToNumber(address) === subnet.network || address === broadcastAddress(subnet)

function lintPairs(networks: readonly Network[]): Lint[] {
  const found: Lint[] = []
  for (const [index, network] of networks.entries()) {
    for (const other of networks.slice(0, index)) {
      if (network.name === other.name) found.push(error('name-twice', `networks[${index}].name`, `there are two networks named ${network.name}`))
      const overlap = contains(network.subnet, numberToIpv4(other.subnet.network)) || contains(other.subnet, numberToIpv4(network.subnet.network))
      if (overlap) found.push(error('subnet-overlap', `networks[${index}].subnet`, `overlaps the subnet of network ${other.name}`))
      if (network.interface !== undefined && network.interface === other.interface && network.mode !== other.mode)
        found.push(
          error(
            'interface-mode',
            `networks[${index}].mode`,
            `${network.interface} is served in mode ${other.mode} by network ${other.name}; one wire, one mode`,
          ),
        )
    }
  }
  return found
}

/** A relay's address tells the network, so it may stand for one only. */
function lintRelays(networks: readonly Network[]): Lint[] {
  const found: Lint[] = []
  const nameByRelay = new Map<Ipv4, string>()
  for (const [index, network] of networks.entries()) {
    for (const [at, relay] of network.relays.entries()) {
      const other = networks.find(({ subnet }) => subnet !== network.subnet && contains(subnet, relay))?.name ?? nameByRelay.get(relay)
      if (other !== undefined) found.push(error('relay-twice', `networks[${index}].relays[${at}]`, `${relay} already stands for network ${other}`))
      nameByRelay.set(relay, network.name)
    }
  }
  return found
}

function lintStations(networks: readonly Network[], stations: readonly Station[]): Lint[] {
  const found: Lint[] = []
  const nameByAddress = new Map<string, string>()
  const nameByMac = new Map<string, string>()
  for (const station of stations) {
    const path = `stations/${station.name}`
    for (const mac of station.macs) {
      const holder = nameByMac.get(mac)
      if (holder) found.push(error('mac-twice', path, `${mac} is also in station ${holder}`))
      nameByMac.set(mac, station.name)
    }
    if (!station.address) continue
    const holder = nameByAddress.get(station.address)
    if (holder) found.push(error('address-twice', path, `${station.address} is also the address of station ${holder}`))
    nameByAddress.set(station.address, station.name)
    found.push(...lintStationAddress(networks, station.address, path))
  }
  return found
}

function lintStationAddress(networks: readonly Network[], address: Ipv4, path: string): Lint[] {
  const servers = networks.filter(({ mode }) => mode === 'server')
  const home = servers.find(({ subnet }) => contains(subnet, address))
  if (!home) return servers.length ? [error('station-outside', path, `${address} is in no network that we serve`)] : []
  if (isEdge(home.subnet, address)) return [error('edge-address', path, `${address} is the network or broadcast address of ${home.name}`)]
  if (address === home.serverAddress || home.router.includes(address)) return [error('station-own', path, `${address} is the server's or a router's`)]
  if (home.pool.some((range) => isIn(range, address)))
    return [
      warning(
        'station-in-pool',
        path,
        `${address} lies in the pool of ${home.name}: it is kept for this station, but the pool has one address less than it says`,
      ),
    ]
  return []
}
