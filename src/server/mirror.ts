// The mirror's own work, put together from the configuration: syncs by command or by the clock, one at a time on this machine.
// Made by server.ts for the schedule, and by the commands of cli/mirror. Serving is server/packages.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BivouacError, InputError, MissingError } from '../boot/error.ts'
import type { Emit } from '../boot/event.ts'
import type { Station } from '../boot/record.ts'
import type { Config } from '../config.ts'
import { type ListWorlds, planParts } from '../mirror/plan.ts'
import type { OnMirrorProgress } from '../mirror/progress.ts'
import { createSchedule, noteTimes } from '../mirror/schedule.ts'
import { type SyncReport, syncPart } from '../mirror/sync.ts'
import type { Desk } from '../overlay/desk.ts'
import { takeLock } from '../store/lock.ts'
import { createMirrorUpstream } from './packages.ts'

export type SyncAsk = {
  /** Names of `mirror.sync`; none: all. */
  readonly names: readonly string[]
  readonly listWorlds: ListWorlds
  readonly emit: Emit
  readonly now: () => number
  readonly dryRun?: boolean
  readonly onProgress?: OnMirrorProgress
  readonly signal?: AbortSignal
}

const stateFolder = ({ state }: Config): string => join(state, 'mirror')

/** When the parts were last synced, by name. */
export const syncTimesFile = (config: Config): string => join(stateFolder(config), 'sync.json')

/**
 * Runs syncs one after the other. Throws InputError `mirror-upstream` when none is configured, MissingError `sync-unknown`, ConflictError
 * `state-locked` while another sync runs, and what `syncPart` rejects with, after the others were done.
 */
export async function syncMirror(config: Config, { names, listWorlds, ...rest }: SyncAsk): Promise<SyncReport[]> {
  const { upstream: upstreamUrl, sync } = config.mirror
  if (upstreamUrl === undefined)
    throw new InputError('mirror-upstream', 'mirror.upstream is not set: say where packages come from, such as https://dl-cdn.alpinelinux.org/alpine')
  const parts = await planParts(sync, names, listWorlds)
  return withMirrorLock(config, async () => {
    const upstream = createMirrorUpstream(config)
    const reports: SyncReport[] = []
    let failure: unknown
    try {
      for (const part of parts) {
        const planned = part.name.split('+')
        try {
          reports.push(await syncPart(part, { root: config.packages.root, upstreamUrl, upstream, ...rest }))
          if (!rest.dryRun) await noteTimes(syncTimesFile(config), planned, rest.now())
        } catch (error) {
          failure ??= error
          if (!rest.dryRun)
            await noteTimes(syncTimesFile(config), planned, rest.now(), error instanceof BivouacError ? error.message : 'a fault of ours')
        }
      }
    } finally {
      await upstream.close()
    }
    if (failure) throw failure
    return reports
  })
}

/** One at a time: sync, import, prune and what changes private repositories. Throws ConflictError `state-locked`. */
export async function withMirrorLock<T>(config: Config, run: () => Promise<T>): Promise<T> {
  await mkdir(stateFolder(config), { recursive: true })
  const unlock = await takeLock(stateFolder(config))
  try {
    return await run()
  } finally {
    await unlock()
  }
}

const tickMs = 10 * 60_000

/** Syncs what has an `every`; answers the way to stop it. Nothing happens without an upstream. */
export function startMirrorSchedule(config: Config, parts: Pick<SyncAsk, 'listWorlds' | 'emit' | 'now'>): () => Promise<void> {
  const plans = config.mirror.sync
  if (config.mirror.upstream === undefined || !plans.some(({ every }) => every)) return async () => undefined
  const stopping = new AbortController()
  const run = async (names: readonly string[]): Promise<void> => void (await syncMirror(config, { names, ...parts, signal: stopping.signal }))
  const schedule = createSchedule({ plans, file: syncTimesFile(config), now: parts.now, run })
  let last = schedule.tick()
  const timer = setInterval(() => {
    last = schedule.tick()
  }, tickMs).unref()
  return async () => {
    clearInterval(timer)
    stopping.abort()
    await last.catch(() => undefined)
  }
}

/** The words of `etc/apk/world` of the stations' overlays, as each would get it now. Stations without an overlay have none. */
export async function listWorlds(stations: readonly Station[], { show }: Pick<Desk, 'show'>): Promise<string[][]> {
  const worlds: string[][] = []
  for (const { macs } of stations) {
    const [mac] = macs
    if (mac === undefined) continue
    try {
      worlds.push([...(await show(mac)).packages])
    } catch (error) {
      if (!(error instanceof MissingError)) throw error
    }
  }
  return worlds
}
