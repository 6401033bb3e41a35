// What commands did to the mirror, for the server's event log: each command leaves a small file in the state folder, the server takes it in and
// removes it, at once when it runs and at its next start when it does not. Used by cli/mirror and server.ts.
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import type { BootEvent, Emit } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { writeAtomic } from '../store/atomic.ts'

const filesMax = 100
const eventsMax = 64
const maxBytes = 64 * 1024
const toldSchema = z
  .array(
    z.strictObject({
      at: z.number().int().nonnegative(),
      kind: z.enum(['mirror-synced', 'mirror-failed']),
      detail: z.record(z.string().max(64), z.union([z.string().max(1000), z.number(), z.boolean()])).optional(),
    }),
  )
  .max(eventsMax)

const folderOf = ({ state }: Config): string => join(state, 'mirror', 'told')
const fileName = /^[0-9a-f-]{36}\.json$/

/** Leaves events for the server. Where nobody takes them the newest hundred files are enough: no more are written. Rejects with what the disk says. */
export async function leaveEvents(config: Config, events: readonly BootEvent[]): Promise<void> {
  if (!events.length) return
  const folder = folderOf(config)
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length >= filesMax) return
  await writeAtomic(join(folder, `${randomUUID()}.json`), JSON.stringify(events.slice(0, eventsMax)), 0o644)
}

const takeEveryMs = 2000

/** Takes events in from now on, one look after the other; answers the way to stop. */
export function startTaking(config: Config, emit: Emit): () => Promise<void> {
  let last = takeEvents(config, emit)
  const timer = setInterval(() => {
    last = last.then(() => takeEvents(config, emit))
  }, takeEveryMs).unref()
  return () => {
    clearInterval(timer)
    return last
  }
}

/** Emits what was left, the oldest first, and removes it. Never rejects; what cannot be removed is not told, else it would be told for ever. */
export async function takeEvents(config: Config, emit: Emit): Promise<void> {
  const folder = folderOf(config)
  const names = (await readdir(folder).catch(() => [])).filter((name) => fileName.test(name))
  const events: BootEvent[] = []
  for (const name of names) {
    const found = await readEvents(join(folder, name))
    const isGone = await rm(join(folder, name)).then(
      () => true,
      () => false,
    )
    if (isGone) events.push(...found)
  }
  for (const event of events.sort((one, other) => one.at - other.at)) emit(event)
}

async function readEvents(path: string): Promise<BootEvent[]> {
  const file = await open(path).catch(() => undefined)
  try {
    if (!file || (await file.stat()).size > maxBytes) return []
    return toldSchema.parse(JSON.parse(await file.readFile('utf8'))) as BootEvent[]
  } catch {
    return []
  } finally {
    await file?.close()
  }
}
