// The records of the depot in force: read at the start, read again when they change, the last good one kept where a file turns bad.
// Used by server.ts and by commands that run without a server. It never writes into the depot.
import { join } from 'node:path'
import type { Place } from '../boot/error.ts'
import type { Emit } from '../boot/event.ts'
import { lintNetworks, type Network } from '../boot/network.ts'
import type { Records } from '../boot/record.ts'
import type { Reservation } from '../boot/reservation.ts'
import { type Assembled, assembleRecords } from './assemble.ts'
import { createLossWatch, createReleaseReader } from './depot.ts'
import { createFolderReader } from './folder.ts'
import { type Finding, formatPath } from './mistake.ts'
import { placeIn, readProfile, readStation } from './record-file.ts'
import type { ReleaseScan } from './release.ts'
import { type Told, tellProblems } from './tell.ts'
import { type WatchOptions, watchDefaults, watchFolders } from './watch.ts'

export type RecordOptions = Partial<WatchOptions> & {
  readonly depot: string
  /** Where given, stations are checked against them as well. */
  readonly networks?: readonly Network[]
  readonly emit: Emit
  readonly now: () => number
  /** Host files in dnsmasq's form, whose lines stand beside the records. */
  readonly hostFiles?: HostFiles
}

/** The lines of other files that count as records. Reading them is another room's work (dnsmasq/source). */
export type HostFiles = {
  /** Looks at the files; answers whether something changed. Never throws. */
  readonly scan: (isForced: boolean) => Promise<boolean>
  readonly reservations: () => readonly Reservation[]
  readonly problems: () => readonly Finding[]
  readonly folders: () => readonly string[]
}

/** Something wrong in the depot. Its file is not in force as it stands; what is in force instead is the last good reading of it. */
export type RecordProblem = Finding

export interface RecordBook {
  current(): Records
  problems(): readonly RecordProblem[]
  /** Reads every file again, changed or not. */
  reload(): Promise<void>
  /** Calls the listener after each change of records or problems; returns the way to stop it. */
  onChange(listener: () => void): () => void
  /** Where a record's key was written: `placeOf('profiles', 'kiosk', ['release'])`. */
  placeOf(kind: RecordKind, name: string, path: readonly PropertyKey[]): Place
  close(): void
}

export type RecordKind = 'stations' | 'profiles'

/** Reads the depot and watches it until `close`. A depot that is not there yet is an empty one. Never throws. */
export async function openRecords({ depot, networks = [], emit, now, hostFiles, ...timing }: RecordOptions): Promise<RecordBook> {
  const stations = createFolderReader(depot, 'stations', readStation)
  const profiles = createFolderReader(depot, 'profiles', readProfile)
  const releases = createReleaseReader(depot)
  const findLoss = createLossWatch(depot)
  const listeners = new Set<() => void>()
  let assembled = assembleRecords([], [], releases.last())
  let problems: readonly RecordProblem[] = []
  let told: readonly Told[] = []
  let isClosed = false

  async function scan(isForced: boolean): Promise<void> {
    const lost = await findLoss()
    const changes = lost ? [] : await Promise.all([stations.scan(isForced), profiles.scan(isForced), releases.scan(), hostFiles?.scan(isForced)])
    if (isClosed) return
    const isChanged = changes.some(Boolean)
    const borrowed = hostFiles && { lines: hostFiles.reservations(), places: networks }
    if (isChanged) assembled = assembleRecords(stations.files(), profiles.files(), releases.last(), borrowed)
    const isNews = settleProblems(lost ? [lost] : []) || isChanged
    watched.follow([...foldersOf(depot, releases.last()), ...(hostFiles?.folders() ?? [])])
    if (isNews) callAll(listeners)
  }

  function settleProblems(lost: readonly Finding[]): boolean {
    const before = JSON.stringify(problems)
    const outside = lintStations(networks, assembled)
    const lines = hostFiles?.problems() ?? []
    problems = [...lost, ...stations.problems(), ...profiles.problems(), ...releases.problems(), ...assembled.problems, ...outside, ...lines]
    told = tellProblems(told, problems.map(withState), (event) => emit({ at: now(), ...event }))
    return JSON.stringify(problems) !== before
  }

  const withState = (finding: Finding): Told => {
    const file = finding.file ?? ''
    return { finding, state: stations.signatureOf(file) ?? profiles.signatureOf(file) ?? '' }
  }

  const rescan = createQueue(async (isForced) => {
    if (!isClosed) await scan(isForced)
  })
  const watched = watchFolders(() => void rescan(false), { ...watchDefaults, ...timing })
  await rescan(true)
  return {
    current: () => assembled.records,
    problems: () => problems,
    reload: () => rescan(true),
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    placeOf: (kind, name, path) => placeOf(assembled, kind, name, path),
    close() {
      isClosed = true
      watched.close()
    },
  }
}

const foldersOf = (depot: string, { folders }: ReleaseScan): string[] => [
  depot,
  ...['stations', 'profiles', 'releases', ...folders.slice(1)].map((folder) => join(depot, folder)),
]

function placeOf({ stationFiles, profileFiles }: Assembled, kind: RecordKind, name: string, path: readonly PropertyKey[]): Place {
  const file = (kind === 'stations' ? stationFiles : profileFiles).get(name)
  return file ? placeIn(file.text, file.file, path) : { file: `${kind}/${name}`, path: formatPath(path) }
}

/** Stations against the networks: the core's lint, with the places where the addresses were written. */
function lintStations(networks: readonly Network[], assembled: Assembled): Finding[] {
  // What lines of host files say wrong is told where they are read.
  const own = assembled.records.stations.filter(({ name }) => !assembled.records.stationSources?.has(name))
  return lintNetworks(networks, own)
    .filter(({ path }) => path.startsWith('stations/'))
    .map(({ code, message, severity, path }) => {
      return { code, message, severity, ...placeOf(assembled, 'stations', path.slice('stations/'.length), ['address']) }
    })
}

/** One scan at a time; whoever asks while one runs gets the one after it, which sees all that was there when they asked. */
function createQueue(scan: (isForced: boolean) => Promise<void>): (isForced: boolean) => Promise<void> {
  let running: Promise<void> = Promise.resolve()
  let next: { isForced: boolean; readonly done: Promise<void> } | undefined
  return (isForced) => {
    if (next) {
      next.isForced ||= isForced
      return next.done
    }
    const mine = { isForced, done: running.then(() => start()) }
    const start = () => {
      next = undefined
      running = scan(mine.isForced)
      return running
    }
    next = mine
    return mine.done
  }
}

function callAll(listeners: Set<() => void>): void {
  for (const listener of listeners) {
    try {
      listener()
    } catch {
      listeners.delete(listener)
    }
  }
}
