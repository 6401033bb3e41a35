// Who calls, over which connection: the socket's address, and by which address of ours the caller reached us.
// Used by the boot routes and by rights. Never believes a forwarding header.
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'

/** What the routes find in `c.env`: Node's request and response, absent under `app.request()`. */
export type HttpEnv = { Bindings: Partial<HttpBindings> }

/** The caller's address, `::ffff:10.9.0.7` as `10.9.0.7`; empty when there is no socket. */
export function peerOf(c: Context<HttpEnv>): string {
  return plainAddress(c.env?.incoming?.socket?.remoteAddress ?? '')
}

/** An IPv4 address without the prefix that a socket bound to `::` puts before it. */
export const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)

const hostPattern = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$/

/** The Host header, lower case, when it is a name or address with an optional port and nothing else. */
export function hostOf(c: Context<HttpEnv>): string | undefined {
  const host = c.env?.incoming ? c.env.incoming.headers?.host : c.req.header('host')
  return host !== undefined && hostPattern.test(host) ? host.toLowerCase() : undefined
}

/** `http://10.9.0.1:8080`, no slash at the end: as the caller wrote it, else the address of ours that its connection reached. */
export function httpBaseOf(c: Context<HttpEnv>): string {
  const host = hostOf(c)
  if (host !== undefined) return `http://${host}`
  const { localAddress = '127.0.0.1', localPort } = c.env?.incoming?.socket ?? {}
  const address = plainAddress(localAddress)
  return `http://${address.includes(':') ? `[${address}]` : address}${localPort === undefined ? '' : `:${localPort}`}`
}

/** 127.0.0.0/8 or ::1. */
export const isLoopback = (address: string): boolean => address === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(address)

/**
 * Is it somebody on this machine who means this machine? A loopback socket alone is not enough: a page elsewhere can make a
 * browser ask (DNS rebinding gives a foreign Host, fetch a cross-site mark), and a proxy here may speak for others.
 */
export function isLocalCaller(c: Context<HttpEnv>): boolean {
  if (!isLoopback(peerOf(c))) return false
  const host = hostOf(c)?.replace(/:[0-9]+$/, '')
  if (host !== 'localhost' && host !== '[::1]' && !isLoopback(host ?? '')) return false
  if (c.req.header('sec-fetch-site') === 'cross-site') return false
  return !['x-forwarded-for', 'x-real-ip', 'forwarded', 'via'].some((name) => c.req.header(name) !== undefined)
}
