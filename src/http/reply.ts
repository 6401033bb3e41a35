// What a boot route answers, as a value, and the two ways to carry it: by Node's response, or as a web Response. Called by boot.
import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import type { Content } from '../boot/content.ts'
import type { HttpEnv } from './caller.ts'
import { type Part, type PartEnd, pump, stallMs, streamOf } from './pump.ts'

/** `Content-Length` is among the headers, but for 304. Without `body` and `big` nothing follows them. */
export type Reply = {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body?: string | Uint8Array
  /** A body for slices; the content is open, and closed by whoever carries the reply. */
  readonly big?: { readonly content: Content; readonly part: Part }
  /** Told how the body ended. */
  readonly end?: PartEnd
}

/** The status, no body, and a length that says so. */
export const emptyReply = (status: number, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { 'Content-Length': '0', ...headers },
})

/** Writes the reply. A caller that is gone already gets nothing, and `end` is told. Throws for headers that HTTP forbids. */
export function writeReply(outgoing: ServerResponse, { status, headers, body, big, end }: Reply): void {
  if (outgoing.destroyed) {
    big?.content.close()
    end?.(0, false)
    return
  }
  try {
    outgoing.writeHead(status, headers)
  } catch (error) {
    big?.content.close()
    throw error
  }
  if (big) return void pump(outgoing, big.content, big.part, end)
  outgoing.end(body)
  if (end) watchEnd(outgoing, body?.length ?? 0, end)
}

/** Small bodies mostly go to the kernel within the call; a listener is only for the rest, and a limit of time for who does not read. Node emits `close` after every answer. */
function watchEnd(outgoing: ServerResponse, length: number, end: PartEnd): void {
  if (outgoing.socket?.writableLength === 0 && !outgoing.destroyed) {
    end(length, true)
    return
  }
  outgoing.setTimeout(stallMs)
  outgoing.once('close', () => (outgoing.writableFinished ? end(length, true) : end(0, false)))
}

/** The reply as Hono wants it: over Node's response where there is one, else as a Response. */
export function respond(c: Context<HttpEnv>, reply: Reply): Response {
  const outgoing = c.env?.outgoing
  // Trap: Hono answers HEAD by a second Response made of ours, which would be written again.
  if (!outgoing || c.req.method === 'HEAD') return responseOf(reply)
  writeReply(outgoing, reply)
  return RESPONSE_ALREADY_SENT
}

/** For `app.request()`: what is handed over counts as sent. */
export function responseOf({ status, headers, body, big, end }: Reply): Response {
  if (big) return new Response(streamOf(big.content, big.part, end), { status, headers })
  end?.(body?.length ?? 0, true)
  return new Response((body ?? null) as string | Uint8Array<ArrayBuffer> | null, { status, headers })
}
