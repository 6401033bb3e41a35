// Watches boots as their events come and says `stalled` when one stops before it is up, or passes over a step that its script
// promised: an overlay that is never fetched means a station with an open root. Fed by server.ts; never touches a station.
import type { Mac } from '../boot/address.ts'
import type { BootEvent, Emit } from '../boot/event.ts'
import { type Boot, findSkipped, splitBoots } from '../boot/progress.ts'

export type Alarm = {
  readonly see: (event: BootEvent) => void
  /** Reports boots in which nothing has happened for too long. To be called every few seconds. */
  readonly sweep: () => void
}

/** So many boots are watched at once; above that the oldest is forgotten. */
const maximumBoots = 4096

/** `quietMs`: how long a boot may be silent before it counts as stalled. */
export function createAlarm({ emit, now, quietMs = 180_000 }: { emit: Emit; now: () => number; quietMs?: number }): Alarm {
  const open = new Map<Mac, BootEvent[]>()

  const raise = (mac: Mac, boot: Boot, missing: string, reason: string): void => {
    open.delete(mac)
    const last = [...boot.seen.keys()].at(-1) ?? 'nothing'
    emit({ at: now(), kind: 'stalled', mac, detail: { missing, after: last, reason } })
  }

  const see = (event: BootEvent): void => {
    const { mac, kind } = event
    if (mac === undefined || kind === 'stalled') return
    if (kind === 'up') return void open.delete(mac)
    if (kind === 'script') begin(mac, event)
    else if (open.has(mac)) follow(mac, event)
  }

  const begin = (mac: Mac, event: BootEvent): void => {
    open.delete(mac)
    if (event.detail?.boots === false) return
    if (open.size >= maximumBoots) open.delete(open.keys().next().value as Mac)
    open.set(mac, [event])
  }

  const follow = (mac: Mac, event: BootEvent): void => {
    const events = open.get(mac) as BootEvent[]
    // Of each kind the first counts, and the last of all for its time: a hundred packages are two events.
    const last = events.at(-1)
    if (events.slice(0, -1).some(({ kind }) => kind === last?.kind)) events.pop()
    events.push(event)
    const boot = splitBoots(events).at(-1) as Boot
    // The modloop and the keys come from the running system: only then can an overlay be said to have been passed over.
    if (findSkipped(boot) === 'overlay') raise(mac, boot, 'overlay', 'a later step came without the overlay: the station may stand open')
  }

  const sweep = (): void => {
    for (const [mac, events] of open) {
      const boot = splitBoots(events).at(-1) as Boot
      if (now() - boot.lastAt > quietMs) raise(mac, boot, boot.due[0] ?? 'up', `nothing for ${Math.round((now() - boot.lastAt) / 1000)} s`)
    }
  }
  return { see, sweep }
}
