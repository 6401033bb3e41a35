// Gets packages of one upstream onto the disk, several at once, each checked against the index before it counts. Used by sync.
// Files lie in `.sync/` below the root until they are switched in, so a run that was stopped goes on where it was.
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type IndexedPackage, packageFileName } from '../apk/index-file.ts'
import { OutsideError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import type { Upstream } from '../upstream/client.ts'
import { download } from '../upstream/download.ts'
import { checkPackageFile } from './check.ts'
import { type KnownFile, readContents } from './contents.ts'
import { listPackages, type Place } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'
import type { WantedPlace } from './wanted.ts'

/** Below the root, on the same disk, hidden from stations. */
export const stageFolder = '.sync'

export type FetchJob = { readonly place: Place; readonly entry: IndexedPackage }

/** A package that lies in the stage, checked. */
export type Staged = { readonly place: Place; readonly entry: IndexedPackage; readonly path: string; readonly sha256: string }

export type Kept = { readonly files: ReadonlyMap<string, KnownFile>; readonly lacking: readonly IndexedPackage[]; readonly isChanged: boolean }

/**
 * What of the wanted packages lies in the folder already. One that was checked before (same checksum, same size) is believed; every other is read to
 * its end. A file that is another one than the index says is lacking: it is replaced when its index is switched in.
 */
export async function findKept(root: string, { place, packages }: WantedPlace, onLook: () => void): Promise<Kept> {
  const [sizes, contents] = await Promise.all([listPackages(root, place.folder), readContents(root, place.folder)])
  const files = new Map<string, KnownFile>()
  const lacking: IndexedPackage[] = []
  for (const [name, entry] of packages) {
    const known = contents?.files[name]
    if (sizes.get(name) !== entry.sizeBytes) lacking.push(entry)
    else if (known && known[0] === entry.checksum && known[1] === entry.sizeBytes) files.set(name, known)
    else {
      const checked = await checkPackageFile(join(root, place.folder, name), entry)
      if ('sha256' in checked) files.set(name, [entry.checksum, entry.sizeBytes, checked.sha256])
      else lacking.push(entry)
    }
    onLook()
  }
  return { files, lacking, isChanged: lacking.length > 0 || Object.keys(contents?.files ?? {}).length !== packages.size }
}

export type FetchOptions = {
  readonly root: string
  readonly upstreamUrl: string
  readonly upstream: Upstream
  readonly onProgress?: OnMirrorProgress
  readonly jobs?: number
  readonly signal?: AbortSignal
  readonly sleep?: (ms: number) => Promise<void>
}

/** Fetches all. Rejects with the first failure, after those under way have ended; what is whole by then stays in the stage. */
export async function fetchPackages(jobs: readonly FetchJob[], options: FetchOptions): Promise<Staged[]> {
  const { onProgress, jobs: parallel = 6 } = options
  const totalBytes = jobs.reduce((sum, { entry }) => sum + entry.sizeBytes, 0)
  const staged: Staged[] = []
  let doneBytes = 0
  let at = 0
  let failure: { error: unknown } | undefined
  const work = async (): Promise<void> => {
    for (let job = jobs[at++]; job && !failure; job = jobs[at++]) {
      try {
        staged.push(await fetchOne(job, options))
        doneBytes += job.entry.sizeBytes
        onProgress?.({ step: 'download', doneFiles: staged.length, totalFiles: jobs.length, doneBytes, totalBytes })
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, jobs.length) }, work))
  if (failure) throw failure.error
  return staged
}

async function fetchOne({ place, entry }: FetchJob, { root, upstreamUrl, upstream, signal, sleep }: FetchOptions): Promise<Staged> {
  const name = packageFileName(entry)
  const path = join(root, stageFolder, place.folder, name)
  const done = await checkPackageFile(path, entry).catch((error) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (done && 'sha256' in done) return { place, entry, path, sha256: done.sha256 }
  if (done) await rm(path)
  const url = `${upstreamUrl}/${place.folder}/${encodeURIComponent(name).replaceAll('%2B', '+')}`
  await download(upstream, url, path, { sizeBytes: entry.sizeBytes, ...(signal && { signal }), ...(sleep && { sleep }) })
  const checked = await checkPackageFile(path, entry)
  if ('sha256' in checked) return { place, entry, path, sha256: checked.sha256 }
  await rm(path, { force: true })
  throw new OutsideError('mirror-broken', `${url} ${checked.problem}; it is not taken`, true)
}

/** Puts a staged file in its place. */
export async function putStaged(root: string, { place, entry, path }: Staged): Promise<void> {
  const target = join(root, place.folder, packageFileName(entry))
  await mkdir(dirname(target), { recursive: true })
  await rename(path, target)
}
