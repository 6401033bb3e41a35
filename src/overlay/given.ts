// Which secrets a station was ever given, as far as its history is kept: what it sends back holds them. Asked by composer, accept and the desk.
import type { Mac } from '../boot/address.ts'
import type { History } from './history.ts'
import type { OverlayVersion } from './history-entry.ts'

/** `paths`: files that held secrets in one version or another. */
export type Given = { readonly isSecret: boolean; readonly paths: ReadonlySet<string> }

export const nothingGiven: Given = { isSecret: false, paths: new Set() }

/** What these versions were, all together. */
export const givenIn = (versions: readonly OverlayVersion[]): Given => ({
  isSecret: versions.some(({ isSecret }) => isSecret === true),
  paths: new Set(versions.flatMap(({ secretPaths = [] }) => secretPaths)),
})

/** The same of all cards of one station. Where the history cannot be read it counts as secret. Never rejects. */
export async function givenBefore(history: Pick<History, 'list'>, macs: Iterable<Mac>): Promise<Given> {
  try {
    const states = await Promise.all([...macs].map((mac) => history.list(mac)))
    return givenIn(states.flatMap(({ versions }) => versions))
  } catch {
    return { ...nothingGiven, isSecret: true }
  }
}
