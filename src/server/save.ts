// The way back of configurations, with what this server knows of its callers. Called by server/http.
import { join } from 'node:path'
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Config } from '../config.ts'
import type { SaveDeps } from '../http/deps.ts'
import { createPhases } from '../station/phase.ts'
import { removeOldDrafts } from '../store/atomic.ts'
import type { Store } from '../store/port.ts'
import { ticketLeases } from './lease.ts'
import type { Rooms } from './room.ts'

/** The way back of configurations. Where we give the addresses, only a lease says whose one is; elsewhere what it asked before must do. */
export function openSaving(config: Config, { overlays, scripts, gate, leases, presence }: Rooms, store: Store): SaveDeps {
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
    folder: uploadsOf(config.state),
    maxBytes: config.overlays.saveMegabytes * 1024 * 1024,
    onSaved: gate.forgetOverlay,
  }
}

/** What a server that was killed left half written. Uploads are ours alone, for the state is locked; in the depot a command may be writing now. */
export async function removeUnfinished({ depot, state }: Config): Promise<void> {
  await removeOldDrafts(uploadsOf(state), Number.NEGATIVE_INFINITY, Date.now)
  for (const folder of ['configs', 'stations', 'profiles']) await removeOldDrafts(join(depot, folder), 3_600_000, Date.now)
}

const uploadsOf = (state: string): string => join(state, 'uploads')
