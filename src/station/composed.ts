// A station's overlay for one profile: composed where profile or station name layers, else the archive that the shelf found. Used by planner and gate.
// What cannot be composed is said and never passed over; while only the disk fails, what was composed last stays in force.
import type { AlpineProfile, Records, Station } from '../boot/record.ts'
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import type { Facts } from '../boot/client.ts'
import { findBootFiles } from '../boot/decide.ts'
import { InputError } from '../boot/error.ts'
import type { ComposeAsk, Composed, Composer } from '../overlay/composition.ts'
import { type Maybe, onward, orElse } from './maybe.ts'
import { createRecent } from './recent.ts'
import type { FoundOverlay, NoOverlay, OverlaySearch } from './shelf.ts'

export type OverlayAsk = {
  readonly mac: Mac | undefined
  readonly station: Station | undefined
  readonly profile: AlpineProfile
  readonly facts: Facts
  readonly records: Records
  /** What the shelf has for this MAC. */
  readonly archive: OverlaySearch
}

export type Overlays = {
  /** Never throws or rejects. */
  readonly find: (ask: OverlayAsk) => Maybe<OverlaySearch>
}

/** Is an overlay of this profile for this station composed? */
export const namesLayers = (profile: AlpineProfile, station: Station | undefined): boolean => profile.layers.length > 0 || !!station?.layers.length

const leastKept = 10_240

/** Without a composer whoever names layers gets no overlay. */
export function createOverlays(composer: Pick<Composer, 'compose'> | undefined): Overlays {
  const lastGood = createRecent<FoundOverlay>(leastKept)

  function find(ask: OverlayAsk): Maybe<OverlaySearch> {
    const { profile, station, archive } = ask
    if (!namesLayers(profile, station)) return archive
    // The default is for stations of which nothing else is known.
    if ('missing' in archive && archive.broken !== undefined && archive.from !== 'default') return archive
    const key = `${ask.mac} ${profile.name}`
    return orElse<OverlaySearch>(
      () =>
        onward(composer?.compose(composeAskOf(ask)), (composed) => {
          const found = composed && foundOf(composed, ask.mac)
          if (found) lastGood.set(key, found)
          return found ?? { missing: `layers are named, but nothing composes them here`, broken: describeLayers(ask) }
        }),
      (error) => (error instanceof InputError ? undefined : lastGood.get(key)) ?? explain(error, ask),
    )
  }

  return { find }
}

function composeAskOf({ mac, station, profile, facts, records, archive }: OverlayAsk): ComposeAsk {
  const files = findBootFiles(profile, facts, records)
  const release = 'missing' in files ? undefined : records.releases.find(({ id }) => id === files.releaseId)
  return {
    profile,
    ...(mac && { mac }),
    ...(station && { station }),
    ...(release && { release }),
    ...('path' in archive && archive.from !== 'default' && { archive: { path: archive.path, identity: archive.identity } }),
  }
}

function foundOf({ path, report, notes, ...composed }: Composed, mac: Mac | undefined): FoundOverlay {
  return {
    path: `configs/${mac ? formatMacHyphen(mac) : 'default'}.tar.gz`,
    from: 'layers',
    report: notes.length ? { ...report, warnings: [...report.warnings, ...notes] } : report,
    file: path,
    identity: composed.identity,
    digest: composed.digest,
    contentId: composed.contentId,
    layers: composed.layers,
    ...(composed.pinned && { pinned: composed.pinned }),
    isSecret: composed.isSecret,
    secretPaths: composed.secretPaths,
  }
}

const describeLayers = ({ profile, station }: OverlayAsk): string => `overlays/${[...profile.layers, ...(station?.layers ?? [])].join('+')}`

function explain(error: unknown, ask: OverlayAsk): NoOverlay {
  const message = error instanceof Error ? error.message : String(error)
  const file = error instanceof InputError ? error.place.file : undefined
  return { missing: `the overlay cannot be composed: ${message}`, broken: file ?? describeLayers(ask) }
}
