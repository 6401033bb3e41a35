// What any DHCP server of the site must say, in no server's own words: networks, hosts, and what each kind of firmware boots.
// Made from configuration and records; rendered by render (dnsmasq), dhcpd and kea. Pure.
import { contains, type Ipv4, type Mac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import { type Firmware, firmwareByArch } from '../boot/firmware.ts'
import type { Network } from '../boot/network.ts'
import type { Records, Site } from '../boot/record.ts'

/** One network in server mode, with our own address on it. */
export type SiteNetwork = Network & { readonly serverAddress: Ipv4; readonly httpBase: string }

/** One host that has something of its own. */
export type SiteHost = {
  readonly name: string
  readonly hostname: string
  readonly macs: readonly Mac[]
  readonly address?: Ipv4
  readonly leaseSeconds?: number
  readonly domain?: string
}

/** One kind of firmware and its loader; `class` is a word for it in the server's file. */
export type SiteLoader = { readonly arch: number; readonly class: string; readonly file: string; readonly via: Firmware['via'] }

export type DhcpSite = {
  readonly networks: readonly SiteNetwork[]
  readonly hosts: readonly SiteHost[]
  readonly loaders: readonly SiteLoader[]
  /** Whose iPXE gets the script at once: anybody's, or only ours. */
  readonly foreignIpxe: Site['foreignIpxe']
}

export type SiteAsk = {
  readonly networks: readonly Network[]
  readonly records: Records
  readonly site: Site
  /** Our address on the network where its record does not say it. */
  readonly addressOn: (network: Network) => Ipv4 | undefined
  /** What URLs begin with there, without a slash at the end. */
  readonly httpBaseOf: (address: Ipv4) => string
  /** Absent: all that there are. */
  readonly hasLoader?: (file: string) => boolean
}

/** The model. Throws InputError `server-address` for a network on which our address is not known. */
export function makeSite({ networks, records, site, addressOn, httpBaseOf, hasLoader = () => true }: SiteAsk): DhcpSite {
  const served = networks.map((network): SiteNetwork => {
    const serverAddress = network.serverAddress ?? addressOn(network)
    if (!serverAddress) throw new InputError('server-address', `our own address on network ${network.name} is not known here: give it serverAddress`)
    return { ...network, serverAddress, httpBase: httpBaseOf(serverAddress) }
  })
  return { networks: served, hosts: makeHosts(records, served), loaders: makeLoaders(site, hasLoader), foreignIpxe: site.foreignIpxe }
}

function makeHosts({ stations, reservations, stationSources }: Records, networks: readonly Network[]): SiteHost[] {
  return stations
    .map(({ name, hostname, macs, address }): SiteHost => {
      const line = stationSources?.has(name) ? reservations?.list.find(({ source }) => source === stationSources.get(name)) : undefined
      const domain = address && networks.find(({ subnet }) => contains(subnet, address))?.domain
      return {
        name,
        hostname: hostname ?? name,
        macs,
        ...(address && { address }),
        ...(line?.leaseSeconds !== undefined && { leaseSeconds: line.leaseSeconds }),
        ...(domain && { domain }),
      }
    })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

function makeLoaders(site: Site, hasLoader: (file: string) => boolean): SiteLoader[] {
  return [...firmwareByArch].flatMap(([arch, firmware]) => {
    const file = site.loaders.get(arch) ?? firmware.loader
    return file !== undefined && hasLoader(file) ? [{ arch, class: `arch-${arch}`, file, via: firmware.via }] : []
  })
}
