// Adding and taking out hosts: the two files of a site changed together, every other line left as it is. Used by `bivouac host`. Pure.
import { formatMacHyphen, type Ipv4, type Mac } from '../boot/address.ts'
import { ConflictError, MissingError } from '../boot/error.ts'
import { exactMac } from '../boot/reservation.ts'
import { type DhcpHostsFile, formatHostDraft, type HostItem, parseDhcpHosts, parseHardware, parseHostName } from './dhcphosts.ts'
import { type HostsFile, parseHosts } from './hosts.ts'
import type { TextLine } from './text.ts'

export type HostPair = { readonly hosts: HostsFile; readonly dhcphosts: DhcpHostsFile }
export type NewHost = {
  readonly name: string
  readonly macs: readonly Mac[]
  readonly address: Ipv4
  readonly domain?: string
  readonly sets?: readonly string[]
}

/** One host as both files tell it. */
export type ListedHost = { readonly name: string; readonly macs: readonly string[]; readonly address?: string; readonly lines: readonly string[] }

/** Both files with `ip fqdn hostname` and `mac,hostname,infinite` at their ends. Throws ConflictError for a name, MAC or address that is taken, DecodeError for a bad name. */
export function addHost(pair: HostPair, { name, macs, address, domain, sets = [] }: NewHost): HostPair {
  parseHostName(name)
  refuseTaken(pair, name, macs, address)
  const line = formatHostDraft({ hardware: macs.map(parseHardware), sets, name, lease: 'infinite' })
  return {
    hosts: parseHosts(append(pair.hosts.lines, `${address} ${domain ? `${name}.${domain} ` : ''}${name}`), pair.hosts.file),
    dhcphosts: parseDhcpHosts(append(pair.dhcphosts.lines, line), pair.dhcphosts.file),
  }
}

function refuseTaken({ hosts, dhcphosts }: HostPair, name: string, macs: readonly Mac[], address: Ipv4): void {
  const refuse = (code: string, what: string, file: string, line: number) => {
    throw new ConflictError(code, `${what} stands in ${file}:${line} already; take it out first with "bivouac host remove"`)
  }
  for (const line of dhcphosts.lines) {
    if (line.kind !== 'host') continue
    for (const item of line.items) {
      if (item.kind === 'name' && sameName(item.name, name)) refuse('name-twice', name, dhcphosts.file, line.number)
      if (item.kind === 'ipv4' && item.address === address) refuse('address-twice', address, dhcphosts.file, line.number)
      const mac = item.kind === 'hardware' && exactMac(item.pattern)
      if (mac && macs.includes(mac)) refuse('mac-twice', mac, dhcphosts.file, line.number)
    }
  }
  for (const line of hosts.lines) {
    if (line.kind !== 'host') continue
    if (line.address === address) refuse('address-twice', address, hosts.file, line.number)
    if (line.names.some((one) => sameName(shortName(one), name))) refuse('name-twice', name, hosts.file, line.number)
  }
}

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()
const shortName = (name: string): string => name.split('.')[0] as string

function append(lines: readonly TextLine[], text: string): string {
  const end = lines.find((line) => line.end)?.end ?? '\n'
  const before = lines.map((line) => line.text + line.end).join('')
  return `${before}${before && !before.endsWith('\n') ? end : ''}${text}${end}`
}

/** Both files without the host: its line of dhcphosts, and its names in hosts (a line that keeps another name is kept). Throws MissingError. */
export function removeHost(pair: HostPair, name: string): HostPair {
  const isIts = (items: readonly HostItem[]) => items.some((item) => item.kind === 'name' && sameName(item.name, shortName(name)))
  const dhcphosts = pair.dhcphosts.lines.filter((line) => line.kind !== 'host' || !isIts(line.items))
  const hosts = pair.hosts.lines.flatMap((line) => (line.kind === 'host' ? withoutName(line, shortName(name)) : [line]))
  if (
    dhcphosts.length === pair.dhcphosts.lines.length &&
    hosts.length === pair.hosts.lines.length &&
    hosts.every((line, at) => line.text === pair.hosts.lines[at]?.text)
  )
    throw new MissingError('host', `there is no host ${name} in ${pair.hosts.file} and ${pair.dhcphosts.file}`)
  const join = (lines: readonly Pick<TextLine, 'text' | 'end'>[]) => lines.map(({ text, end }) => text + end).join('')
  return { hosts: parseHosts(join(hosts), pair.hosts.file), dhcphosts: parseDhcpHosts(join(dhcphosts), pair.dhcphosts.file) }
}

function withoutName(line: Extract<HostsFile['lines'][number], { kind: 'host' }>, name: string): Pick<TextLine, 'text' | 'end'>[] {
  const gone = line.names.filter((one) => sameName(shortName(one), name))
  if (!gone.length) return [line]
  if (gone.length === line.names.length) return []
  const comment = /#.*$/s.exec(line.text)?.[0] ?? ''
  const body = line.text.slice(0, line.text.length - comment.length)
  const kept = body.replace(/\S+/g, (word) => (gone.includes(word) ? '' : word)).replace(/(\S)\s{2,}(?=\S)/g, '$1 ')
  return [{ text: kept.trimEnd() + (comment && ` ${comment}`), end: line.end }]
}

/** All hosts of both files, by name; lines without a name go by their MAC. */
export function listHosts({ hosts, dhcphosts }: HostPair): ListedHost[] {
  const found = new Map<string, { name: string; macs: string[]; address?: string; lines: string[] }>()
  const entry = (name: string) => {
    const key = name.toLowerCase()
    const known = found.get(key) ?? { name, macs: [], lines: [] }
    found.set(key, known)
    return known
  }
  for (const line of dhcphosts.lines) {
    if (line.kind !== 'host') continue
    const macs = line.items.flatMap((item) => (item.kind === 'hardware' ? [exactMac(item.pattern) ?? item.text] : []))
    const name = line.items.find((item) => item.kind === 'name')
    const host = entry(name?.kind === 'name' ? name.name : (macs[0]?.replaceAll(':', '-') ?? `line-${line.number}`))
    const address = line.items.find((item) => item.kind === 'ipv4')
    host.macs.push(...macs)
    if (address?.kind === 'ipv4') host.address ??= address.address
    host.lines.push(`${dhcphosts.file}:${line.number}`)
  }
  for (const line of hosts.lines) {
    if (line.kind !== 'host') continue
    const [first] = line.names
    if (first === undefined) continue
    const host = entry(shortName(first))
    host.address ??= line.address
    host.lines.push(`${hosts.file}:${line.number}`)
  }
  return [...found.values()]
}

/** The MACs of a host by name, address or MAC, as `01-mac` wants them. */
export function findHostMacs(pair: HostPair, text: string): string[] {
  const lower = text.toLowerCase()
  const host = listHosts(pair).find(({ name, address, macs }) => sameName(name, shortName(text)) || address === text || macs.includes(lower))
  return host ? host.macs.filter((mac) => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) : []
}

export const linkName = (mac: Mac): string => `01-${formatMacHyphen(mac)}`
