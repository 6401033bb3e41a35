// `bivouac overlay …`: what a station's overlay is made of, what is wrong with it, what changed, and going back. Asks the running server, or works
// on the folders itself when none runs.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import { createLocalGate } from '../server/local.ts'
import { archiveName, chooseMac, type Desk, type OverlayView } from '../overlay/desk.ts'
import type { RollbackOutcome } from '../overlay/history.ts'
import type { HistoryState } from '../overlay/history-entry.ts'
import type { OverlayDiff } from '../overlay/diff.ts'
import { parseVersion } from '../http/overlay.ts'
import { lintArchive, lintLayer } from '../overlay/lint-source.ts'
import { writeAtomic } from '../store/atomic.ts'
import type { Context } from './context.ts'
import { say, sayJson, warn } from './output.ts'
import { formatDiff, formatHistory, formatOverlay, formatWarnings } from './overlay-show.ts'

const examples = `
Examples:
  bivouac overlay show kiosk-1                       layers, packages, services, warnings
  bivouac overlay show kiosk-1 --files               and every file, with the layer that it came from
  bivouac overlay lint kiosk-1                       what it would lack; also a layer's name, or a file.tar.gz
  bivouac overlay diff kiosk-1 --booted              what changes with its next boot
  bivouac overlay diff kiosk-1 3 5                   two versions of the history
  bivouac overlay render kiosk-1 -o kiosk-1.apkovl.tar.gz
  bivouac overlay history 52:54:00:12:34:56
  bivouac overlay rollback kiosk-1 3 --dry-run
  bivouac overlay rollback kiosk-1 --release         back to what the layers say`

/** Adds the group. */
export function addOverlayCommand(program: Command, context: () => Context): void {
  const group = program.command('overlay').description("stations' overlays: layers, checks, differences, versions").addHelpText('after', examples)
  group
    .command('show <station>')
    .description('what stands in the overlay that a station (MAC or name) would get now')
    .option('--files', 'every file')
    .action(async (station: string, options: { files?: boolean }) => {
      const view = await ask<OverlayView>(context(), station, '', (desk, mac) => desk.show(mac))
      answer(context(), view, () => formatOverlay(view, options.files === true))
    })
  group
    .command('lint <target>')
    .description('what a station would lack or suffer from: of a station, a layer, or a file.tar.gz')
    .action(async (target: string) => {
      const warnings = await lint(context(), target)
      answer(context(), warnings, () => formatWarnings(warnings))
      if (warnings.length) process.exitCode = 2
    })
  addRender(group, context)
  addDiff(group, context)
  addVersions(group, context)
}

function addRender(group: Command, context: () => Context): void {
  group
    .command('render <station>')
    .description('writes the overlay to a file')
    .option('-o, --out <file>', 'where to (default: <mac>.apkovl.tar.gz)')
    .option('--with-secrets', 'also when it holds secrets')
    .option('--dry-run', 'only tell what would be written')
    .action(async (station: string, options: { out?: string; withSecrets?: boolean; dryRun?: boolean }) => {
      const { json } = context()
      const { bytes, mac } = await fetchArchive(context(), station, options.withSecrets === true)
      const file = resolve(options.out ?? archiveName(mac))
      if (!options.dryRun) await writeAtomic(file, bytes)
      if (json) return sayJson({ mac, file, sizeBytes: bytes.length, written: !options.dryRun })
      say(`${options.dryRun ? 'would write ' : ''}${file}: ${bytes.length} bytes, for ${mac}`)
    })
}

function addDiff(group: Command, context: () => Context): void {
  group
    .command('diff <station> [from] [to]')
    .description('what differs between two versions (numbers of the history, booted, current); without them what the next boot changes')
    .option('--booted', 'against what it last booted (as without versions)')
    .action(async (station: string, from: string | undefined, to: string | undefined, options: { booted?: boolean }) => {
      if (options.booted && from !== undefined) throw new InputError('diff-versions', 'give versions or --booted, not both')
      const [before, after] = [parseVersion(from ?? 'booted'), parseVersion(to ?? 'current')]
      const diff = await ask<OverlayDiff & { from: string; to: string }>(context(), station, `/diff?from=${before}&to=${after}`, (desk, mac) =>
        desk.diff(mac, before, after),
      )
      answer(context(), diff, () => formatDiff(diff))
    })
}

function addVersions(group: Command, context: () => Context): void {
  group
    .command('history <station>')
    .description('the versions that are kept: when, who, how they came to be')
    .action(async (station: string) => {
      const history = await ask<HistoryState>(context(), station, '/history', (desk, mac) => desk.history(mac))
      answer(context(), history, () => formatHistory(history))
    })
  group
    .command('rollback <station> [version]')
    .description('back to a version of the history (default: the one before)')
    .option('--release', 'let go of a composed version that a rollback holds: the layers are in force again')
    .option('--dry-run', 'only tell what would be done')
    .action(async (station: string, version: string | undefined, options: { release?: boolean; dryRun?: boolean }) => {
      if (options.release) return letGo(context(), station, options.dryRun === true)
      const to = version === undefined ? undefined : parseVersion(version)
      if (to !== undefined && typeof to !== 'number')
        throw new InputError('version', 'give the number of a version, as "bivouac overlay history" shows it')
      const isDryRun = options.dryRun === true
      const query = new URLSearchParams({ ...(to !== undefined && { to: String(to) }), dryRun: String(isDryRun) })
      const outcome = await change<RollbackOutcome>(context(), station, `/rollback?${query}`, (desk, mac) =>
        desk.rollback(mac, to, 'operator', isDryRun),
      )
      answer(context(), outcome, () => describeRollback(outcome, isDryRun))
    })
}

async function letGo(context: Context, station: string, isDryRun: boolean): Promise<void> {
  if (isDryRun) {
    const { pin } = await ask<HistoryState>(context, station, '/history', (desk, mac) => desk.history(mac))
    return answer(context, { released: false, pinned: pin ?? null }, () => (pin ? `would release version ${pin.version}` : 'no version is held'))
  }
  const outcome = await change<{ released: boolean }>(context, station, '/release', async (desk, mac) => ({
    released: await desk.release(mac, 'operator'),
  }))
  answer(context, outcome, () => (outcome.released ? 'released: the layers are in force again' : 'no version was held'))
}

function describeRollback({ version, by, path }: RollbackOutcome, isDryRun: boolean): string {
  const what = `version ${version.version} (${version.kind}, ${version.digest.slice(0, 12)})`
  if (by === 'none') return `${what} is in force already`
  const would = isDryRun ? 'would be' : 'is'
  if (by === 'pin') return `${what} ${would} in force until "bivouac overlay rollback <station> --release"`
  return `${what} ${would} put back${path ? ` as ${path}` : ''}`
}

const answer = (context: Context, value: unknown, text: () => string): void => (context.json ? sayJson(value) : say(text()))

/** Asks the server, or the desk here when none runs and none was named. */
const ask = <T>(context: Context, station: string, path: string, locally: (desk: Desk, mac: Mac) => Promise<T>): Promise<T> =>
  orLocally(context, () => context.api().get<T>(urlOf(station, path)), station, locally)

const change = <T>(context: Context, station: string, path: string, locally: (desk: Desk, mac: Mac) => Promise<T>): Promise<T> =>
  orLocally(context, () => context.api().post<T>(urlOf(station, path)), station, locally)

const urlOf = (station: string, path: string): string => `/api/v1/stations/${encodeURIComponent(station)}/overlay${path}`

async function orLocally<T>(
  context: Context,
  remotely: () => Promise<T>,
  station: string,
  locally: (desk: Desk, mac: Mac) => Promise<T>,
): Promise<T> {
  try {
    return await remotely()
  } catch (error) {
    if (!(error instanceof OutsideError) || error.code !== 'no-server' || context.isServerNamed) throw error
    return withDesk(context, station, locally)
  }
}

async function withDesk<T>(context: Context, station: string, work: (desk: Desk, mac: Mac) => Promise<T>): Promise<T> {
  const { desk, records, close } = await createLocalGate(context.load().config)
  try {
    const mac = findMac(station)
    const macs = mac ? [mac] : records.current().stations.find(({ name }) => name === station)?.macs
    if (!macs) throw new MissingError('station', `"${station}" is neither a MAC address nor the name of a station`)
    return await work(desk, await chooseMac(macs, mac, desk.history))
  } finally {
    close()
  }
}

async function fetchArchive(context: Context, station: string, withSecrets: boolean): Promise<{ bytes: Uint8Array; mac: Mac }> {
  const remotely = async () => {
    const { mac } = await context.api().get<{ mac: Mac }>(urlOf(station, '/history'))
    return { mac, bytes: await context.api().download(urlOf(station, `/archive?secrets=${withSecrets}`)) }
  }
  return orLocally(context, remotely, station, async (desk, mac) => ({ mac, bytes: await readFile((await desk.render(mac, withSecrets)).file) }))
}

/** A file and a layer are looked at here; a station wherever it is served. */
async function lint(context: Context, target: string): Promise<readonly OverlayWarning[]> {
  if (/\.tar\.gz$|\.tgz$|\//.test(target)) return lintArchive(resolve(target))
  const { config } = context.load()
  const isStation = findMac(target) !== undefined
  const layer = isStation ? undefined : await lintLayer(config.depot, target)
  const lintStation = () => ask<readonly OverlayWarning[]>(context, target, '/lint', (desk, mac) => desk.lint(mac))
  if (!layer) return lintStation()
  const station = await lintStation().catch((error: unknown) => {
    if (error instanceof MissingError) return undefined
    throw error
  })
  if (!context.json) warn(station ? `layer ${target}, and the station of that name:` : `layer ${target}:`)
  return [...layer, ...(station ?? [])]
}
