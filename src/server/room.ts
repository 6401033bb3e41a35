// What serves one station, put together once for a configuration and shared by all doors. Called by server.ts, and by server/local without a server.
// It opens no socket.
import type { Ipv4 } from '../boot/address.ts'
import type { Emit } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { createLoaderLibrary } from '../ipxe/library.ts'
import { bootOf } from '../overlay/boot-of.ts'
import { createDesk } from '../overlay/desk.ts'
import { createKnownPackages } from '../overlay/known-package.ts'
import { openOverlays } from '../overlay/open.ts'
import { createAdditions } from '../release/addition.ts'
import { createAcquaintances } from '../station/acquaintance.ts'
import { createEventLimit } from '../station/allowance.ts'
import { createGate, type Gate } from '../station/answer.ts'
import { createDoor, type DoorOptions } from '../station/door.ts'
import type { PlaceFinder } from '../station/explain.ts'
import { createFiles, type Files } from '../station/file.ts'
import { createPresence } from '../station/presence.ts'
import { createScripts } from '../station/script.ts'
import { createServed } from '../station/served.ts'
import { createTickets, type TicketOptions } from '../station/ticket.ts'
import type { RecordBook } from '../store/record.ts'
import { createLateLeases, ticketLeases } from './lease.ts'
import { packagesBaseOf } from './packages.ts'
import { findStationPlace } from './place.ts'

/** What only a running server has. */
type Made = Pick<DoorOptions, 'isBeingBuilt' | 'stationLoaders' | 'packages'> & {
  readonly files?: Files
  readonly packagesBase?: (httpBase: string) => string
  readonly ticketStore?: Pick<TicketOptions, 'key' | 'used'>
  readonly onFault?: (error: unknown) => void
}

export type Rooms = ReturnType<typeof createRooms>

/** What serves one station, made once and shared by the doors. `leases` stands for DHCP's, which come last. */
export function createRooms(config: Config, records: RecordBook, emit: Emit, made: Made = {}) {
  const { depot, site } = config
  const now = Date.now
  const { leases, useDhcp } = createLateLeases()
  const own = createPresence({ now })
  // A lease tells who has an address; whoever has one from elsewhere (proxy mode) is known by what it asked before.
  const presence = { ...own, find: (ip: string) => leases.findMac(ip as Ipv4) ?? own.find(ip) }
  const loaders = createLoaderLibrary({ depot, now })
  const { files = openFiles(config), packagesBase = packagesBaseOf(config, () => undefined) } = made
  const scripts = createScripts({ depot, emit, now, packagesBase })
  const findPlace: PlaceFinder = (mac, station, wanted) => findStationPlace(config, leases.findByMac(mac), station, wanted)
  const { onFault = () => {}, ticketStore, files: _, packagesBase: __, ...doorParts } = made
  const overlays = openOverlays(config, now)
  const mayTell = createEventLimit({ now, emit })
  const served = createServed({ history: overlays.history, depot, onFault })
  const tickets = ticketStore && createTickets({ ...ticketStore, now, steady: () => performance.now(), leases: ticketLeases(config, leases) })
  const hasTickets = tickets !== undefined
  const { composer } = overlays
  const additions = createAdditions({ depot, state: config.state, now })
  const acquaintances = createAcquaintances({ now })
  const plain = createGate({
    depot,
    records: records.current,
    site: () => site,
    loaders,
    presence,
    scripts,
    composer,
    additions,
    hasTickets,
    now,
    emit,
    findPlace,
  })
  // What they say is remembered on the way; `explain` asks as nobody.
  const gate: Gate = {
    ...plain,
    decide: (client) => {
      acquaintances.meetClient(client)
      return plain.decide(client)
    },
    plan: (mac, facts, chosen) => {
      acquaintances.meetFacts(mac, facts)
      return plain.plan(mac, facts, chosen)
    },
  }
  const desk = createDesk({
    depot,
    overlays,
    findOverlay: gate.findOverlay,
    findBoot: (mac) => bootOf(mac, records.current(), site),
    knownPackages: createKnownPackages(config.packages.root),
  })
  const door = createDoor({
    gate,
    scripts,
    files,
    loaders,
    additions,
    ...doorParts,
    ...(tickets && { tickets }),
    overlayAccess: config.overlays.access,
    mayTell,
    onOverlay: served.give,
    hasSecrets: served.hasSecrets,
    presence,
    emit,
    now,
  })
  return { acquaintances, presence, loaders, scripts, gate, door, leases, useDhcp, overlays, desk, served, mayTell, ...(tickets && { tickets }) }
}

/** The files of the depot, with the configured cache. */
export const openFiles = ({ depot, cacheMegabytes }: Config): Files => createFiles({ depot, cacheBytes: cacheMegabytes * 1024 * 1024, now: Date.now })
