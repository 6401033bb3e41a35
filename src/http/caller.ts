// One request as the boot routes and rights see it, whoever carries it: Hono, or Node's server directly.
// Who calls is told by the socket alone; forwarding headers are never believed.
import type { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'

/** What the routes find in `c.env`: Node's request and response, absent under `app.request()`. */
export type HttpEnv = { Bindings: Partial<HttpBindings> }

export type Call = {
  readonly isHead: boolean
  /** Without the query; percent signs may stand in it. */
  readonly path: string
  /** With the query. */
  readonly url: string
  /** A header by its name in lower case. */
  readonly header: (name: string) => string | undefined
  readonly socket: {
    readonly remoteAddress?: string | undefined
    readonly localAddress?: string | undefined
    readonly localPort?: number | undefined
  }
}

const noSocket: Call['socket'] = {}

export function callOf(c: Context<HttpEnv>): Call {
  const incoming = c.env?.incoming
  const header = incoming ? headerOf(incoming) : (name: string) => c.req.header(name)
  return { isHead: c.req.method === 'HEAD', path: c.req.path, url: c.req.url, header, socket: incoming?.socket ?? noSocket }
}

/** The same of Node's request; `url` begins with a slash. */
export function callOfNode(incoming: IncomingMessage, url: string): Call {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  return { isHead: incoming.method === 'HEAD', path, url, header: headerOf(incoming), socket: incoming.socket }
}

// Of the headers that we read Node joins repeated ones or keeps the first: never a list.
const headerOf =
  ({ headers }: IncomingMessage) =>
  (name: string): string | undefined =>
    headers[name] as string | undefined

/** The caller's address, `::ffff:10.9.0.7` as `10.9.0.7`; empty when there is no socket. */
export const peerOf = ({ socket }: Call): string => plainAddress(socket.remoteAddress ?? '')

/** An IPv4 address without the prefix that a socket bound to `::` puts before it. */
export const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)

const hostPattern = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$/

/** The Host header, lower case, when it is a name or address with an optional port and nothing else. */
export function hostOf(call: Call): string | undefined {
  const host = call.header('host')
  return host !== undefined && hostPattern.test(host) ? host.toLowerCase() : undefined
}

/** `http://10.9.0.1:8080`, no slash at the end: as the caller wrote it, else the address of ours that its connection reached. */
export function httpBaseOf(call: Call): string {
  const host = hostOf(call)
  if (host !== undefined) return `http://${host}`
  const { localAddress = '127.0.0.1', localPort } = call.socket
  const address = plainAddress(localAddress)
  return `http://${address.includes(':') ? `[${address}]` : address}${localPort === undefined ? '' : `:${localPort}`}`
}

/** 127.0.0.0/8 or ::1. */
export const isLoopback = (address: string): boolean => address === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(address)

/**
 * Is it somebody on this machine who means this machine? A loopback socket alone is not enough: a page elsewhere can make a
 * browser ask (DNS rebinding gives a foreign Host, fetch a cross-site mark), and a proxy here may speak for others.
 */
export function isLocalCaller(call: Call): boolean {
  if (!isLoopback(peerOf(call))) return false
  const host = hostOf(call)?.replace(/:[0-9]+$/, '')
  if (host !== 'localhost' && host !== '[::1]' && !isLoopback(host ?? '')) return false
  if (call.header('sec-fetch-site') === 'cross-site') return false
  return !['x-forwarded-for', 'x-real-ip', 'forwarded', 'via'].some((name) => call.header(name) !== undefined)
}
