// Puts the app on a socket, with limits, and takes it off again. Called by server.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { type BivouacError, ConflictError, InputError, OutsideError } from '../boot/error.ts'
import type { App } from './app.ts'
import type { HttpEnv } from './caller.ts'
import { createAheadGuard, limitCallers } from './crowd.ts'

/** Times in milliseconds. How long a download takes is nobody's business; one on which nothing moves is cut by pump. */
export type HttpLimits = {
  readonly connections: number
  readonly connectionsPerAddress: number
  /** Requests that may wait on one connection behind the one that is being answered. */
  readonly ahead: number
  readonly headerBytes: number
  readonly headersMs: number
  readonly requestMs: number
  readonly keepAliveMs: number
  /** How long `stop` lets running answers go on. */
  readonly graceMs: number
}

const defaultLimits: HttpLimits = {
  connections: 8192,
  connectionsPerAddress: 2048,
  ahead: 16,
  headerBytes: 16 * 1024,
  headersMs: 15_000,
  requestMs: 60_000,
  keepAliveMs: 15_000,
  graceMs: 1_500,
}

export type HttpOptions = {
  /** `answerStation` is asked first; what it leaves goes to `fetch`. */
  readonly app: Pick<Hono<HttpEnv>, 'fetch'> & Partial<Pick<App, 'answerStation'>>
  readonly address: string
  /** 0: any free one. */
  readonly port: number
  /** Where the configuration has address and port; `http` when absent. */
  readonly section?: 'http' | 'packages'
  readonly limits?: Partial<HttpLimits>
}

export type HttpServer = {
  readonly port: number
  /** Resolves when the port is free and no connection is left, at the latest after the grace time. */
  readonly stop: () => Promise<void>
}

/** Listens. Rejects with ConflictError `port-taken`, OutsideError `port-denied` or InputError `http-address`. */
export async function startHttp({ app, address, port, section = 'http', limits: given }: HttpOptions): Promise<HttpServer> {
  const limits = { ...defaultLimits, ...given }
  // HTTP/1.0 clients may come without a Host header: then the name is ours.
  const byHono = getRequestListener(app.fetch as Parameters<typeof getRequestListener>[0], { hostname: 'localhost' })
  const isTooFarAhead = createAheadGuard(limits.ahead)
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 5_000,
      noDelay: true,
    },
    (incoming, outgoing) => {
      if (isTooFarAhead(incoming, outgoing)) return
      if (!app.answerStation?.(incoming, outgoing)) byHono(incoming, outgoing)
    },
  )
  server.maxConnections = limits.connections
  // Lore: busybox nc ends its side of the connection when it has sent all (a saved overlay); Node would then close before it has answered.
  Object.assign(server, { httpAllowHalfOpen: true })
  limitCallers(server, limits.connectionsPerAddress)
  await listen(server, address, port, section)
  return { port: (server.address() as AddressInfo).port, stop: () => stop(server, limits.graceMs) }
}

function listen(server: Server, address: string, port: number, section: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(explainListenError(error, address, port, section))
    server.once('error', fail)
    server.listen({ host: address, port, backlog: 1024 }, () => {
      server.off('error', fail)
      // Accept errors later on (no descriptors left) pass; the server goes on.
      server.on('error', () => {})
      resolve()
    })
  })
}

const otherPortOf = (section: string): string =>
  `choose another port with --${section}.port, BIVOUAC_${section.toUpperCase()}_PORT or ${section}.port in the configuration`

/** What went wrong and what to do, from Node's error. */
export function explainListenError(error: NodeJS.ErrnoException, address: string, port: number, section = 'http'): BivouacError {
  const otherPort = otherPortOf(section)
  const where = `${address}:${port}`
  if (error.code === 'EADDRINUSE') {
    return new ConflictError(
      'port-taken',
      `HTTP cannot listen on ${where}: another program has it. "ss -ltnp 'sport = :${port}'" names it; stop it, or ${otherPort}`,
      {
        cause: error,
      },
    )
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new OutsideError(
      'port-denied',
      `HTTP may not listen on ${where}: ports below 1024 need root or "sysctl net.ipv4.ip_unprivileged_port_start=${port}"; or ${otherPort}`,
      false,
      { cause: error },
    )
  }
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN' || error.code === 'EINVAL') {
    const help = `no interface of this machine has the address ${address} ("ip -br address" lists them; 0.0.0.0 means all)`
    return new InputError('http-address', `HTTP cannot listen on ${where}: ${help}`, { path: `${section}.address` }, { cause: error })
  }
  return new OutsideError('http-listen', `HTTP cannot listen on ${where}: ${error.message}`, false, { cause: error })
}

/** No new connection, idle ones closed as they fall idle, and after the grace time the rest too. */
function stop(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => server.closeIdleConnections(), 50)
    const grace = setTimeout(() => server.closeAllConnections(), graceMs)
    server.close(() => {
      clearInterval(sweep)
      clearTimeout(grace)
      resolve()
    })
    server.closeIdleConnections()
  })
}
