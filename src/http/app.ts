// The whole HTTP face as one value: tests call `app.request()`, listen puts it on a socket. Routes only; each has its own file.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Hono } from 'hono'
import { addApi } from './api.ts'
import { createBootRoutes } from './boot.ts'
import type { HttpEnv } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { addIpxeApi } from './ipxe.ts'
import { addManagement } from './manage.ts'
import { addMirrorApi } from './mirror.ts'
import { addNfsApi } from './nfs.ts'
import { addOverlayApi } from './overlay.ts'
import { addPage } from './page.ts'
import { addPower } from './power.ts'
import { respondProblem, statusOf } from './problem.ts'
import { emptyReply, responseOf } from './reply.ts'
import { createRights } from './rights.ts'
import { addDescription, createRouteTable } from './route.ts'
import { addSaveRoutes } from './save.ts'

export type App = Hono<HttpEnv> & {
  /** Takes a request that only a boot route can answer past Hono, which costs a fifth less, and says whether it did. */
  readonly answerStation: (incoming: IncomingMessage, outgoing: ServerResponse) => boolean
}

/** Paths with routes of their own; all others are the stations'. */
const ownPath = /^\/(?:$|\?|healthz(?:$|\?)|api(?:\/|$|\?)|save(?:\/|$|\?)|assets\/)/

/** Builds the app. It holds no socket and no timer of its own until a live reader comes. */
export function createApp(deps: AppDeps): App {
  const app = new Hono<HttpEnv>()
  const rights = createRights(deps)
  app.get('/healthz', () => new Response(null, { status: 204 }))
  // Before the API, whose last route refuses what nobody took.
  const table = createRouteTable(app, rights)
  if (deps.ipxe) addIpxeApi(table, deps.ipxe)
  if (deps.manage) addManagement(table, deps.manage)
  if (deps.power) addPower(table, deps.power)
  if (deps.nfs) addNfsApi(table, deps.nfs)
  if (deps.mirror) addMirrorApi(table, deps.mirror)
  if (deps.desk) addOverlayApi(table, deps.desk, deps.records.current)
  addDescription(table, deps.status().version)
  addApi(app, table, deps)
  addPage(app, deps, rights)
  if (deps.save) addSaveRoutes(app, deps, deps.save, rights)
  const boot = createBootRoutes(deps)
  app.get('*', boot.get)
  app.post('*', boot.post)
  app.notFound(() => responseOf(emptyReply(405, { Allow: 'GET, HEAD, POST' })))
  app.onError((error, c) => {
    if (statusOf(error) === 500) deps.onFault?.(error)
    return c.req.path.startsWith('/api/') ? respondProblem(error) : responseOf(emptyReply(statusOf(error)))
  })
  const answerStation = (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const { method, url = '' } = incoming
    if ((method !== 'GET' && method !== 'HEAD') || url.charCodeAt(0) !== 47 || ownPath.test(url)) return false
    boot.getDirectly(incoming, outgoing, url)
    return true
  }
  return Object.assign(app, { answerStation })
}
