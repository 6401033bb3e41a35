// The model → ISC's dhcpd.conf, and the lint of an existing one. Used by `dhcp render` and `dhcp check`. Pure; dhcpd -t has the last word.
import { broadcastAddress, numberToIpv4, subnetMask } from '../boot/address.ts'
import type { Finding } from '../store/mistake.ts'
import type { DhcpSite, SiteHost, SiteNetwork } from './model.ts'

const quote = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`

/** `dhcpd.conf` for dhcpd 4. Same model, same bytes. */
export function renderDhcpd(site: DhcpSite): string {
  const served = site.networks.filter(({ mode }) => mode === 'server')
  const lines = [
    '# Made by bivouac from bivouac.yaml and the depot.',
    'authoritative;',
    'option architecture-type code 93 = unsigned integer 16;',
    'option ipxe-options code 175 = string;',
    ...codesOf(served).map((code) => `option own-${code} code ${code} = string;`),
    ...served.flatMap((network) => ['', ...renderSubnet(network, site)]),
    '',
    ...site.hosts.flatMap(renderHost),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

const codesOf = (networks: readonly SiteNetwork[]): string[] => [...new Set(networks.flatMap(({ options }) => Object.keys(options)))]

function renderSubnet(network: SiteNetwork, site: DhcpSite): string[] {
  const { subnet, pool, router, dns, ntp, domain, leaseSeconds, serverAddress, options } = network
  const list = (name: string, values: readonly string[]) => (values.length ? [`  option ${name} ${values.join(', ')};`] : [])
  return [
    `# network ${network.name}`,
    `subnet ${numberToIpv4(subnet.network)} netmask ${subnetMask(subnet)} {`,
    ...pool.map(({ first, last }) => `  range ${numberToIpv4(first)} ${numberToIpv4(last)};`),
    ...list('routers', router),
    ...list('domain-name-servers', dns),
    ...list('ntp-servers', ntp),
    ...(domain === undefined ? [] : [`  option domain-name ${quote(domain)};`]),
    `  option broadcast-address ${broadcastAddress(subnet)};`,
    ...Object.entries(options).map(([code, hex]) => `  option own-${code} ${(hex.toLowerCase().match(/../g) ?? []).join(':')};`),
    `  default-lease-time ${leaseSeconds};`,
    `  max-lease-time ${leaseSeconds};`,
    // For every client of the subnet: not in a group of hosts, where it holds for nobody else.
    `  next-server ${serverAddress};`,
    ...renderBoot(network, site).map((line) => `  ${line}`),
    '}',
  ]
}

function renderBoot({ httpBase }: SiteNetwork, { loaders, foreignIpxe }: DhcpSite): string[] {
  const isIpxe = foreignIpxe === 'script' ? 'exists ipxe-options' : 'exists user-class and option user-class = "bivouac"'
  return [
    `if ${isIpxe} {`,
    `  filename ${quote(`${httpBase}/boot.ipxe`)};`,
    ...loaders.flatMap(({ arch, file, via }) => [
      `} elsif option architecture-type = ${hex16(arch)} {`,
      ...(via === 'http' ? ['  option vendor-class-identifier "HTTPClient";'] : []),
      `  filename ${quote(via === 'http' ? `${httpBase}/ipxe/${file}` : file)};`,
    ]),
    '}',
  ]
}

const hex16 = (value: number): string => `${(value >> 8).toString(16).padStart(2, '0')}:${(value & 255).toString(16).padStart(2, '0')}`

/** dhcpd knows one hardware address for each host declaration. */
const renderHost = ({ name, hostname, macs, address, leaseSeconds }: SiteHost): string[] =>
  macs.map((mac, at) => {
    const own = [`hardware ethernet ${mac};`, ...(address ? [`fixed-address ${address};`] : []), `option host-name ${quote(hostname)};`]
    const time = leaseSeconds === undefined ? [] : [`default-lease-time ${leaseSeconds};`, `max-lease-time ${leaseSeconds};`]
    return `host ${name}${at ? `-${at + 1}` : ''} { ${[...own, ...time].join(' ')} }`
  })

/** What a dhcpd.conf says and nobody can have meant; dhcpd itself takes it without a word. */
export function lintDhcpd(text: string, file: string): Finding[] {
  const bare = text.replace(/#.*$/gm, (comment) => ' '.repeat(comment.length))
  const lineAt = (at: number) => text.slice(0, at).split('\n').length
  const found: Finding[] = []
  const say = (severity: Finding['severity'], code: string, message: string, at: number) =>
    void found.push({ severity, code, message, file, line: lineAt(at) })
  for (const { 1: name = '', 2: body = '', index } of bare.matchAll(/\bhost\s+([^\s{]+)\s*\{([^{}]*)\}/g))
    if (!/\bhardware\s|host-identifier\s|dhcp-client-identifier/.test(body))
      say('error', 'host-nobody', `host ${name} has no hardware address, so what it says, and what its group says for it, holds for nobody`, index)
  const groups = [...bare.matchAll(/\bgroup\b[^{]*\{/g)].map(({ index }) => [index, closingOf(bare, bare.indexOf('{', index))] as const)
  for (const { index } of bare.matchAll(/\bnext-server\b/g)) {
    if (groups.some(([from, to]) => index > from && index < to))
      say('warning', 'next-server-in-group', 'next-server in a group holds only for the hosts of that group: put it into the subnet', index)
  }
  for (const { 0: whole, index } of bare.matchAll(/\[[a-z0-9]+([_ -][a-z0-9]+)+\]|some\.where\.org|replace_with_[a-z_]+/gi))
    say('error', 'placeholder', `"${whole}" is a placeholder: put the real value in its place`, index)
  return found.sort((one, other) => (one.line ?? 0) - (other.line ?? 0))
}

function closingOf(text: string, open: number): number {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    if (text[at] === '{') depth++
    else if (text[at] === '}' && --depth === 0) return at
  }
  return text.length
}
