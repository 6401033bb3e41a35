// Who was here a moment ago: which MAC an address belongs to, and when a MAC fetched a loader. Told by the doors, asked by the gate.
// It is a memory of this run, bounded, and no proof of identity.
import type { Mac } from '../boot/address.ts'

export type Presence = {
  readonly learn: (ip: string, mac: Mac) => void
  /** The MAC that was last seen at this address. */
  readonly find: (ip: string) => Mac | undefined
  /** A loader went out to this MAC, to its last byte. */
  readonly loaderFetched: (mac: Mac) => void
  readonly sinceLoaderMs: (mac: Mac) => number | undefined
}

const defaultMaxEntries = 65_536

/** `maxEntries` bounds each of the two memories; who was seen longest ago is forgotten first. */
export function createPresence({ now, maxEntries = defaultMaxEntries }: { now: () => number; maxEntries?: number }): Presence {
  const macByIp = new Map<string, Mac>()
  const loaderAt = new Map<Mac, number>()

  function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
    map.delete(key)
    map.set(key, value)
    if (map.size > maxEntries) map.delete(map.keys().next().value as K)
  }

  return {
    learn: (ip, mac) => keep(macByIp, ip, mac),
    find: (ip) => macByIp.get(ip),
    loaderFetched: (mac) => keep(loaderAt, mac, now()),
    sinceLoaderMs: (mac) => {
      const at = loaderAt.get(mac)
      return at === undefined ? undefined : Math.max(0, now() - at)
    },
  }
}
