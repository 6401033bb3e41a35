// Stations' records and lines of dnsmasq's host files together: who gets which address, name and time, or no answer. Used by decide and by the store.
// A record wins over a line; what a record leaves open the line fills in. Pure.
import { formatMacHyphen, type Ipv4, type Mac } from './address.ts'
import type { Client } from './client.ts'
import { because, type Reason } from './match.ts'
import { nameSchema } from './field.ts'
import { type Records, type Station, stationSchema } from './record.ts'
import { createReservations, exactMacs, type Reservation, type ReservationPlace, type ReservationTable } from './reservation.ts'

/** What DHCP is to give a client by its record and its line. */
export type Reserved = {
  readonly address?: Ipv4
  readonly hostname?: string
  readonly leaseSeconds?: number
  readonly isIgnored: boolean
  readonly why: readonly Reason[]
}

const byWords = { 'client-id': 'its client identifier', mac: 'its MAC', name: 'the name that it claims', wildcard: 'a MAC with *' } as const

/** `station` is what chooseProfile found. */
export function reserve({ mac, clientId, hostname, arrival }: Client, station: Station | undefined, records: Records): Reserved {
  const found = records.reservations?.match({ mac, clientId, hostname, network: arrival.network })
  const own = station && !records.stationSources?.has(station.name) ? station : undefined
  const line = found?.reservation
  // A station that only a line makes has nothing where the line does not hold.
  if (!line) return { ...ofRecord(own), isIgnored: false, why: [] }
  const why = [because('dhcphosts', `${line.source} holds by ${byWords[found.by]}${own ? `; what record ${own.name} says goes before it` : ''}`)]
  if (line.isIgnored && !own) return { isIgnored: true, why: [...why, because('ignore', `${line.source} says ignore: no answer`)] }
  // Lore: dnsmasq tells a client that it knows by its name alone, or by a line without one, the name that it claimed.
  const claimed = hostname?.split('.')[0] || undefined
  const name = own?.hostname ?? (found.by === 'name' ? claimed : line.name) ?? own?.name ?? claimed
  return {
    ...((own?.address ?? line.address) && { address: (own?.address ?? line.address) as Ipv4 }),
    ...(name !== undefined && { hostname: name }),
    ...(line.leaseSeconds !== undefined && { leaseSeconds: line.leaseSeconds }),
    isIgnored: false,
    why,
  }
}

const ofRecord = (station: Station | undefined): Pick<Reserved, 'address' | 'hostname'> =>
  station ? { ...(station.address && { address: station.address }), hostname: station.hostname ?? station.name } : {}

/** The MACs for which an address is kept, by a record or by a line; empty when its line goes by something else than a MAC. Undefined: anybody's. */
export function reservedMacs({ stationByAddress, stationSources, reservations }: Records, ip: Ipv4): readonly Mac[] | undefined {
  const station = stationByAddress.get(ip)
  if (station && !stationSources?.has(station.name)) return station.macs
  const line = reservations?.byAddress.get(ip)
  return line ? exactMacs(line) : station?.macs
}

/** A line that cannot hold as it stands, because of a record or of another line's name. */
export type Conflict = { readonly code: string; readonly message: string; readonly line: Reservation }

export type Merged = {
  /** Stations of lines whose MACs are in no record. */
  readonly stations: readonly Station[]
  readonly stationSources: ReadonlyMap<string, string>
  readonly reservations: ReservationTable
  readonly conflicts: readonly Conflict[]
}

/** Lines beside records. Each line that names a whole MAC is a station too, so that profiles, explain and lists know it. */
export function mergeReservations(records: readonly Station[], lines: readonly Reservation[], places: readonly ReservationPlace[]): Merged {
  const conflicts: Conflict[] = []
  const recordByMac = new Map(records.flatMap((station) => station.macs.map((mac) => [mac, station] as const)))
  const recordByAddress = new Map(records.flatMap((station) => (station.address ? [[station.address, station] as const] : [])))
  const kept = lines.map((line): Reservation => {
    const owners = new Set(exactMacs(line).flatMap((mac) => recordByMac.get(mac) ?? []))
    for (const owner of owners) {
      if (owner.address && line.address && owner.address !== line.address)
        conflicts.push({ code: 'record-address', message: `record ${owner.name} says ${owner.address}, which goes before ${line.address}`, line })
      if (line.isIgnored) conflicts.push({ code: 'record-ignored', message: `record ${owner.name} goes before ignore: it is answered`, line })
    }
    const holder = line.address && recordByAddress.get(line.address)
    if (!holder || owners.has(holder)) return line
    conflicts.push({ code: 'address-of-record', message: `${line.address} belongs to record ${holder.name}, so this line has no address`, line })
    const { address: _, ...rest } = line
    return rest
  })
  const { stations, stationSources } = makeStations(kept, records, recordByMac, conflicts)
  return { stations, stationSources, reservations: createReservations(kept, places), conflicts }
}

function makeStations(lines: readonly Reservation[], records: readonly Station[], recordByMac: ReadonlyMap<Mac, Station>, conflicts: Conflict[]) {
  const names = new Set(records.map(({ name }) => name))
  const taken = new Set<Mac>()
  const stations: Station[] = []
  const stationSources = new Map<string, string>()
  // The last line of a MAC counts; so it is the one that makes the station.
  for (const line of [...lines].reverse()) {
    const macs =
      line.isIgnored || line.wants.length ? [] : [...new Set(exactMacs(line))].filter((mac) => !recordByMac.has(mac) && !taken.has(mac)).slice(0, 16)
    const [first] = macs
    if (!first) continue
    const wanted = line.name !== undefined && nameSchema.safeParse(line.name).success ? line.name : formatMacHyphen(first)
    if (names.has(wanted))
      conflicts.push({ code: 'name-taken', message: `${wanted} is the name of another station; this one is called ${formatMacHyphen(first)}`, line })
    const name = names.has(wanted) ? formatMacHyphen(first) : wanted
    names.add(name)
    for (const mac of macs) taken.add(mac)
    stationSources.set(name, line.source)
    stations.push(makeStation(name, macs, line))
  }
  return { stations: stations.reverse(), stationSources }
}

/** Its tags are labels (`tag.rescue: set`), by which profiles may match. */
function makeStation(name: string, macs: readonly Mac[], line: Reservation): Station {
  const labels = Object.fromEntries(line.sets.filter((tag) => tag && nameSchema.safeParse(`tag.${tag}`).success).map((tag) => [`tag.${tag}`, 'set']))
  const bare = stationSchema.parse({ name, macs, labels })
  return { ...bare, ...(line.address && { address: line.address }), ...(line.name !== undefined && { hostname: line.name }) }
}
