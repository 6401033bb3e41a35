// The leases of one network: who may have which address, and for how long. Used by leases.ts; knows no packet and no socket.
// One address per MAC, whatever client-id: ROM, loader, initramfs and system of one station are one client.
import { broadcastAddress, contains, containsNumber, type Ipv4, ipv4ToNumber, type Mac } from '../boot/address.ts'
import type { AddressChoice } from '../boot/decide.ts'
import type { Network } from '../boot/network.ts'
import type { Lease } from '../store/port.ts'
import { createHoldings, type Holding, releasedLease } from './holding.ts'
import { createPool } from './pool.ts'
import { addressText } from './text.ts'

/** What one client wants. `wanted` is the address that it names, `askedSeconds` its option 51. */
export type Ask = {
  readonly mac: Mac
  readonly address: AddressChoice
  readonly wanted: number | undefined
  readonly askedSeconds: number | undefined
  /** This client's own lease time, in place of the network's. */
  readonly leaseSeconds?: number | undefined
  readonly hostname: string | undefined
  /** Option 61 as hex. */
  readonly clientId: string | undefined
}

/** An address and its time; `forever` for a lease without end. */
export type Grant = { readonly ip: number; readonly seconds: number }
export const forever = 0xffffffff

/** The four forms of a REQUEST (RFC 2131 section 4.3.2). */
export type RequestForm = 'selecting' | 'init-reboot' | 'renewing' | 'rebinding'

export type Book = {
  /** Keeps an address for the client for a minute. Undefined when none is free. */
  readonly offer: (ask: Ask) => Grant | undefined
  /** Makes the lease. `wrong`: the client must not have this address. `unknown`: not ours to judge, the server stays silent. */
  readonly bind: (ask: Ask, ip: number, form: RequestForm) => Grant | 'wrong' | 'unknown'
  /** The client took another server's offer. */
  readonly withdraw: (mac: Mac) => void
  /** The client saw the address in use: nobody gets it for ten minutes. False when it was not the client's. */
  readonly decline: (mac: Mac, ip: number) => boolean
  /** The client gives it back; it stays the client's while others are free. False when it was not the client's. */
  readonly release: (mac: Mac, ip: number) => boolean
  readonly findByMac: (mac: Mac) => Lease | undefined
  readonly findByIp: (ip: number) => Lease | undefined
  /** Bound and declined addresses that have not ended, in the order of their numbers. */
  readonly list: () => Lease[]
  readonly load: (leases: readonly Lease[]) => void
}

export type BookOptions = {
  readonly network: Network
  readonly now: () => number
  /** The MACs of the station whose record has this address, none for one that is known by something else; undefined: it is anybody's. */
  readonly reservedFor?: ((ip: Ipv4) => readonly Mac[] | undefined) | undefined
  /** Called with each lease that must be written down. */
  readonly onChange: (lease: Lease) => void
}

export const offerMs = 60_000
export const quarantineMs = 600_000
const leastSeconds = 120
/** What a flood of made-up MACs may fill. */
const offersMax = 65_536

/** An empty book; `load` brings back what the store kept. */
export function createBook({ network, now, reservedFor, onChange }: BookOptions): Book {
  const { subnet } = network
  const excluded = excludedOf(network)
  const pool = createPool(network.pool, excluded)
  const holdings = createHoldings(pool, (holding, at) => onChange(releasedLease(holding, network.name, at)))

  const isReserved = (ip: number, mac: Mac) => {
    const macs = reservedFor?.(addressText(ip))
    return macs !== undefined && !macs.includes(mac)
  }
  const isFit = (ip: number, mac: Mac, at: number) => {
    const claimant = holdings.ofIp(ip, at)?.claimant
    return pool.has(ip) && (claimant === undefined || claimant === mac) && !isReserved(ip, mac)
  }
  /** The client's own address by its record, as far as it lies in this network and is not the server's or a router's. */
  const recorded = ({ address }: Ask): number | undefined => {
    const own = address.from === 'record' && contains(subnet, address.ip) ? ipv4ToNumber(address.ip) : undefined
    return own === undefined || excluded.has(own) ? undefined : own
  }

  /**
   * May the client have the address of its record now? Not while another client's lease or a quarantine is on it; then it waits on a pool
   * address, and the holder, marked, is refused at its next renewal. Two MACs of one record share the address: the last to ask has it.
   */
  const isOpen = (ip: number, mac: Mac, at: number) => {
    const holding = holdings.ofIp(ip, at)
    if (!holding || holding.state === 'free' || holding.state === 'offered') return true
    if (holding.state === 'declined') return false
    const holder = holding.mac as Mac
    if (holder === mac || reservedFor?.(addressText(ip))?.includes(holder)) return true
    holding.claimant = mac
    return false
  }

  const choose = (ask: Ask, at: number): number | undefined => {
    const { mac, wanted } = ask
    const own = recorded(ask)
    if (own !== undefined && isOpen(own, mac, at)) return own
    const mine = holdings.ofMac(mac, at)
    if (mine && isFit(mine.ip, mac, at)) return mine.ip
    if (holdings.offered() >= offersMax) return undefined
    if (wanted !== undefined && isFit(wanted, mac, at) && (holdings.ofIp(wanted, at)?.state ?? 'free') === 'free') return wanted
    return holdings.takeFree((ip) => !isReserved(ip, mac))
  }

  const secondsOf = (ask: Ask, ip: number, at: number): number => {
    const seconds = Math.max(leastSeconds, Math.min(ask.askedSeconds ?? forever, ask.leaseSeconds ?? network.leaseSeconds))
    const own = recorded(ask)
    if (own === undefined || own === ip) return seconds
    // An address for the time being: the client is to come back when its own may be free.
    const endsAt = holdings.ofIp(own, at)?.endsAt ?? at
    return endsAt === Infinity ? seconds : Math.max(leastSeconds, Math.min(seconds, Math.ceil((endsAt - at) / 1000)))
  }

  const judge = (ask: Ask, ip: number, form: RequestForm, at: number): 'good' | 'wrong' | 'unknown' => {
    const { mac } = ask
    const own = recorded(ask)
    if (own !== undefined && isOpen(own, mac, at)) return ip === own ? 'good' : 'wrong'
    const holding = holdings.ofIp(ip, at)
    // A rebinding or restarted client may be another server's: without a word about it in our book we stay silent (RFC 2131 section 4.3.2).
    const isOurBusiness = form === 'selecting' || form === 'renewing' || holding?.mac === mac
    if (!containsNumber(subnet, ip)) return form === 'rebinding' ? 'unknown' : 'wrong'
    if (!isFit(ip, mac, at)) return isOurBusiness || pool.has(ip) ? 'wrong' : 'unknown'
    if (holding && holding.state !== 'free') return holding.mac === mac && holding.state !== 'declined' ? 'good' : 'wrong'
    if (holding?.mac === mac) return 'good'
    const mine = holdings.ofMac(mac, at)
    if (mine && mine.state !== 'free') return 'wrong'
    return isOurBusiness ? 'good' : 'unknown'
  }

  const offer = (ask: Ask) => {
    const at = now()
    holdings.sweep(at)
    const ip = ask.address.from === 'elsewhere' ? undefined : choose(ask, at)
    if (ip === undefined) return undefined
    const seconds = secondsOf(ask, ip, at)
    const holding = holdings.occupy(ip, ask.mac, at, true)
    // A lease in force is not cut short by the offer, and one about to end is kept until the answer can come.
    if (holding.state !== 'bound') holdings.setState(holding, 'offered', at + offerMs)
    else if (holding.endsAt < at + offerMs) holdings.setState(holding, 'bound', at + offerMs)
    return { ip, seconds }
  }

  const bind = (ask: Ask, ip: number, form: RequestForm) => {
    const at = now()
    holdings.sweep(at)
    const verdict = ask.address.from === 'elsewhere' ? 'unknown' : judge(ask, ip, form, at)
    if (verdict === 'wrong') giveUp(ask.mac, ip, at)
    if (verdict !== 'good') return verdict
    const seconds = secondsOf(ask, ip, at)
    const holding = holdings.occupy(ip, ask.mac, at)
    holdings.setState(holding, 'bound', seconds === forever ? Infinity : at + seconds * 1000)
    holding.lease = leaseOf(network.name, ask, holding)
    onChange(holding.lease)
    return { ip, seconds }
  }
  /** A client that is refused its own address stops using it at once, so that the next one can have it. */
  const giveUp = (mac: Mac, ip: number, at: number) => {
    const holding = heldBy(mac, ip, at)
    if (holding) release(mac, ip)
  }

  const withdraw = (mac: Mac) => {
    const mine = holdings.ofMac(mac, now())
    if (mine?.state === 'offered') holdings.setFree(mine)
  }

  const heldBy = (mac: Mac, ip: number, at: number) => {
    const holding = holdings.ofIp(ip, at)
    return holding?.mac === mac && (holding.state === 'bound' || holding.state === 'offered') ? holding : undefined
  }
  const decline = (mac: Mac, ip: number) => {
    const at = now()
    const holding = heldBy(mac, ip, at)
    if (!holding) return false
    holdings.part(holding)
    holdings.setState(holding, 'declined', at + quarantineMs)
    holding.lease = { network: network.name, ip: addressText(ip), mac, state: 'declined', expiresAt: Math.ceil(holding.endsAt / 1000) }
    onChange(holding.lease)
    return true
  }
  const release = (mac: Mac, ip: number) => {
    const at = now()
    const holding = heldBy(mac, ip, at)
    if (!holding) return false
    if (holding.state === 'bound') onChange(releasedLease(holding, network.name, at))
    holdings.setFree(holding)
    return true
  }

  const inForce = (holding: Holding | undefined) =>
    holding && holding.state !== 'free' && holding.state !== 'offered' && holding.endsAt > now() ? holding.lease : undefined
  const bound = (holding: Holding | undefined) => (holding?.state === 'bound' ? inForce(holding) : undefined)

  const load = (leases: readonly Lease[]) => {
    const at = now()
    for (const lease of [...leases].sort(byLoadOrder)) {
      if (!contains(subnet, lease.ip)) continue
      const holding = holdings.occupy(ipv4ToNumber(lease.ip), lease.mac, at)
      holding.lease = lease
      holdings.setState(holding, lease.state === 'declined' ? 'declined' : 'bound', lease.expiresAt * 1000)
      if (lease.state === 'declined') holdings.part(holding)
      if (lease.state === 'released' || holding.endsAt <= at) holdings.setFree(holding)
    }
  }

  return {
    offer,
    bind,
    withdraw,
    decline,
    release,
    findByMac: (mac) => bound(holdings.ofMac(mac, now())),
    findByIp: (ip) => bound(holdings.ofIp(ip, now())),
    list: () => [...holdings.values()].sort((one, other) => one.ip - other.ip).flatMap((holding) => inForce(holding) ?? []),
    load,
  }
}

/** Declined ones first, they are no MAC's address; then by their end: what ends last is a MAC's newest, what ended first is used again first. */
const byLoadOrder = (one: Lease, other: Lease): number =>
  Number(other.state === 'declined') - Number(one.state === 'declined') || one.expiresAt - other.expiresAt || 0

/** Addresses that no client may have, even where a pool holds them. */
const excludedOf = ({ subnet, serverAddress, router }: Network): ReadonlySet<number> =>
  new Set([subnet.network, ...[broadcastAddress(subnet), ...(serverAddress ? [serverAddress] : []), ...router].map(ipv4ToNumber)])

const leaseOf = (network: string, { mac, hostname, clientId }: Ask, { ip, endsAt }: Holding): Lease => ({
  network,
  ip: addressText(ip),
  mac,
  state: 'bound',
  expiresAt: Math.floor(endsAt / 1000),
  ...(hostname !== undefined && { hostname }),
  ...(clientId !== undefined && { clientId }),
})
