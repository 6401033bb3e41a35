// What stations ask for: GET and HEAD of any name that the door knows, and POST /up/<mac>. Called by app.
// It never redirects (firmware does not follow), never tells why it refused, and decides nothing: the door does.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context } from 'hono'
import type { Ipv4 } from '../boot/address.ts'
import { maskTicket } from '../station/ticket.ts'
import type { DoorRequest, Opened } from '../station/visit.ts'
import { type Call, callOf, callOfNode, type HttpEnv, httpBaseOf, peerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { foldName, parseFacts } from './name.ts'
import { retryAfter, statusOf } from './problem.ts'
import { emptyReply, type Reply, respond, responseOf, writeReply } from './reply.ts'
import { type SendOptions, send } from './send.ts'
import { isReportName, receiveReport } from './up.ts'

type Answer = Reply | Promise<Reply>

/** The handlers for every path that no other route has. */
export type BootRoutes = {
  readonly get: (c: Context<HttpEnv>) => Response | Promise<Response>
  readonly post: (c: Context<HttpEnv>) => Promise<Response>
  /** The same as `get`, without Hono, for Node's server; `url` begins with a slash. */
  readonly getDirectly: (incoming: IncomingMessage, outgoing: ServerResponse, url: string) => void
}

export function createBootRoutes(deps: AppDeps): BootRoutes {
  const get = (c: Context<HttpEnv>): Response | Promise<Response> => {
    const answer = openName(deps, callOf(c))
    return answer instanceof Promise ? answer.then((reply) => respond(c, reply)) : respond(c, answer)
  }
  const getDirectly = (incoming: IncomingMessage, outgoing: ServerResponse, url: string): void => {
    const write = (reply: Reply): void => {
      try {
        writeReply(outgoing, reply)
      } catch (error) {
        deps.onFault?.(error)
        outgoing.destroy()
      }
    }
    const answer = openName(deps, callOfNode(incoming, url))
    if (answer instanceof Promise) answer.then(write)
    else write(answer)
  }
  return { get, getDirectly, post: (c) => receive(deps, c) }
}

/** Never throws and never rejects: what goes wrong becomes a reply. */
function openName(deps: AppDeps, call: Call): Answer {
  const name = foldName(call.path)
  if (name === undefined) return emptyReply(404)
  const request = requestOf(deps, call, name)
  const answer = (opened: Opened): Answer => send(opened.cut ? wholeOnly(call) : call, opened.content, optionsOf(deps, request, opened))
  const fail = (error: unknown): Reply => refuse(deps, error)
  try {
    const opened = deps.door.open(request)
    const answered = opened instanceof Promise ? opened.then(answer) : answer(opened)
    return answered instanceof Promise ? answered.catch(fail) : answered
  } catch (error) {
    return fail(error)
  }
}

/** The same without conditions and ranges: what is given once is given whole. */
const wholeOnly = (call: Call): Call => ({ ...call, header: (name) => (name === 'range' || name.startsWith('if-') ? undefined : call.header(name)) })

function requestOf(deps: AppDeps, call: Call, name: string): DoorRequest {
  const facts = name.startsWith('boot/') ? parseFacts(call.url) : undefined
  return {
    name,
    peer: peerOf(call),
    via: 'http',
    httpBase: deps.httpBase ?? httpBaseOf(call),
    ...(facts && { facts }),
    ...(call.header('range') !== undefined && { range: true }),
    ...(call.isHead && { head: true }),
  }
}

function optionsOf(deps: AppDeps, { name, peer }: DoorRequest, { content, done, cut }: Opened): SendOptions {
  return {
    // Rendered text is for one boot, and an overlay holds keys: neither is to be kept by anybody on the way.
    cacheControl: content.modifiedAt === undefined || /^(t\/[^/]+\/)?configs\//i.test(name) ? 'no-store' : 'no-cache',
    onDone: done,
    onCut: (sentBytes) => {
      cut?.()
      if (deps.mayTell?.('transfer-failed', peer) === false) return
      const mac = deps.presence.find(peer)
      const detail = { file: maskTicket(name), via: 'http', sentBytes, sizeBytes: content.sizeBytes, reason: 'the connection ended early' }
      deps.emit({ at: deps.now(), kind: 'transfer-failed', ...(mac && { mac }), ...ipOf(peer), detail })
    },
  }
}

const ipOf = (peer: string): { ip?: Ipv4 } => (/^[0-9.]{7,15}$/.test(peer) ? { ip: peer as Ipv4 } : {})

function refuse(deps: AppDeps, error: unknown): Reply {
  const status = statusOf(error)
  if (status === 500) deps.onFault?.(error)
  return emptyReply(status, retryAfter[status])
}

async function receive(deps: AppDeps, c: Context<HttpEnv>): Promise<Response> {
  const name = foldName(c.req.path)
  if (name === undefined || !isReportName(name)) return responseOf(emptyReply(name === undefined ? 404 : 405, { Allow: 'GET, HEAD' }))
  return receiveReport(deps, c, name)
}
