// The managing half of the API without a server: the same routes over the depot and the state folder, in this process. Used by the commands that change
// records when no server runs; it holds the state's lock meanwhile, so that no server starts beside it.
import { Hono } from 'hono'
import type { HttpEnv } from '../http/caller.ts'
import { addManagement } from '../http/manage.ts'
import { respondProblem } from '../http/problem.ts'
import { createRouteTable } from '../http/route.ts'
import type { Config } from '../config.ts'
import { OutsideError } from '../boot/error.ts'
import { recordOptions } from '../server/local.ts'
import { openEditor } from '../store/edit.ts'
import { openStore } from '../store/embedded.ts'
import { createNextBoots, recordsWithNext } from '../store/next.ts'
import { openRecords } from '../store/record.ts'
import { type Method, toError } from './client.ts'
import type { Context } from './context.ts'

export type ManageCall = <T>(method: Method, path: string, body?: unknown) => Promise<T>

/** Runs the work against the running server, or here when none runs and none was named. Throws what either throws. */
export async function withManager<T>(context: Context, work: (call: ManageCall) => Promise<T>): Promise<T> {
  try {
    return await work(context.api().call)
  } catch (error) {
    if (!(error instanceof OutsideError) || error.code !== 'no-server' || context.isServerNamed) throw error
    return withLocalManager(context.load().config, work)
  }
}

async function withLocalManager<T>(config: Config, work: (call: ManageCall) => Promise<T>): Promise<T> {
  const { depot, state } = config
  const store = await openStore(state, { sync: true, now: Date.now })
  const emit = store.events.append
  const records = await openRecords({ ...recordOptions(config), emit: () => {} })
  const editor = await openEditor({ depot, state, records, now: Date.now })
  try {
    const next = createNextBoots({ marks: store.marks, emit, now: Date.now, macsOf: (mac) => records.current().stationByMac.get(mac)?.macs ?? [] })
    const app = new Hono<HttpEnv>()
    app.onError(respondProblem)
    const table = createRouteTable(app, { check: async () => undefined, nameOf: () => 'this machine' })
    addManagement(table, { records: { ...records, current: recordsWithNext(records.current, next) }, editor, next, marks: store.marks })
    return await work(async <A>(method: Method, path: string, body?: unknown) => {
      const init = { method, ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) }
      const response = await app.request(path, init)
      const text = await response.text()
      if (response.status >= 400) throw toError(response.status, text, path)
      return (text === '' ? undefined : JSON.parse(text)) as A
    })
  } finally {
    records.close()
    await editor.close()
    await store.close()
  }
}
