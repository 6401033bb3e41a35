// The NFS phase over HTTP, below /api/v1/nfs: what is open, open, close. Called by app; every route says which right it needs.
import type { Context, Hono } from 'hono'
import * as z from 'zod'
import { parseDuration } from '../boot/duration.ts'
import type { Nfs } from '../nfs/phase.ts'
import { checkBody, readBody } from './body.ts'
import type { HttpEnv } from './caller.ts'
import type { Right, Rights } from './rights.ts'

const openShape = z.looseObject({ for: z.string().max(20) })
const closeShape = z.strictObject({ all: z.boolean().default(false) })

/** Adds the routes. `rights` are shared with the rest of the API. */
export function addNfsApi(app: Hono<HttpEnv>, nfs: Nfs, rights: Rights): void {
  const route = (method: 'GET' | 'POST', path: string, right: Right, handler: (c: Context<HttpEnv>) => Promise<unknown>): void => {
    app.on(method, `/api/v1/nfs${path}`, async (c) => (await rights.check(c, right)) ?? json(await handler(c)))
  }
  route('GET', '', 'read', async () => nfs.status())
  route('POST', '/open', 'operate', async (c) => {
    const { for: duration, ...wish } = checkBody(openShape, await readBody(c))
    return nfs.open(nfs.plan(wish), parseDuration(duration))
  })
  route('POST', '/close', 'operate', async (c) => nfs.close(checkBody(closeShape, await readBody(c)).all))
}

const json = (value: unknown): Response =>
  new Response(JSON.stringify(value), {
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' },
  })
