// The only place that wires everything: clock, chance, sockets and files enter here. Called by `bivouac serve`.
import { join } from 'node:path'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { isIP } from 'node:net'
import { contains, type Ipv4, ipv4ToNumber, type Mac } from './boot/address.ts'
import type { Content } from './boot/content.ts'
import type { BootEvent, Emit } from './boot/event.ts'
import { InputError } from './boot/error.ts'
import type { Network } from './boot/network.ts'
import type { Station } from './boot/record.ts'
import { reservedMacs } from './boot/reserve.ts'
import type { Config } from './config.ts'
import { startDhcp } from './dhcp/server.ts'
import { createRescueWatch } from './dnsmasq/rescue-once.ts'
import { serveByDnsmasq } from './dnsmasq/serve.ts'
import { createHostFileReader } from './dnsmasq/source.ts'
import { createApp } from './http/app.ts'
import type { AppDeps, SaveDeps } from './http/deps.ts'
import { startHttp } from './http/listen.ts'
import type { ManageDeps } from './http/manage.ts'
import { guessBase } from './ipxe/base.ts'
import { createInstantLoaders, type InstantLoaders } from './ipxe/instant.ts'
import { createLoaderLibrary, type LoaderLibrary } from './ipxe/library.ts'
import { createPacker } from './ipxe/packer.ts'
import { type IpxeTools, openIpxeTools } from './ipxe/tools.ts'
import type { Nfs } from './nfs/phase.ts'
import { openConfiguredNfs } from './server/nfs.ts'
import { bootOf } from './overlay/boot-of.ts'
import { createDesk, type Desk } from './overlay/desk.ts'
import { createKnownPackages } from './overlay/known-package.ts'
import { openOverlays } from './overlay/open.ts'
import { listWorlds, startMirrorSchedule } from './server/mirror.ts'
import { describePackages, listMirrorProblems, openPackages, type PackageService, packagesBaseOf, startPackages } from './server/packages.ts'
import { createPowerDesk } from './power/desk.ts'
import { runTool } from './power/run.ts'
import { startPilot } from './server/pilot.ts'
import { createAdditions } from './release/addition.ts'
import { createAlarm } from './station/alarm.ts'
import { createEventLimit } from './station/allowance.ts'
import { createGate, type Gate } from './station/answer.ts'
import { createDoor, type DoorOptions } from './station/door.ts'
import type { PlaceFinder } from './station/explain.ts'
import { createFiles, type Files } from './station/file.ts'
import { createPhases } from './station/phase.ts'
import { createPresence } from './station/presence.ts'
import { createScripts, type Scripts } from './station/script.ts'
import { openEditor } from './store/edit.ts'
import { createServed } from './station/served.ts'
import { createTickets, maskTicket, type TicketLeases, type TicketOptions } from './station/ticket.ts'
import { openTicketStore } from './station/ticket-store.ts'
import type { Opened } from './station/visit.ts'
import { openStore } from './store/embedded.ts'
import { createNextBoots, type NextBoots, recordsWithNext } from './store/next.ts'
import type { Lease, Store } from './store/port.ts'
import { openRecords, type RecordBook } from './store/record.ts'
import { ensureToken, keepLocalToken, verifyToken } from './store/token.ts'
import type { TransferFigures } from './tftp/figure.ts'
import { startTftp } from './tftp/server.ts'

/** One socket that is open, for people and the API. */
export type Listening = {
  readonly service: 'http' | 'packages' | 'tftp' | 'dhcp' | 'pilot'
  readonly address: string
  readonly port: number
  readonly network?: string
  readonly mode?: 'server' | 'proxy'
}

export type Server = {
  readonly listening: readonly Listening[]
  /** What an operator should know though everything runs: a small receive buffer, no loaders. */
  readonly warnings: readonly string[]
  /** The operator token, on the first start only. */
  readonly newToken?: string
  readonly records: RecordBook
  readonly listen: (listener: (event: BootEvent) => void) => () => void
  readonly stop: () => Promise<void>
}

/** What closes one thing that was opened; run in the reverse order of opening. */
type Closers = (() => unknown)[]

/** Opens the state, the records, then the doors. If one fails, what is open already is closed again. Throws what the rooms throw. */
export async function startServer(config: Config, version: string, onFault: (error: unknown) => void): Promise<Server> {
  const closers: Closers = []
  const stop = (): Promise<void> => closeAll(closers.splice(0))
  try {
    return { ...(await open(config, version, onFault, closers)), stop }
  } catch (error) {
    // What could not be opened is worth more words than what could not be closed after it.
    await stop().catch(() => undefined)
    throw error
  }
}

/** Runs all of them, the last one first, whatever fails: a full disk must leave no door open. Then throws the first failure. */
export async function closeAll(closers: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.toReversed()) {
    try {
      await close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length) throw failures[0]
}

async function open(config: Config, version: string, onFault: (error: unknown) => void, closers: Closers): Promise<Omit<Server, 'stop'>> {
  const store = await openStore(config.state, { sync: config.dhcp.sync, now: Date.now })
  closers.push(() => store.close())
  const emit = store.events.append
  const book = await openRecords({ ...recordOptions(config), emit })
  closers.push(() => book.close())
  const next = openNext(store, book, emit, closers, onFault)
  const records = { ...book, current: recordsWithNext(book.current, next) }
  const editor = await openEditor({ depot: config.depot, state: config.state, records: book, now: Date.now })
  closers.push(() => editor.close())
  const newToken = await ensureToken(store.marks)
  await keepLocalToken(store.marks, config.state)
  closers.push(watchForStalls(store, emit))
  closers.push(store.events.listen(createRescueWatch({ folder: join(config.depot, 'pxelinux.cfg'), state: config.state, onFault })))

  const warnings: string[] = []
  const listening: Listening[] = []
  const startedAt = Date.now()
  const ipxe = await openGenerator(config)
  closers.push(() => ipxe.close())
  const files = openFiles(config)
  const packages = await openPackages(config, { emit, now: Date.now, files })
  closers.push(packages.close)
  const packagesPort = (): number | undefined => listening.find(({ service }) => service === 'packages')?.port
  const rooms = createRooms(config, records, emit, {
    files,
    packages,
    packagesBase: packagesBaseOf(config, packagesPort),
    isBeingBuilt: ipxe.builds.isBeingBuilt,
    ...(config.loaderScript === 'station' && { stationLoaders: openStationLoaders(ipxe, closers) }),
    ticketStore: await openTicketStore(store.marks, Date.now, onFault),
    onFault,
  })
  closers.push(rooms.served.settle)
  const problems = () => [...warnings.map((message) => ({ message })), ...rooms.scripts.problems(), ...listMirrorProblems(packages.describe())]
  const status = () => ({ version, startedAt, listening, problems: problems() })
  const nfs = await resumeNfs(openConfiguredNfs(config, rooms.overlays.history, emit), closers, warnings)
  const manage = { records, editor, next, marks: store.marks }
  const doors = { config, rooms, ipxe, nfs, packages, store, records, manage, emit, warnings, listening, closers, status, onFault }
  await openSecondHttp(doors)
  await openHttp(doors)
  await openTftp(doors)
  await openDhcp(doors)
  await openPilot(doors)
  closers.push(startMirrorSchedule(config, { emit, now: Date.now, listWorlds: () => listWorlds(records.current().stations, rooms.desk) }))
  emit({ at: Date.now(), kind: 'started', detail: { version } })
  closers.push(() => emit({ at: Date.now(), kind: 'stopped', detail: { version } }))
  if (!rooms.loaders.list().length)
    warnings.push('no loader found: install the distribution\'s package "ipxe", or put loaders into the depot below ipxe/')
  return { listening, warnings, records, listen: store.events.listen, ...(newToken && { newToken }) }
}

/** What the record book reads for this configuration: the depot, and the site's host files. */
export const recordOptions = ({ depot, networks, dnsmasq: { hosts, dhcphosts } }: Config) => ({
  depot,
  networks,
  now: Date.now,
  ...((hosts.length > 0 || dhcphosts.length > 0) && { hostFiles: createHostFileReader({ hosts, dhcphosts, networks }) }),
})

/** What serves one station, made once and shared by the doors. `leases` stands for DHCP's, which come last. */
function createRooms(config: Config, records: RecordBook, emit: Emit, made: Made = {}) {
  const { depot, site } = config
  const now = Date.now
  let dhcp: Pick<AppDeps, 'leases'> | undefined
  const useDhcp = (server: Pick<AppDeps, 'leases'>): void => {
    dhcp = server
  }
  const leases: AppDeps['leases'] = {
    findByMac: (mac) => dhcp?.leases.findByMac(mac),
    findMac: (ip) => dhcp?.leases.findMac(ip),
    list: () => dhcp?.leases.list() ?? [],
  }
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
  const gate = createGate({
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
  return { presence, loaders, scripts, gate, door, leases, useDhcp, overlays, desk, served, mayTell, ...(tickets && { tickets }) }
}

const openFiles = ({ depot, cacheMegabytes }: Config): Files => createFiles({ depot, cacheBytes: cacheMegabytes * 1024 * 1024, now: Date.now })

/** What only a running server has. */
type Made = Pick<DoorOptions, 'isBeingBuilt' | 'stationLoaders' | 'packages'> & {
  readonly files?: Files
  readonly packagesBase?: (httpBase: string) => string
  readonly ticketStore?: Pick<TicketOptions, 'key' | 'used'>
  readonly onFault?: (error: unknown) => void
}

/** The way back of configurations. Where we give the addresses, only a lease says whose one is; elsewhere what it asked before must do. */
function openSaving(config: Config, { overlays, scripts, gate, leases, presence }: ReturnType<typeof createRooms>, store: Store): SaveDeps {
  const { gives, holdsAny } = ticketLeases(config, leases)
  const findCaller = (peer: string): Mac | undefined => {
    const holder = leases.findMac(peer as Ipv4)
    if (holder || gives(peer as Ipv4)) return holder
    const mac = presence.find(peer)
    return mac && !holdsAny(mac) ? mac : undefined
  }
  return {
    phases: createPhases(store.marks, Date.now),
    accept: overlays.accept,
    scripts,
    findCaller,
    folder: join(config.state, 'uploads'),
    maxBytes: config.overlays.saveMegabytes * 1024 * 1024,
    onSaved: gate.forgetOverlay,
  }
}

const ticketLeases = ({ networks }: Config, leases: AppDeps['leases']): TicketLeases => ({
  findMac: leases.findMac,
  holdsAny: (mac) => {
    const lease = leases.findByMac(mac)
    return lease?.state === 'bound' && lease.expiresAt * 1000 > Date.now()
  },
  gives: (ip) => isIpv4(ip) && networks.some(({ mode, subnet }) => mode === 'server' && contains(subnet, ip)),
})

export type LocalGate = {
  readonly gate: Gate
  readonly records: RecordBook
  readonly loaders: LoaderLibrary
  readonly scripts: Scripts
  readonly desk: Desk
  readonly close: () => void
}

/** The artifact generator on the configured folders; its embedded scripts know this server's URL. */
const openGenerator = ({ depot, state, http }: Config): Promise<IpxeTools> =>
  openIpxeTools({ depot, state, recipesFolder: join(import.meta.dirname, '../ipxe'), site: { base: guessBase(http) }, now: Date.now })

/** Loaders with a station's own script, packed in a thread of their own. */
function openStationLoaders({ artifacts, publisher }: IpxeTools, closers: Closers): InstantLoaders {
  const packer = createPacker()
  closers.push(packer.close)
  return createInstantLoaders({ artifacts, publisher, change: packer.change })
}

/** The gate alone, over the records as they are: for `explain` without a server. Opens no socket and writes nothing but the overlays that it composes. */
export async function createLocalGate(config: Config): Promise<LocalGate> {
  const records = await openRecords({ ...recordOptions(config), emit: () => {} })
  const { gate, loaders, scripts, desk } = createRooms(config, records, () => {})
  return { gate, records, loaders, scripts, desk, close: records.close }
}

type Doors = {
  readonly config: Config
  readonly rooms: ReturnType<typeof createRooms>
  readonly ipxe: IpxeTools
  readonly nfs: Nfs
  readonly packages: PackageService
  readonly store: Store
  readonly records: RecordBook
  readonly manage: ManageDeps
  readonly emit: Emit
  readonly warnings: string[]
  readonly listening: Listening[]
  readonly closers: Closers
  readonly status: AppDeps['status']
  readonly onFault: (error: unknown) => void
}

/** The export by NFS: what a dead server left is closed, a phase that is still running goes on. A failure is told and stops nothing else. */
async function resumeNfs(nfs: Nfs, closers: Closers, warnings: string[]): Promise<Nfs> {
  const timer = setInterval(() => void nfs.sweep().catch(() => undefined), nfsSweepMs).unref()
  closers.push(() => {
    clearInterval(timer)
    return nfs.stop()
  })
  await nfs.resume().catch((error: Error) => warnings.push(`NFS is closed: ${error.message}`))
  return nfs
}

const nfsSweepMs = 2000

/** The packages server of its own, where one is configured. */
async function openSecondHttp({ config, rooms, packages, emit, listening, closers, onFault }: Doors): Promise<void> {
  if (config.packages.port === undefined) return
  const findMac = rooms.presence.find
  const server = await startPackages(config, { service: packages, emit, mayTell: rooms.mayTell, now: Date.now, findMac, onFault })
  closers.push(() => server.stop())
  listening.push({ service: 'packages', address: config.packages.address, port: server.port })
}

async function openHttp({
  config,
  rooms,
  ipxe,
  nfs,
  packages,
  store,
  records,
  manage,
  emit,
  listening,
  closers,
  status,
  onFault,
}: Doors): Promise<void> {
  const app = createApp({
    ...rooms,
    ipxe,
    manage,
    power: {
      desk: createPowerDesk({ ...config.power, networks: config.networks, env: process.env, run: runTool }),
      records: records.current,
      emit,
      now: Date.now,
    },
    nfs,
    mirror: { describe: () => describePackages(config, packages) },
    store,
    records,
    emit,
    status,
    onFault,
    now: Date.now,
    save: openSaving(config, rooms, store),
    verifyToken: (token) => verifyToken(store.marks, token),
    ...(config.http.url && { httpBase: config.http.url }),
  })
  const server = await startHttp({ app, address: config.http.address, port: config.http.port })
  closers.push(() => server.stop())
  listening.push({ service: 'http', address: config.http.address, port: server.port })
}

async function openTftp({ config, rooms, emit, listening, closers }: Doors): Promise<void> {
  const { enabled, address, port, ...limits } = config.tftp
  if (!enabled) return
  // By the very Content that a transfer was given, so that nothing is kept of one that never began.
  const begun = new WeakMap<Content, Opened>()
  const server = await startTftp({
    address,
    port,
    limits,
    read: async (name, peer) => {
      const opened = await rooms.door.open({ name, peer: peer.address, via: 'tftp', httpBase: findHttpBase(config, peer.address) })
      const own = { ...opened.content }
      begun.set(own, opened)
      return own
    },
    onEnd: (figures, content) => {
      const opened = content && begun.get(content)
      if (figures.outcome === 'complete') return opened?.done(figures.sentBytes)
      opened?.cut?.()
      if (opened && !figures.isProbe && rooms.mayTell('transfer-failed', figures.peer.address))
        emit(describeFailure(figures, rooms.presence.find(figures.peer.address)))
    },
  })
  closers.push(() => server.stop())
  listening.push({ service: 'tftp', address: [address].flat().join(', '), port: server.port })
}

function describeFailure({ peer, name, sizeBytes, sentBytes, outcome, reason }: TransferFigures, mac: Mac | undefined): BootEvent {
  const detail = { via: 'tftp', file: maskTicket(name).slice(0, 120), sizeBytes, sentBytes, reason: `${outcome}: ${reason}` }
  return { at: Date.now(), kind: 'transfer-failed', ip: peer.address as Ipv4, ...(mac && { mac }), detail }
}

/** What URLs begin with in texts for this address: the configured URL, else our own address on the wire that it is on. */
function findHttpBase({ http, networks }: Config, peer: string): string {
  if (http.url) return http.url
  const own = ownAddresses()
  const direct = own.find(({ cidr, address }) => cidr && isBeside(cidr, address, peer))?.address
  const relayed = networks.find(({ subnet }) => isIpv4(peer) && contains(subnet, peer))?.serverAddress
  const address = direct ?? relayed ?? own.find(({ internal }) => !internal)?.address ?? '127.0.0.1'
  return `http://${address}:${http.port}`
}

// The kernel is asked once a second at most: its answer costs more than sending a small loader's packets.
const ownAddresses = createOwnAddresses(() => performance.now())

function createOwnAddresses(nowMs: () => number): () => readonly NetworkInterfaceInfo[] {
  let known: readonly NetworkInterfaceInfo[] = []
  let staleAtMs = Number.NEGATIVE_INFINITY
  return () => {
    if (nowMs() < staleAtMs) return known
    known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ family }) => family === 'IPv4'))
    staleAtMs = nowMs() + 1000
    return known
  }
}

const isIpv4 = (text: string): text is Ipv4 => isIP(text) === 4

/** The network that is named, else that of the record's address, of the lease, or the first one. Throws InputError for a name that no network has. */
function findStationPlace({ http, networks }: Config, lease: Lease | undefined, station: Station | undefined, wanted: string | undefined) {
  const own = station?.address
  const network =
    wanted === undefined
      ? (networks.find(({ subnet }) => own && contains(subnet, own)) ?? networks.find(({ name }) => name === lease?.network) ?? networks[0])
      : networks.find(({ name }) => name === wanted)
  if (!network && wanted !== undefined)
    throw new InputError(
      'network',
      `there is no network "${wanted.slice(0, 64)}" (there are: ${networks.map(({ name }) => name).join(', ') || 'none'})`,
    )
  if (!network) return undefined
  const serverAddress = network.serverAddress ?? (ownAddresses().find(({ address }) => contains(network.subnet, address as Ipv4))?.address as Ipv4)
  const httpBase = http.url ?? (serverAddress && http.port ? `http://${serverAddress}${http.port === 80 ? '' : `:${http.port}`}` : undefined)
  return {
    network: network.name,
    mode: network.mode,
    ...(serverAddress && { serverAddress }),
    ...(httpBase && { httpBase }),
    ...(lease?.network === network.name && { leaseIp: lease.ip }),
  }
}

/** Is the peer in the subnet of this interface address (`10.9.0.1/24`)? */
function isBeside(cidr: string, address: string, peer: string): boolean {
  const prefix = Number(cidr.slice(cidr.indexOf('/') + 1))
  const subnet = { network: (ipv4ToNumber(address as Ipv4) & (0xffffffff << (32 - prefix))) >>> 0, prefix }
  return isIpv4(peer) && contains(subnet, peer)
}

async function openDhcp(doors: Doors): Promise<void> {
  const { config, rooms, store, records, emit, warnings, listening, closers } = doors
  if (!config.networks.length) return
  if (config.dnsmasq.engine) return openEngine(doors)
  const server = await startDhcp({
    networks: config.networks,
    decide: rooms.gate.decide,
    leases: store.leases,
    now: Date.now,
    emit,
    httpPort: config.http.port,
    ...(config.http.url && { httpBase: config.http.url }),
    sync: config.dhcp.sync,
    reservedFor: (ip) => reservedMacs(records.current(), ip),
    onReceiveBuffer: (bytes) => {
      if (bytes < smallBufferBytes)
        warnings.push(
          `the kernel gives DHCP a receive buffer of ${Math.round(bytes / 1024)} KB: for hundreds of stations at once raise net.core.rmem_max to 4194304`,
        )
    },
  })
  rooms.useDhcp(server)
  closers.push(() => server.stop())
  for (const { network, address, mode } of server.listening) listening.push({ service: 'dhcp', address, port: 67, network, mode })
}

/** DHCP and DNS by dnsmasq, which reads what the records say whenever they change. */
async function openEngine({ config, rooms, records, emit, listening, closers, onFault }: Doors): Promise<void> {
  const { networks, site, http } = config
  const addressOn = (network: Network) => ownAddresses().find(({ address }) => contains(network.subnet, address as Ipv4))?.address as Ipv4 | undefined
  const engine = await serveByDnsmasq({
    settings: config.dnsmasq,
    folder: join(config.state, 'dnsmasq'),
    networks,
    site,
    records: records.current,
    addressOn,
    httpBaseOf: (address) => http.url ?? `http://${address}${http.port === 80 ? '' : `:${http.port}`}`,
    hasLoader: (file) => rooms.loaders.find(file) !== undefined,
    emit,
    now: Date.now,
  })
  closers.push(engine.stop)
  closers.push(records.onChange(() => void engine.reload().catch(onFault)))
  rooms.useDhcp(engine)
  for (const network of networks)
    listening.push({
      service: 'dhcp',
      address: network.serverAddress ?? addressOn(network) ?? '?',
      port: 67,
      network: network.name,
      mode: network.mode,
    })
}

/** PXE Pilot's interface, where its file is named. What no deploy made in the place of its links is told. */
async function openPilot({ config, store, records, manage, emit, warnings, listening, closers, onFault }: Doors): Promise<void> {
  const verify = (token: string) => verifyToken(store.marks, token)
  const pilot = await startPilot({ config, records, editor: manage.editor, verifyToken: verify, emit, onFault })
  if (!pilot) return
  closers.push(pilot.stop)
  listening.push({ service: 'pilot', address: config.pilot.address, port: pilot.port })
  for (const { host, odd } of await pilot.oddities())
    warnings.push(`PXE Pilot's host ${host}: a ${odd} stands where its link should be; the next deploy replaces it`)
}

/** Four seconds' worth of waiting when it overflows; a stock kernel grants 208 KB, which holds some hundred questions. */
const smallBufferBytes = 1024 * 1024

/** Says `stalled` for boots that stop before they are up. */
function watchForStalls(store: Store, emit: Emit): () => void {
  const alarm = createAlarm({ emit, now: Date.now })
  const unlisten = store.events.listen(alarm.see)
  const timer = setInterval(alarm.sweep, alarmEveryMs).unref()
  return () => {
    clearInterval(timer)
    unlisten()
  }
}

const alarmEveryMs = 10_000

/** The orders for next boots: counted by the log, failed by the clock. */
function openNext({ marks, events }: Store, records: RecordBook, emit: Emit, closers: Closers, onFault: (error: unknown) => void): NextBoots {
  const next = createNextBoots({ marks, emit, now: Date.now, macsOf: (mac) => records.current().stationByMac.get(mac)?.macs ?? [], onFault })
  const unlisten = events.listen(next.see)
  const timer = setInterval(next.sweep, alarmEveryMs).unref()
  closers.push(() => {
    clearInterval(timer)
    unlisten()
  })
  return next
}
