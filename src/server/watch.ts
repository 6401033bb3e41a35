// What the clock does while the server runs: boots that stall, orders for next boots that fail. Called by server.ts.
import type { Emit } from '../boot/event.ts'
import { createAlarm } from '../station/alarm.ts'
import { createNextBoots, type NextBoots } from '../store/next.ts'
import type { Store } from '../store/port.ts'
import type { RecordBook } from '../store/record.ts'
import type { Closers } from './door.ts'

/** Says `stalled` for boots that stop before they are up. */
export function watchForStalls(store: Store, emit: Emit): () => void {
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
export function openNext({ marks, events }: Store, records: RecordBook, emit: Emit, closers: Closers, onFault: (error: unknown) => void): NextBoots {
  const next = createNextBoots({ marks, emit, now: Date.now, macsOf: (mac) => records.current().stationByMac.get(mac)?.macs ?? [], onFault })
  const unlisten = events.listen(next.see)
  const timer = setInterval(next.sweep, alarmEveryMs).unref()
  closers.push(() => {
    clearInterval(timer)
    unlisten()
  })
  return next
}
