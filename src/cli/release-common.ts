// What the release commands share: the records, releases that must be there, and what stations booted lately. Used by release-look and release-change.
import { stat } from 'node:fs/promises'
import { ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import type { BootEvent } from '../boot/event.ts'
import type { Records } from '../boot/record.ts'
import type { Config } from '../config.ts'
import { readManifest, releaseFolder } from '../release/manifest.ts'
import { openStore } from '../store/embedded.ts'
import type { ReleaseManifest } from '../store/manifest.ts'
import { openRecords } from '../store/record.ts'
import { scanReleases } from '../store/release.ts'
import type { Context } from './context.ts'

/** Runs `work` over the records as they are now. */
export async function withRecords<T>(context: Context, work: (records: Records, config: Config) => Promise<T>): Promise<T> {
  const { config } = context.load()
  const book = await openRecords({ depot: config.depot, emit: () => {}, now: Date.now })
  try {
    return await work(book.current(), config)
  } finally {
    book.close()
  }
}

/** Throws MissingError `release-missing` when the depot has no such release, InputError when it is there and cannot be booted. */
export async function requireRelease(depot: string, id: string): Promise<void> {
  const { releases, mistakes } = await scanReleases(depot)
  if (releases.some((release) => release.id === id)) return
  const mistake = mistakes.find(({ file }) => file?.startsWith(releaseFolder(id)))
  if (mistake) throw new InputError(mistake.code, mistake.message, { ...(mistake.file && { file: mistake.file }) })
  throw new MissingError('release-missing', `there is no release ${id} (there are: ${releases.map((one) => one.id).join(', ') || 'none'})`)
}

/** Its manifest. Throws as requireRelease, and MissingError `release-manifest` for one that was laid by hand. */
export async function requireManifest(depot: string, id: string): Promise<ReleaseManifest> {
  const manifest = await readManifest(depot, id)
  if (manifest) return manifest
  await requireRelease(depot, id)
  throw new MissingError('release-manifest', `release ${id} was laid by hand and has no manifest: import the same archive, which adds it`)
}

const eventsMax = 10_000

/**
 * Who fetched boot files lately, by the running server, or by its log where none runs. Throws ConflictError `boots-unknown` when that cannot be told for
 * the whole time: then nothing may be removed.
 */
export async function readBoots(context: Context, config: Config, days: number): Promise<readonly BootEvent[]> {
  const query = { kinds: ['kernel', 'modloop'], since: Date.now() - days * 86_400_000, limit: eventsMax }
  const events = await askBoots(context, config, query)
  if (events.length < eventsMax) return events
  throw new ConflictError(
    'boots-unknown',
    `there were more than ${eventsMax} boots in ${days} days: the log does not tell all; take a smaller --keep-days`,
  )
}

async function askBoots(context: Context, config: Config, query: { kinds: string[]; since: number; limit: number }): Promise<readonly BootEvent[]> {
  try {
    return await context
      .api()
      .get<BootEvent[]>(
        `/api/v1/events?${new URLSearchParams({ kinds: query.kinds.join(','), since: String(query.since), limit: String(query.limit) })}`,
      )
  } catch (error) {
    if (!(error instanceof OutsideError && error.code === 'no-server') || context.isServerNamed) throw error
  }
  const isThere = await stat(config.state).then(
    () => true,
    () => false,
  )
  if (!isThere) return []
  const store = await openStore(config.state, { sync: false, now: Date.now })
  try {
    return store.events.read(query)
  } finally {
    await store.close()
  }
}
