// The whole HTTP face as one value: tests call `app.request()`, listen puts it on a socket. Routes only; each has its own file.
import { Hono } from 'hono'
import { addApi } from './api.ts'
import { createBootRoutes } from './boot.ts'
import type { HttpEnv } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { addPage } from './page.ts'
import { respondEmpty, respondProblem, statusOf } from './problem.ts'
import { createRights } from './rights.ts'

/** Builds the app. It holds no socket and no timer of its own until a live reader comes. */
export function createApp(deps: AppDeps): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  const rights = createRights(deps)
  app.get('/healthz', () => new Response(null, { status: 204 }))
  addApi(app, deps, rights)
  addPage(app, deps, rights)
  // Last, and one handler each: a path that only these match runs without Hono's chain, which is the short way for stations.
  const boot = createBootRoutes(deps)
  app.get('*', boot.get)
  app.post('*', boot.post)
  app.notFound(() => respondEmpty(405, { Allow: 'GET, HEAD, POST' }))
  app.onError((error, c) => {
    if (statusOf(error) === 500) deps.onFault?.(error)
    return c.req.path.startsWith('/api/') ? respondProblem(error) : respondEmpty(statusOf(error))
  })
  return app
}
