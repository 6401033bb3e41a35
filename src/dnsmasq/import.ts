// A read dnsmasq.conf → the keys of bivouac.yaml that say the same, with what had to be guessed. Used by `dnsmasq import`. Pure: it writes nothing.
import { isIP } from 'node:net'
import { stringify } from 'yaml'
import { type Ipv4, ipv4ToNumber, numberToIpv4 } from '../boot/address.ts'
import { type Conf, type ConfOption, type ConfRange, type Left, networkOf, prefixOf } from './conf.ts'

/** An address that this machine has, for ranges that say no netmask. */
export type OwnAddress = { readonly name: string; readonly address: Ipv4; readonly prefix: number }

export type ImportedNetwork = {
  readonly name: string
  readonly interface?: string
  readonly mode?: 'proxy'
  readonly subnet: string
  readonly serverAddress?: Ipv4
  readonly pool?: readonly string[]
  readonly router?: readonly string[]
  readonly dns?: readonly string[]
  readonly ntp?: readonly string[]
  readonly domain?: string
  readonly leaseSeconds?: number
  readonly options?: Readonly<Record<string, string>>
}

export type Imported = {
  readonly networks: readonly ImportedNetwork[]
  /** Text for `bivouac.yaml`. */
  readonly yaml: string
  /** `dhcp-host=` lines of the main file, as a file of their own. */
  readonly dhcphosts: string
  /** What was guessed or is to be looked at. */
  readonly notes: readonly string[]
  readonly left: readonly Left[]
  readonly settled: readonly Left[]
}

/** Everything that the file says, in our words. */
export function importConf(conf: Conf, own: readonly OwnAddress[] = []): Imported {
  const notes: string[] = []
  const left = [...conf.left]
  const groups = Map.groupBy(conf.ranges, (range) => range.tag ?? `${networkOf(range.start, prefixOfRange(range, own) ?? 24)}`)
  const networks = [...groups.values()].map((ranges, at) => makeNetwork(conf, ranges, at, groups.size, own, notes, left))
  for (const option of conf.options)
    for (const tag of option.tags)
      if (!conf.ranges.some((range) => range.tag === tag))
        left.push({ line: option.line, text: `dhcp-option=${option.tags.join(',')},${option.code}`, why: `no range sets the tag ${tag}` })
  const dnsmasq = {
    ...(conf.hosts.length && { hosts: conf.hosts }),
    ...(conf.dhcphosts.length && { dhcphosts: conf.dhcphosts }),
    ...(conf.servers.length && { servers: conf.servers }),
  }
  const yaml = stringify({ networks, ...(Object.keys(dnsmasq).length && { dnsmasq }) }, { lineWidth: 0 })
  const dhcphosts = conf.inlineHosts.map(({ text }) => `${text}\n`).join('')
  if (dhcphosts) notes.push(`${conf.inlineHosts.length} dhcp-host lines of the main file are to go into a file of dnsmasq.dhcphosts`)
  return { networks, yaml, dhcphosts, notes, left, settled: conf.settled }
}

const prefixOfRange = ({ netmask, start }: ConfRange, own: readonly OwnAddress[]): number | undefined =>
  (netmask && prefixOf(netmask)) ?? own.find(({ address, prefix }) => networkOf(address, prefix) === networkOf(start, prefix))?.prefix

function makeNetwork(
  conf: Conf,
  ranges: readonly ConfRange[],
  at: number,
  count: number,
  own: readonly OwnAddress[],
  notes: string[],
  left: Left[],
): ImportedNetwork {
  const [first] = ranges as [ConfRange]
  const name = first.tag ?? (count === 1 ? 'lan' : `lan-${at + 1}`)
  const known = prefixOfRange(first, own)
  if (known === undefined) notes.push(`network ${name}: the range of line ${first.line} says no netmask; /24 is taken`)
  const prefix = known ?? 24
  const subnet = `${networkOf(first.start, prefix)}/${prefix}`
  const home = own.find((one) => networkOf(one.address, prefix) === networkOf(first.start, prefix))
  const named = home?.name ?? (conf.interfaces.length === count ? conf.interfaces[at] : undefined)
  if (!home && named !== undefined && count > 1) notes.push(`network ${name}: interface ${named} is guessed from the order of the lines`)
  if (named === undefined)
    notes.push(`network ${name}: its interface is not known; without one it is reached through relays only, and needs serverAddress`)
  for (const range of ranges)
    if (range.needs.length) left.push({ line: range.line, text: `tag:${range.needs.join(',tag:')}`, why: 'a range for some clients only' })
  const options = conf.options.filter(({ tags }) => tags.every((tag) => ranges.some((range) => range.tag === tag)))
  const find = (code: number) => options.findLast((option) => option.code === code)?.values
  const pool = ranges.flatMap(({ start, end }) => (end ? [start === end ? start : `${start}-${end}`] : []))
  const addresses = (values: readonly string[] | undefined) => values?.filter((value) => isIP(value) === 4 && value !== '0.0.0.0')
  const [router, dns, ntp] = [addresses(find(3)), addresses(find(6)), addresses(find(42))]
  const domain = find(15)?.[0] ?? conf.domain
  const lease = ranges.find(({ leaseSeconds }) => leaseSeconds !== undefined)?.leaseSeconds
  const others = encodeOthers(options, left)
  return {
    name,
    ...(named !== undefined && { interface: named }),
    ...(first.mode === 'proxy' && { mode: 'proxy' as const }),
    subnet,
    ...(home && { serverAddress: home.address }),
    ...(pool.length && { pool }),
    ...(router?.length && { router }),
    ...(dns?.length && { dns }),
    ...(ntp?.length && { ntp }),
    ...(domain !== undefined && { domain }),
    // Lore: dnsmasq's own lease time is an hour, as ours.
    ...(lease !== undefined && lease !== 3600 && { leaseSeconds: lease }),
    ...(Object.keys(others).length && { options: others }),
  }
}

/** Codes that we make from other keys, or that DHCP itself makes. */
const ours: ReadonlySet<number> = new Set([1, 3, 6, 15, 28, 42])

function encodeOthers(options: readonly ConfOption[], left: Left[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { code, values, line } of options) {
    if (ours.has(code)) continue
    const hex = encodeValues(values)
    if (hex === undefined || hex === '')
      left.push({
        line,
        text: `dhcp-option=${code},${values.join(',')}`,
        why: 'its value is not understood; write it as hex into options: of the network',
      })
    else found[String(code)] = hex
  }
  return found
}

/** Addresses, hex with colons, or one text. Numbers are left, for their width is not said. */
function encodeValues(values: readonly string[]): string | undefined {
  if (values.every((value) => isIP(value) === 4))
    return values
      .map((value) =>
        ipv4ToNumber(value as Ipv4)
          .toString(16)
          .padStart(8, '0'),
      )
      .join('')
  const [value = ''] = values
  if (values.length !== 1 || /^\d+$/.test(value)) return undefined
  if (/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(value)) return value.replaceAll(':', '').toLowerCase()
  return Buffer.from(value, 'utf8').toString('hex')
}

export const ownAddressOf = (cidr: string, name: string): OwnAddress => {
  const [address = '', prefix = ''] = cidr.split('/')
  return { name, address: numberToIpv4(ipv4ToNumber(address as Ipv4)), prefix: Number(prefix) }
}
