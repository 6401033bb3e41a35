// PXE Pilot's HTTP interface, on a port of its own, with and without /v1: for the tools and scripts of sites that have it. Called by server.
// Statuses, bodies and headers are the original's (0.7.0), but for slips of its own where it answers 500 to the caller's mistake.
import { type Context, Hono } from 'hono'
import { parseDeploy, PilotError } from '../pilot/deploy.ts'
import type { Pilot, PilotChange } from '../pilot/service.ts'
import { callOf, hostOf, type HttpEnv, peerOf } from './caller.ts'

export type PilotAppDeps = {
  readonly pilot: Pilot
  /** Who sends this token; undefined for a wrong one. */
  readonly verifyToken: (token: string) => { readonly name: string } | undefined | Promise<{ readonly name: string } | undefined>
  /** Whether changes need a token. The original has none. */
  readonly needsToken: boolean
  readonly history: (host: string) => readonly PilotChange[]
  readonly onFault?: (error: unknown) => void
}

const bodyBytesMax = 1 << 20
const trues = ['1', 't', 'T', 'TRUE', 'true', 'True']
const falses = ['0', 'f', 'F', 'FALSE', 'false', 'False']

/** The app for that port. */
export function createPilotApp(deps: PilotAppDeps): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  for (const prefix of ['', '/v1']) addRoutes(app, prefix, deps)
  app.notFound((c) => {
    const { pathname, search } = new URL(c.req.url)
    const bare = pathname.replace(/\/+$/, '')
    // Gin's way: 301 for GET, 307 for what has a body.
    if (bare && bare !== pathname && isRoute(bare)) return c.redirect(bare + search, c.req.method === 'GET' ? 301 : 307)
    return new Response('404 page not found', { status: 404, headers: { 'Content-Type': 'text/plain' } })
  })
  app.onError((error) => {
    if (error instanceof PilotError) return refuse(error)
    deps.onFault?.(error)
    return new Response(null, { status: 500 })
  })
  return app
}

const isRoute = (path: string): boolean =>
  /^(\/v1)?\/(healthcheck|bootloaders|configurations(\/[^/]+(\/deploy)?)?|hosts(\/[^/]+\/(on|off|reboot|history))?|refresh)$/.test(path)

type Asked = Context<HttpEnv>

function addRoutes(app: Hono<HttpEnv>, prefix: string, deps: PilotAppDeps): void {
  const { pilot } = deps
  app.get(`${prefix}/healthcheck`, () => new Response(null, { status: 204 }))
  app.get(`${prefix}/bootloaders`, () => goJson(pilot.bootloaders()))
  app.get(`${prefix}/configurations`, async () => goJson(await pilot.configurations()))
  app.get(`${prefix}/configurations/:name`, async (c) => goJson(await pilot.content(c.req.param('name'))))
  app.put(`${prefix}/configurations/:name/deploy`, async (c) => {
    const by = await writer(c, deps)
    const hosts = await pilot.deploy(c.req.param('name'), parseDeploy(await readBody(c)), by)
    return goJson({ hosts })
  })
  app.get(`${prefix}/hosts`, async (c) => goJson(await pilot.hosts(readStatus(c.req.query('status')))))
  app.get(`${prefix}/hosts/:name/history`, (c) => goJson(deps.history(pilot.findHost(c.req.param('name')).name)))
  for (const [word, action] of [
    ['on', 'on'],
    ['off', 'off'],
    ['reboot', 'cycle'],
  ] as const) {
    app.patch(`${prefix}/hosts/:name/${word}`, async (c) => {
      await writer(c, deps)
      await pilot.power(c.req.param('name'), action)
      return new Response(null, { status: 204 })
    })
  }
  app.patch(`${prefix}/refresh`, async (c) => {
    await writer(c, deps)
    await pilot.refresh()
    return new Response(null, { status: 204 })
  })
}

function readStatus(text: string | undefined): boolean {
  if (text === undefined || trues.includes(text)) return true
  if (falses.includes(text)) return false
  throw new PilotError(400)
}

/** Who changes something: the token's name, else the address. Throws PilotError 401; 403 for a page of another site, which a browser sends here unasked. */
async function writer(c: Asked, { verifyToken, needsToken }: PilotAppDeps): Promise<string> {
  if (isOfAnotherSite(c)) throw new PilotError(403, 'Requests of other sites are refused')
  const token = /^Bearer +(\S{1,256})$/i.exec(c.req.header('authorization') ?? '')?.[1]
  const operator = token === undefined ? undefined : await verifyToken(token)
  if (operator) return operator.name
  if (needsToken || token !== undefined) throw new PilotError(401, 'An operator token is needed')
  return peerOf(callOf(c)) || 'nobody'
}

/** Browsers tell by one header or the other who sends them; to plain http many tell by Origin alone. Programs send neither. */
function isOfAnotherSite(c: Asked): boolean {
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  const origin = c.req.header('origin')
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== hostOf(callOf(c)))
}

/** The Content-Type is of no matter: the document's own curl sends a form's. */
async function readBody(c: Asked): Promise<string> {
  if (Number(c.req.header('content-length') ?? 0) > bodyBytesMax) throw new PilotError(413)
  const text = await c.req.text()
  if (text.length > bodyBytesMax) throw new PilotError(413)
  return text
}

/** As Go's encoder writes it: `<`, `>` and `&` escaped. */
function goJson(value: unknown, status = 200): Response {
  const text = JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return new Response(text, { status, headers: { 'Content-Type': 'application/json; charset=utf-8' } })
}

const refuse = ({ status, message }: PilotError): Response =>
  message ? goJson({ Message: message, message }, status) : new Response(null, { status })
