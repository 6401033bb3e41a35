// The shelf of overlays, `configs/`: which one a station gets, and whether it can be served. Asked by the gate.
// Order: the station's own, its group's, the default. The first that is there decides: a broken one is never passed over in silence.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectOverlay, type OverlayLimits, type OverlayReport } from '../alpine/overlay.ts'
import { isWithin } from '../boot/age.ts'
import { findMac, formatMacHyphen, type Mac } from '../boot/address.ts'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { Station } from '../boot/record.ts'
import { openVersion } from './file.ts'
import { createLooks } from './look.ts'
import { onward, type Maybe, orElse } from './maybe.ts'
import { identityOf, isSettled, type Version } from '../store/version.ts'

/** An overlay that can be served. `identity` is the version that was looked through. */
export type FoundOverlay = {
  readonly path: string
  /** `layers`: composed, and of no one file in the depot. */
  readonly from: 'station' | 'group' | 'default' | 'layers'
  readonly identity: string
  readonly report: OverlayReport
  /** Where a composed one lies: an absolute path of ours, under a name that its content decides. */
  readonly file?: string
  /** SHA-256 of its bytes, in hex. */
  readonly digest?: string
  /** By what a station that runs a composed one names it in its report. */
  readonly contentId?: string
  /** What it was composed of, lowest first. */
  readonly layers?: readonly string[]
  /** An operator went back to this version: it is not what the layers say now. */
  readonly pinned?: { readonly version: number; readonly at: number; readonly who: string }
  /** Given once for each boot, and only with that boot's ticket. */
  readonly isSecret?: boolean
  /** Of its files those that hold secrets, and are never shown. */
  readonly secretPaths?: readonly string[]
}

/** Why there is none. `broken` is the path of one that is there and cannot be served. */
export type NoOverlay = { readonly missing: string; readonly broken?: string; readonly from?: FoundOverlay['from'] }

export type OverlaySearch = FoundOverlay | NoOverlay

export type Shelf = {
  /** The overlay of this MAC. Never throws or rejects. */
  readonly find: (mac: Mac | undefined, station: Station | undefined) => Maybe<OverlaySearch>
  /** The overlay of that path, checked; for one that is asked for by its own name. */
  readonly check: (path: string) => Maybe<OverlaySearch>
  /** Does everybody get an overlay that can be served, whatever the MAC? The default is there, and none that goes before it is broken. Never throws or rejects. */
  readonly isForAll: () => Maybe<boolean>
  /** The next look at this overlay goes to the disk. */
  readonly forget: (path: string) => void
}

export type ShelfOptions = {
  readonly depot: string
  readonly now: () => number
  readonly revalidateMs?: number
  readonly limits?: Partial<OverlayLimits>
}

/** What the folder holds, by what may be asked for. Paths are below the depot. */
type Listing = { readonly byMac: ReadonlyMap<Mac, string>; readonly groups: ReadonlyMap<string, string>; readonly standard: string | undefined }
type Verdict = { readonly report: OverlayReport } | { readonly refused: string }
type Candidate = { readonly path: string; readonly from: FoundOverlay['from'] }

const maxVerdicts = 10_000
/** A shelf with more overlays is not looked through for a script that anybody may ask for. */
const maxForAll = 512
const ending = /(\.apkovl)?\.tar\.gz$/

export function createShelf({ depot, now, revalidateMs = 100, limits }: ShelfOptions): Shelf {
  const looks = createLooks({ depot, now, revalidateMs })
  const list = createListing(depot, now, revalidateMs)
  const verdicts = new Map<string, Verdict | Promise<Verdict>>()

  function find(mac: Mac | undefined, station: Station | undefined): Maybe<OverlaySearch> {
    return orElse(
      () =>
        onward(list(), (listing) => {
          const candidate = choose(listing, mac, station)
          return candidate ? judge(candidate) : { missing: explainMissing(mac, station) }
        }),
      (error) => ({ missing: `configs/ cannot be read: ${(error as Error).message}` }),
    )
  }

  function judge({ path, from }: Candidate): Maybe<OverlaySearch> {
    return orElse<OverlaySearch>(
      () =>
        onward(looks.look(path), (version) =>
          onward(verdictOf(version), (verdict) =>
            'report' in verdict
              ? { path, from, identity: version.identity, report: verdict.report }
              : { missing: `${path} cannot be served: ${verdict.refused}`, broken: path, from },
          ),
        ),
      (error) => {
        const reason = error instanceof MissingError ? 'it leads out of what is served, or is no file' : (error as Error).message
        return { missing: `${path} cannot be served: ${reason}`, broken: path, from }
      },
    )
  }

  function isForAll(): Maybe<boolean> {
    return orElse(
      () =>
        onward(list(), ({ byMac, groups, standard }) => {
          const paths = [...byMac.values(), ...groups.values()]
          return standard !== undefined && paths.length <= maxForAll && areGood([standard, ...paths])
        }),
      () => false,
    )
  }

  function areGood(paths: readonly string[]): Maybe<boolean> {
    const found = paths.map((path) => judge({ path, from: 'station' }))
    const all = (overlays: readonly OverlaySearch[]): boolean => overlays.every((overlay) => 'path' in overlay)
    return found.some((one) => one instanceof Promise) ? Promise.all(found).then(all) : all(found as OverlaySearch[])
  }

  /** One verdict for each version, whoever asks. */
  function verdictOf(version: Version): Maybe<Verdict> {
    const known = verdicts.get(version.key)
    if (known) return known
    if (verdicts.size >= maxVerdicts) verdicts.delete(verdicts.keys().next().value as string)
    const running = inspectVersion(version).then(
      (report) => keep(version.key, { report }),
      (error: Error) => {
        // The disk's trouble is no property of the archive: the next one who asks looks again.
        if (error instanceof OutsideError) verdicts.delete(version.key)
        return error instanceof OutsideError ? { refused: error.message } : keep(version.key, { refused: error.message })
      },
    )
    verdicts.set(version.key, running)
    return running
  }

  /** What was looked at is what is looked through: a pipe put in its place in between would hold a thread of ours for ever. */
  async function inspectVersion(version: Version): Promise<OverlayReport> {
    const handle = await openVersion(version).catch((error: Error) => {
      throw new OutsideError('overlay-read', `the overlay cannot be read: ${error.message}`, true, { cause: error })
    })
    if (!handle) throw new OutsideError('file-changed', 'it was changed while it was being read', true)
    return inspectOverlay(handle, limits)
  }

  function keep(key: string, verdict: Verdict): Verdict {
    if (verdicts.has(key)) verdicts.set(key, verdict)
    return verdict
  }

  return { find, check: (path) => judge({ path, from: 'station' }), isForAll, forget: looks.forget }
}

function choose(listing: Listing, mac: Mac | undefined, station: Station | undefined): Candidate | undefined {
  const macs = [...(mac ? [mac] : []), ...(station?.macs ?? [])]
  const own = macs.flatMap((one) => listing.byMac.get(one) ?? [])[0]
  if (own) return { path: own, from: 'station' }
  const group = station?.group !== undefined ? listing.groups.get(station.group) : undefined
  if (group) return { path: group, from: 'group' }
  return listing.standard ? { path: listing.standard, from: 'default' } : undefined
}

/** The places that are looked at for this MAC, the most exact first, under the usual spelling. */
export function listOverlayPlaces(mac: Mac | undefined, station: Station | undefined): readonly Candidate[] {
  return [
    ...(mac ? [{ path: `configs/${formatMacHyphen(mac)}.tar.gz`, from: 'station' } as const] : []),
    ...(station?.group !== undefined ? [{ path: `configs/groups/${station.group}.tar.gz`, from: 'group' } as const] : []),
    { path: 'configs/default.tar.gz', from: 'default' },
  ]
}

const explainMissing = (mac: Mac | undefined, station: Station | undefined): string =>
  `no overlay: there is no ${listOverlayPlaces(mac, station)
    .map(({ path }) => path)
    .join(', no ')}`

/** The folder's listing, read again when the folder changes. */
function createListing(depot: string, now: () => number, revalidateMs: number): () => Maybe<Listing> {
  const folders = [join(depot, 'configs'), join(depot, 'configs/groups')]
  let known: { readonly listing: Listing; readonly identity: string | undefined; checkedAt: number } | undefined
  let running: Promise<Listing> | undefined

  async function refresh(): Promise<Listing> {
    const checkedAt = now()
    const stats = await Promise.all(folders.map((folder) => stat(folder, { bigint: true }).catch(ignoreAbsence)))
    const identity = stats.map((one) => one && identityOf(one)).join(' ')
    // A folder that has just changed may change again without a new time.
    const isSure = stats.every((one) => !one || isSettled(one, checkedAt))
    if (known && isSure && known.identity === identity) {
      known.checkedAt = checkedAt
      return known.listing
    }
    const [names = [], groups = []] = await Promise.all(folders.map((folder) => readdir(folder).catch(ignoreAbsence)))
    known = { listing: index(names, groups), identity: isSure ? identity : undefined, checkedAt }
    return known.listing
  }

  return () => {
    if (known && isWithin(revalidateMs, known.checkedAt, now())) return known.listing
    running ??= refresh().finally(() => {
      running = undefined
    })
    return running
  }
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

/** Of two spellings of one name the document's wins (`52:54:00:12:34:56.tar.gz`), then the first in the order of the alphabet. */
function index(names: readonly string[], groupNames: readonly string[]): Listing {
  const byMac = new Map<Mac, string>()
  for (const name of names.filter((one) => ending.test(one)).toSorted()) {
    const stem = name.replace(ending, '')
    const mac = findMac(stem)
    if (mac && (!byMac.has(mac) || name === `${mac}.tar.gz`)) byMac.set(mac, `configs/${name}`)
  }
  const groups = new Map<string, string>()
  for (const name of groupNames.filter((one) => ending.test(one)).toSorted()) {
    const stem = name.replace(ending, '')
    if (!groups.has(stem) || name === `${stem}.tar.gz`) groups.set(stem, `configs/groups/${name}`)
  }
  const standard = ['default.tar.gz', 'default.apkovl.tar.gz'].find((name) => names.includes(name))
  return { byMac, groups, standard: standard && `configs/${standard}` }
}
