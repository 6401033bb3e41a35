// Networks of the configuration → interfaces and addresses of this machine. Used by server.ts at start. Pure: the interfaces come as a value.
import type { NetworkInterfaceInfo } from 'node:os'
import { contains, formatSubnet, type Ipv4 } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Network } from '../boot/network.ts'

export type Interfaces = Record<string, NetworkInterfaceInfo[] | undefined>

/** A network with our own address on it. */
export type Placed = { readonly network: Network; readonly address: Ipv4 }

/** Finds our address on each network. Throws InputError (`interface-missing`, `interface-address`, `server-address`) naming what there is. */
export function placeNetworks(networks: readonly Network[], interfaces: Interfaces): Placed[] {
  return networks.map((network, index) => ({ network, address: findAddress(network, `networks[${index}]`, interfaces) }))
}

function findAddress(network: Network, path: string, interfaces: Interfaces): Ipv4 {
  const { interface: name, serverAddress, subnet } = network
  if (name === undefined) {
    if (serverAddress) return serverAddress
    throw new InputError('server-address', `network ${network.name} is behind relays and needs serverAddress, our address that its stations reach`, {
      path,
    })
  }
  const addresses = addressesOf(interfaces[name])
  if (!interfaces[name]) {
    const message = `there is no interface ${name} that is up with a cable; there are: ${describe(interfaces)}`
    throw new InputError('interface-missing', message, { path: `${path}.interface` })
  }
  const found = serverAddress ? addresses.find((address) => address === serverAddress) : addresses.find((address) => contains(subnet, address))
  if (found) return found
  const wanted = serverAddress ? `the address ${serverAddress}` : `an address in ${formatSubnet(subnet)} (network ${network.name})`
  const remedy = `Give it one (ip address add … dev ${name}) or correct the configuration.`
  const message = `interface ${name} has not ${wanted}. ${remedy} There are: ${describe(interfaces)}`
  throw new InputError('interface-address', message, { path: `${path}.interface` })
}

const addressesOf = (infos: readonly NetworkInterfaceInfo[] = []): Ipv4[] =>
  infos.filter(({ family }) => family === 'IPv4').map(({ address }) => address as Ipv4)

const describe = (interfaces: Interfaces): string =>
  Object.entries(interfaces)
    .map(([name, infos]) => `${name} (${addressesOf(infos).join(', ') || 'no IPv4 address'})`)
    .join(', ') || 'none'
