// Stations and boots as the API shows them: records, leases and events brought together. Pure; called by api and page.
import type { Mac } from '../boot/address.ts'
import type { BootEvent, BootStep } from '../boot/event.ts'
import { type Boot, findSkipped, splitBoots } from '../boot/progress.ts'
import { describeSequence, type SequenceStep } from '../boot/sequence.ts'
import type { Records, Station } from '../boot/record.ts'
import type { Acquaintance, Acquaintances } from '../station/acquaintance.ts'
import type { Lease } from '../store/port.ts'

/** One boot: which steps came and when, what must still come, and the step that was passed over (`missing`). Times are ms since 1970. */
export type BootView = {
  readonly startedAt: number
  readonly lastAt: number
  readonly isUp: boolean
  readonly steps: readonly { readonly step: BootStep; readonly at: number; readonly afterMs: number; readonly event: BootEvent }[]
  readonly due: readonly BootStep[]
  readonly missing: BootStep | null
  readonly trouble: readonly BootEvent[]
  /** Why it is not up, or what is wrong though it is. */
  readonly reason: string | null
  /** The same boot in the ten steps of the owner's document. */
  readonly sequence: readonly SequenceStep[]
  /** What the station said of itself, when it came up. */
  readonly report: BootEvent['detail'] | null
}

export function viewBoot(boot: Boot): BootView {
  const { startedAt, lastAt, isUp, due, trouble } = boot
  const steps = [...boot.seen]
    .map(([step, event]) => ({ step, at: event.at, afterMs: event.at - startedAt, event }))
    .sort((one, other) => one.at - other.at)
  const report = boot.report?.detail ?? null
  return {
    startedAt,
    lastAt,
    isUp,
    steps,
    due,
    missing: findSkipped(boot) ?? null,
    trouble,
    reason: boot.reason ?? null,
    sequence: describeSequence(boot),
    report,
  }
}

export type LeaseView = Omit<Lease, 'expiresAt'> & { readonly expiresAt: number | null }

/** A lease for JSON, which has no Infinity: without end is null. */
export const viewLease = (lease: Lease): LeaseView => ({ ...lease, expiresAt: Number.isFinite(lease.expiresAt) ? lease.expiresAt : null })

/** One line of the list: a station by record, or a MAC that was seen and has none. */
export type StationView = {
  readonly name: string | null
  readonly macs: readonly Mac[]
  readonly hasRecord: boolean
  readonly profile: string | null
  readonly group: string | null
  readonly address: string | null
  readonly lastAt: number | null
  /** The last step of the last boot, and what must come next. */
  readonly step: BootStep | null
  readonly due: BootStep | null
  readonly missing: BootStep | null
  readonly isUp: boolean
  /** Why it is not up, or what is wrong though it is. */
  readonly reason: string | null
  /** What it said of itself in its last boot. */
  readonly report: BootEvent['detail'] | null
  /** What it told of itself on the way: maker, product, serial, UUID, firmware; not kept over a restart. */
  readonly said: Acquaintance | null
}

/** All records, in their order, then the MACs without one, the last seen first. */
export function listStations(
  records: Records,
  leases: readonly Lease[],
  events: readonly BootEvent[],
  heard: Pick<Acquaintances, 'find' | 'macs'> = { find: () => undefined, macs: () => [] },
): StationView[] {
  const eventsByMac = groupByMac(events)
  const leaseByMac = new Map(leases.filter(({ state }) => state === 'bound').map((lease) => [lease.mac, lease]))
  const known = records.stations.map((station) => viewStation(station.macs, station, leaseByMac, eventsByMac, heard))
  const unknown = [...new Set([...eventsByMac.keys(), ...leaseByMac.keys(), ...heard.macs()])]
    .filter((mac) => !records.stationByMac.has(mac))
    .map((mac) => viewStation([mac], undefined, leaseByMac, eventsByMac, heard))
    .sort((one, other) => (other.lastAt ?? other.said?.at ?? 0) - (one.lastAt ?? one.said?.at ?? 0))
  return [...known, ...unknown]
}

function groupByMac(events: readonly BootEvent[]): Map<Mac, BootEvent[]> {
  const groups = new Map<Mac, BootEvent[]>()
  for (const event of events) {
    if (event.mac === undefined) continue
    const group = groups.get(event.mac)
    if (group) group.push(event)
    else groups.set(event.mac, [event])
  }
  return groups
}

function viewStation(
  macs: readonly Mac[],
  station: Station | undefined,
  leaseByMac: ReadonlyMap<Mac, Lease>,
  eventsByMac: ReadonlyMap<Mac, BootEvent[]>,
  heard: Pick<Acquaintances, 'find'>,
): StationView {
  const boot = splitBoots(mergeEvents(macs.map((mac) => eventsByMac.get(mac) ?? []))).at(-1)
  const lease = macs.map((mac) => leaseByMac.get(mac)).find((found) => found)
  return {
    name: station?.name ?? null,
    macs,
    hasRecord: station !== undefined,
    profile: station?.profile ?? null,
    group: station?.group ?? null,
    address: lease?.ip ?? station?.address ?? null,
    lastAt: boot?.lastAt ?? null,
    step: boot ? ([...boot.seen.keys()].at(-1) ?? null) : null,
    due: boot?.due[0] ?? null,
    missing: (boot && findSkipped(boot)) ?? null,
    isUp: boot?.isUp ?? false,
    reason: boot?.reason ?? null,
    report: boot?.report?.detail ?? null,
    said: macs.map((mac) => heard.find(mac)).find((found) => found) ?? null,
  }
}

/** Several runs of events as one, in the order of time. */
export function mergeEvents(runs: readonly (readonly BootEvent[])[]): readonly BootEvent[] {
  return runs.length === 1 ? (runs[0] ?? []) : runs.flat().sort((one, other) => one.at - other.at)
}
