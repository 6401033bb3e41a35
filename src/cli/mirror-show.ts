// How the mirror's commands show things: tables, what a sync did, what is missing, progress. Used by mirror and apk.
import type { Missing } from '../apk/closure.ts'
import type { MirrorProgress, OnMirrorProgress } from '../mirror/progress.ts'
import type { PlaceStatus } from '../mirror/status.ts'
import type { SyncReport } from '../mirror/sync.ts'
import type { VerifyReport } from '../mirror/verify.ts'
import { formatTable } from './output.ts'
import { formatSize } from './release-show.ts'

const verbs: Record<MirrorProgress['step'], string> = {
  index: 'fetching the indexes',
  look: 'looking at what is here',
  download: 'fetching',
  switch: 'switching',
  check: 'checking',
  copy: 'copying',
}

/** Runs with progress on standard error: a live line on a terminal, elsewhere a line for each step and each quarter of it. */
export async function withProgress<T>(json: boolean, run: (onProgress: OnMirrorProgress) => Promise<T>): Promise<T> {
  const { stderr } = process
  const isLive = stderr.isTTY === true && !json
  let said = ''
  try {
    return await run((progress) => {
      const { step, doneFiles, totalFiles, doneBytes, totalBytes } = progress
      const share = totalBytes ? doneBytes / totalBytes : totalFiles ? doneFiles / totalFiles : 0
      const news = `${step} ${Math.floor(share * (isLive ? 200 : 4))}`
      if (json || news === said) return
      said = news
      const text = formatProgress(progress, share)
      stderr.write(isLive ? `\r\x1b[K${text.slice(0, (stderr.columns ?? 80) - 1)}` : `${text}\n`)
    })
  } finally {
    if (isLive && said) stderr.write('\r\x1b[K')
  }
}

/** `fetching 120 of 4000 packages, 31.2 of 890.0 MB (3 %)` */
export function formatProgress({ step, doneFiles, totalFiles, doneBytes, totalBytes }: MirrorProgress, share: number): string {
  if (step === 'index' || step === 'switch' || !totalFiles) return verbs[step]
  const bytes = totalBytes ? `, ${formatSize(doneBytes)} of ${formatSize(totalBytes)}` : ''
  return `${verbs[step]}: ${doneFiles} of ${totalFiles} files${bytes} (${Math.floor(share * 100)} %)`
}

const day = (at: number): string => (at ? new Date(at).toISOString().slice(0, 16).replace('T', ' ') : '-')

export function formatStatus(places: readonly PlaceStatus[]): string {
  if (!places.length) return 'nothing is mirrored yet: "bivouac mirror sync", or requests of stations when mirror.upstream is set'
  const rows = places.map(({ folder, kind, here, named, bytes, indexAt, problem }) => [
    folder,
    kind,
    `${here} of ${named}`,
    formatSize(bytes),
    day(indexAt),
    problem ?? '',
  ])
  return formatTable(['folder', 'kept by', 'packages', 'size', 'index (UTC)', ''], rows)
}

export function formatSync({ name, downloaded, kept, removed, places, missing }: SyncReport, isDry: boolean): string {
  const lines = [
    `${name}: ${downloaded.files} packages (${formatSize(downloaded.bytes)}) ${isDry ? 'to be fetched' : 'fetched'}, ${kept} there already${removed ? `, ${removed} old ones removed` : ''}`,
    ...places.map(
      ({ folder, packages, isWhole, isChanged }) =>
        `  ${folder}: ${packages} packages${isWhole ? ', all of it' : ''}${isChanged ? '' : ', nothing new'}`,
    ),
  ]
  return [...lines, ...formatMissing(missing).map((line) => `  ${line}`)].join('\n')
}

const reasons: Record<Missing['reason'], string> = {
  absent: 'is in none of these repositories: apk leaves it out without a word',
  version: 'is there, but not in such a version',
  conflict: 'cannot be there together with what else is asked for',
  choice: 'is provided by several packages: name one of them',
}

export const formatMissing = (missing: readonly Missing[]): string[] =>
  missing.map(({ dependency, reason, requiredBy, available }) => {
    const who = requiredBy.slice(0, 3).join(', ')
    return `missing: ${dependency} (asked for by ${who}) ${reasons[reason]}${available.length ? ` (${available.join(', ')})` : ''}`
  })

export function formatVerify({ folders, packages, bytes, problems }: VerifyReport): string {
  const lines = problems.map(({ folder, file, code, message }) => `${code}: ${folder}/${file} ${message}`)
  return [
    ...lines,
    `${folders} folders, ${packages} packages (${formatSize(bytes)}): ${problems.length ? `${problems.length} problems` : 'all good'}`,
  ].join('\n')
}
