// Stations, profiles, next boots and tokens, changed over the operator API. Called by app and by commands without a server.
import { z } from 'zod'
import type { ManageDeps } from './manage-find.ts'
import { addNextRoutes } from './manage-next.ts'
import { addRecordRoutes, entryView } from './manage-record.ts'
import { addTokenRoutes } from './manage-token.ts'
import type { RouteTable } from './route.ts'

/** Adds all of them. */
export function addManagement(table: RouteTable, deps: ManageDeps): void {
  addRecordRoutes(table, deps, 'stations')
  addRecordRoutes(table, deps, 'profiles')
  addNextRoutes(table, deps)
  addTokenRoutes(table, deps)
  table.add({ method: 'GET', path: '/history', right: 'read', summary: 'Who changed which record, newest last', answer: z.array(entryView) }, () =>
    deps.editor.history(),
  )
}
