// The model → kea-dhcp4.conf (JSON). Used by `dhcp render`. Pure; kea-dhcp4 -t has the last word.
import { broadcastAddress, contains, numberToIpv4 } from '../boot/address.ts'
import type { DhcpSite, SiteHost, SiteNetwork } from './model.ts'

const hex16 = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`

/** The configuration of Kea 2.x. Same model, same bytes. */
export function renderKea(site: DhcpSite): string {
  const served = site.networks.filter(({ mode }) => mode === 'server')
  const value = {
    Dhcp4: {
      'interfaces-config': { interfaces: [...new Set(served.flatMap((network) => network.interface ?? []))] },
      'lease-database': { type: 'memfile', persist: true },
      authoritative: true,
      'option-def': [...new Set(served.flatMap(({ options }) => Object.keys(options)))]
        .filter((code) => Number(code) >= 224)
        .map((code) => ({ name: `own-${code}`, code: Number(code), type: 'binary' })),
      'client-classes': served.flatMap((network) => classesOf(network, site)),
      subnet4: served.map((network, at) => renderSubnet(network, at + 1, site)),
    },
  }
  return `${JSON.stringify(value, null, 2)}\n`
}

/** Which loader, for each network: its server's address stands in the URLs. Kea knows the subnet of a client only by `require-client-classes`. */
function classesOf(network: SiteNetwork, { loaders, foreignIpxe }: DhcpSite): object[] {
  const { name, httpBase, serverAddress } = network
  const isIpxe = foreignIpxe === 'script' ? 'option[175].exists' : "option[77].hex == 'bivouac' or option[77].hex == 0x076269766f756163"
  const ipxe = {
    name: `${name}-ipxe`,
    test: isIpxe,
    'only-if-required': true,
    'next-server': serverAddress,
    'boot-file-name': `${httpBase}/boot.ipxe`,
  }
  const others = loaders.map(({ arch, class: tag, file, via }) => ({
    name: `${name}-${tag}`,
    test: `not (${isIpxe}) and option[93].hex == ${hex16(arch)}`,
    'only-if-required': true,
    'next-server': serverAddress,
    'boot-file-name': via === 'http' ? `${httpBase}/ipxe/${file}` : file,
    ...(via === 'http' && { 'option-data': [{ name: 'vendor-class-identifier', data: 'HTTPClient', 'always-send': true }] }),
  }))
  return [ipxe, ...others]
}

function renderSubnet(network: SiteNetwork, id: number, { hosts, loaders }: DhcpSite): object {
  const { name, subnet, pool, router, dns, ntp, domain, leaseSeconds, serverAddress, options } = network
  const data = (option: string, values: readonly string[]) => (values.length ? [{ name: option, data: values.join(', ') }] : [])
  return {
    id,
    subnet: `${numberToIpv4(subnet.network)}/${subnet.prefix}`,
    ...(network.interface !== undefined && { interface: network.interface }),
    ...(network.relays.length && { relay: { 'ip-addresses': network.relays } }),
    pools: pool.map(({ first, last }) => ({ pool: `${numberToIpv4(first)} - ${numberToIpv4(last)}` })),
    'valid-lifetime': leaseSeconds,
    'next-server': serverAddress,
    'require-client-classes': [`${name}-ipxe`, ...loaders.map(({ class: tag }) => `${name}-${tag}`)],
    'option-data': [
      ...data('routers', router),
      ...data('domain-name-servers', dns),
      ...data('ntp-servers', ntp),
      ...(domain === undefined ? [] : data('domain-name', [domain])),
      ...data('broadcast-address', [broadcastAddress(subnet)]),
      ...Object.entries(options).map(([code, hex]) => ({ code: Number(code), 'csv-format': false, data: hex, 'always-send': true })),
    ],
    reservations: hosts.filter(({ address }) => address && contains(subnet, address)).flatMap(renderReservation),
  }
}

/** Lore: Kea refuses one address for two hardware addresses unless told otherwise, so the first MAC has it. */
const renderReservation = ({ macs: [mac], address, hostname }: SiteHost): object[] => [{ 'hw-address': mac, 'ip-address': address, hostname }]
