// The packages server: the mirror at its own root and nothing else, for a second address or a machine of its own. Called by server.
// GET and HEAD of names that a mirror has; everything else is 404 or 405, a configuration's path too.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Content } from '../boot/content.ts'
import { isMirrorName } from '../mirror/pull-name.ts'
import type { Maybe } from '../station/maybe.ts'
import type { AccessLine } from './access-log.ts'
import { type Call, callOfNode, peerOf } from './caller.ts'
import type { HttpOptions } from './listen.ts'
import { foldName } from './name.ts'
import { retryAfter, statusOf } from './problem.ts'
import { emptyReply, type Reply, writeReply } from './reply.ts'
import { send } from './send.ts'

/** One file that went out, or was not there: for events. `name` is below the mirror's root. */
export type PackageVisit = {
  readonly peer: string
  readonly name: string
  readonly outcome: 'sent' | 'missing' | 'cut'
  readonly sizeBytes: number
  readonly durationMs: number
  /** Why it was not sent. */
  readonly reason?: string
}

export type PackagesAppOptions = {
  readonly open: (path: string) => Maybe<Content>
  readonly log: (line: AccessLine) => void
  readonly tell: (visit: PackageVisit) => void
  readonly now: () => number
  readonly onFault?: (error: unknown) => void
}

type Answer = Reply | Promise<Reply>

/** The app for startHttp: it answers every request itself. */
export function createPackagesApp(options: PackagesAppOptions): HttpOptions['app'] {
  const answerStation = (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const url = incoming.url?.startsWith('/') ? incoming.url : '/'
    const call = callOfNode(incoming, url)
    const write = createWriter(options, call, incoming, outgoing)
    const answer = incoming.method === 'GET' || incoming.method === 'HEAD' ? openName(options, call) : emptyReply(405, { Allow: 'GET, HEAD' })
    if (answer instanceof Promise) answer.then(write)
    else write(answer)
    return true
  }
  return { fetch: () => new Response(null, { status: 404 }), answerStation }
}

/** Writes the reply and then its line of the log. */
function createWriter({ log, now, onFault }: PackagesAppOptions, call: Call, incoming: IncomingMessage, outgoing: ServerResponse) {
  const startedAt = now()
  const line = (status: number, sentBytes: number, isCut: boolean): void => {
    const { method = '' } = incoming
    const ms = Math.max(0, now() - startedAt)
    log({ at: startedAt, ip: peerOf(call), method, path: call.path.slice(0, 300), status, sentBytes, ms, ...(isCut && { cut: true }) })
  }
  return (reply: Reply): void => {
    const hasBody = reply.body !== undefined || reply.big !== undefined
    const end = (sentBytes: number, isWhole: boolean): void => {
      reply.end?.(sentBytes, isWhole)
      line(reply.status, sentBytes, !isWhole)
    }
    try {
      writeReply(outgoing, hasBody ? { ...reply, end } : reply)
      if (!hasBody) line(reply.status, 0, false)
    } catch (error) {
      onFault?.(error)
      outgoing.destroy()
    }
  }
}

/** Never throws and never rejects: what goes wrong becomes a reply. */
function openName(options: PackagesAppOptions, call: Call): Answer {
  const name = foldName(call.path)
  if (name === undefined || !isMirrorName(name)) return emptyReply(404)
  const startedAt = options.now()
  const visit = { peer: peerOf(call), name }
  const durationMs = (): number => Math.max(0, options.now() - startedAt)
  const answer = (content: Content): Answer => {
    const { sizeBytes } = content
    const told = (outcome: PackageVisit['outcome']) => () => options.tell({ ...visit, outcome, sizeBytes, durationMs: durationMs() })
    return send(call, content, { cacheControl: 'no-cache', onDone: told('sent'), onCut: told('cut') })
  }
  const fail = (error: unknown): Reply => {
    const status = statusOf(error)
    if (status === 500) options.onFault?.(error)
    else options.tell({ ...visit, outcome: 'missing', sizeBytes: 0, durationMs: durationMs(), reason: (error as Error).message })
    return emptyReply(status, retryAfter[status])
  }
  try {
    const content = options.open(name)
    const answered = content instanceof Promise ? content.then(answer) : answer(content)
    return answered instanceof Promise ? answered.catch(fail) : answered
  } catch (error) {
    return fail(error)
  }
}
