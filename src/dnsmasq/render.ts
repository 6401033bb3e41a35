// The model → dnsmasq.conf, hosts and dhcphosts. Used by `dnsmasq render`, `dhcp render` and by the engine. Same model, same bytes. Pure.
import { broadcastAddress, numberToIpv4, subnetMask } from '../boot/address.ts'
import type { DhcpSite, SiteHost, SiteLoader, SiteNetwork } from './model.ts'

export type RenderOptions = {
  /** Paths that stand in the file. */
  readonly dhcphosts: readonly string[]
  readonly hosts: readonly string[]
  readonly leaseFile?: string
  readonly pidFile?: string
  /** Name servers that are asked; none: those of /etc/resolv.conf. */
  readonly servers?: readonly string[]
  /** 0 turns DNS off, and with it the joining of names. */
  readonly port?: number
  /** Whose rights it runs with after its start; it must be able to read the files again on SIGHUP. */
  readonly user?: string
  /** TFTP by dnsmasq itself, from this folder. */
  readonly tftpRoot?: string
}

/** `dnsmasq.conf`. Tags of ranges are the networks' names. */
export function renderDnsmasq(site: DhcpSite, options: RenderOptions): string {
  const served = site.networks.filter(({ mode }) => mode === 'server')
  const domains = [...new Set(served.flatMap(({ domain }) => domain ?? []))]
  const lines = [
    '# Made by bivouac; what you write here is lost. What it says comes from bivouac.yaml and the depot.',
    'keep-in-foreground',
    'bind-dynamic',
    ...[...new Set(site.networks.flatMap((network) => network.interface ?? []))].map((name) => `interface=${name}`),
    ...(options.port === undefined ? [] : [`port=${options.port}`]),
    ...(options.user === undefined ? [] : [`user=${options.user}`]),
    ...(options.pidFile === undefined ? [] : [`pid-file=${options.pidFile}`]),
    '',
    'no-hosts',
    ...(options.servers?.length ? ['no-resolv', ...options.servers.map((server) => `server=${server}`)] : []),
    ...(domains.length ? ['domain-needed', 'bogus-priv', 'expand-hosts'] : []),
    ...domains.map((domain, at) => (at === 0 ? `domain=${domain}\nlocal=/${domain}/` : `local=/${domain}/`)),
    ...served
      .filter(({ domain }) => domain !== undefined && domain !== domains[0])
      .map(({ domain, subnet }) => `domain=${domain},${numberToIpv4(subnet.network)}/${subnet.prefix}`),
    '',
    ...(served.length ? ['dhcp-authoritative'] : []),
    ...site.networks.flatMap(renderNetwork),
    '',
    ...options.dhcphosts.map((path) => `dhcp-hostsfile=${path}`),
    ...options.hosts.map((path) => `addn-hosts=${path}`),
    ...(options.leaseFile === undefined ? [] : [`dhcp-leasefile=${options.leaseFile}`]),
    ...(options.tftpRoot === undefined ? [] : ['enable-tftp', `tftp-root=${options.tftpRoot}`]),
    '',
    ...renderBoot(site),
  ]
  return `${lines
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`
}

function renderNetwork(network: SiteNetwork): string[] {
  const { name, subnet, pool, mode, leaseSeconds } = network
  const base = numberToIpv4(subnet.network)
  if (mode === 'proxy') return [`dhcp-range=set:${name},${base},proxy,${subnetMask(subnet)}`]
  const time = leaseSeconds === 0xffffffff ? 'infinite' : `${leaseSeconds}s`
  const tail = `${subnetMask(subnet)},${broadcastAddress(subnet)},${time}`
  const ranges = pool.length ? pool.map(({ first, last }) => `${numberToIpv4(first)},${numberToIpv4(last)}`) : [`${base},static`]
  const option = (code: number, values: readonly string[]) => (values.length ? [`dhcp-option=tag:${name},${code},${values.join(',')}`] : [])
  return [
    ...ranges.map((range) => `dhcp-range=set:${name},${range},${tail}`),
    // Lore: without an own 3 or 6 dnsmasq gives its own address; an option without a value keeps it from that.
    ...(network.router.length ? option(3, network.router) : [`dhcp-option=tag:${name},3`]),
    ...option(6, network.dns),
    ...option(42, network.ntp),
    ...(network.domain === undefined ? [] : [`dhcp-option=tag:${name},15,${network.domain}`]),
    ...Object.entries(network.options).map(([code, hex]) => `dhcp-option-force=tag:${name},${code},${hexValue(hex)}`),
  ]
}

/** Bytes as dnsmasq takes them for hex: two digits and a colon; a single byte needs a second spelling. */
const hexValue = (hex: string): string => (hex.length === 2 ? String(Number.parseInt(hex, 16)) : (hex.toLowerCase().match(/../g) ?? []).join(':'))

function renderBoot({ networks, loaders, foreignIpxe }: DhcpSite): string[] {
  if (!networks.length) return []
  const match = (loader: SiteLoader) => `dhcp-match=set:${loader.class},option:client-arch,${loader.arch}`
  return [
    // Lore: iPXE says who it is by its own option 175; ours by the user class bivouac.
    foreignIpxe === 'script' ? 'dhcp-match=set:ipxe,175' : 'dhcp-userclass=set:ipxe,bivouac',
    ...loaders.map(match),
    ...loaders.filter(({ via }) => via === 'http').map((loader) => `dhcp-option-force=tag:${loader.class},60,HTTPClient`),
    ...networks.flatMap(({ name, httpBase, serverAddress }) => [
      `dhcp-boot=tag:${name},tag:ipxe,${httpBase}/boot.ipxe`,
      ...loaders.map(({ class: tag, file, via }) =>
        via === 'http'
          ? `dhcp-boot=tag:${name},tag:!ipxe,tag:${tag},${httpBase}/ipxe/${file}`
          : `dhcp-boot=tag:${name},tag:!ipxe,tag:${tag},${file},,${serverAddress}`,
      ),
    ]),
  ]
}

/** `dhcphosts` of all hosts: `mac,mac,name,infinite`, with the address where no name can bring it. */
export const renderDhcpHosts = (hosts: readonly SiteHost[], isNamed: (host: SiteHost) => boolean = (host) => host.address !== undefined): string =>
  hosts
    .map(
      (host) =>
        `${[...host.macs, ...(host.address && !isNamed(host) ? [host.address] : []), host.hostname, timeOf(host)].filter(Boolean).join(',')}\n`,
    )
    .join('')

const timeOf = ({ address, leaseSeconds }: SiteHost): string => {
  if (leaseSeconds !== undefined) return leaseSeconds === 0xffffffff ? 'infinite' : String(leaseSeconds)
  return address ? 'infinite' : ''
}

/** `hosts` of all hosts with an address: `ip fqdn hostname`. */
export const renderHosts = (hosts: readonly SiteHost[]): string =>
  hosts.flatMap(({ address, domain, hostname }) => (address ? [`${address} ${domain ? `${hostname}.${domain} ` : ''}${hostname}\n`] : [])).join('')
