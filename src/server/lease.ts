// DHCP's leases for the parts that are made before DHCP is. Used by server/room and server/save.
import { contains } from '../boot/address.ts'
import type { Config } from '../config.ts'
import type { AppDeps } from '../http/deps.ts'
import type { TicketLeases } from '../station/ticket.ts'
import { isIpv4 } from './place.ts'

export type Leases = AppDeps['leases']

/** Empty until `useDhcp` is given the server that holds them. */
export function createLateLeases(): { readonly leases: Leases; readonly useDhcp: (server: { readonly leases: Leases }) => void } {
  let dhcp: { readonly leases: Leases } | undefined
  return {
    leases: {
      findByMac: (mac) => dhcp?.leases.findByMac(mac),
      findMac: (ip) => dhcp?.leases.findMac(ip),
      list: () => dhcp?.leases.list() ?? [],
    },
    useDhcp: (server) => {
      dhcp = server
    },
  }
}

/** What tickets and save-back ask of the leases: who has an address, and whether it is ours to give. */
export const ticketLeases = ({ networks }: Config, leases: Leases): TicketLeases => ({
  findMac: leases.findMac,
  holdsAny: (mac) => {
    const lease = leases.findByMac(mac)
    return lease?.state === 'bound' && lease.expiresAt * 1000 > Date.now()
  },
  gives: (ip) => {
    if (!networks.length) return false
    const network = isIpv4(ip) ? networks.find(({ subnet }) => contains(subnet, ip)) : undefined
    // Where all addresses are ours to give, somebody from nowhere holds none of them.
    return network ? network.mode === 'server' : networks.every(({ mode }) => mode === 'server')
  },
})
