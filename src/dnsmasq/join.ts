// dhcphosts and hosts together → the reservations that hold, and all that is wrong with them. Used by the reader of files and `dnsmasq check`.
// Pure. What dnsmasq would refuse is an error and its line is lost; what it would take in silence is a warning.
import { contains, type Ipv4 } from '../boot/address.ts'
import type { Network } from '../boot/network.ts'
import { exactMacs, type Reservation } from '../boot/reservation.ts'
import type { Finding } from '../store/mistake.ts'
import type { DhcpHostsFile, HostItem } from './dhcphosts.ts'
import { addressesByName, type HostsFile } from './hosts.ts'
import { lintHostItems } from './lint.ts'

export type HostFiles = { readonly dhcphosts: readonly DhcpHostsFile[]; readonly hosts: readonly HostsFile[] }

export type Joined = { readonly reservations: readonly Reservation[]; readonly findings: readonly Finding[] }

type Names = ReturnType<typeof addressesByName>

/** `networks`, where given, are what addresses are checked against. `titleOf` says how a file is called in reasons. */
export function joinHostFiles(
  { dhcphosts, hosts }: HostFiles,
  networks: readonly Network[] = [],
  titleOf: (file: string) => string = baseName,
): Joined {
  const findings: Finding[] = hosts.flatMap(lintHosts)
  const names = addressesByName(hosts)
  const lines: Reservation[] = []
  const owners = new Map<Ipv4, Reservation>()
  for (const { file, lines: read } of dhcphosts) {
    for (const line of read) {
      const place = { file, line: line.number }
      if (line.kind === 'bad') findings.push({ severity: 'error', code: line.code, message: `${line.wrong}; the line is passed over`, ...place })
      if (line.kind !== 'host') continue
      findings.push(...lintHostItems(line.items).map((lint) => ({ ...lint, ...place })))
      const made = makeReservation(line.items, `${titleOf(file)}:${line.number}`, file, line.number)
      const owner = made.address && owners.get(made.address)
      if (owner) {
        findings.push({
          severity: 'error',
          code: 'address-twice',
          message: `${made.address} is also in ${owner.source}, which keeps it; this line is passed over`,
          ...place,
        })
        continue
      }
      if (made.address) owners.set(made.address, made)
      lines.push(made)
    }
  }
  const reservations = joinNames(lines, names, owners, findings, hosts.length > 0)
  findings.push(...lintBetween(reservations), ...lintNetworksOf(reservations, networks))
  return { reservations, findings }
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** One line's items as a reservation. Of several addresses, times or names the last one counts, as in dnsmasq. */
export function makeReservation(items: readonly HostItem[], source: string, file: string, line: number): Reservation {
  const last = <K extends HostItem['kind']>(kind: K) => items.findLast((item): item is Extract<HostItem, { kind: K }> => item.kind === kind)
  const [id, name, address, lease] = [last('client-id'), last('name'), last('ipv4'), last('lease')]
  return {
    source,
    file,
    line,
    hardware: items.flatMap((item) => (item.kind === 'hardware' ? [item.pattern] : [])),
    ...(id && { clientId: id.hex }),
    ...(name && { name: name.name, ...(name.domain !== undefined && { domain: name.domain }) }),
    ...(address && { address: address.address }),
    ...(lease && { leaseSeconds: lease.seconds }),
    isIgnored: items.some(({ kind }) => kind === 'ignore'),
    sets: items.flatMap((item) => (item.kind === 'set' ? [item.tag] : [])),
    wants: items.flatMap((item) => (item.kind === 'tag' ? [{ tag: item.tag, isNegated: item.isNegated }] : [])),
  }
}

/** A line with a name and no address takes the name's. Lore: dnsmasq goes through its lines from the last to the first. */
function joinNames(
  lines: readonly Reservation[],
  names: Names,
  owners: Map<Ipv4, Reservation>,
  findings: Finding[],
  hasHosts: boolean,
): Reservation[] {
  const joined = [...lines].reverse().map((line): Reservation => {
    if (line.name === undefined || line.address) return line
    const say = (severity: Finding['severity'], code: string, message: string) =>
      void findings.push({ severity, code, message, file: line.file, line: line.line })
    const known = names.get(line.name.toLowerCase()) ?? []
    const [first] = known
    if (!first) {
      if (hasHosts && !line.isIgnored)
        say('warning', 'name-not-in-hosts', `${line.name} is in no hosts file, so it gets an address of the pool${nearestName(line.name, names)}`)
      return line
    }
    if (known.length > 1)
      say(
        'warning',
        'hosts-name-twice',
        `${line.name} has several addresses (${known.map(({ address }) => address).join(', ')}); ${first.address} is taken`,
      )
    const owner = owners.get(first.address)
    if (owner) {
      say('warning', 'address-owned', `${first.address} of ${line.name} belongs to ${owner.source} already, so this line has no address`)
      return line
    }
    const made = { ...line, address: first.address, isByName: true }
    owners.set(first.address, made)
    return made
  })
  return joined.reverse()
}

/** Among more names than this none is looked for. */
const nearMax = 5000

/** Lore: the original's own sample has ractivity in one file and racktivity in the other. */
function nearestName(name: string, names: Names): string {
  if (names.size > nearMax) return ''
  const near = [...names.keys()].find((other) => Math.abs(other.length - name.length) <= 1 && isNear(other, name.toLowerCase()))
  return near ? `; did you mean ${near}?` : ''
}

/** One letter more, less or other. */
function isNear(one: string, other: string): boolean {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const rests = [
    [one.slice(at + 1), other.slice(at)],
    [one.slice(at), other.slice(at + 1)],
    [one.slice(at + 1), other.slice(at + 1)],
  ]
  return one.length > 2 && rests.some(([left, right]) => left === right)
}

function lintHosts({ file, lines }: HostsFile): Finding[] {
  return lines.flatMap((line): Finding[] => {
    const place = { file, line: line.number }
    if (line.kind === 'bad') return [{ severity: 'error', code: line.code, message: `${line.wrong}; the line is passed over`, ...place }]
    if (line.kind !== 'host') return []
    return line.badNames.map((name) => ({
      severity: 'warning',
      code: 'hosts-name',
      message: `"${name.slice(0, 60)}" is not a host name and is passed over`,
      ...place,
    }))
  })
}

/** The same MAC or name on two lines that both hold always: only the last one does. */
function lintBetween(lines: readonly Reservation[]): Finding[] {
  const found: Finding[] = []
  const seen = new Map<string, Reservation>()
  for (const line of lines) {
    if (line.wants.length) continue
    const keys = [...exactMacs(line), ...(line.name === undefined ? [] : [`name ${line.name.toLowerCase()}`])]
    for (const key of keys) {
      const before = seen.get(key)
      const isName = key.startsWith('name ')
      if (before && (isName || mayMeet(before, line)))
        found.push({
          severity: 'warning',
          code: isName ? 'name-twice' : 'mac-twice',
          message: `${isName ? line.name : key} is also in ${before.source}${isName ? '' : '; the line that stands last counts'}`,
          file: line.file,
          line: line.line,
        })
      seen.set(key, line)
    }
  }
  return found
}

/** Two lines with addresses of different subnets are a station that moves: a mistake only in one /24. */
const mayMeet = (one: Reservation, other: Reservation): boolean =>
  !one.address || !other.address || one.address.replace(/\d+$/, '') === other.address.replace(/\d+$/, '')

function lintNetworksOf(lines: readonly Reservation[], networks: readonly Network[]): Finding[] {
  const served = networks.filter(({ mode }) => mode === 'server')
  if (!served.length) return []
  return lines.flatMap(({ address, file, line, domain, name }): Finding[] => {
    const home = served.find(({ subnet }) => address && contains(subnet, address))
    if (address && !home)
      return [
        { severity: 'warning', code: 'address-outside', message: `${address} is in no network that is served: the line holds nowhere`, file, line },
      ]
    if (domain !== undefined && home && domain.toLowerCase() !== home.domain?.toLowerCase())
      return [
        {
          severity: 'warning',
          code: 'domain-differs',
          message: `${name}.${domain} is not in the domain of network ${home.name} (${home.domain ?? 'none'})`,
          file,
          line,
        },
      ]
    return []
  })
}
