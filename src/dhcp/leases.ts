// All leases of all networks, in memory, with their durable copy in the store. Made by the DHCP server, read by the API; sends nothing.
import { contains, type Ipv4, ipv4ToNumber, type Mac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Network } from '../boot/network.ts'
import type { Lease, LeaseStore } from '../store/port.ts'
import { type Book, createBook } from './book.ts'

export type Leases = {
  /** The lease that the MAC holds, in that network or in the first that has one. */
  readonly findByMac: (mac: Mac, network?: string) => Lease | undefined
  /** Who holds the address now. */
  readonly findMac: (ip: Ipv4) => Mac | undefined
  /** Bound and declined addresses that have not ended. */
  readonly list: () => Lease[]
  /** The book of one network in server mode. */
  readonly book: (network: string) => Book | undefined
  /** Are there changes that `commit` would write? */
  readonly hasChanges: () => boolean
  /** Writes all changes since the last call in one put; resolves when they are durable. Changes of a put that failed are tried again with the next, but for what the store refuses (InputError). */
  readonly commit: () => Promise<void>
}

export type LeasesOptions = {
  /** With `serverAddress` where it is known, so that nobody is given ours. */
  readonly networks: readonly Network[]
  readonly store: LeaseStore
  readonly now: () => number
  /** The MACs of the station whose record has this address, undefined for none. Such an address is never given to others. */
  readonly reservedFor?: ((ip: Ipv4) => readonly Mac[] | undefined) | undefined
}

/** How many unwritten changes are kept while the store fails. */
const changesMax = 65_536

/** Reads what the store has. Leases of networks that are gone stay in the store and are not looked at. */
export function createLeases({ networks, store, now, reservedFor }: LeasesOptions): Leases {
  let changes: Lease[] = []
  const onChange = (lease: Lease) => void changes.push(lease)
  const served = networks.filter(({ mode }) => mode === 'server')
  const books = new Map(served.map((network) => [network.name, createBook({ network, now, reservedFor, onChange })]))
  const stored = Map.groupBy(store.all(), ({ network }) => network)
  for (const [name, book] of books) book.load(stored.get(name) ?? [])

  const findByMac = (mac: Mac, network?: string) => {
    if (network !== undefined) return books.get(network)?.findByMac(mac)
    for (const book of books.values()) {
      const lease = book.findByMac(mac)
      if (lease) return lease
    }
    return undefined
  }
  const findMac = (ip: Ipv4) => {
    const network = served.find(({ subnet }) => contains(subnet, ip))
    return network && books.get(network.name)?.findByIp(ipv4ToNumber(ip))?.mac
  }
  const commit = async () => {
    const batch = changes
    if (!batch.length) return
    changes = []
    try {
      await store.put(batch)
    } catch (error) {
      // What the store will never take would keep all that follows from being written.
      if (error instanceof InputError) throw error
      changes = [...batch, ...changes].slice(-changesMax)
      throw error
    }
  }
  return {
    findByMac,
    findMac,
    list: () => [...books.values()].flatMap((book) => book.list()),
    book: (network) => books.get(network),
    hasChanges: () => changes.length > 0,
    commit,
  }
}
