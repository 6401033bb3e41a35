// Syncs by itself what the configuration says, daily or weekly. The times of the last runs outlive the server. Wired by server.ts; never throws.
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { writeAtomic } from '../store/atomic.ts'
import { groupPlans, type SyncPlan } from './plan.ts'

/** Milliseconds since 1970: when it was last good, and when it was last tried. */
export type SyncTimes = { readonly okAt?: number; readonly triedAt?: number; readonly reason?: string }

const hourMs = 3600_000
const everyMs = { day: 24 * hourMs, week: 7 * 24 * hourMs } as const
/** After a failure. */
const againMs = hourMs

/** Times by the name of the plan; what cannot be read counts as never. */
export async function readTimes(file: string): Promise<Record<string, SyncTimes>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, SyncTimes>
  } catch {
    return {}
  }
}

/** Notes how a run ended for these plans. */
export async function noteTimes(file: string, names: readonly string[], at: number, reason?: string): Promise<void> {
  const times = await readTimes(file)
  for (const name of names)
    times[name] = reason === undefined ? { okAt: at, triedAt: at } : { ...times[name], triedAt: at, reason: reason.slice(0, 300) }
  await mkdir(dirname(file), { recursive: true })
  await writeAtomic(file, `${JSON.stringify(times, null, 2)}\n`, 0o644)
}

/** Is it time? A clock that was set back makes a run early, never late by more than its period. */
export function isDue({ every }: SyncPlan, { okAt, triedAt }: SyncTimes, now: number): boolean {
  if (!every) return false
  if (triedAt !== undefined && triedAt <= now && triedAt !== okAt && now - triedAt < againMs) return false
  return okAt === undefined || okAt > now || now - okAt >= everyMs[every]
}

export type ScheduleOptions = {
  readonly plans: readonly SyncPlan[]
  readonly file: string
  readonly now: () => number
  /** Syncs the plans of one group. Its failure is noted, with the time. */
  readonly run: (names: readonly string[]) => Promise<void>
}

/** `tick` runs what is due and ends when that has ended; a tick during another one does nothing. */
export function createSchedule({ plans, file, now, run }: ScheduleOptions): { readonly tick: () => Promise<void> } {
  let running: Promise<void> | undefined
  const once = async (): Promise<void> => {
    for (const group of groupPlans(plans)) {
      const times = await readTimes(file)
      if (!group.some((plan) => isDue(plan, times[plan.name] ?? {}, now()))) continue
      const names = group.map(({ name }) => name)
      const reason = await run(names).then(
        () => undefined,
        (error: Error) => error.message,
      )
      await noteTimes(file, names, now(), reason).catch(() => undefined)
    }
  }
  return {
    tick: () => {
      if (running) return Promise.resolve()
      running = once().finally(() => {
        running = undefined
      })
      return running
    },
  }
}
