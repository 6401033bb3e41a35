// The ticket of one boot: a script carries it, the overlay and the report come back with it as the path's first parts, `t/<ticket>/…`.
// It proves that a script was rendered for this MAC at that address a short while ago. It is made without any memory, so that a restart between
// script and overlay leaves no station open; what is remembered is only which ones were used. Used by the door and the report's route.
import { hash, timingSafeEqual } from 'node:crypto'
import { isWithin } from '../boot/age.ts'
import { decodeMac, encodeMac, type Ipv4, type Mac } from '../boot/address.ts'
import { createRecent } from './recent.ts'

/** A ticket that holds: whose boot it is, and a mark of the profile that its script was made from. */
export type Boot = { readonly id: string; readonly mac: Mac; readonly isProfile: (name: string) => boolean }

export type Verdict = { readonly boot: Boot } | { readonly refused: string }

/** `overlay`: for the download right after the script. `up`: for the report of the running system. */
export type TicketUse = 'overlay' | 'up'

/** One download of what is given once. Exactly one of the two is to be called. */
export type Delivery = { readonly done: () => void; readonly cut: () => void }

export type Tickets = {
  /** The ticket of a script that goes to `peer` now: `ticketLength` characters, letters, digits, dash and underscore. */
  readonly issue: (mac: Mac, peer: string, profile: string) => string
  /** As `issue`; the same one again for a minute, as long as it was not used: for what is asked for in several goes. */
  readonly issueSame: (mac: Mac, peer: string, profile: string) => string
  /** Is it good for this use, from this address? `mac`: whom the name is about, where it says so. `refused` holds no secret. */
  readonly check: (ticket: string, ask: { readonly peer: string; readonly use: TicketUse; readonly mac?: Mac | undefined }) => Verdict
  /** Begins the one download of a boot, or answers why there is none. A download that was cut may be begun anew, a few times. */
  readonly begin: (boot: Boot) => Delivery | { readonly refused: string }
}

export type TicketOptions = {
  /** 32 secret bytes, the same after a restart. */
  readonly key: Uint8Array
  /** Milliseconds since 1970, by the clock that may be set. */
  readonly now: () => number
  /** Milliseconds of a clock that only goes forward. */
  readonly steady: () => number
  readonly leases: TicketLeases
  /** The used ones that must outlive a restart. */
  readonly used?: { readonly all: () => readonly (readonly [id: string, until: number])[]; readonly add: (id: string, until: number) => void }
}

/** What DHCP knows: who holds an address, whether a MAC holds one, and whether only a lease of ours makes that address somebody's. */
export type TicketLeases = {
  readonly findMac: (ip: Ipv4) => Mac | undefined
  readonly holdsAny: (mac: Mac) => boolean
  readonly gives: (ip: Ipv4) => boolean
}

/** 36 bytes: 4 time, 3 number, 6 MAC, 3 profile, 4 address, 16 seal. */
const at = { time: 0, number: 4, mac: 7, profile: 13, address: 16, seal: 20, end: 36 } as const
export const ticketLength = 48
export const ticketPattern = /^[A-Za-z0-9_-]{48}$/

/** How long a ticket is good for, in milliseconds: BIOS, kernel and initramfs over a slow line; packages, services, a day of repair. */
export const ticketLifeMs: Record<TicketUse, number> = { overlay: 15 * 60_000, up: 24 * 3_600_000 }

const leastBodies = 10_240
const leastSame = 4096
const sameMs = 60_000
const maxUsed = 65_536
/** A download that was begun so long ago and never ended may be begun again. */
const deliveryMs = 60_000
const maxDeliveries = 5

type Use = { until: number; deliveries: number; runningSince?: number; isUsed?: boolean }

export function createTickets({ key, now, steady, leases, used }: TicketOptions): Tickets {
  const seal = createSeal(key)
  const bodies = createRecent<Buffer>(leastBodies)
  // The wall's time once, and then the steady clock's: setting the clock must not take the ticket away from a station that is just booting.
  const startedAt = now() - steady()
  const time = (): number => startedAt + steady()
  const same = createRecent<{ readonly ticket: string; readonly at: number }>(leastSame)
  const uses = new Map<string, Use>((used?.all() ?? []).map(([id, until]) => [id, { until, deliveries: 0, isUsed: true }]))
  let number = hash('sha256', key, 'buffer').readUIntBE(0, 3) ^ (now() & 0xffffff)

  function issue(mac: Mac, peer: string, profile: string): string {
    const bytes = bodyOf(mac, peer, profile)
    bytes.writeUInt32BE(Math.floor(time() / 1000) >>> 0, at.time)
    number = (number + 1) & 0xffffff
    bytes.writeUIntBE(number, at.number, 3)
    seal(bytes).copy(bytes, at.seal, 0, at.end - at.seal)
    return bytes.toString('base64url')
  }

  /** What is the same in all tickets of one boot road; written over each time. */
  function bodyOf(mac: Mac, peer: string, profile: string): Buffer {
    const key = `${mac} ${peer} ${profile}`
    const known = bodies.get(key)
    if (known) return known
    const bytes = Buffer.alloc(at.end)
    bytes.set(encodeMac(mac), at.mac)
    writeMark(bytes, at.profile, 3, profile)
    writeMark(bytes, at.address, 4, peer)
    bodies.set(key, bytes)
    return bytes
  }

  function issueSame(mac: Mac, peer: string, profile: string): string {
    const key = `${mac} ${peer} ${profile}`
    const before = same.get(key)
    if (before && steady() - before.at < sameMs && !uses.has(idOf(Buffer.from(before.ticket, 'base64url')))) return before.ticket
    const ticket = issue(mac, peer, profile)
    same.set(key, { ticket, at: steady() })
    return ticket
  }

  function check(ticket: string, { peer, use, mac }: Parameters<Tickets['check']>[1]): Verdict {
    const bytes = Buffer.from(ticketPattern.test(ticket) ? ticket : '', 'base64url')
    if (bytes.length !== at.end || !timingSafeEqual(seal(bytes).subarray(0, at.end - at.seal), bytes.subarray(at.seal)))
      return { refused: 'the ticket is none of ours' }
    const boot = bootOf(bytes)
    if (mac !== undefined && boot.mac !== mac) return { refused: `the ticket is that of ${boot.mac}` }
    if (!isWithin(ticketLifeMs[use], bytes.readUInt32BE(at.time) * 1000, time())) return { refused: 'the ticket is too old' }
    const stranger = use === 'up' ? findOther(boot.mac, peer) : findStranger(boot.mac, peer, bytes)
    return stranger === undefined ? { boot } : { refused: stranger }
  }

  /** Where we gave the addresses, the lease says who may; where another server did, the address that asked for the script. */
  function findStranger(mac: Mac, peer: string, bytes: Buffer): string | undefined {
    if (leases.findMac(peer as Ipv4) === mac) return undefined
    const other = findOther(mac, peer)
    if (other !== undefined) return other
    if (leases.holdsAny(mac)) return `${mac} has another address than ${peer}`
    if (leases.gives(peer as Ipv4)) return `${peer} is an address that nobody was given`
    const marked = Buffer.alloc(4)
    writeMark(marked, 0, 4, peer)
    return marked.equals(bytes.subarray(at.address, at.seal)) ? undefined : `the ticket was not given to ${peer}`
  }

  /** A running system may have got another address from another server: only one that is somebody else's speaks against it. */
  function findOther(mac: Mac, peer: string): string | undefined {
    const holder = leases.findMac(peer as Ipv4)
    return holder === undefined || holder === mac ? undefined : `${peer} is the address of ${holder}`
  }

  function begin({ id }: Boot): Delivery | { refused: string } {
    const use = uses.get(id) ?? { until: time() + ticketLifeMs.overlay, deliveries: 0 }
    if (use.isUsed) return { refused: 'the ticket was used already: it is good for one download' }
    if (use.runningSince !== undefined && steady() - use.runningSince < deliveryMs) return { refused: 'a download with this ticket is under way' }
    if (use.deliveries >= maxDeliveries) return { refused: `${maxDeliveries} downloads with this ticket were cut` }
    uses.delete(id)
    makeRoom()
    uses.set(id, use)
    use.deliveries++
    const startedAt = steady()
    use.runningSince = startedAt
    return {
      done: () => {
        use.isUsed = true
        used?.add(id, use.until)
      },
      cut: () => {
        if (use.runningSince === startedAt) delete use.runningSince
      },
    }
  }

  function makeRoom(): void {
    for (const [id, { until }] of uses) {
      if (uses.size < maxUsed && time() < until) return
      uses.delete(id)
    }
  }

  return { issue, issueSame, check, begin }
}

const idOf = (bytes: Buffer): string => bytes.toString('base64url', at.time, at.profile)

function bootOf(bytes: Buffer): Boot {
  const marked = bytes.subarray(at.profile, at.address)
  return { id: idOf(bytes), mac: decodeMac(bytes, at.mac), isProfile: (name) => hash('sha256', name, 'buffer').subarray(0, 3).equals(marked) }
}

/** The first bytes of a text's hash: enough to tell a few from each other where the seal keeps them from being chosen. */
function writeMark(bytes: Buffer, offset: number, length: number, text: string): void {
  hash('sha256', text, 'buffer').copy(bytes, offset, 0, length)
}

/** HMAC-SHA256 (RFC 2104) over the part before the seal. By two plain hashes, which cost a fifth of an Hmac object. The answer is valid until the next call. */
function createSeal(key: Uint8Array): (bytes: Buffer) => Buffer {
  const blockBytes = 64
  const inner = Buffer.alloc(blockBytes + at.seal, 0x36)
  const outer = Buffer.alloc(blockBytes + 32, 0x5c)
  for (const [index, byte] of key.subarray(0, blockBytes).entries()) {
    inner[index] = 0x36 ^ byte
    outer[index] = 0x5c ^ byte
  }
  return (bytes) => {
    bytes.copy(inner, blockBytes, 0, at.seal)
    hash('sha256', inner, 'buffer').copy(outer, blockBytes)
    return hash('sha256', outer, 'buffer')
  }
}

/** A name, or a text with names in it, with tickets and the tokens of configuration phases hidden, also mistyped ones: for events and logs. */
export const maskTicket = (text: string): string => text.replace(/(^|[^A-Za-z0-9_-])(t|save)\/[A-Za-z0-9_-]{20,}/gi, '$1$2/*')
