// Brings parts of the mirror up to date: indexes and what is wanted of them, verified, several downloads at once, switched at the end. Called by the
// commands and the schedule. Stations see the old index or the new one with every package of it; a failure at any point leaves the old one.
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { indexFileName, readIndex } from '../apk/index-file.ts'
import type { Missing } from '../apk/closure.ts'
import { type TrustedKeys, verifySigned } from '../apk/signature.ts'
import type { Emit } from '../boot/event.ts'
import { BivouacError, DecodeError, MissingError, OutsideError } from '../boot/error.ts'
import { diskError } from '../store/atomic.ts'
import { getBytes } from '../upstream/body.ts'
import type { Upstream } from '../upstream/client.ts'
import { needTrustedKeys } from './key.ts'
import { placeOf } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'
import { type PlaceSwitch, switchPlaces } from './switch.ts'
import { fetchPackages, type FetchJob, findKept, stageFolder } from './fetch.ts'
import { chooseWanted, type PlacedIndex, type Wanted } from './wanted.ts'

/** One part to bring up to date: repositories of one branch and architecture, with what is wanted of them. */
export type SyncPart = {
  /** For events and messages. */
  readonly name: string
  readonly branch: string
  readonly arch: string
  readonly repositories: readonly string[]
  /** Repositories (`main`) of which all is wanted. */
  readonly whole: ReadonlySet<string>
  /** Worlds whose packages are wanted, whichever repository has them. */
  readonly worlds: readonly (readonly string[])[]
}

export type SyncOptions = {
  readonly root: string
  /** Alpine's mirror without slash at the end. */
  readonly upstreamUrl: string
  readonly upstream: Upstream
  readonly now: () => number
  readonly emit: Emit
  readonly onProgress?: OnMirrorProgress
  /** Downloads at once. */
  readonly jobs?: number
  /** How long packages stay that no index names any more. */
  readonly graceMs?: number
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  /** Free bytes of the disk below a folder; for tests. */
  readonly freeBytes?: (folder: string) => Promise<number>
  readonly sleep?: (ms: number) => Promise<void>
}

/** `missing`: what the worlds ask for and no index has. `removed`: old packages whose time was up. With `dryRun`: what would be. */
export type SyncReport = {
  readonly name: string
  readonly places: readonly { readonly folder: string; readonly packages: number; readonly isWhole: boolean; readonly isChanged: boolean }[]
  readonly downloaded: { readonly files: number; readonly bytes: number }
  readonly kept: number
  readonly removed: number
  readonly missing: readonly Missing[]
}

export const defaultGraceMs = 7 * 24 * 3600 * 1000
const indexBytesMax = 64 * 1024 * 1024
/** An index that changes while we fetch what it names is read again so often. */
const roundsMax = 4
const spareBytes = 64 * 1024 * 1024

/**
 * Syncs one part. Rejects with InputError (no keys), OutsideError (`upstream-…`, `mirror-broken` for what is not what the index says, `mirror-full`,
 * `write-failed`) or DecodeError `signature-…`; then stations have what they had, and what was fetched is used by the next try.
 */
export async function syncPart(part: SyncPart, options: SyncOptions): Promise<SyncReport> {
  const startedAt = options.now()
  try {
    const report = await syncRounds(part, options)
    if (!options.dryRun) options.emit({ at: options.now(), kind: 'mirror-synced', detail: describeReport(report, options.now() - startedAt) })
    return report
  } catch (error) {
    const reason = error instanceof BivouacError ? error.message : String(error)
    if (!options.dryRun) options.emit({ at: options.now(), kind: 'mirror-failed', detail: { name: part.name, reason: reason.slice(0, 500) } })
    throw error
  }
}

const describeReport = ({ name, downloaded, kept, missing }: SyncReport, durationMs: number) => ({
  name,
  downloaded: downloaded.files,
  bytes: downloaded.bytes,
  kept,
  missing: missing.length,
  durationMs,
})

async function syncRounds(part: SyncPart, options: SyncOptions): Promise<SyncReport> {
  const keys = await needTrustedKeys(options.root)
  let indexes = await fetchIndexes(part, keys, options)
  for (let round = 1; ; round++) {
    try {
      return await syncOnce(part, indexes, options)
    } catch (error) {
      // A package that is gone or another one: either the index has changed since we read it, or the upstream is broken.
      if (!isIndexInDoubt(error) || round >= roundsMax) throw error
      const newer = await fetchIndexes(part, keys, options)
      if (newer.every(({ bytes }, at) => Buffer.compare(bytes, indexes[at]?.bytes ?? new Uint8Array()) === 0)) throw error
      indexes = newer
    }
  }
}

const isIndexInDoubt = (error: unknown): boolean =>
  error instanceof MissingError || (error instanceof OutsideError && ['mirror-broken', 'upstream-size', 'upstream-checksum'].includes(error.code))

/** The upstream's indexes, each with a good signature. */
async function fetchIndexes(part: SyncPart, keys: TrustedKeys, options: SyncOptions): Promise<PlacedIndex[]> {
  const { upstream, upstreamUrl, onProgress, signal } = options
  const totalFiles = part.repositories.length
  onProgress?.({ step: 'index', doneFiles: 0, totalFiles, doneBytes: 0, totalBytes: 0 })
  return Promise.all(
    part.repositories.map(async (repository) => {
      const place = placeOf(`${part.branch}/${repository}`, part.arch)
      const url = `${upstreamUrl}/${place.folder}/${indexFileName}`
      const bytes = await getBytes(upstream, url, indexBytesMax, signal ? { signal } : {})
      try {
        verifySigned(bytes, keys)
        return { place, bytes, index: readIndex(bytes) }
      } catch (error) {
        if (error instanceof DecodeError) throw new DecodeError(error.code, `${url}: ${error.message}`, { cause: error })
        throw error
      }
    }),
  )
}

async function syncOnce(part: SyncPart, indexes: readonly PlacedIndex[], options: SyncOptions): Promise<SyncReport> {
  const { root, onProgress, dryRun } = options
  const wanted: Wanted = chooseWanted(indexes, new Set([...part.whole].map((one) => `${part.branch}/${one}`)), part.worlds)
  const totalFiles = wanted.places.reduce((sum, { packages }) => sum + packages.size, 0)
  let looked = 0
  const look = (): void => onProgress?.({ step: 'look', doneFiles: ++looked, totalFiles, doneBytes: 0, totalBytes: 0 })
  const plans = await Promise.all(wanted.places.map(async (place) => ({ place, found: await findKept(root, place, look) })))
  const jobs: FetchJob[] = plans.flatMap(({ place: { place }, found }) => found.lacking.map((entry) => ({ place, entry })))
  const bytes = jobs.reduce((sum, { entry }) => sum + entry.sizeBytes, 0)
  const summary = {
    name: part.name,
    downloaded: { files: jobs.length, bytes },
    kept: plans.reduce((sum, { found }) => sum + found.files.size, 0),
    missing: wanted.missing,
  }
  if (dryRun) return { ...summary, removed: 0, places: plans.map(({ place, found }) => ({ ...describePlace(place), isChanged: found.isChanged })) }
  await needSpace(options, bytes)
  const fetched = await fetchPackages(jobs, options)
  onProgress?.({ step: 'switch', doneFiles: totalFiles, totalFiles, doneBytes: bytes, totalBytes: bytes })
  const switches = plans.map(({ place, found }): PlaceSwitch => {
    const own = fetched.filter((one) => one.place === place.place)
    return { ...place, kind: 'sync', staged: own, kept: found.files, folder: place.place.folder }
  })
  const { removed, changed } = await switchPlaces(switches, { root, now: options.now, graceMs: options.graceMs ?? defaultGraceMs })
  return { ...summary, removed, places: plans.map(({ place }) => ({ ...describePlace(place), isChanged: changed.has(place.place.folder) })) }
}

const describePlace = ({ place, packages, isWhole }: Wanted['places'][number]) => ({ folder: place.folder, packages: packages.size, isWhole })

/** Better told before than after ten thousand files. */
async function needSpace({ root, freeBytes = freeOnDisk }: SyncOptions, bytes: number): Promise<void> {
  const folder = join(root, stageFolder)
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw diskError(folder, error)
  })
  const free = await freeBytes(folder)
  if (bytes && free < bytes + spareBytes)
    throw new OutsideError(
      'mirror-full',
      `${Math.ceil(bytes / 1e6)} MB are to be fetched and the disk of ${root} has ${Math.floor(free / 1e6)} MB: make room, or mirror less (mirror.sync[].packages)`,
      true,
    )
}

async function freeOnDisk(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
