// What stations told of themselves: in the script's query, and in DHCP. Told by the gate's callers (server/room), shown in lists, used when a station is adopted.
// It is a memory of this run, bounded, and no proof of identity: anybody on the wire can say anything.
import type { Mac } from '../boot/address.ts'
import type { Client, Facts } from '../boot/client.ts'

/** The words of one MAC. `arch` is option 93's first code; `at` is when it spoke last, ms since 1970. */
export type Acquaintance = Facts & { readonly at: number; readonly vendorClass?: string; readonly arch?: number }

export type Acquaintances = {
  readonly meetFacts: (mac: Mac, facts: Facts) => void
  readonly meetClient: (client: Pick<Client, 'mac' | 'stage' | 'archs' | 'uuid' | 'vendorClass' | 'hostname'>) => void
  readonly find: (mac: Mac) => Acquaintance | undefined
  readonly macs: () => readonly Mac[]
}

const defaultMaxEntries = 16_384
const maxLength = 128
const printable = /[^ -~]+/g

/** `maxEntries`: who was heard longest ago is forgotten first. */
export function createAcquaintances({ now, maxEntries = defaultMaxEntries }: { now: () => number; maxEntries?: number }): Acquaintances {
  const known = new Map<Mac, Acquaintance>()

  function keep(mac: Mac, said: Partial<Acquaintance>): void {
    const before = known.get(mac)
    known.delete(mac)
    known.set(mac, { ...before, ...said, at: now() })
    if (known.size > maxEntries) known.delete(known.keys().next().value as Mac)
  }

  return {
    meetFacts(mac, facts) {
      const said = Object.entries(facts).flatMap(([key, text]) => (typeof text === 'string' && text ? [[key, clean(text)] as const] : []))
      if (said.length) keep(mac, Object.fromEntries(said))
    },
    meetClient({ mac, stage, archs, uuid, vendorClass, hostname }) {
      // A running system is no more than its name: laptops ask for addresses too.
      if (stage === 'system') return
      keep(mac, {
        ...(uuid !== undefined && { uuid }),
        ...(vendorClass && { vendorClass: clean(vendorClass) }),
        ...(hostname && { hostname: clean(hostname) }),
        ...(archs[0] !== undefined && { arch: archs[0] }),
      })
    },
    find: (mac) => known.get(mac),
    macs: () => [...known.keys()],
  }
}

const clean = (text: string): string => text.slice(0, maxLength).replace(printable, '?').trim()
