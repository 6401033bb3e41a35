// How the release commands show things: progress as one live line on a terminal and sparse lines elsewhere, tables, sizes. Used by release.
import type { ImportOutcome } from '../release/import.ts'
import type { OnProgress, ReleaseProgress } from '../release/progress.ts'
import type { Usage } from '../release/usage.ts'
import type { ReleaseManifest } from '../store/manifest.ts'
import type { Screen } from './ipxe-show.ts'

/** `207.3 MB` */
export function formatSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length, Math.floor(Math.log10(bytes) / 3))
  return `${(bytes / 1000 ** power).toFixed(1)} ${units[power - 1]}`
}

const verbs: Record<ReleaseProgress['step'], string> = {
  download: 'fetching',
  check: 'checking',
  unpack: 'unpacking',
  look: 'looking into',
  copy: 'copying',
}

/** Shows steps as they come; `end` clears the line. Lines elsewhere than on a terminal: one for each step and each quarter of it. */
export function createReleaseProgress(screen: Screen, now: () => number): { readonly show: OnProgress; readonly end: () => void } {
  let said = ''
  let startedAt = now()
  let firstBytes = 0
  let shownAt = 0
  let isOpen = false
  const show: OnProgress = ({ step, what, doneBytes, totalBytes }) => {
    const title = `${verbs[step]} ${what}`
    if (!said.startsWith(`${title} `)) [startedAt, firstBytes, shownAt] = [now(), doneBytes, 0]
    const share = totalBytes ? Math.min(1, doneBytes / totalBytes) : undefined
    const quarter = share === undefined ? '' : `${Math.floor(share * 4) * 25} %`
    const isNews = said !== `${title} ${quarter}`
    said = `${title} ${quarter}`
    if (!screen.isTerminal) {
      if (isNews && quarter !== '100 %')
        screen.write(`${title}${quarter && quarter !== '0 %' ? `: ${quarter}` : ''}${totalBytes ? ` of ${formatSize(totalBytes)}` : ''}\n`)
      return
    }
    if (!isNews && now() - shownAt < 100) return
    shownAt = now()
    isOpen = true
    const seconds = (now() - startedAt) / 1000
    const speed = seconds > 1 ? `, ${formatSize((doneBytes - firstBytes) / seconds)}/s` : ''
    const bar = share === undefined ? '' : ` [${'#'.repeat(Math.floor(share * 20)).padEnd(20, '.')}] ${Math.floor(share * 100)} %`
    screen.write(`\r\x1b[K${`${title}${bar} ${doneBytes ? formatSize(doneBytes) : ''}${speed}`.slice(0, screen.columns - 1)}`)
  }
  const end = (): void => {
    if (isOpen) screen.write('\r\x1b[K')
    isOpen = false
  }
  return { show, end }
}

/** How far a release was verified, in few words. */
export function formatVerified({ checksum, checksumFrom, signature, fingerprint }: ReleaseManifest['verified']): string {
  const sum = checksum === 'none' ? 'no checksum' : `${checksum} of ${checksumFrom}`
  return `${sum}, ${signature === 'good' ? `signed by ${fingerprint}` : 'signature not checked'}`
}

const heads: Record<ImportOutcome['outcome'], string> = {
  imported: 'imported',
  there: 'is there already, nothing to do',
  would: 'would be imported (dry run)',
}

export function formatImport({ outcome, id, source, verified, manifest, keys, packages, warnings }: ImportOutcome): string {
  const files = manifest?.files.map(({ name, sizeBytes }) => `${name} ${formatSize(sizeBytes)}`).join(', ')
  return [
    `release ${id}: ${heads[outcome]}`,
    `  from ${source}`,
    `  verified: ${formatVerified(verified)}`,
    ...(manifest?.kernelVersion ? [`  kernel ${manifest.kernelVersion}`] : []),
    ...(files ? [`  ${files}`] : []),
    ...keys.map(
      ({ name, outcome: state }) =>
        `  apk key ${name}: ${{ added: 'trusted from now on', there: 'was trusted already', differs: 'left, another one has its name' }[state]}`,
    ),
    ...(packages === undefined ? [] : [`  ${packages} files copied into the mirror`]),
    ...(outcome === 'there' ? [] : warnings).map(({ code, text }) => `  warning: ${text} [${code}]`),
    ...(outcome === 'imported' ? [`Next: bivouac release use ${id}`] : []),
  ].join('\n')
}

const formatDate = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ')

/** One release for people. */
export function formatRelease(
  id: string,
  manifest: ReleaseManifest | undefined,
  sizes: readonly { name: string; sizeBytes: number }[],
  usage: Usage | undefined,
): string {
  const users = usage?.profiles.length
    ? `profile ${usage.profiles.join(', ')}${usage.stations.length ? `; stations ${usage.stations.slice(0, 20).join(', ')}` : ''}`
    : 'nobody'
  const said = manifest
    ? [
        `version     ${manifest.version} (${manifest.branch}), ${manifest.arch}, ${manifest.flavour}`,
        `kernel      ${manifest.kernelVersion ?? 'not known'}${manifest.modules === undefined ? '' : `, ${manifest.modules} modules`}`,
        `imported    ${formatDate(manifest.importedAt)} UTC from ${manifest.source}`,
        `verified    ${formatVerified(manifest.verified)}`,
        ...(manifest.verified.note ? [`            ${manifest.verified.note}`] : []),
        `packages    ${manifest.repositories.join(', ') || 'what the profile names'}`,
        `apk keys    ${manifest.keys.join(', ') || 'none'}`,
        ...manifest.files.map(({ name, sizeBytes, sha256 }) => `file        ${name}  ${formatSize(sizeBytes)}  sha256 ${sha256}`),
      ]
    : ['laid by hand: it has no manifest', ...sizes.map(({ name, sizeBytes }) => `file        ${name}  ${formatSize(sizeBytes)}`)]
  const booted = usage?.lastBootAt === undefined ? [] : [`last boot   ${formatDate(usage.lastBootAt)} UTC`]
  return [`release ${id}`, ...said, `used by     ${users}`, ...booted].join('\n')
}
