// A store that forgets everything: for tests of other rooms, and for commands that must not touch the disk. The same contract as embedded.ts.
import { ConflictError } from '../boot/error.ts'
import { leaseKey } from './lease.ts'
import { createMarkTable } from './mark.ts'
import type { Lease, Store } from './port.ts'
import { createEventRing } from './ring.ts'

/** A store in memory alone; "durable" is at once. */
export function createMemoryStore({ memory = 20_000 }: { memory?: number } = {}): Store {
  const leases = new Map<string, Lease>()
  const marks = createMarkTable()
  let isClosed = false
  const whenOpen = async (act: () => void): Promise<void> => {
    if (isClosed) throw new ConflictError('store-closed', 'the store is closed')
    act()
  }
  return {
    leases: {
      all: () => [...leases.values()],
      put: (changed) =>
        whenOpen(() => {
          for (const lease of changed) leases.set(leaseKey(lease), lease)
        }),
    },
    events: createEventRing(memory),
    marks: { get: marks.get, entries: marks.entries, set: (key, value) => whenOpen(() => marks.set(key, value)) },
    close: async () => {
      isClosed = true
    },
  }
}
