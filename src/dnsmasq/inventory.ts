// One list of nodes → the files of a boot server: hosts, dhcphosts, dnsmasq.conf, 911boot. Used by `dnsmasq inventory`. Same list, same bytes. Pure.
// A node has one address in each network, with the same last number; its BMC is called ipmi-<name>.
import { z } from 'zod'
import { contains, type Ipv4, ipv4ToNumber, type Mac, numberToIpv4 } from '../boot/address.ts'
import { type Network, networkSchema } from '../boot/network.ts'
import { ipv4Schema, kernelWordSchema, macSchema, nameSchema } from '../boot/field.ts'
import type { Site } from '../boot/record.ts'
import type { Finding } from '../store/mistake.ts'
import type { DhcpSite, SiteHost } from './model.ts'
import { renderDhcpHosts, renderDnsmasq, renderHosts } from './render.ts'

const nodeSchema = z.strictObject({
  name: nameSchema,
  roles: z.array(nameSchema).max(16).default([]),
  mac: macSchema,
  /** Of its BMC. */
  ipmiMac: macSchema.optional(),
  /** The last number of its addresses. */
  octet: z.number().int().min(1).max(254),
})

/** The file. `management` and `ipmi` are networks as in bivouac.yaml; `rescue` is what `911boot` says. */
export const inventorySchema = z.strictObject({
  management: networkSchema,
  ipmi: networkSchema.optional(),
  servers: z.array(ipv4Schema).max(16).default([]),
  rescue: z
    .strictObject({
      kernel: kernelWordSchema.default('vmlinuz-4'),
      initrd: kernelWordSchema.default('initrd.gz'),
      fullroot: kernelWordSchema,
      arguments: z.array(kernelWordSchema).default([]),
    })
    .optional(),
  nodes: z.array(nodeSchema).max(10_000),
})
export type Inventory = z.output<typeof inventorySchema>

export type InventoryFiles = Readonly<Record<'hosts' | 'dhcphosts' | 'dnsmasq.conf', string>> & { readonly '911boot'?: string }

/** The files; paths in dnsmasq.conf are below `folder`. */
export function renderInventory(inventory: Inventory, folder: string): InventoryFiles {
  const { management, ipmi, nodes, servers, rescue } = inventory
  const networks = ipmi ? [management, ipmi] : [management]
  const hosts = nodes.flatMap(({ name, mac, ipmiMac, octet }) => [
    makeHost(name, mac, management, octet),
    ...(ipmi && ipmiMac ? [makeHost(`ipmi-${name}`, ipmiMac, ipmi, octet)] : []),
  ])
  const site: DhcpSite = {
    networks: networks.map((network) => ({ ...network, serverAddress: network.serverAddress ?? addressOf(network, 1), httpBase: '' })),
    hosts,
    loaders: [],
    foreignIpxe: 'script' satisfies Site['foreignIpxe'],
  }
  const conf = renderDnsmasq(site, {
    hosts: [`${folder}/hosts`],
    dhcphosts: [`${folder}/dhcphosts`],
    leaseFile: `${folder}/leases`,
    servers,
    tftpRoot: `${folder}/tftpboot`,
  })
  return {
    hosts: renderHosts(hosts),
    dhcphosts: renderDhcpHosts(hosts),
    'dnsmasq.conf': `${conf.replace(/^dhcp-(match|boot)=.*\n/gm, '').trimEnd()}\ndhcp-boot=pxelinux.0\n`,
    ...(rescue && { '911boot': renderRescue(rescue) }),
  }
}

const addressOf = ({ subnet }: Network, octet: number): Ipv4 => numberToIpv4((subnet.network & 0xffffff00) + octet)

const makeHost = (name: string, mac: Mac, network: Network, octet: number): SiteHost => ({
  name,
  hostname: name.toLowerCase(),
  macs: [mac],
  address: addressOf(network, octet),
  ...(network.domain !== undefined && { domain: network.domain }),
})

/** `IPAPPEND 2` brings `BOOTIF=01-<mac>`, without which the image does not know its card. */
const renderRescue = ({ kernel, initrd, fullroot, arguments: more }: NonNullable<Inventory['rescue']>): string =>
  `DEFAULT 1\nTIMEOUT 100\nPROMPT 1\n\nLABEL 1\n  KERNEL ${kernel}\n  INITRD ${initrd}\n  APPEND ${['root=none', 'ip=dhcp', `fullroot=${fullroot}`, ...more].join(' ')}\n  IPAPPEND 2\n`

/** Names, MACs and last numbers that two nodes have, and addresses that are the server's, a router's or the pool's. */
export function lintInventory({ management, ipmi, nodes }: Inventory): Finding[] {
  const found: Finding[] = []
  const seen = new Map<string, string>()
  const claim = (key: string, name: string, code: string, what: string) => {
    const holder = seen.get(key)
    if (holder !== undefined)
      found.push({ severity: 'error', code, message: `${what} of node ${name} is also node ${holder}'s`, path: `nodes.${name}` })
    seen.set(key, name)
  }
  for (const { name, mac, ipmiMac, octet } of nodes) {
    claim(`name ${name.toLowerCase()}`, name, 'name-twice', 'the name')
    claim(mac, name, 'mac-twice', mac)
    if (ipmiMac) claim(ipmiMac, name, 'mac-twice', ipmiMac)
    claim(`octet ${octet}`, name, 'address-twice', `the number ${octet}`)
    for (const network of ipmi ? [management, ipmi] : [management]) found.push(...lintAddress(network, addressOf(network, octet), name))
  }
  return found
}

function lintAddress(network: Network, address: Ipv4, name: string): Finding[] {
  const value = ipv4ToNumber(address)
  const say = (code: string, message: string): Finding[] => [{ severity: 'error', code, message: `node ${name}: ${message}`, path: `nodes.${name}` }]
  if (!contains(network.subnet, address)) return say('outside-subnet', `${address} is outside ${network.name}`)
  if (address === network.serverAddress || network.router.includes(address)) return say('station-own', `${address} is the server's or a router's`)
  return network.pool.some(({ first, last }) => value >= first && value <= last)
    ? say('station-in-pool', `${address} lies in the pool of ${network.name}`)
    : []
}
