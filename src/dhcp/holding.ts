// Which MAC holds which address of one network, until when, and which addresses are free, in memory. Used by the lease book, which has the rules.
// Every step costs the same however many addresses there are; a sweep is cut into pieces.
import { type Mac, numberToIpv4 } from '../boot/address.ts'
import type { Lease } from '../store/port.ts'
import { createExpiry, type Ending } from './expiry.ts'
import { createQueue, type Pool, type Queued } from './pool.ts'

/** An address that somebody had, has, or is being offered. `free` keeps the MAC of its last holder, who is preferred when it comes back. */
export type Holding = Ending &
  Queued & {
    readonly ip: number
    mac: Mac | undefined
    state: 'offered' | 'bound' | 'declined' | 'free'
    lease: Lease | undefined
    /** The station whose record has this address while another one still holds it: the holder is not renewed. */
    claimant: Mac | undefined
    /** Of an offer: the lease that its MAC has meanwhile, and leaves when it takes the offer. */
    former: Holding | undefined
  }

export type Holdings = {
  /** The MAC's address as it stands at that time: one that has ended is free, even if no sweep has come to it. */
  readonly ofMac: (mac: Mac, at: number) => Holding | undefined
  readonly ofIp: (ip: number, at: number) => Holding | undefined
  readonly values: () => IterableIterator<Holding>
  /**
   * Makes it this MAC's one address; another address that it had is left, but for a lease in force while this one is only offered: that goes on
   * until the offer is taken, for its client may still use it. The caller sets the state at once.
   */
  readonly occupy: (ip: number, mac: Mac, at: number, isOffer?: boolean) => Holding
  readonly setState: (holding: Holding, state: Exclude<Holding['state'], 'free'>, endsAt: number) => void
  /** The address is anybody's; outside the pool it is forgotten. */
  readonly setFree: (holding: Holding) => void
  /** The MAC has no address any more, while the address goes on in its state. */
  readonly part: (holding: Holding) => void
  readonly sweep: (at: number) => void
  /** The next free address of the pool that fits; undefined when there is none. */
  readonly takeFree: (isFit: (ip: number) => boolean) => number | undefined
  /** How many addresses are offered and not yet taken. */
  readonly offered: () => number
}

// What one packet may cost, and how many free addresses are remembered before they are used again rather than new ones.
const triesMax = 1024
const freeKeptMax = 65_536

/** No holdings. `onLeave` hears of a bound address whose MAC takes another one. */
export function createHoldings(pool: Pool, onLeave: (holding: Holding, at: number) => void): Holdings {
  const byMac = new Map<Mac, Holding>()
  const byIp = new Map<number, Holding>()
  const ending = createExpiry<Holding>()
  const free = createQueue<Holding>()
  let offered = 0

  const part = (holding: Holding) => {
    if (holding.mac && byMac.get(holding.mac) === holding) byMac.delete(holding.mac)
  }
  const clear = (holding: Holding) => {
    if (holding.state === 'offered') offered--
    holding.state = 'free'
    holding.claimant = undefined
    holding.former = undefined
    ending.remove(holding)
    free.remove(holding)
  }
  const setState = (holding: Holding, state: Exclude<Holding['state'], 'free'>, endsAt: number) => {
    if (holding.state === 'offered') offered--
    if (state === 'offered') offered++
    holding.state = state
    free.remove(holding)
    ending.set(holding, endsAt)
  }
  const setFree = (holding: Holding) => {
    const { mac, former } = holding
    clear(holding)
    // An offer that was not taken: the lease that it would have replaced is the MAC's address again.
    if (mac && isStillHeld(former, mac) && byMac.get(mac) === holding) byMac.set(mac, former)
    if (holding.mac && byMac.get(holding.mac) !== holding) holding.mac = undefined
    if (pool.has(holding.ip)) {
      free.push(holding)
    } else {
      byIp.delete(holding.ip)
      part(holding)
    }
  }
  const settle = (holding: Holding | undefined, at: number) => {
    if (!holding || holding.state === 'free' || holding.endsAt > at) return holding
    setFree(holding)
    return byIp.get(holding.ip)
  }
  const find = (ip: number): Holding => {
    const holding = byIp.get(ip) ?? blank(ip)
    byIp.set(ip, holding)
    return holding
  }
  const leave = (former: Holding, at: number) => {
    if (former.state === 'bound') onLeave(former, at)
    setFree(former)
  }
  /** Takes the MAC's other address from it; answers the lease that goes on beside an offer. */
  const leaveOther = (ip: number, mac: Mac, at: number, isOffer: boolean): Holding | undefined => {
    const other = byMac.get(mac)
    if (!other || other.ip === ip) return undefined
    const lease = other.state === 'offered' ? other.former : other
    byMac.delete(mac)
    if (other !== lease) leave(other, at)
    if (!isStillHeld(lease, mac)) {
      if (other === lease) leave(other, at)
      return undefined
    }
    if (isOffer && lease.ip !== ip) return lease
    if (lease.ip !== ip) leave(lease, at)
    return undefined
  }
  const occupy = (ip: number, mac: Mac, at: number, isOffer = false) => {
    const lease = leaveOther(ip, mac, at, isOffer)
    const holding = find(ip)
    if (!isOffer && isStillHeld(holding.former, mac)) leave(holding.former, at)
    if (!isOffer) holding.former = undefined
    if (holding.mac !== mac) {
      part(holding)
      clear(holding)
      holding.mac = mac
      holding.lease = undefined
    }
    holding.claimant = undefined
    if (lease) holding.former = lease
    byMac.set(mac, holding)
    return holding
  }
  const sweep = (at: number) => {
    for (let tries = 0; tries < triesMax; tries++) {
      const holding = ending.due(at)
      if (!holding) return
      setFree(holding)
    }
  }
  const isTaken = (ip: number) => byIp.has(ip)
  const takeFree = (isFit: (ip: number) => boolean) => {
    for (let tries = 0; tries < triesMax; tries++) {
      const fresh = free.size() < freeKeptMax ? pool.fresh(isTaken) : undefined
      const ip = fresh ?? free.shift()?.ip
      if (ip === undefined || isFit(ip)) return ip
      free.push(find(ip))
    }
    return undefined
  }
  return {
    ofMac: (mac, at) => {
      // An offer that has ended may give way to the lease behind it.
      settle(byMac.get(mac), at)
      return settle(byMac.get(mac), at)
    },
    ofIp: (ip, at) => settle(byIp.get(ip), at),
    values: () => byIp.values(),
    occupy,
    setState,
    setFree,
    part,
    sweep,
    takeFree,
    offered: () => offered,
  }
}

const isStillHeld = (lease: Holding | undefined, mac: Mac): lease is Holding => lease?.state === 'bound' && lease.mac === mac

/** What is to be written down when a holding's lease is given back. */
export const releasedLease = ({ lease, ip, mac }: Holding, network: string, at: number): Lease => ({
  network,
  ip: numberToIpv4(ip),
  mac: mac as Mac,
  ...lease,
  state: 'released',
  expiresAt: Math.floor(at / 1000),
})

const blank = (ip: number): Holding => ({
  ip,
  mac: undefined,
  state: 'free',
  lease: undefined,
  claimant: undefined,
  former: undefined,
  endsAt: Infinity,
  place: -1,
  previous: undefined,
  next: undefined,
  isQueued: false,
})
