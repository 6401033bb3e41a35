// The configuration phase: NFS read-write until a moment, then closed or read-only; kept over restarts. Made by server and cli.
// One thing at a time; whatever fails ends closed. It never leaves an export that nobody watches.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Emit } from '../boot/event.ts'
import { writeAtomic } from '../store/atomic.ts'
import { takeLock } from '../store/lock.ts'
import type { NfsEngine, NfsExport } from './engine.ts'
import { type NfsAccess, type NfsPlan, nfsPlanSchema, parseNfsPlan, resolveFolders } from './plan.ts'

export type NfsStatus = {
  readonly mode: 'closed' | NfsAccess
  readonly plan?: NfsPlan
  /** What clients mount, one line per folder. */
  readonly mounts?: readonly string[]
  /** Milliseconds since 1970, when writing ends. */
  readonly until?: number
  /** Why it is closed, where that was not asked for. */
  readonly note?: string
}

export type Nfs = {
  readonly status: () => NfsStatus
  /** What an operator asked for, checked; who may, where nothing was said, are the networks that DHCP serves. Throws InputError. */
  readonly plan: (value: Readonly<Record<string, unknown>>) => NfsPlan
  /** Opens read-write, or goes on from now with another plan. Throws what the engine throws; then it is closed. */
  readonly open: (plan: NfsPlan, durationMs: number) => Promise<NfsStatus>
  /** Ends the writing: to what the plan says comes otherwise, or to nothing with `all`. Closes also what a dead process left. */
  readonly close: (all?: boolean) => Promise<NfsStatus>
  /** The file that the server outside would be given. Changes nothing. */
  readonly preview: (plan: NfsPlan) => Promise<string>
  /** At the start: closes what a dead process left, then goes on with a phase that is still running. */
  readonly resume: () => Promise<NfsStatus>
  /** Ends a phase whose time is over. Called every few seconds. */
  readonly sweep: () => Promise<void>
  /** When we end: closes the export and keeps the mark, so that the next start goes on. */
  readonly stop: () => Promise<void>
}

const markSchema = z.strictObject({ format: z.literal(1), plan: nfsPlanSchema, access: z.enum(['read-write', 'read-only']), until: z.number() })
type Mark = z.output<typeof markSchema>

export type NfsOptions = {
  readonly depot: string
  /** `nfs/` of the state. */
  readonly folder: string
  readonly engines: Readonly<Record<NfsPlan['engine'], NfsEngine>>
  /** Who may where an operator names nobody. */
  readonly clients?: readonly string[]
  readonly now: () => number
  /** A clock that nobody sets, in milliseconds: a phase ends by whichever is first. */
  readonly uptimeMs: () => number
  readonly emit: Emit
  /** Called before writing begins: the moment to keep a copy of what may be overwritten. */
  readonly beforeOpen?: () => Promise<void>
}

type Live = { readonly mark: Mark; readonly untilUptimeMs: number; readonly mounts: readonly string[]; readonly exported: NfsExport }

/** See `Nfs`. Nothing is read or opened before the first call. */
export function createNfs({ depot, folder, engines, clients = [], now, uptimeMs, emit, beforeOpen }: NfsOptions): Nfs {
  const markPath = join(folder, 'phase.json')
  let live: Live | undefined
  let note: string | undefined
  let unlock: (() => Promise<void>) | undefined
  let queue: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = queue.then(work, work)
    queue = next.catch(() => undefined)
    return next
  }
  const status = (): NfsStatus => {
    if (!live) return { mode: 'closed', ...(note && { note }) }
    const { access, plan, until } = live.mark
    return { mode: access, plan, mounts: live.mounts, ...(access === 'read-write' && { until }) }
  }
  const lock = async (): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    unlock ??= await takeLock(folder)
  }
  const stopExport = async (): Promise<void> => {
    const was = live
    live = undefined
    await was?.exported.stop()
  }
  const shut = async (why: string, text?: string): Promise<void> => {
    const wasOpen = live !== undefined
    note = text
    await stopExport()
    await rm(markPath, { force: true })
    await unlock?.()
    unlock = undefined
    if (wasOpen || text) emit({ at: now(), kind: 'nfs-closed', detail: { why, ...(text && { reason: text.slice(0, 300) }) } })
  }
  const start = async (mark: Mark): Promise<void> => {
    const { plan, access } = mark
    const folders = await resolveFolders(plan, depot)
    const exported = await engines[plan.engine].start(plan, access, folders)
    const mounts = folders.map(({ path, pseudo }) => (plan.engine === 'kernel' ? path : pseudo))
    live = { mark, untilUptimeMs: uptimeMs() + mark.until - now(), mounts, exported }
    note = undefined
    emit({ at: now(), kind: access === 'read-write' ? 'nfs-opened' : 'nfs-closed', detail: describe(mark) })
    const mine = live
    exported.ended.then((text) => {
      if (live === mine) inTurn(async () => (live === mine ? shut('failed', text) : undefined)).catch(() => undefined)
    })
  }
  /** Whatever is in force ends first; the mark is durable before anybody can write. */
  const change = async (mark: Mark): Promise<void> => {
    await lock()
    try {
      await stopExport()
      await engines[mark.plan.engine].check(mark.plan)
      await writeAtomic(markPath, `${JSON.stringify(mark)}\n`)
      await start(mark)
    } catch (error) {
      await shut('failed', (error as Error).message)
      throw error
    }
  }
  const closeStale = async (): Promise<void> => {
    await lock()
    for (const engine of Object.values(engines)) await engine.closeStale()
  }
  const endWriting = async (why: string, all = false): Promise<void> => {
    if (!live) {
      if (!existsSync(folder)) return
      await closeStale()
      return shut(why)
    }
    const { mark } = live
    if (all || mark.plan.otherwise === 'none') return shut(why)
    if (mark.access === 'read-write') await change({ ...mark, access: 'read-only' })
  }
  const isOver = ({ access, until }: Mark, untilUptimeMs = Number.POSITIVE_INFINITY): boolean =>
    access === 'read-write' && (now() >= until || uptimeMs() >= untilUptimeMs)

  return {
    status,
    plan: (value) => parseNfsPlan({ ...value, clients: value.clients ?? clients }),
    open: (plan, durationMs) =>
      inTurn(async () => {
        await resolveFolders(plan, depot)
        if (!live) await engines[plan.engine].check(plan)
        await beforeOpen?.()
        await change({ format: 1, plan, access: 'read-write', until: now() + durationMs })
        return status()
      }),
    close: (all = false) =>
      inTurn(async () => {
        await endWriting('asked', all)
        return status()
      }),
    preview: async (plan) => engines[plan.engine].render(plan, 'read-write', await resolveFolders(plan, depot)),
    resume: () =>
      inTurn(async () => {
        if (!existsSync(folder)) return status()
        await closeStale()
        const mark = await readMark(markPath)
        if (!mark) await shut('stale')
        else if (!isOver(mark)) await change(mark)
        else if (mark.plan.otherwise === 'none') await shut('expired', 'the phase ended while no server ran')
        else await change({ ...mark, access: 'read-only' })
        return status()
      }),
    sweep: () => inTurn(async () => (live && isOver(live.mark, live.untilUptimeMs) ? endWriting('expired') : undefined)),
    stop: () =>
      inTurn(async () => {
        await stopExport()
        await unlock?.()
        unlock = undefined
      }),
  }
}

const describe = ({ plan, access, until }: Mark): Record<string, string | number> => ({
  engine: plan.engine,
  access,
  clients: plan.clients.join(', ').slice(0, 200),
  folders: plan.folders.join(', ').slice(0, 200),
  ...(access === 'read-write' && { until: new Date(until).toISOString() }),
})

/** A mark that cannot be read is none: closed is the safe side. */
async function readMark(path: string): Promise<Mark | undefined> {
  try {
    return markSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** What the mark of a folder says, for who is not the one that holds it. `isHeld`: a living process keeps it open. */
export async function peekPhase(
  folder: string,
): Promise<{ readonly access: NfsAccess; readonly until: number; readonly isHeld: boolean } | undefined> {
  const mark = await readMark(join(folder, 'phase.json'))
  if (!mark) return undefined
  const unlock = await takeLock(folder).catch(() => undefined)
  await unlock?.()
  return { access: mark.access, until: mark.until, isHeld: unlock === undefined }
}
