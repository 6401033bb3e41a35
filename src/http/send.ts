// Sends one Content as the answer to a GET or HEAD: conditions, ranges, small bodies in one write, big ones in slices.
// Called by the boot routes. It closes the content on every way out and never holds the event loop for a big body.
import { isAscii } from 'node:buffer'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import type { Content } from '../boot/content.ts'
import type { HttpEnv } from './caller.ts'
import { type Part, pump, sliceBytes, streamOf } from './pump.ts'
import { type Conditions, judge } from './range.ts'

export type SendOptions = {
  readonly cacheControl: string
  /** Called once when the last byte of the content went out: by a full 200, or by a part that reaches the end. */
  readonly onDone?: (sentBytes: number) => void
  /** Called once when the client went away, or the disk failed, before the body was out. */
  readonly onCut?: (sentBytes: number) => void
}

/** The answer. Takes the content over: it is closed when the answer is out. Rejects with what `content.read` rejects with, while nothing is sent. */
export function send(c: Context<HttpEnv>, content: Content, options: SendOptions): Response | Promise<Response> {
  const isGet = c.req.method !== 'HEAD'
  const verdict = judge(isGet, conditionsOf(c), content)
  if (verdict.status !== 200 && verdict.status !== 206) {
    content.close()
    return refuseByCondition(verdict.status, content, options)
  }
  const first = verdict.status === 206 ? verdict.first : 0
  const length = verdict.status === 206 ? verdict.last + 1 - first : content.sizeBytes
  const headers = headersOf(content, options, length)
  if (verdict.status === 206) headers['Content-Range'] = `bytes ${first}-${verdict.last}/${content.sizeBytes}`
  if (!isGet) {
    content.close()
    return new Response(null, { status: verdict.status, headers })
  }
  const part = { first, length, reachesEnd: first + length === content.sizeBytes }
  if (length <= sliceBytes) return sendSmall(c, content, part, verdict.status, headers, options)
  return sendBig(c, content, part, verdict.status, headers, options)
}

function conditionsOf(c: Context<HttpEnv>): Conditions {
  const incoming = c.env?.incoming?.headers
  const header = incoming ? (name: string) => incoming[name] as string | undefined : (name: string) => c.req.header(name)
  return {
    ifMatch: header('if-match'),
    ifNoneMatch: header('if-none-match'),
    ifModifiedSince: header('if-modified-since'),
    ifRange: header('if-range'),
    range: header('range'),
  }
}

// Plain objects, never Headers: node-server passes them to Node as they are.
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

function refuseByCondition(status: 304 | 412 | 416, content: Content, { cacheControl }: SendOptions): Response {
  const tag = { ETag: `"${content.etag}"`, 'Cache-Control': cacheControl }
  if (status === 304) return new Response(null, { status, headers: tag })
  const range: Record<string, string> = status === 416 ? { 'Content-Range': `bytes */${content.sizeBytes}`, 'Accept-Ranges': 'bytes' } : {}
  return new Response(null, { status, headers: { ...tag, ...range, 'Content-Length': '0' } })
}

function sendSmall(
  c: Context<HttpEnv>,
  content: Content,
  part: Part,
  status: number,
  headers: Record<string, string>,
  options: SendOptions,
): Response | Promise<Response> {
  const respond = (bytes: Uint8Array): Response => {
    content.close()
    watchEnd(c, part, options)
    return new Response(bodyOf(bytes), { status, headers })
  }
  const { whole } = content
  if (whole) return respond(part.length === whole.length ? whole : whole.subarray(part.first, part.first + part.length))
  const fail = (error: unknown): never => {
    content.close()
    throw error
  }
  const checked = (bytes: Uint8Array): Response => (bytes.length === part.length ? respond(bytes) : fail(new Error('the file became shorter')))
  if (part.length === 0) return respond(new Uint8Array(0))
  let bytes: Uint8Array | Promise<Uint8Array>
  try {
    bytes = content.read(part.first, part.length)
  } catch (error) {
    return fail(error)
  }
  return bytes instanceof Promise ? bytes.then(checked, fail) : checked(bytes)
}

const textBytes = 4096

/** Small ASCII as a string: Node then writes head and body in one piece, which halves the cost of a script. */
function bodyOf(bytes: Uint8Array): string | Uint8Array<ArrayBuffer> {
  if (bytes.length > textBytes || !isAscii(bytes)) return bytes as Uint8Array<ArrayBuffer>
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** Reports the end of a body that goes out by a normal Response. Node emits `close` after every answer, kept connection or not. */
function watchEnd(c: Context<HttpEnv>, part: Part, { onDone, onCut }: SendOptions): void {
  const outgoing = c.env?.outgoing
  if (!outgoing) {
    if (part.reachesEnd) onDone?.(part.length)
  } else if (outgoing.destroyed) onCut?.(0)
  else {
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) onCut?.(0)
      else if (part.reachesEnd) onDone?.(part.length)
    })
  }
}

function sendBig(c: Context<HttpEnv>, content: Content, part: Part, status: number, headers: Record<string, string>, options: SendOptions): Response {
  const end = (sentBytes: number, isWhole: boolean) => {
    if (!isWhole) options.onCut?.(sentBytes)
    else if (part.reachesEnd) options.onDone?.(sentBytes)
  }
  const outgoing = c.env?.outgoing
  if (!outgoing) return new Response(streamOf(content, part, end), { status, headers })
  if (outgoing.destroyed) {
    content.close()
    end(0, false)
  } else {
    outgoing.writeHead(status, headers)
    pump(outgoing, content, part, end)
  }
  return RESPONSE_ALREADY_SENT
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
