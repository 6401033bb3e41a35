// The package mirror over HTTP, at /api/v1/mirror: what was fetched through it and how old its indexes are. Called by app.
import type { Hono } from 'hono'
import type { HttpEnv } from './caller.ts'
import type { AppDeps } from './deps.ts'
import type { Rights } from './rights.ts'

/** Adds the route. `rights` are shared with the rest of the API. */
export function addMirrorApi(app: Hono<HttpEnv>, mirror: NonNullable<AppDeps['mirror']>, rights: Rights): void {
  app.get('/api/v1/mirror', async (c) => (await rights.check(c, 'read')) ?? json(mirror.describe()))
}

const json = (value: unknown): Response =>
  new Response(JSON.stringify(value), {
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' },
  })
