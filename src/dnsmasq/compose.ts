// Records and the site's own host files → the three files that dnsmasq reads when it is our engine. Used by the engine and `dnsmasq render`. Pure.
// Lines that dnsmasq would refuse, or die of, are left out; records go before lines, as in our own DHCP.
import type { Records } from '../boot/record.ts'
import { exactMacs, type Reservation } from '../boot/reservation.ts'
import type { DhcpHostsFile, DhcpHostLine } from './dhcphosts.ts'
import type { HostFiles } from './join.ts'
import type { DhcpSite, SiteHost } from './model.ts'
import { renderDhcpHosts, renderHosts } from './render.ts'

export type EngineTexts = { readonly dhcphosts: string; readonly hosts: string }

/** `files` are the site's own, `site` the model of all; what stands in both comes from the record, filled up by the line. */
export function composeHostFiles(site: DhcpSite, records: Records, { dhcphosts, hosts }: HostFiles): EngineTexts {
  const lineByPlace = new Map((records.reservations?.list ?? []).map((line) => [`${line.file}:${line.line}`, line]))
  const own = site.hosts.filter(({ name }) => !records.stationSources?.has(name))
  const ownMacs = new Set(own.flatMap(({ macs }) => macs))
  const kept = dhcphosts.flatMap((file) => file.lines.flatMap((line) => keepLine(file, line, lineByPlace, ownMacs)))
  const filled = own.map((host) => fillUp(host, records.reservations?.list ?? []))
  const written = hosts.flatMap(({ lines }) => lines.flatMap((line) => (line.kind === 'host' ? [`${line.address} ${line.names.join(' ')}\n`] : [])))
  const addresses = new Set(hosts.flatMap(({ lines }) => lines.flatMap((line) => (line.kind === 'host' ? [line.address] : []))))
  // The address stands in the line itself: a name of somebody else's file must not take it away.
  return {
    dhcphosts: `${kept.map((text) => `${text}\n`).join('')}${renderDhcpHosts(filled, () => false)}`,
    hosts: written.join('') + renderHosts(own.filter(({ address }) => address && !addresses.has(address))),
  }
}

function keepLine(file: DhcpHostsFile, line: DhcpHostLine, lineByPlace: ReadonlyMap<string, Reservation>, ownMacs: ReadonlySet<string>): string[] {
  const reservation = lineByPlace.get(`${file.file}:${line.number}`)
  if (line.kind !== 'host' || !reservation || exactMacs(reservation).some((mac) => ownMacs.has(mac))) return []
  if (reservation.sets.includes('') || reservation.wants.some(({ tag }) => tag === '')) return []
  const [address, others] = [line.items.find(({ kind }) => kind === 'ipv4'), line.items.filter(({ kind }) => kind !== 'ipv4')]
  if (!address || reservation.address) return [line.text.trim()]
  // The address is a record's: the rest of the line holds on.
  return others.some(({ isQuoted }) => isQuoted) ? [] : [others.map(({ text }) => text).join(',')]
}

/** What the record leaves open and a line of its MAC says. */
function fillUp(host: SiteHost, lines: readonly Reservation[]): SiteHost {
  const line = lines.findLast((one) => exactMacs(one).some((mac) => host.macs.includes(mac)))
  if (!line) return host
  const address = host.address ?? line.address
  return { ...host, ...(address && { address }), ...(line.leaseSeconds !== undefined && { leaseSeconds: line.leaseSeconds }) }
}
