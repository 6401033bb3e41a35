// `bivouac mirror snapshot …`: packages frozen as they are, for a release that is to boot the same next year. Part of the mirror group.
import { relative } from 'node:path'
import type { Command } from 'commander'
import { InputError } from '../boot/error.ts'
import type { Config } from '../config.ts'
import { splitWorld } from '../apk/dependency.ts'
import { needTrustedKeys } from '../mirror/key.ts'
import { findSnapshot, findUsers, listSnapshots, makeSnapshot, removeSnapshot } from '../mirror/snapshot.ts'
import { alwaysInstalled } from '../mirror/wanted.ts'
import { readManifest, setRepositories } from '../release/manifest.ts'
import { withMirrorLock } from '../server/mirror.ts'
import { scanReleases } from '../store/release.ts'
import type { Context } from './context.ts'
import { choosePlaces, listStationWorlds, type PlaceOptions } from './mirror-places.ts'
import { formatMissing, withProgress } from './mirror-show.ts'
import { formatTable, say, sayJson } from './output.ts'
import { formatSize } from './release-show.ts'

type CreateOptions = PlaceOptions & { packages?: string; stations?: boolean; release?: string; dryRun?: boolean }

export function addSnapshotCommands(mirror: Command, context: () => Context): void {
  const group = mirror.command('snapshot').description('packages frozen as they are now')
  group
    .command('create <name>', { isDefault: true })
    .description('freeze repositories, or what worlds bring, by hard links')
    .option('--branch <branch>', 'the branch, such as v3.22; needed when there are several')
    .option('--repositories <names>', 'only these, separated by commas (default: all of the branch)')
    .option('--arch <arch>', 'the architecture; needed when there are several')
    .option('--packages <names>', 'only these packages, separated by commas, and what they need')
    .option('--stations', 'only what the overlays of all stations ask for')
    .option('--release <id>', 'this release boots from the snapshot from now on')
    .option('--dry-run', 'only tell what it would hold')
    .action((name: string, options: CreateOptions) => create(context(), name, options))
  group
    .command('list')
    .description('all snapshots and the releases that boot from them')
    .action(() => list(context()))
  group
    .command('show <name>')
    .description('one snapshot')
    .action((name: string) => show(context(), name))
  group
    .command('remove <name>')
    .description('remove one that no release boots from')
    .option('--dry-run', 'only tell what would go')
    .action((name: string, options: { dryRun?: boolean }) => remove(context(), name, options.dryRun === true))
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const { config } = context.load()
  const { root } = config.packages
  const places = await choosePlaces(root, options, 'branches').then((all) => all.filter(({ folder }) => !folder.startsWith('private/')))
  const kinds = [...new Set(places.map(({ repository, arch }) => `${repository.split('/')[0]} ${arch}`))]
  if (kinds.length !== 1)
    throw new InputError(
      'snapshot-which',
      kinds.length ? `there are ${kinds.join(', ')}: say which with --branch and --arch` : 'nothing of that kind is mirrored: sync it first',
    )
  if (options.release !== undefined && !(await readManifest(config.depot, options.release)))
    throw new InputError(
      'release-manifest',
      `release ${options.release} has no manifest: import it, or name the snapshot's repositories in the profile`,
    )
  const worlds = await worldsOf(config, options)
  const keys = await needTrustedKeys(root)
  const made = await withMirrorLock(config, () =>
    withProgress(context.json, (onProgress) =>
      makeSnapshot({ root, name, places, ...(worlds && { worlds }), keys, now: Date.now, dryRun: options.dryRun === true, onProgress }),
    ),
  )
  const repositories = made.repositories.map((one) => `apk/${one}`)
  if (options.release !== undefined && !options.dryRun) await setRepositories(config.depot, options.release, repositories)
  if (context.json) return sayJson({ ...made, repositories, release: options.release ?? null, made: !options.dryRun })
  say(`${options.dryRun ? 'would freeze' : 'frozen'} as ${name}: ${made.packages} packages, ${formatSize(made.bytes)}`)
  for (const line of formatMissing(made.missing)) say(line)
  if (options.release !== undefined) say(`${options.release} ${options.dryRun ? 'would boot' : 'boots'} from ${repositories.join(', ')}`)
  else say(`for a profile or release:  repositories: [${repositories.join(', ')}]`)
}

async function worldsOf(config: Config, { packages, stations }: CreateOptions): Promise<string[][] | undefined> {
  if (packages === undefined && !stations) return undefined
  const own = packages === undefined ? [] : [splitWorld(packages.replaceAll(',', ' '))]
  return [...own, ...(stations ? await listStationWorlds(config) : [])].map((words) => [...alwaysInstalled, ...words])
}

const usersOf = async ({ depot }: Config, name: string): Promise<string[]> => findUsers(name, (await scanReleases(depot)).releases)

async function list(context: Context): Promise<void> {
  const { config } = context.load()
  const all = await Promise.all(
    (await listSnapshots(config.packages.root)).map(async (one) => ({ ...one, releases: await usersOf(config, one.name) })),
  )
  if (context.json) return sayJson(all)
  const rows = all.map(({ name, packages, bytes, madeAt, releases }) => [name, String(packages), formatSize(bytes), day(madeAt), releases.join(' ')])
  say(rows.length ? formatTable(['snapshot', 'packages', 'size', 'made', 'releases'], rows) : 'no snapshots')
}

const day = (at: number): string => new Date(at).toISOString().slice(0, 10)

async function show(context: Context, name: string): Promise<void> {
  const { config } = context.load()
  const found = await findSnapshot(config.packages.root, name)
  const releases = await usersOf(config, name)
  if (context.json) return sayJson({ ...found, releases })
  say(`${name}: ${found.packages} packages, ${formatSize(found.bytes)}, made ${day(found.madeAt)}`)
  for (const repository of found.repositories) say(`  apk/${repository}`)
  say(`  booted from by ${releases.join(', ') || 'no release'}; in ${relative(process.cwd(), config.packages.root) || '.'}`)
}

async function remove(context: Context, name: string, dryRun: boolean): Promise<void> {
  const { config } = context.load()
  const users = await usersOf(config, name)
  const gone = await withMirrorLock(config, () => removeSnapshot(config.packages.root, name, users, dryRun))
  if (context.json) return sayJson({ ...gone, removed: !dryRun })
  say(`${dryRun ? 'would remove' : 'removed'} ${name}: ${gone.packages} packages`)
}
