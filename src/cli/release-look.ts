// `bivouac release list|show|diff|verify`: reads only. Part of release.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { diffReleases } from '../release/diff.ts'
import { readManifest, releaseFolder } from '../release/manifest.ts'
import { sizeOfRelease } from '../release/prune.ts'
import { usageOf } from '../release/usage.ts'
import { verifyRelease } from '../release/verify.ts'
import { scanReleases } from '../store/release.ts'
import type { Context } from './context.ts'
import { exitCodes, formatTable, say, sayJson, warn } from './output.ts'
import { readBoots, requireManifest, requireRelease, withRecords } from './release-common.ts'
import { formatRelease, formatSize } from './release-show.ts'

export function addLooking(group: Command, context: () => Context): void {
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
