// `bivouac mirror …`: the packages that stations install, on this machine. Works on the folders themselves, beside a running server too: what it
// switches is seen by the server at once.
import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { BootEvent } from '../boot/event.ts'
import { parseDuration } from '../boot/duration.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { writeArchive } from '../mirror/archive-write.ts'
import { importArchive } from '../mirror/import.ts'
import { needTrustedKeys, readTrustedKeys } from '../mirror/key.ts'
import type { Place } from '../mirror/place.ts'
import type { OnMirrorProgress } from '../mirror/progress.ts'
import { pruneMirror } from '../mirror/prune.ts'
import { readTimes } from '../mirror/schedule.ts'
import { describeMirror } from '../mirror/status.ts'
import { verifyPlaces } from '../mirror/verify.ts'
import { leaveEvents } from '../server/told.ts'
import { syncMirror, syncTimesFile, withMirrorLock } from '../server/mirror.ts'
import { codeOf, diskError, draftPath } from '../store/atomic.ts'
import type { Context } from './context.ts'
import { addSnapshotCommands } from './mirror-snapshot.ts'
import { formatStatus, formatSync, formatVerify, withProgress } from './mirror-show.ts'
import { choosePlaces, listStationWorlds, type PlaceOptions, placeFlags } from './mirror-places.ts'
import { formatPull, readPull } from './packages.ts'
import { exitCodes, formatTable, say, sayJson, warn } from './output.ts'
import { formatSize } from './release-show.ts'

const examples = `
Examples:
  bivouac mirror status                              what is here
  bivouac mirror sync                                all parts of mirror.sync in the configuration
  bivouac mirror sync kiosks --dry-run               what would be fetched for one of them
  bivouac mirror verify                              every package against its index; names what is wrong
  bivouac mirror export v3.22.tar --branch v3.22     one archive, for a network that is cut off
  bivouac mirror import v3.22.tar                    checked to the last byte before stations see any of it
  bivouac mirror snapshot create spring --branch v3.22 --stations --release alpine/3.22.2/x86_64/lts
  bivouac mirror snapshot list
  bivouac mirror snapshot show spring
  bivouac mirror snapshot remove spring
  bivouac mirror prune --older 2d                    old packages that no index names any more`

export function addMirrorCommand(program: Command, context: () => Context): void {
  const group = program.command('mirror').description('the package mirror: sync, verify, export, import, snapshots').addHelpText('after', examples)
  group
    .command('status')
    .description('what is mirrored, and when it was last synced')
    .action(() => status(context()))
  group
    .command('sync [parts...]')
    .description('bring parts of mirror.sync up to date')
    .option('--dry-run', 'only tell what would be fetched')
    .action((names: string[], options: { dryRun?: boolean }) => sync(context(), names, options.dryRun === true))
  placeFlags(group.command('verify').description('read every package and name what is wrong; exit code 5 when something is')).action(
    (options: PlaceOptions) => verify(context(), options),
  )
  placeFlags(group.command('export <file>').description('write a part of the mirror as one tar archive'))
    .option('--dry-run', 'only tell what it would hold')
    .action((file: string, options: PlaceOptions & { dryRun?: boolean }) => exportTo(context(), file, options))
  group
    .command('import <file>')
    .description('take in an archive that export made')
    .option('--trust-keys', 'trust the keys in the archive; without it, only those that are trusted here already')
    .option('--dry-run', 'check everything and change nothing')
    .action((file: string, options: { trustKeys?: boolean; dryRun?: boolean }) => importFrom(context(), file, options))
  group
    .command('prune')
    .description('remove packages that no index names any more, and unfinished downloads')
    .option('--older <time>', 'only what is so for this long (30s, 90m, 2h, 7d)', '7d')
    .option('--dry-run', 'only tell what would go')
    .action((options: { older: string; dryRun?: boolean }) => prune(context(), options))
  addSnapshotCommands(group, context)
}

async function status(context: Context): Promise<void> {
  const { config } = context.load()
  const [places, times, pull] = await Promise.all([describeMirror(config.packages.root), readTimes(syncTimesFile(config)), readPull(context)])
  if (context.json) return sayJson({ root: config.packages.root, places, syncs: times, pull: pull ?? null })
  say(formatStatus(places))
  const rows = config.mirror.sync.map(({ name, every = 'by command' }) => {
    const { okAt, reason } = times[name] ?? {}
    return [name, every, okAt === undefined ? 'never' : new Date(okAt).toISOString().slice(0, 16).replace('T', ' '), reason ?? '']
  })
  if (rows.length) say(`\n${formatTable(['sync', 'every', 'last good (UTC)', ''], rows)}`)
  if (pull) say(`\n${formatPull(pull)}`)
}

async function sync(context: Context, names: readonly string[], dryRun: boolean): Promise<void> {
  const { config } = context.load()
  if (!config.mirror.sync.length) throw new InputError('sync-none', 'mirror.sync of the configuration names no part: docs/packages.md shows one')
  const events: BootEvent[] = []
  const emit = (event: BootEvent): void => void events.push({ ...event, detail: { ...event.detail, by: 'command' } })
  const reports = await withProgress(context.json, (onProgress) =>
    syncMirror(config, { names, dryRun, onProgress, now: Date.now, emit, listWorlds: () => listStationWorlds(config) }),
  ).finally(() => leaveEvents(config, events).catch((error: Error) => warn(`bivouac: the event log will not tell of it: ${error.message}`)))
  if (context.json) return sayJson(reports)
  for (const report of reports) say(formatSync(report, dryRun))
}

async function verify(context: Context, options: PlaceOptions): Promise<void> {
  const { root } = context.load().config.packages
  const places = await choosePlaces(root, options, 'all')
  const report = await withProgress(context.json, async (onProgress) => verifyPlaces(root, places, await needTrustedKeys(root), onProgress))
  if (context.json) sayJson(report)
  else say(formatVerify(report))
  if (report.problems.length) process.exitCode = exitCodes.failed
}

async function exportTo(context: Context, file: string, options: PlaceOptions & { dryRun?: boolean }): Promise<void> {
  const { root } = context.load().config.packages
  const places: readonly Place[] = await choosePlaces(root, options, 'branches')
  if (!places.length) throw new MissingError('mirror-empty', `there is nothing of that kind below ${root}: "bivouac mirror status" shows what is`)
  const keys = [...(await readTrustedKeys(root)).keys()]
  const target = resolve(file)
  const draft = draftPath(target)
  let bytes = 0
  if (!options.dryRun)
    await withProgress(context.json, async (onProgress) => {
      const count = async function* (): AsyncGenerator<Uint8Array> {
        for await (const piece of writeArchive(root, places, keys, onProgress)) {
          bytes += piece.length
          yield piece
        }
      }
      try {
        await pipeline(count(), createWriteStream(draft, { flags: 'wx' }))
        await rename(draft, target)
      } catch (error) {
        await rm(draft, { force: true })
        throw codeOf(error).startsWith('E') ? diskError(target, error) : error
      }
    })
  const folders = places.map(({ folder }) => folder)
  if (context.json) return sayJson({ file: target, folders, keys, bytes, written: !options.dryRun })
  say(`${options.dryRun ? 'would write ' : ''}${file}: ${folders.join(', ')}${bytes ? `, ${formatSize(bytes)}` : ''}`)
}

async function importFrom(
  context: Context,
  file: string,
  { trustKeys = false, dryRun = false }: { trustKeys?: boolean; dryRun?: boolean },
): Promise<void> {
  const { config } = context.load()
  const handle = await open(file).catch((error) => {
    if (codeOf(error) === 'ENOENT') throw new MissingError('file-missing', `there is no file ${file}`)
    throw new InputError('file-unreadable', `cannot be read: ${error.message}`, { file })
  })
  const options = { root: config.packages.root, now: Date.now, trustKeys, dryRun }
  const take = (onProgress: OnMirrorProgress) => importArchive(handle.createReadStream({ highWaterMark: 1024 * 1024 }), { ...options, onProgress })
  const report = await withMirrorLock(config, () => withProgress(context.json, take)).finally(() => handle.close().catch(() => undefined))
  if (context.json) return sayJson({ ...report, imported: !dryRun })
  say(`${dryRun ? 'good, would import' : 'imported'} ${report.folders.join(', ')}: ${report.packages} packages, ${formatSize(report.bytes)}`)
  if (report.keys.length) say(`trusted from now on: ${report.keys.join(', ')}`)
}

async function prune(context: Context, { older, dryRun = false }: { older: string; dryRun?: boolean }): Promise<void> {
  const { config } = context.load()
  const pruned = await withMirrorLock(config, () =>
    pruneMirror(config.packages.root, { olderMs: parseDuration(older, 'older'), now: Date.now, dryRun }),
  )
  if (context.json) return sayJson({ ...pruned, removed: !dryRun })
  for (const path of pruned.files) say(`${dryRun ? 'would remove' : 'removed'} ${path}`)
  say(`${pruned.files.length} files, ${formatSize(pruned.bytes)}`)
}
