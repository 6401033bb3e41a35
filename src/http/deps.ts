// What the HTTP room needs from outside, all of it handed in by server: so that a test builds the app from plain objects.
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Emit, EventKind } from '../boot/event.ts'
import type { IpxeTools } from '../ipxe/tools.ts'
import type { Nfs } from '../nfs/phase.ts'
import type { Accepted, AcceptAsk } from '../overlay/accept.ts'
import type { Desk } from '../overlay/desk.ts'
import type { Acquaintances } from '../station/acquaintance.ts'
import type { Gate } from '../station/answer.ts'
import type { Door } from '../station/door.ts'
import type { Phases } from '../station/phase.ts'
import type { Presence } from '../station/presence.ts'
import type { Scripts } from '../station/script.ts'
import type { Served } from '../station/served.ts'
import type { Tickets } from '../station/ticket.ts'
import type { Lease, Store } from '../store/port.ts'
import type { RecordBook } from '../store/record.ts'
import type { ManageDeps } from './manage-find.ts'
import type { PowerDeps } from './power.ts'
import type { RightsDeps } from './rights.ts'

/** What the API shows of the server itself. */
export type StatusReport = {
  readonly version: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly listening: readonly unknown[]
  readonly problems: readonly { readonly message: string }[]
}

/** What the save routes need. */
export type SaveDeps = {
  readonly phases: Phases
  readonly accept: (ask: AcceptAsk) => Promise<Accepted>
  readonly scripts: Pick<Scripts, 'render'>
  /** Whose address this is, as far as that is sure: a station's by its lease, or by what it asked where another server gives the addresses. */
  readonly findCaller: (peer: string) => Mac | undefined
  /** Where uploads are written before they count. */
  readonly folder: string
  readonly maxBytes: number
  /** The overlay at this path is another one now. */
  readonly onSaved: (path: string) => void
}

export type AppDeps = {
  readonly door: Door
  readonly gate: Pick<Gate, 'explain'>
  readonly store: Pick<Store, 'events'>
  readonly records: Pick<RecordBook, 'current' | 'problems' | 'reload'>
  /** The live view of dhcp/leases. */
  readonly leases: {
    readonly findByMac: (mac: Mac) => Lease | undefined
    readonly findMac: (ip: Ipv4) => Mac | undefined
    readonly list: () => readonly Lease[]
  }
  readonly presence: Pick<Presence, 'find'>
  /** What stations told of themselves; without it lists do not show it. */
  readonly acquaintances?: Pick<Acquaintances, 'find' | 'macs'>
  readonly verifyToken: RightsDeps['verifyToken']
  readonly status: () => StatusReport
  /** What changes records, next boots and tokens; without it the API only reads them. */
  readonly manage?: ManageDeps
  /** What switches stations. */
  readonly power?: PowerDeps
  /** The artifact generator; without it there is no /api/v1/ipxe. */
  readonly ipxe?: IpxeTools
  /** The export by NFS; without it there is no /api/v1/nfs. */
  readonly nfs?: Nfs
  /** Overlays as people ask about them; without it there is no /api/v1/stations/…/overlay. */
  readonly desk?: Desk
  /** For reports that come with their boot's ticket. */
  readonly tickets?: Pick<Tickets, 'check'>
  /** What stations were given, and with what they came up. */
  readonly served?: Pick<Served, 'come' | 'last'>
  /** Stations that send their configuration back; without it nobody can. */
  readonly save?: SaveDeps
  /** May something of this kind be told that this peer caused? Absent: always. */
  readonly mayTell?: (kind: EventKind, peer: string) => boolean
  /** The package mirror; without it there is no /api/v1/mirror. */
  readonly mirror?: { readonly describe: () => object }
  readonly now: () => number
  readonly emit: Emit
  /** `http.url` of the configuration: what URLs begin with, over what the request says. */
  readonly httpBase?: string
  /** Where a fault of ours goes, for the log. */
  readonly onFault?: (error: unknown) => void
  /** Calls back every so many milliseconds until the returned function is called. */
  readonly every?: (intervalMs: number, run: () => void) => () => void
}
