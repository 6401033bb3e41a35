// The only place that wires everything: what starts, in which order, and what closes. Called by `bivouac serve`. The parts are in server/.
import { join } from 'node:path'
import type { BootEvent } from './boot/event.ts'
import type { Config } from './config.ts'
import { createRescueWatch } from './dnsmasq/rescue-once.ts'
import { openDhcp } from './server/dhcp.ts'
import { type Closers, closeAll, type Doors, type Listening } from './server/door.ts'
import { openHttp, openSecondHttp } from './server/http.ts'
import { openGenerator, openStationLoaders } from './server/ipxe.ts'
import { recordOptions } from './server/local.ts'
import { listWorlds, startMirrorSchedule } from './server/mirror.ts'
import { openConfiguredNfs, resumeNfs } from './server/nfs.ts'
import { listMirrorProblems, openPackages, packagesBaseOf } from './server/packages.ts'
import { openPilot } from './server/pilot.ts'
import { createRooms, openFiles } from './server/room.ts'
import { removeUnfinished } from './server/save.ts'
import { openTftp } from './server/tftp.ts'
import { startTaking } from './server/told.ts'
import { openNext, watchForStalls } from './server/watch.ts'
import { openTicketStore } from './station/ticket-store.ts'
import { openEditor } from './store/edit.ts'
import { openStore } from './store/embedded.ts'
import { recordsWithNext } from './store/next.ts'
import { openRecords, type RecordBook } from './store/record.ts'
import { ensureToken, keepLocalToken } from './store/token.ts'

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

async function open(config: Config, version: string, onFault: (error: unknown) => void, closers: Closers): Promise<Omit<Server, 'stop'>> {
  const store = await openStore(config.state, { sync: config.dhcp.sync, now: Date.now })
  closers.push(() => store.close())
  const emit = store.events.append
  await removeUnfinished(config)
  const book = await openRecords({ ...recordOptions(config), emit })
  closers.push(() => book.close())
  const next = openNext(store, book, emit, closers, onFault)
  const records = { ...book, current: recordsWithNext(book.current, next) }
  const editor = await openEditor({ depot: config.depot, state: config.state, records: book, now: Date.now })
  closers.push(() => editor.close())
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
  const doors: Doors = { config, rooms, ipxe, nfs, packages, store, records, manage, emit, warnings, listening, closers, status, onFault }
  await openSecondHttp(doors)
  await openHttp(doors)
  await openTftp(doors)
  await openDhcp(doors)
  await openPilot(doors)
  closers.push(startMirrorSchedule(config, { emit, now: Date.now, listWorlds: () => listWorlds(records.current().stations, rooms.desk) }))
  // Only now: of a start that fails nobody would be shown it.
  const newToken = await ensureToken(store.marks)
  await keepLocalToken(store.marks, config.state)
  emit({ at: Date.now(), kind: 'started', detail: { version } })
  closers.push(() => emit({ at: Date.now(), kind: 'stopped', detail: { version } }))
  closers.push(startTaking(config, emit))
  if (!rooms.loaders.list().length)
    warnings.push('no loader found: install the distribution\'s package "ipxe", or put loaders into the depot below ipxe/')
  return { listening, warnings, records, listen: store.events.listen, ...(newToken && { newToken }) }
}
