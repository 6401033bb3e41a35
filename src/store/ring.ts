// The newest events in memory, and those who listen to them. Used by both event logs; it writes nothing.
import type { BootEvent } from '../boot/event.ts'
import type { EventLog, EventQuery } from './port.ts'

export const defaultLimit = 1000

/** An event log that forgets all but the newest `capacity` events. */
export function createEventRing(capacity: number): EventLog {
  const events: BootEvent[] = []
  const listeners = new Set<{ readonly call: (event: BootEvent) => void }>()
  let oldest = 0

  const put = (event: BootEvent) => {
    if (events.length < capacity) events.push(event)
    else {
      events[oldest] = event
      oldest = (oldest + 1) % capacity
    }
  }
  const newest = (back: number) => events[(oldest + events.length - 1 - back) % events.length] as BootEvent

  return {
    append(event) {
      put(event)
      for (const listener of listeners) {
        try {
          listener.call(event)
        } catch {
          listeners.delete(listener)
        }
      }
    },
    read(query) {
      const { limit = defaultLimit } = query
      const fits = filterOf(query)
      const found: BootEvent[] = []
      for (let back = 0; back < events.length && found.length < limit; back++) {
        const event = newest(back)
        if (fits(event)) found.push(event)
      }
      return found.reverse()
    },
    listen(call) {
      const listener = { call }
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

function filterOf({ mac, since, kinds }: EventQuery): (event: BootEvent) => boolean {
  const wanted = kinds && new Set<string>(kinds)
  return (event) =>
    (mac === undefined || event.mac === mac) && (since === undefined || event.at >= since) && (wanted === undefined || wanted.has(event.kind))
}
