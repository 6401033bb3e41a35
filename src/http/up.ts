// POST /up/<mac> and POST /t/<ticket>/up: a station says that it is up, and what it lacks. Called by the boot routes.
// It is no proof of anything, but with its boot's ticket it is that boot's; nothing is ever decided on it.
import type { Context } from 'hono'
import { findMac, type Ipv4, type Mac } from '../boot/address.ts'
import { describeReport, maxReportBytes, parseReport } from '../station/report.ts'
import { ticketPattern } from '../station/ticket.ts'
import { callOf, type HttpEnv, peerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { emptyReply, responseOf } from './reply.ts'

/** Is this folded name one that a report goes to? */
export const isReportName = (name: string): boolean => name.startsWith('up/') || /^t\/[^/]+\/up(\/|$)/.test(name)

/** 204 and the event `up`; or 400, 403, 404, 413 with an empty body. */
export async function receiveReport(deps: AppDeps, c: Context<HttpEnv>, name: string): Promise<Response> {
  const peer = peerOf(callOf(c))
  const teller = findTeller(deps, name, peer)
  if (!teller) return refuse(404)
  const body = await readBounded(c).catch(() => 'cut' as const)
  if (body === 'cut') return refuse(400)
  if (body === undefined) return refuse(413, { Connection: 'close' })
  const ip = /^[0-9.]{7,15}$/.test(peer) ? { ip: peer as Ipv4 } : {}
  const { mac } = teller
  const base = { at: deps.now(), ...(mac && { mac }), ...ip }
  if ('refused' in teller) {
    if (deps.mayTell?.('dropped', peer) !== false) deps.emit({ ...base, kind: 'dropped', detail: { reason: teller.refused, path: 'up' } })
    return refuse(403)
  }
  const facts = describeReport(parseReport(body), deps.served?.last(teller.mac)?.contentId)
  if (deps.mayTell?.('up', peer) !== false) deps.emit({ ...base, kind: 'up', detail: { via: 'http', by: teller.by, ...facts } })
  deps.served?.come(teller.mac)
  return new Response(null, { status: 204 })
}

type Teller = { readonly mac: Mac; readonly by: 'ticket' | 'address' } | { readonly mac?: Mac; readonly refused: string }

/** Who tells, by its ticket or by what it says. Undefined: the name names nobody. */
function findTeller(deps: AppDeps, name: string, peer: string): Teller | undefined {
  const [, ticket] = /^t\/([^/]+)\/up(?:\/[^/]*)?$/.exec(name) ?? []
  if (ticket !== undefined) {
    if (!ticketPattern.test(ticket) || !deps.tickets) return undefined
    const verdict = deps.tickets.check(ticket, { peer, use: 'up' })
    return 'boot' in verdict ? { mac: verdict.boot.mac, by: 'ticket' } : { refused: `up was told by ${peer}: ${verdict.refused}` }
  }
  const mac = findMac(name.slice(3))
  if (!mac) return undefined
  const holder = findOtherHolder(deps, mac, peer)
  return holder ? { mac, refused: `up was told by ${peer}, but ${mac} has the address ${holder}` } : { mac, by: 'address' }
}

const refuse = (status: number, headers?: Record<string, string>): Response => responseOf(emptyReply(status, headers))

/** The address that this MAC holds by a lease in force, when the caller is not there. No proof of identity, only a guard against mistakes. */
function findOtherHolder({ leases, now }: AppDeps, mac: Mac, peer: string): string | undefined {
  const lease = leases.findByMac(mac)
  if (lease?.state !== 'bound' || lease.expiresAt * 1000 <= now() || lease.ip === peer) return undefined
  // A station with leases on several networks: any of them will do.
  return leases.findMac(peer as Ipv4) === mac ? undefined : lease.ip
}

/** The body, or undefined when it is bigger than 4 KB. What follows is not read. */
async function readBounded(c: Context<HttpEnv>): Promise<Uint8Array | undefined> {
  if (Number(c.req.header('content-length') ?? 0) > maxReportBytes) return undefined
  const bytes = new Uint8Array(maxReportBytes)
  let length = 0
  const reader = c.req.raw.body?.getReader()
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
    if (length + piece.value.length > maxReportBytes) {
      await reader?.cancel()
      return undefined
    }
    bytes.set(piece.value, length)
    length += piece.value.length
  }
  return bytes.subarray(0, length)
}
