// Overlays, differences and versions as text for people. Used by `bivouac overlay`.
import type { FoundOverlay } from '../station/shelf.ts'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import type { FileChange, OverlayDiff } from '../overlay/diff.ts'
import type { OverlayView } from '../overlay/desk.ts'
import type { HistoryState } from '../overlay/history-entry.ts'
import { formatTable } from './output.ts'

export const formatWarnings = (warnings: readonly OverlayWarning[]): string =>
  warnings.length ? warnings.map(formatWarning).join('\n') : 'nothing to warn of'

const formatWarning = ({ code, text, remedy }: OverlayWarning): string => `${code}: ${text}${remedy ? `\n   → ${remedy}` : ''}`

export function formatOverlay(view: OverlayView, withFiles: boolean): string {
  const { pinned, booted } = view
  const list = (values: readonly string[]): string => values.join(', ') || '-'
  const lines = [
    `${view.mac}: ${view.path} (${view.from})`,
    `   layers        ${list(view.layers)}`,
    `   digest        ${view.digest}${booted ? (booted.digest === view.digest ? ', which it last booted' : `; it last booted ${booted.digest.slice(0, 12)}`) : ''}`,
    `   size          ${view.sizeBytes} bytes, ${view.inflatedBytes} unpacked, ${view.files.length} members`,
    `   secrets       ${view.isSecret ? 'yes: served only with the ticket of a boot' : 'none'}`,
    `   host name     ${view.hostname ?? '-'}`,
    `   packages      ${list(view.packages)}`,
    `   services      ${list(view.services)}`,
    `   repositories  ${view.repositories.length ? list(view.repositories) : 'those of the release'}`,
  ]
  if (pinned) lines.push(`   held          ${formatHeld(pinned)}`)
  if (view.warnings.length) lines.push('', formatWarnings(view.warnings))
  if (withFiles) lines.push('', formatFiles(view))
  return lines.join('\n')
}

const formatFiles = ({ files }: OverlayView): string =>
  formatTable(
    ['mode', 'owner', 'size', 'layer', 'path'],
    files.map((file) => [
      file.mode,
      file.owner,
      String(file.sizeBytes),
      file.origin ?? '-',
      `${file.path}${file.target ? ` → ${file.target}` : ''}${file.isSecret ? ' (secret)' : ''}`,
    ]),
  )

export function formatDiff(diff: OverlayDiff & { readonly from: string; readonly to: string }): string {
  if (diff.isSame) return `${diff.from} and ${diff.to} are the same`
  const lines = [`--- ${diff.from}`, `+++ ${diff.to}`]
  for (const [name, { added, removed }] of [['packages', diff.packages] as const, ['services', diff.services] as const]) {
    if (added.length || removed.length) lines.push(`${name}: ${[...removed.map((one) => `-${one}`), ...added.map((one) => `+${one}`)].join(' ')}`)
  }
  return [...lines, ...diff.files.map(formatChange)].join('\n')
}

function formatChange({ path, change, before, after, text, isMasked }: FileChange): string {
  const sign = { added: 'A', removed: 'D', changed: 'M' }[change]
  const about = [before, after].filter((one) => one !== undefined).join(' → ')
  return `${sign} ${path} (${about})${isMasked ? ', not shown: it may hold secrets' : ''}${text ? `\n${text.trimEnd().replace(/^/gm, '  ')}` : ''}`
}

export function formatHistory({ versions, booted, pin }: HistoryState): string {
  if (!versions.length) return 'no version is kept yet: the first is kept when the station fetches it, or when one is uploaded or saved'
  const marks = (version: number, digest: string): string =>
    [...(booted?.digest === digest ? ['booted'] : []), ...(pin?.version === version ? ['held'] : [])].join(', ')
  return formatTable(
    ['version', 'when', 'kind', 'digest', 'size', 'who', 'note'],
    versions.map((one) => [
      String(one.version),
      formatDay(one.at),
      one.kind,
      one.digest.slice(0, 12),
      String(one.sizeBytes),
      one.who,
      [one.note, marks(one.version, one.digest), one.isSecret ? 'secret' : ''].filter(Boolean).join('; '),
    ]),
  )
}

/** `version 3, since 2026-11-21 03:11 UTC, by anna: …`: what an operator went back to. */
export const formatHeld = ({ version, at, who }: NonNullable<FoundOverlay['pinned']>): string =>
  `version ${version}, since ${formatDay(at)}, by ${who}: not what the layers say now`

const formatDay = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
