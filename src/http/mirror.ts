// The package mirror over HTTP, at /api/v1/mirror: what was fetched through it and how old its indexes are. Called by app.
import type { AppDeps } from './deps.ts'
import type { RouteTable } from './route.ts'
import { mirrorShape } from './shape.ts'

/** Adds the route. */
export function addMirrorApi({ add }: RouteTable, mirror: NonNullable<AppDeps['mirror']>): void {
  add(
    {
      method: 'GET',
      path: '/mirror',
      right: 'read',
      summary: 'What was fetched through the mirror, and how old its indexes are',
      answer: mirrorShape,
    },
    () => mirror.describe(),
  )
}
