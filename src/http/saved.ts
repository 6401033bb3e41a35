// What a saved overlay is answered with: its sum, what the station will lack, and what is different from before; as lines or as JSON. Used by save.
import type { Mac } from '../boot/address.ts'
import type { Accepted } from '../overlay/accept.ts'
import type { OverlayDiff } from '../overlay/diff.ts'

/** The small facts of the event. */
export function describeSaved({ digest, sizeBytes, path, version, report, diff }: Accepted): Record<string, string | number> {
  const changes = diff && summarize(diff)
  return {
    digest,
    sizeBytes,
    ...(path !== undefined && { path }),
    ...(version && { version: version.version }),
    ...(report.warnings.length && { warnings: report.warnings.map(({ code }) => code).join(',') }),
    ...(changes && { changes }),
  }
}

/** 201. The first line is `sha256=…`, by which the sender knows that the very bytes arrived. */
export function respondSaved(saved: Accepted, mac: Mac, isJson: boolean): Response {
  const { digest, sizeBytes, path, version, report, diff } = saved
  const base = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }
  if (isJson) {
    const body = {
      mac,
      sha256: digest,
      sizeBytes,
      path: path ?? null,
      version: version?.version ?? null,
      warnings: report.warnings,
      changes: diff ? summarize(diff) : null,
      diff: diff ? { ...diff, files: diff.files.map(({ path, change }) => ({ path, change })) } : null,
    }
    return new Response(JSON.stringify(body), { status: 201, headers: { ...base, 'Content-Type': 'application/json' } })
  }
  const lines = [
    `sha256=${digest}`,
    `size=${sizeBytes}`,
    ...(path === undefined ? [] : [`path=${path}`]),
    ...(version ? [`version=${version.version}`] : []),
    ...report.warnings.map(({ code, text }) => `warning: ${plain(text)} [${code}]`),
    ...(diff ? listChanges(diff) : ['the first overlay of this station']),
  ]
  return new Response(`${lines.join('\n')}\n`, { status: 201, headers: { ...base, 'Content-Type': 'text/plain; charset=utf-8' } })
}

/** It is printed on a station's terminal. */
const plain = (text: string): string => text.replace(/[^ -~]+/g, '?').slice(0, 300)

/** `3 files, 1 package, 0 services` */
const summarize = ({ files, packages, services, isSame }: OverlayDiff): string =>
  isSame
    ? 'none'
    : [
        [files.length, 'files'],
        [packages.added.length + packages.removed.length, 'packages'],
        [services.added.length + services.removed.length, 'services'],
      ]
        .map(([count, name]) => `${count} ${name}`)
        .join(', ')

const maxListed = 40
const signs = { added: '+', removed: '-', changed: '~' } as const

function listChanges({ files, packages, services, isSame }: OverlayDiff): string[] {
  if (isSame) return ['the same as before']
  const lists = [
    ...packages.added.map((name) => `+ package ${name}`),
    ...packages.removed.map((name) => `- package ${name}`),
    ...services.added.map((name) => `+ service ${name}`),
    ...services.removed.map((name) => `- service ${name}`),
    ...files.map(({ path, change }) => `${signs[change]} ${path}`),
  ]
  const more = lists.length - maxListed
  return [...lists.slice(0, maxListed).map(plain), ...(more > 0 ? [`and ${more} more`] : [])]
}
