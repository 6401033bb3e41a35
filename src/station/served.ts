// Tells the overlay history what stations were given, and with what they came up. Called by the door and the report's route, behind the station's back:
// it works in a queue, and a station never waits for it nor fails by it.
import { join } from 'node:path'
import type { Mac } from '../boot/address.ts'
import type { History } from '../overlay/history.ts'
import type { Maybe } from './maybe.ts'
import { createRecent } from './recent.ts'
import type { FoundOverlay } from './shelf.ts'

export type Served = {
  /** The overlay went out to this MAC, to its last byte. */
  readonly give: (mac: Mac, overlay: FoundOverlay) => void
  /** The station says that it is up. */
  readonly come: (mac: Mac) => void
  /** What the MAC was given last in this run. */
  readonly last: (mac: Mac) => FoundOverlay | undefined
  /** Was it ever given secrets, as far as its history is kept? When that cannot be read: yes. */
  readonly hasSecrets: (mac: Mac) => Maybe<boolean>
  /** Resolves when all that was told is written. */
  readonly settle: () => Promise<void>
}

export type ServedOptions = {
  readonly history: Pick<History, 'append' | 'noteBooted' | 'list'>
  readonly depot: string
  readonly onFault: (error: unknown) => void
}

const leastMacs = 10_240
const leastArchives = 1024
const maxWaiting = 20_000

export function createServed({ history, depot, onFault }: ServedOptions): Served {
  const given = createRecent<FoundOverlay>(leastMacs)
  /** What the history has of each MAC, so that the same boot each morning costs nothing. */
  const kept = createRecent<{ readonly identity: string; readonly digest: string }>(leastMacs)
  const secretive = createRecent<{ readonly is: boolean }>(leastMacs)
  const archives = createRecent<string>(leastArchives)
  let queue = Promise.resolve()
  let waiting = 0

  function later(work: () => Promise<void>): void {
    if (waiting >= maxWaiting) return
    waiting++
    queue = queue.then(work).catch(onFault)
    void queue.then(() => waiting--)
  }

  function give(mac: Mac, overlay: FoundOverlay): void {
    given.set(mac, overlay)
    if (overlay.isSecret) secretive.set(mac, { is: true })
    if (kept.get(mac)?.identity === overlay.identity) return
    later(async () => {
      // It may have been told by the time that its turn comes.
      if (kept.get(mac)?.identity === overlay.identity) return
      const digest = overlay.digest ?? archives.get(overlay.identity)
      const source = digest === undefined ? { file: join(depot, overlay.path) } : { digest }
      const { file, isSecret, secretPaths } = overlay
      const about = { ...(isSecret && { isSecret }), ...(secretPaths?.length && { secretPaths }) }
      const version = await history.append({ mac, kind: file ? 'composed' : 'found', who: 'bivouac', source, ...about })
      if (!file) archives.set(overlay.identity, version.digest)
      kept.set(mac, { identity: overlay.identity, digest: version.digest })
    })
  }

  const come = (mac: Mac): void =>
    later(async () => {
      const { digest, identity } = kept.get(mac) ?? {}
      if (digest !== undefined && given.get(mac)?.identity === identity) await history.noteBooted(mac, digest)
    })

  function hasSecrets(mac: Mac): Maybe<boolean> {
    const known = secretive.get(mac)
    if (known) return known.is
    return history.list(mac).then(
      ({ versions }) => {
        const is = versions.some(({ isSecret }) => isSecret === true)
        if (!secretive.get(mac)) secretive.set(mac, { is })
        return is
      },
      () => true,
    )
  }

  return { give, come, hasSecrets, last: given.get, settle: () => queue }
}
