// `bivouac release …`: import, list, show, diff, use, prune, verify, and additions to the initramfs. Works on the depot itself, with or without a
// server, which sees by itself what changed; only what stations fetched lately is asked of it.
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import type { BootEvent } from '../boot/event.ts'
import type { Records } from '../boot/record.ts'
import type { Config } from '../config.ts'
import { diffReleases } from '../release/diff.ts'
import { type ImportAsk, importRelease } from '../release/import.ts'
import { readManifest, releaseFolder, setRepositories } from '../release/manifest.ts'
import { listAbandoned, planPrune, removeRelease, sizeOfRelease } from '../release/prune.ts'
import { usageOf } from '../release/usage.ts'
import { applyEdits, copyProfile, type Edit, editProfile, editStation } from '../release/use.ts'
import { verifyRelease } from '../release/verify.ts'
import { openStore } from '../store/embedded.ts'
import type { ReleaseManifest } from '../store/manifest.ts'
import { openRecords } from '../store/record.ts'
import { scanReleases } from '../store/release.ts'
import { createUpstream, type Upstream } from '../upstream/client.ts'
import { readCredentials } from '../upstream/credentials.ts'
import type { Context } from './context.ts'
import { exitCodes, formatTable, say, sayJson, warn } from './output.ts'
import { createReleaseProgress, formatImport, formatRelease, formatSize } from './release-show.ts'

const examples = `
Examples:
  bivouac release import upstream                          the newest of latest-stable, pinned
  bivouac release import upstream --branch v3.22 --flavour lts --dry-run
  bivouac release import ./alpine-netboot-3.22.2-x86_64.tar.gz --key ncopa.asc --require-signature
  bivouac release import ./alpine-standard-3.22.2-x86_64.iso --with-packages
  bivouac release list
  bivouac release show alpine/3.22.2/x86_64/lts
  bivouac release diff alpine/3.22.1/x86_64/lts alpine/3.22.2/x86_64/lts
  bivouac release use alpine/3.22.2/x86_64/lts --profile kiosk
  bivouac release verify
  bivouac release prune --dry-run`

/** Adds the group; answers it, for the commands on additions. */
export function addReleaseCommand(program: Command, context: () => Context): Command {
  const group = program
    .command('release')
    .description('kernel, initramfs and modloop as one: import, choose, check, take away')
    .addHelpText('after', examples)
  addImport(group, context)
  addLooking(group, context)
  addUse(group, context)
  addPrune(group, context)
  return group
}

type ImportFlags = Omit<ImportAsk, 'source' | 'version'> & { alpineVersion?: string }

function addImport(group: Command, context: () => Context): void {
  group
    .command('import <source>')
    .description('from "upstream" (mirror.upstream), a URL, a netboot tarball, an ISO image or a folder')
    .option('--branch <branch>', 'v3.22, edge or latest-stable, which is pinned to what it is today')
    .option('--alpine-version <version>', 'a point release such as 3.22.2 (--version does too)')
    .option('--arch <arch>', 'x86_64, aarch64… (default: what the source says, else x86_64)')
    .option('--flavour <flavour>', 'lts, or virt for virtual machines', 'lts')
    .option('--key <file>', "OpenPGP key that signs Alpine's releases (default: keys/alpine.asc in the depot)")
    .option('--fingerprint <hex>', "the key's fingerprint (default: Natanael Copa's, which is Alpine's)")
    .option('--require-signature', 'import nothing whose signature was not verified')
    .option('--trust-keys', 'trust its apk keys though no signature was verified')
    .option('--with-packages', 'of an ISO image: its packages too, where the mirror has none of that branch')
    .option('--dry-run', 'say what would be done; write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac release import upstream --branch v3.22\n  bivouac release import ./alpine-netboot-3.22.2-x86_64.tar.gz --flavour virt\n  bivouac release import /media/cdrom --version 3.22.2 --arch x86_64\n\nA download that was interrupted goes on where it stopped.',
    )
    .action(async (source: string, { alpineVersion, ...flags }: ImportFlags) => {
      const { config } = context().load()
      const { stderr } = process
      const screen = { isTerminal: stderr.isTTY === true, columns: stderr.columns ?? 80, write: (text: string) => void stderr.write(text) }
      const progress = createReleaseProgress(screen, Date.now)
      const upstream = createLazyUpstream(config)
      try {
        const outcome = await importRelease(
          { ...flags, source, ...(alpineVersion && { version: alpineVersion }), ...(flags.key && { key: resolve(flags.key) }) },
          { ...placesOf(config), upstream: upstream.get, onProgress: progress.show, now: Date.now },
        )
        progress.end()
        if (context().json) sayJson(outcome)
        else say(formatImport(outcome))
      } finally {
        progress.end()
        await upstream.close()
      }
    })
}

const placesOf = ({ depot, state, packages, mirror }: Config) => ({
  depot,
  state,
  packagesRoot: packages.root,
  ...(mirror.upstream && { mirror: mirror.upstream }),
})

/** The client, made when it is first needed: most sources are files. */
function createLazyUpstream({ mirror }: Config): { get: () => Upstream; close: () => Promise<void> } {
  let client: Upstream | undefined
  const get = (): Upstream => {
    const credentials = mirror.upstream && mirror.credentials ? readCredentials(mirror.credentials, mirror.upstream) : undefined
    client ??= createUpstream({ ...(mirror.proxy && { proxy: mirror.proxy }), ...(credentials && { credentials }) })
    return client
  }
  return { get, close: async () => client?.close() }
}

function addLooking(group: Command, context: () => Context): void {
  group
    .command('list')
    .description('the releases of the depot, and who uses them')
    .addHelpText('after', '\nExamples:\n  bivouac release list\n  bivouac release list --json')
    .action(() => list(context()))
  group
    .command('show <id>')
    .description('sizes, digests, how it was verified, its kernel, its packages and who uses it')
    .addHelpText('after', '\nExamples:\n  bivouac release show alpine/3.22.2/x86_64/lts')
    .action((id: string) => show(context(), id))
  group
    .command('diff <before> <after>')
    .description('what is another: kernel, files, modules, keys, repositories')
    .addHelpText('after', '\nExamples:\n  bivouac release diff alpine/3.22.1/x86_64/lts alpine/3.22.2/x86_64/lts')
    .action((before: string, after: string) => diff(context(), before, after))
  group
    .command('verify [id]')
    .description('compute the digests of one release, or of all, anew; exit code 5 when a file is not what it was')
    .addHelpText('after', '\nExamples:\n  bivouac release verify\n  bivouac release verify alpine/3.22.2/x86_64/lts')
    .action((id: string | undefined) => verify(context(), id))
}

async function withRecords<T>(context: Context, work: (records: Records, config: Config) => Promise<T>): Promise<T> {
  const { config } = context.load()
  const book = await openRecords({ depot: config.depot, emit: () => {}, now: Date.now })
  try {
    return await work(book.current(), config)
  } finally {
    book.close()
  }
}

function list(context: Context): Promise<void> {
  return withRecords(context, async (records, config) => {
    const usage = usageOf(records, config.site, [])
    const { mistakes } = await scanReleases(config.depot)
    const rows = await Promise.all(
      records.releases.map(async ({ id, version, arch, flavour }) => {
        const manifest = await readManifest(config.depot, id).catch(() => undefined)
        const { profiles = [], stations = [] } = usage.get(id) ?? {}
        return {
          id,
          version,
          arch,
          flavour,
          kernelVersion: manifest?.kernelVersion,
          sizeBytes: await sizeOfRelease(config.depot, id),
          signed: manifest?.verified.signature === 'good',
          profiles,
          stations,
        }
      }),
    )
    if (context.json) return sayJson({ releases: rows, problems: mistakes })
    if (!rows.length) say('the depot has no release: bivouac release import upstream')
    else
      say(
        formatTable(
          ['release', 'kernel', 'size', 'signed', 'used by'],
          rows.map((row) => [row.id, row.kernelVersion ?? '-', formatSize(row.sizeBytes), row.signed ? 'yes' : 'no', row.profiles.join(' ') || '-']),
        ),
      )
    for (const { code, file, message } of mistakes) warn(`${file}: ${message} [${code}]`)
  })
}

function show(context: Context, id: string): Promise<void> {
  return withRecords(context, async (records, config) => {
    await requireRelease(config.depot, id)
    const manifest = await readManifest(config.depot, id)
    const usage = usageOf(records, config.site, await readBoots(context, config, 30)).get(id)
    const sizes = await sizesOf(config.depot, id)
    if (context.json) sayJson({ id, manifest: manifest ?? null, files: sizes, ...usage })
    else say(formatRelease(id, manifest, sizes, usage))
  })
}

async function sizesOf(depot: string, id: string): Promise<{ name: string; sizeBytes: number }[]> {
  const folder = join(depot, releaseFolder(id))
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort()
  return Promise.all(names.map(async (name) => ({ name, sizeBytes: (await stat(join(folder, name))).size })))
}

async function requireRelease(depot: string, id: string): Promise<void> {
  const { releases, mistakes } = await scanReleases(depot)
  if (releases.some((release) => release.id === id)) return
  const mistake = mistakes.find(({ file }) => file?.startsWith(releaseFolder(id)))
  if (mistake) throw new InputError(mistake.code, mistake.message, { ...(mistake.file && { file: mistake.file }) })
  throw new MissingError('release-missing', `there is no release ${id} (there are: ${releases.map((one) => one.id).join(', ') || 'none'})`)
}

async function requireManifest(depot: string, id: string): Promise<ReleaseManifest> {
  const manifest = await readManifest(depot, id)
  if (manifest) return manifest
  await requireRelease(depot, id)
  throw new MissingError('release-manifest', `release ${id} was laid by hand and has no manifest: import the same archive, which adds it`)
}

async function diff(context: Context, before: string, after: string): Promise<void> {
  const { depot } = context.load().config
  const rows = diffReleases(await requireManifest(depot, before), await requireManifest(depot, after))
  if (context.json) return sayJson({ before, after, differences: rows })
  say(
    rows.length
      ? formatTable(
          ['', before, after],
          rows.map((row) => [row.name, row.before, row.after]),
        )
      : 'no difference',
  )
}

async function verify(context: Context, id: string | undefined): Promise<void> {
  const { depot } = context.load().config
  const { releases, mistakes } = await scanReleases(depot)
  if (id !== undefined && !(await readManifest(depot, id))) await requireRelease(depot, id)
  const damaged = mistakes.flatMap(({ code, file }) => (code === 'release-damaged' && file ? [file.slice('releases/'.length)] : []))
  const outcomes = []
  for (const one of id === undefined ? [...releases.map((release) => release.id), ...damaged] : [id]) outcomes.push(await verifyRelease(depot, one))
  if (outcomes.some(({ state }) => state === 'damaged')) process.exitCode = exitCodes.failed
  if (context.json) return sayJson({ releases: outcomes })
  for (const { id: name, state, files } of outcomes) {
    const odd = files.filter((file) => file.state !== 'good').map((file) => `${file.name} ${file.state}`)
    say(`${name}: ${state === 'unknown' ? 'has no manifest, so nothing is known' : state}${odd.length ? ` (${odd.join(', ')})` : ''}`)
  }
}

type UseFlags = { profile?: string; station?: string; snapshot?: string; dryRun?: boolean }

function addUse(group: Command, context: () => Context): void {
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

function addPrune(group: Command, context: () => Context): void {
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

const eventsMax = 10_000

/**
 * Who fetched boot files lately, by the running server, or by its log where none runs. Throws ConflictError `boots-unknown` when that cannot be told for
 * the whole time: then nothing may be removed.
 */
async function readBoots(context: Context, config: Config, days: number): Promise<readonly BootEvent[]> {
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
