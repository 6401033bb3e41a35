// Reservations from dnsmasq's host files: which line holds for a client, by dnsmasq's rules. Used by decide and by the record index. Pure.
// Rules: dnsmasq's dhcp-common.c (find_config) and rfc2131.c; where the man page says otherwise, what a real dnsmasq did (test/interop).
import { contains, type Ipv4, type Mac, type Subnet } from './address.ts'

/** A hardware address with holes: `octets` undefined where any byte will do. `type` is the ARP type, 0 for any. */
export type HardwarePattern = { readonly type: number; readonly octets: readonly (number | undefined)[] }

/** One line, joined with the names' addresses. */
export type Reservation = {
  /** Where it stands: `dhcphosts:12`. */
  readonly source: string
  readonly file: string
  readonly line: number
  readonly hardware: readonly HardwarePattern[]
  /** Option 61 as hex. */
  readonly clientId?: string
  readonly name?: string
  readonly domain?: string
  readonly address?: Ipv4
  /** The address came by the name, from a hosts file. */
  readonly isByName?: boolean
  readonly leaseSeconds?: number
  /** Such a client is never answered. */
  readonly isIgnored: boolean
  readonly sets: readonly string[]
  readonly wants: readonly { readonly tag: string; readonly isNegated: boolean }[]
}

/** What a client is known by, and the network that it asks on. */
export type Asker = {
  readonly mac: Mac
  /** Option 61 as hex. */
  readonly clientId?: string | undefined
  /** The name that it claims, option 12. */
  readonly hostname?: string | undefined
  readonly network: string
}

/** A network as lines know it: an address must be in its subnet; its interface's name is a tag that is set there. */
export type ReservationPlace = { readonly name: string; readonly interface?: string | undefined; readonly subnet: Subnet }
type Wanted = Omit<Asker, 'network'> & { readonly subnet: Subnet | undefined; readonly tags: readonly string[] }

export type ReservationTable = {
  readonly list: readonly Reservation[]
  /** The line that holds for the client, and by what it was found. */
  readonly match: (asker: Asker) => { readonly reservation: Reservation; readonly by: 'client-id' | 'mac' | 'name' | 'wildcard' } | undefined
  readonly byAddress: ReadonlyMap<Ipv4, Reservation>
}

/** `52:54:00:*:*:01`, with its type in front where it has one. */
export const formatHardware = ({ type, octets }: HardwarePattern): string =>
  (type ? `${type.toString(16).padStart(2, '0')}-` : '') +
  octets.map((octet) => (octet === undefined ? '*' : octet.toString(16).padStart(2, '0'))).join(':')

/** The pattern as an Ethernet address, or undefined: it has holes, another length or another type. */
export function exactMac({ type, octets }: HardwarePattern): Mac | undefined {
  if (type > 1 || octets.length !== 6 || octets.includes(undefined)) return undefined
  return octets.map((octet) => (octet as number).toString(16).padStart(2, '0')).join(':') as Mac
}

export const exactMacs = ({ hardware }: Reservation): Mac[] => hardware.flatMap((pattern) => exactMac(pattern) ?? [])

/** A table over the lines in the order in which they stand. Lore: dnsmasq puts each line before those that it read, so of equals the last one wins. */
export function createReservations(list: readonly Reservation[], places: readonly ReservationPlace[] = []): ReservationTable {
  const placeByName = new Map(places.map((place) => [place.name, place]))
  const newestFirst = [...list].reverse()
  const byMac = group(newestFirst, exactMacs)
  const byClientId = group(newestFirst, ({ clientId }) => (clientId === undefined ? [] : [clientId]))
  // A name alone is no proof: only lines that ask for nothing better are found by it.
  const byName = group(newestFirst, ({ name, clientId, hardware }) =>
    name === undefined || clientId !== undefined || hardware.length ? [] : [name.toLowerCase()],
  )
  const wild = newestFirst.filter(({ hardware }) => hardware.some((pattern) => pattern.octets.includes(undefined)))

  const findAmong = (asker: Wanted, isTagged: boolean) => {
    const isUsable = (line: Reservation) => (!isTagged || line.wants.length > 0) && fits(line, asker)
    const { clientId } = asker
    const ids =
      clientId === undefined ? [] : [...(byClientId.get(clientId) ?? []), ...((clientId.startsWith('00') && byClientId.get(clientId.slice(2))) || [])]
    const byId = ids.find(isUsable)
    if (byId) return { reservation: byId, by: 'client-id' } as const
    const exact = byMac.get(asker.mac)?.find(isUsable)
    if (exact) return { reservation: exact, by: 'mac' } as const
    const loose = wild.length ? findWild(wild.filter(isUsable), asker.mac) : undefined
    return loose && ({ reservation: loose, by: 'wildcard' } as const)
  }
  const findNamed = (asker: Wanted, isTagged: boolean) => {
    const name = asker.hostname?.split('.')[0]?.toLowerCase()
    const found = name ? byName.get(name)?.find((line) => (!isTagged || line.wants.length > 0) && fits(line, asker)) : undefined
    return found && ({ reservation: found, by: 'name' } as const)
  }
  const match = (asker: Asker) => {
    if (!list.length) return undefined
    const place = placeByName.get(asker.network)
    const wanted = { ...asker, subnet: place?.subnet, tags: place?.interface === undefined ? [] : [place.interface] }
    return findAmong(wanted, true) ?? findAmong(wanted, false) ?? findNamed(wanted, true) ?? findNamed(wanted, false)
  }
  return {
    list,
    match,
    byAddress: new Map(newestFirst.flatMap((line) => (line.address ? [[line.address, line] as const] : []))),
  }
}

function group<T>(lines: readonly Reservation[], keysOf: (line: Reservation) => readonly T[]): Map<T, Reservation[]> {
  const found = new Map<T, Reservation[]>()
  for (const line of lines) for (const key of new Set(keysOf(line))) found.set(key, [...(found.get(key) ?? []), line])
  return found
}

/** Usable on the asker's subnet, and all its tags as they are to be. */
const fits = ({ address, wants }: Reservation, { subnet, tags }: Wanted): boolean =>
  (!address || !subnet || contains(subnet, address)) && wants.every(({ tag, isNegated }) => tags.includes(tag) !== isNegated)

/** The one with the fewest holes that fits. */
function findWild(lines: readonly Reservation[], mac: Mac): Reservation | undefined {
  const bytes = mac.split(':').map((pair) => Number.parseInt(pair, 16))
  let [best, most]: [Reservation | undefined, number] = [undefined, -1]
  for (const line of lines) {
    for (const { type, octets } of line.hardware) {
      const fixed = octets.filter((octet) => octet !== undefined).length
      const isFit = type <= 1 && octets.length === 6 && fixed < 6 && octets.every((octet, at) => octet === undefined || octet === bytes[at])
      if (isFit && fixed > most) [best, most] = [line, fixed]
    }
  }
  return best
}
