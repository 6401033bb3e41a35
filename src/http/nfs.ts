// The NFS phase over HTTP, below /api/v1/nfs: what is open, open, close. Called by app; every route says which right it needs.
import * as z from 'zod'
import { parseDuration } from '../boot/duration.ts'
import type { Nfs } from '../nfs/phase.ts'
import type { RouteTable } from './route.ts'
import { nfsShape } from './shape.ts'

const openShape = z.looseObject({ for: z.string().max(20) })
const closeShape = z.strictObject({ all: z.boolean().default(false) })

/** Adds the routes. */
export function addNfsApi({ add }: RouteTable, nfs: Nfs): void {
  add({ method: 'GET', path: '/nfs', right: 'read', summary: 'What is exported, to whom, until when', answer: nfsShape }, () => nfs.status())
  add(
    { method: 'POST', path: '/nfs/open', right: 'operate', summary: 'Export the depot read-write for a while', body: openShape, answer: nfsShape },
    ({ body: { for: duration, ...wish } }) => nfs.open(nfs.plan(wish), parseDuration(duration)),
  )
  add({ method: 'POST', path: '/nfs/close', right: 'operate', summary: 'Close the export', body: closeShape, answer: nfsShape }, ({ body }) =>
    nfs.close(body.all),
  )
}
