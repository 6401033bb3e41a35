// `bivouac release use|prune`: which release is booted, and taking away what nothing leads to. Part of release.
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { InputError, MissingError } from '../boot/error.ts'
import type { Records } from '../boot/record.ts'
import type { Config } from '../config.ts'
import { setRepositories } from '../release/manifest.ts'
import { listAbandoned, planPrune, removeRelease, sizeOfRelease } from '../release/prune.ts'
import { usageOf } from '../release/usage.ts'
import { applyEdits, copyProfile, type Edit, editProfile, editStation } from '../release/use.ts'
import { scanReleases } from '../store/release.ts'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'
import { readBoots, requireManifest, requireRelease, withRecords } from './release-common.ts'
import { formatSize } from './release-show.ts'

type UseFlags = { profile?: string; station?: string; snapshot?: string; dryRun?: boolean }

export function addUse(group: Command, context: () => Context): void {
  group
    .command('use <id>')
    .description("boot it: set `release:` in a profile's file, comments kept; in force as soon as it is written")
    .addOption(new Option('--profile <name>', 'this profile (default: the one of the setting `default`)').conflicts('station'))
    .option('--station <name>', 'this station alone, by a profile of its own (<name>-release)')
    .option('--snapshot <name>', 'packages come from this snapshot of the mirror from now on; `none`: from what the profile names')
    .option('--dry-run', 'show the change; write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac release use alpine/3.22.2/x86_64/lts\n  bivouac release use alpine/3.22.2/x86_64/lts --station kiosk-1 --dry-run\n  bivouac release use alpine/3.22.2/x86_64/lts --snapshot spring',
    )
    .action((id: string, flags: UseFlags) => use(context(), id, flags))
}

function use(context: Context, id: string, flags: UseFlags): Promise<void> {
  return withRecords(context, async (records, config) => {
    await requireRelease(config.depot, id)
    const edits = await planUse(records, config, id, flags)
    const repositories = flags.snapshot === undefined ? undefined : await findSnapshot(config, flags.snapshot)
    if (repositories) await requireManifest(config.depot, id)
    if (!flags.dryRun) {
      await applyEdits(config.depot, edits)
      if (repositories) await setRepositories(config.depot, id, repositories)
    }
    const changed = edits.filter(({ before, after }) => before !== after)
    if (context.json) return sayJson({ id, dryRun: flags.dryRun === true, files: changed, ...(repositories && { repositories }) })
    if (!changed.length && !repositories) return say(`${edits.map(({ file }) => file).join(', ')}: release ${id} is in use already, nothing to do`)
    for (const { file, before, after } of changed) say(`${flags.dryRun ? 'would write' : 'wrote'} ${file}\n${formatLines(before ?? '', after)}`)
    if (repositories) say(`${flags.dryRun ? 'would take' : 'takes'} packages from ${repositories.join(', ') || 'what the profile names'}`)
  })
}

/** Lines that go and lines that come; the files are short. */
function formatLines(before: string, after: string): string {
  const [old, next] = [before.split('\n'), after.split('\n')]
  const gone = old.filter((line) => line && !next.includes(line)).map((line) => `  - ${line}`)
  const come = next.filter((line) => line && !old.includes(line)).map((line) => `  + ${line}`)
  return [...gone, ...come].join('\n')
}

async function planUse(records: Records, config: Config, id: string, { profile, station }: UseFlags): Promise<Edit[]> {
  if (station === undefined) return [await editProfile(config.depot, profile ?? config.site.defaultProfile, id)]
  const record = records.stations.find(({ name }) => name === station)
  if (!record) throw new MissingError('station', `there is no station ${station}`)
  const own = `${station}-release`
  const from = record.profile && record.profile !== own ? record.profile : config.site.defaultProfile
  return [await copyProfile(config.depot, from, own, id), await editStation(config.depot, station, own)]
}

/** Repositories of a frozen set, as paths below the depot; `none` is no repository. */
async function findSnapshot({ depot, packages }: Config, name: string): Promise<string[]> {
  if (name === 'none') return []
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) throw new InputError('snapshot', `"${name.slice(0, 80)}" is no name of a snapshot`)
  if (resolve(packages.root) !== resolve(depot, 'apk'))
    throw new InputError('snapshot', 'packages.root is not apk/ of the depot: name the repositories in the profile')
  const folder = join(packages.root, 'snapshots', name)
  const branches = await readdir(folder).catch(() => [])
  const found: string[] = []
  for (const branch of branches.filter((one) => !one.startsWith('.')).sort()) {
    const repositories = await readdir(join(folder, branch)).catch(() => [])
    found.push(...repositories.filter((one) => !one.startsWith('.')).map((repository) => `apk/snapshots/${name}/${branch}/${repository}`))
  }
  // main first, as everybody writes it, and as inits that take one only should have it.
  found.sort((one, other) => Number(other.endsWith('/main')) - Number(one.endsWith('/main')))
  if (!found.length) throw new MissingError('snapshot-missing', `there is no snapshot ${name} in ${folder}`)
  return found
}

type PruneFlags = { keepDays: string; dryRun?: boolean }

export function addPrune(group: Command, context: () => Context): void {
  group
    .command('prune')
    .description('remove the releases that nothing leads to; never one in use, nor one that a station booted lately')
    .addOption(new Option('--keep-days <days>', 'keep what a station booted within so many days').default('7'))
    .option('--dry-run', 'say what would go; remove nothing')
    .addHelpText('after', '\nExamples:\n  bivouac release prune --dry-run\n  bivouac release prune --keep-days 30')
    .action((flags: PruneFlags) => prune(context(), flags))
}

function prune(context: Context, flags: PruneFlags): Promise<void> {
  const keepDays = Number(flags.keepDays)
  if (!/^[0-9]{1,4}$/.test(flags.keepDays)) throw new InputError('keep-days', 'a number of days from 0 to 9999', { path: '--keep-days' })
  return withRecords(context, async (records, config) => {
    const now = Date.now()
    const usage = usageOf(records, config.site, await readBoots(context, config, keepDays))
    const sizes = new Map(await Promise.all(records.releases.map(async ({ id }) => [id, await sizeOfRelease(config.depot, id)] as const)))
    const fates = planPrune(records, usage, sizes, now, keepDays)
    const abandoned = await listAbandoned(config.depot, (await scanReleases(config.depot)).folders, now)
    if (!flags.dryRun) for (const { id } of fates.filter(({ fate }) => fate === 'removed')) await removeRelease(config.depot, id)
    if (!flags.dryRun) for (const path of abandoned) await removeRelease(config.depot, path.slice('releases/'.length))
    if (context.json) return sayJson({ dryRun: flags.dryRun === true, releases: fates, abandoned })
    const verb = flags.dryRun ? 'would go' : 'removed'
    for (const { id, sizeBytes, fate, why } of fates) say(`${fate === 'kept' ? 'kept' : verb}  ${id}  ${formatSize(sizeBytes)}  ${why}`)
    for (const path of abandoned) say(`${verb}  ${path}  an import that was interrupted`)
    if (!fates.length && !abandoned.length) say('the depot has no release')
  })
}
