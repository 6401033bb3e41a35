// Asks servers elsewhere over HTTP: Alpine's mirror, or anybody's. Used by mirror and release, made once by server or the command line.
// It sends credentials only to the server that they are for, and puts neither them nor a query into a message.
import { Agent, type Dispatcher, ProxyAgent, request } from 'undici'
import { OutsideError } from '../boot/error.ts'
import type { Credentials } from './credentials.ts'
import { isRedirect, nextUrl, parseUrl, plainUrl } from './url.ts'
import { explainNetwork } from './network.ts'

export type UpstreamOptions = {
  /** HTTP proxy on the way: plain requests are handed to it, TLS goes through it by CONNECT. */
  readonly proxy?: string
  readonly credentials?: Credentials
  /** Connections to one server at one moment; further requests wait. */
  readonly connections?: number
  readonly connectMs?: number
  /** Until the head of the answer is there. */
  readonly headersMs?: number
  /** Without one byte of the body. */
  readonly stallMs?: number
  /** How often a request that failed in a way that may pass is made again. */
  readonly retries?: number
  readonly sleep?: (ms: number) => Promise<void>
  readonly userAgent?: string
}

export type UpstreamAsk = {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** Over the client's own. */
  readonly retries?: number
}

export type UpstreamAnswer = {
  readonly status: number
  /** By names in lower case. Of repeated ones the first. */
  readonly headers: Readonly<Record<string, string>>
  /** Content-Length, when the server says it. */
  readonly sizeBytes?: number
  /** Where the answer came from, after redirects, without query and credentials. */
  readonly url: string
  /** The bytes as they come, once. Throws OutsideError when the connection ends early, nothing moves, or the signal aborts. */
  readonly body: AsyncIterable<Uint8Array>
  /** Ends it without reading on; to be called when the body is not read to its end. */
  readonly cancel: () => void
}

export type Upstream = {
  /**
   * GET; the answer with any status but a redirect, which is followed (at most five, never from https to http). Rejects with OutsideError when there is
   * no answer (`upstream-unreachable`, `upstream-timeout`, `upstream-tls`, `upstream-redirect`), InputError for what is no http(s) URL. Tries again by
   * itself where it may help: no connection, 429, 500, 502, 503, 504; the last answer is given as it is.
   */
  readonly get: (url: string, ask?: UpstreamAsk) => Promise<UpstreamAnswer>
  /** Ends everything that is under way. */
  readonly close: () => Promise<void>
}

const redirectsMax = 5
const defaults = { connections: 8, connectMs: 10_000, headersMs: 30_000, stallMs: 60_000, retries: 2, userAgent: 'bivouac' }
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export function createUpstream(options: UpstreamOptions = {}): Upstream {
  const limits = { ...defaults, sleep: wait, ...options }
  const dispatcher = createDispatcher(limits, options.proxy)

  async function ask(url: URL, { headers, signal }: UpstreamAsk): Promise<Dispatcher.ResponseData> {
    const { credentials, headersMs, stallMs, userAgent } = limits
    const authorization = credentials?.headerFor(url)
    const asked = { 'user-agent': userAgent, 'accept-encoding': 'identity', ...headers, ...(authorization && { authorization }) }
    try {
      return await request(url, { dispatcher, headers: asked, headersTimeout: headersMs, bodyTimeout: stallMs, ...(signal && { signal }) })
    } catch (error) {
      throw explainNetwork(error, plainUrl(url))
    }
  }

  async function follow(from: URL, how: UpstreamAsk): Promise<UpstreamAnswer> {
    let url = from
    for (let redirects = 0; redirects <= redirectsMax; redirects++) {
      const data = await ask(url, how)
      const { location } = data.headers
      if (!isRedirect(data.statusCode) || typeof location !== 'string') return answerOf(data, url)
      discard(data)
      url = nextUrl(url, location)
    }
    throw new OutsideError('upstream-redirect', `${plainUrl(from)} redirects more than ${redirectsMax} times`, false)
  }

  async function get(text: string, how: UpstreamAsk = {}): Promise<UpstreamAnswer> {
    const url = parseUrl(text)
    const retries = how.retries ?? limits.retries
    for (let attempt = 0; ; attempt++) {
      const isLast = attempt >= retries
      const answer = await follow(url, how).catch((error: unknown) => {
        if (isLast || how.signal?.aborted || !(error instanceof OutsideError && error.mayRetry)) throw error
        return undefined
      })
      if (answer && (isLast || !mayPass(answer.status))) return answer
      answer?.cancel()
      await limits.sleep(backoffMs(attempt))
    }
  }

  return { get, close: () => dispatcher.destroy() }
}

/** Statuses of a server in trouble, for which another try may get more. */
export const mayPass = (status: number): boolean => [429, 500, 502, 503, 504].includes(status)

/** Half a second, then twice as long each time, at most half a minute. */
export const backoffMs = (attempt: number): number => Math.min(30_000, 500 * 2 ** attempt)

function createDispatcher({ connections, connectMs }: { connections: number; connectMs: number }, proxy: string | undefined): Dispatcher {
  const common = { connections, connectTimeout: connectMs, connect: { timeout: connectMs }, allowH2: false, pipelining: 1 }
  return proxy === undefined ? new Agent(common) : new ProxyAgent({ ...common, uri: proxy })
}

function answerOf(data: Dispatcher.ResponseData, url: URL): UpstreamAnswer {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(data.headers)) {
    const first = Array.isArray(value) ? value[0] : value
    if (first !== undefined) headers[name] = first
  }
  const length = headers['content-length']
  const sizeBytes = length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
  const place = plainUrl(url)
  return {
    status: data.statusCode,
    headers,
    ...(sizeBytes !== undefined && { sizeBytes }),
    url: place,
    body: explained(data, place),
    cancel: () => discard(data),
  }
}

async function* explained({ body }: Dispatcher.ResponseData, place: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) yield piece as Uint8Array
  } catch (error) {
    throw explainNetwork(error, place)
  }
}

function discard({ body }: Dispatcher.ResponseData): void {
  // The error of what is thrown away is nobody's.
  body.on('error', () => undefined)
  body.destroy()
}
