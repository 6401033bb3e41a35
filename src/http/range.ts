// Conditional requests and ranges of one GET or HEAD, as data: request headers and a Content in, what to answer out. Pure.
// Called by http/send. RFC 9110 sections 13 and 14.
import type { Content } from '../boot/content.ts'

/** The request headers that matter, each undefined when absent. */
export type Conditions = {
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  readonly ifModifiedSince?: string | undefined
  readonly ifRange?: string | undefined
  readonly range?: string | undefined
}

/** What to answer. `first` and `last` are the inclusive positions of a part. */
export type Verdict =
  | { readonly status: 200 }
  | { readonly status: 206; readonly first: number; readonly last: number }
  | { readonly status: 304 | 412 | 416 }

const whole: Verdict = { status: 200 }

/** What this request gets of this content, in the order of RFC 9110 section 13.2.2. A range counts for GET only. */
export function judge(isGet: boolean, asked: Conditions, content: Pick<Content, 'etag' | 'modifiedAt' | 'sizeBytes'>): Verdict {
  if (asked.ifMatch !== undefined && !matches(asked.ifMatch, content.etag, true)) return { status: 412 }
  if (asked.ifNoneMatch !== undefined) {
    if (matches(asked.ifNoneMatch, content.etag, false)) return { status: 304 }
  } else if (asked.ifModifiedSince !== undefined && isUnchanged(asked.ifModifiedSince, content.modifiedAt)) return { status: 304 }
  if (!isGet || asked.range === undefined) return whole
  // A date in If-Range proves nothing about a file that changed twice in one second: only our strong tag does.
  if (asked.ifRange !== undefined && asked.ifRange.trim() !== `"${content.etag}"`) return whole
  return judgeRange(asked.range, content.sizeBytes)
}

/** Is the tag in the list? A weak tag (`W/`) never matches strongly. Our tags hold no quotes or commas. */
function matches(list: string, etag: string, isStrong: boolean): boolean {
  if (list.trim() === '*') return true
  const quoted = `"${etag}"`
  return list.split(',').some((item) => {
    const tag = item.trim()
    return tag === quoted || (!isStrong && tag === `W/${quoted}`)
  })
}

function isUnchanged(date: string, modifiedAt: number | undefined): boolean {
  const since = Date.parse(date)
  return modifiedAt !== undefined && !Number.isNaN(since) && Math.floor(modifiedAt / 1000) * 1000 <= since
}

/** One range. Several, another unit or nonsense: the whole (RFC 9110 section 14.2 allows it); beyond the end: 416. */
function judgeRange(text: string, sizeBytes: number): Verdict {
  const found = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(text)
  if (!found) return whole
  const [, firstText = '', lastText = ''] = found
  if (firstText === '') {
    if (lastText === '') return whole
    const count = Number(lastText)
    if (count === 0 || sizeBytes === 0) return { status: 416 }
    return { status: 206, first: Math.max(0, sizeBytes - count), last: sizeBytes - 1 }
  }
  const first = Number(firstText)
  const last = lastText === '' ? sizeBytes - 1 : Math.min(Number(lastText), sizeBytes - 1)
  if (lastText !== '' && Number(lastText) < first) return whole
  return first >= sizeBytes ? { status: 416 } : { status: 206, first, last }
}
