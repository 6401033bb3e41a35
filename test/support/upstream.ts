// A mirror as tests want it: files from memory or a folder over real HTTP, counts of what was asked, and faults by path.
import { hash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/**
 * What is wrong with one path. `slow`: a tenth of the body, then waits until `release()`. `cut`: the connection ends after `afterBytes`. `short`: fewer
 * bytes than promised, the connection stays. `long`: says a Content-Length of one byte less. `hang`: no answer until `release()`. `refuse`: the
 * connection is closed without an answer. A number: that status. `times`: only so many requests have it, then all is well.
 */
export type Fault = {
  readonly kind: 'slow' | 'cut' | 'short' | 'long' | 'hang' | 'refuse' | number
  readonly afterBytes?: number
  readonly times?: number
}

export type TestUpstream = {
  /** `http://127.0.0.1:port`, no slash at the end. */
  readonly url: string
  /** Puts, replaces (`undefined`: takes away) a file; `path` without a leading slash. */
  readonly put: (path: string, bytes: string | Uint8Array | undefined) => void
  readonly fault: (path: string, fault: Fault | undefined) => void
  /** Lets everything that is slow or hangs go on. */
  readonly release: () => void
  /** Requests so far, of one path or of all. */
  readonly hits: (path?: string) => number
  readonly requests: readonly { readonly path: string; readonly headers: IncomingMessage['headers'] }[]
  /** Bodies on their way at this moment, and the most that ever were at once. */
  readonly figures: () => { readonly running: number; readonly most: number }
  readonly redirect: (path: string, to: string) => void
  readonly close: () => Promise<void>
}

export type TestUpstreamOptions = {
  /** Files by path without a leading slash. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  /** Or a folder, asked where `files` has nothing. */
  readonly folder?: string
  readonly port?: number
  /** Without ranges, as some mirrors are. */
  readonly withoutRanges?: boolean
  /** Without ETag and Last-Modified. */
  readonly withoutValidators?: boolean
}

type Resource = { readonly bytes: Uint8Array; readonly etag: string; readonly modified: string }

/** Listens on a free port of loopback until the test ends. Call it inside a test, or close it yourself. */
export async function startTestUpstream({
  files = {},
  folder,
  port = 0,
  withoutRanges = false,
  withoutValidators = false,
}: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const resources = new Map<string, Resource>()
  const faults = new Map<string, { fault: Fault; left: number }>()
  const redirects = new Map<string, string>()
  const requests: { path: string; headers: IncomingMessage['headers'] }[] = []
  let held: (() => void)[] = []
  let running = 0
  let most = 0
  let version = 0
  const put: TestUpstream['put'] = (path, bytes) => {
    if (bytes === undefined) resources.delete(path)
    else resources.set(path, makeResource(bytes, version++))
  }
  for (const [path, bytes] of Object.entries(files)) put(path, bytes)

  const find = (path: string): Resource | undefined => {
    const known = resources.get(path)
    if (known || !folder || !existsSync(join(folder, path))) return known
    return makeResource(readFileSync(join(folder, path)), 0)
  }
  const takeFault = (path: string): Fault | undefined => {
    const found = faults.get(path)
    if (!found || found.left-- <= 0) return undefined
    return found.fault
  }
  const hold = (): Promise<void> => new Promise((resolve) => held.push(resolve))

  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/^\//, '')
    requests.push({ path, headers: request.headers })
    running++
    most = Math.max(most, running)
    response.once('close', () => running--)
    answer(request, response, path).catch(() => response.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const to = redirects.get(path)
    if (to !== undefined) return void response.writeHead(302, { Location: to, 'Content-Length': 0 }).end()
    const fault = takeFault(path)
    if (fault?.kind === 'refuse') return void response.destroy()
    if (fault?.kind === 'hang') await hold()
    if (typeof fault?.kind === 'number') return void response.writeHead(fault.kind, { 'Content-Length': 0 }).end()
    const resource = find(path)
    if (!resource) return void response.writeHead(404, { 'Content-Length': 0 }).end()
    const validators = withoutValidators ? {} : { ETag: resource.etag, 'Last-Modified': resource.modified }
    if (!withoutValidators && isUnchanged(request, resource)) return void response.writeHead(304, validators).end()
    const first = withoutRanges ? undefined : firstByte(request, resource)
    const bytes = resource.bytes.subarray(first ?? 0)
    const promised = bytes.length - (fault?.kind === 'long' ? 1 : 0)
    const range = first === undefined ? {} : { 'Content-Range': `bytes ${first}-${resource.bytes.length - 1}/${resource.bytes.length}` }
    response.strictContentLength = false
    response.writeHead(first === undefined ? 200 : 206, { 'Content-Length': promised, 'Accept-Ranges': 'bytes', ...validators, ...range })
    await sendBody(response, bytes, fault)
  }

  async function sendBody(response: ServerResponse, bytes: Uint8Array, fault: Fault | undefined): Promise<void> {
    const after = fault?.afterBytes ?? Math.floor(bytes.length / 10)
    if (fault?.kind === 'slow') {
      await write(response, bytes.subarray(0, after))
      await hold()
      return void response.end(bytes.subarray(after))
    }
    if (fault?.kind === 'cut') {
      await write(response, bytes.subarray(0, after))
      // A client that learns of bytes and end at once may throw the bytes away.
      return void setTimeout(() => response.socket?.destroy(), 50)
    }
    if (fault?.kind === 'short') {
      await write(response, bytes.subarray(0, after))
      return hold()
    }
    response.end(bytes)
  }

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = () => closeServer(server)
  try {
    onTestFinished(close)
  } catch {
    // Not inside a test: whoever started it closes it.
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    put,
    fault: (path, fault) => void (fault ? faults.set(path, { fault, left: fault.times ?? Number.POSITIVE_INFINITY }) : faults.delete(path)),
    release: () => {
      const waiting = held
      held = []
      for (const go of waiting) go()
    },
    hits: (path) => (path === undefined ? requests.length : requests.filter((request) => request.path === path).length),
    requests,
    figures: () => ({ running, most }),
    redirect: (path, to) => void redirects.set(path, to),
    close,
  }
}

const dayMs = 86_400_000

function makeResource(bytes: string | Uint8Array, version: number): Resource {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  return {
    bytes: content,
    etag: `"${hash('sha1', content).slice(0, 16)}"`,
    modified: new Date(Date.UTC(2026, 0, 1) + version * dayMs).toUTCString(),
  }
}

function isUnchanged({ headers }: IncomingMessage, { etag, modified }: Resource): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) return tags.split(/,\s*/).includes(etag)
  return headers['if-modified-since'] !== undefined && Date.parse(headers['if-modified-since']) >= Date.parse(modified)
}

function firstByte({ headers }: IncomingMessage, { bytes, etag, modified }: Resource): number | undefined {
  const asked = /^bytes=(\d+)-$/.exec(headers.range ?? '')
  const condition = headers['if-range']
  if (!asked || (condition !== undefined && condition !== etag && condition !== modified)) return undefined
  const first = Number(asked[1])
  return first < bytes.length ? first : undefined
}

const write = (response: ServerResponse, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => response.write(bytes, (error) => (error ? reject(error) : resolve())))

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
