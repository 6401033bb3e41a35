// Makes the reply for one Content that was asked for by GET or HEAD: conditions, ranges, small bodies in one piece, big ones for slices.
// Called by the boot routes. The content is closed on every way out, by this file or by whoever carries the reply.
import { isAscii } from 'node:buffer'
import type { Content } from '../boot/content.ts'
import type { Call } from './caller.ts'
import { type Part, type PartEnd, sliceBytes } from './pump.ts'
import { type Conditions, judge } from './range.ts'
import type { Reply } from './reply.ts'

export type SendOptions = {
  readonly cacheControl: string
  /** Called once when the last byte of the content went out: by a full 200, or by a part that reaches the end. */
  readonly onDone?: (sentBytes: number) => void
  /** Called once when the client went away, or the disk failed, before the body was out. */
  readonly onCut?: (sentBytes: number) => void
}

/** The reply. Takes the content over. Throws or rejects with what `content.read` does, for bodies that are read before they are sent. */
export function send(call: Call, content: Content, options: SendOptions): Reply | Promise<Reply> {
  const verdict = judge(!call.isHead, conditionsOf(call), content)
  if (verdict.status !== 200 && verdict.status !== 206) {
    content.close()
    return refuseByCondition(verdict.status, content, options)
  }
  const { status } = verdict
  const first = status === 206 ? verdict.first : 0
  const length = status === 206 ? verdict.last + 1 - first : content.sizeBytes
  const headers = headersOf(content, options, length)
  if (status === 206) headers['Content-Range'] = `bytes ${first}-${verdict.last}/${content.sizeBytes}`
  if (call.isHead) {
    content.close()
    return { status, headers }
  }
  const part = { first, length, reachesEnd: first + length === content.sizeBytes }
  const end = endOf(part, options)
  if (length > sliceBytes) return { status, headers, big: { content, part }, end }
  const body = readSmall(content, part)
  return body instanceof Promise ? body.then((bytes) => ({ status, headers, body: bytes, end })) : { status, headers, body, end }
}

const endOf =
  ({ reachesEnd }: Part, { onDone, onCut }: SendOptions): PartEnd =>
  (sentBytes, isWhole) => {
    if (!isWhole) onCut?.(sentBytes)
    else if (reachesEnd) onDone?.(sentBytes)
  }

function conditionsOf({ header }: Call): Conditions {
  return {
    ifMatch: header('if-match'),
    ifNoneMatch: header('if-none-match'),
    ifModifiedSince: header('if-modified-since'),
    ifRange: header('if-range'),
    range: header('range'),
  }
}

function headersOf(content: Content, { cacheControl }: SendOptions, length: number): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': content.type,
    'Content-Length': String(length),
    ETag: `"${content.etag}"`,
    'Accept-Ranges': 'bytes',
    'Cache-Control': cacheControl,
  }
  // A page in the depot must not act in the name of a person who looks at ours.
  if (content.type.startsWith('text/html')) headers['Content-Security-Policy'] = 'sandbox'
  if (content.modifiedAt !== undefined) headers['Last-Modified'] = formatHttpDate(content.modifiedAt)
  return headers
}

function refuseByCondition(status: 304 | 412 | 416, content: Content, { cacheControl }: SendOptions): Reply {
  const tag = { ETag: `"${content.etag}"`, 'Cache-Control': cacheControl }
  if (status === 304) return { status, headers: tag }
  const range: Record<string, string> = status === 416 ? { 'Content-Range': `bytes */${content.sizeBytes}`, 'Accept-Ranges': 'bytes' } : {}
  return { status, headers: { ...tag, ...range, 'Content-Length': '0' } }
}

/** The bytes of a small part; the content is closed afterwards. */
function readSmall(content: Content, { first, length }: Part): string | Uint8Array | Promise<string | Uint8Array> {
  const take = (bytes: Uint8Array): string | Uint8Array => {
    content.close()
    if (bytes.length !== length) throw new Error('the file became shorter while it was read')
    return bodyOf(bytes)
  }
  const fail = (error: unknown): never => {
    content.close()
    throw error
  }
  const { whole } = content
  if (whole) return take(length === whole.length ? whole : whole.subarray(first, first + length))
  let bytes: Uint8Array | Promise<Uint8Array>
  try {
    bytes = length ? content.read(first, length) : new Uint8Array(0)
  } catch (error) {
    return fail(error)
  }
  return bytes instanceof Promise ? bytes.then(take, fail) : take(bytes)
}

const textBytes = 4096

/** Small ASCII as a string: Node then writes head and body in one piece, which makes a script cheaper. */
function bodyOf(bytes: Uint8Array): string | Uint8Array {
  if (bytes.length > textBytes || !isAscii(bytes)) return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

const httpDates = new Map<number, string>()

/** `Tue, 15 Nov 1994 08:12:31 GMT`, remembered: the files of one site are few. */
function formatHttpDate(at: number): string {
  const known = httpDates.get(at)
  if (known !== undefined) return known
  if (httpDates.size >= 4096) httpDates.clear()
  const text = new Date(at).toUTCString()
  httpDates.set(at, text)
  return text
}
