// `bivouac release additions show|pack <name>`: a folder of additions/ as the further initrd that stations get. Part of release.
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { findBootFiles } from '../boot/decide.ts'
import { InputError } from '../boot/error.ts'
import { type Addition, createAdditions } from '../release/addition.ts'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'
import { requireRelease, withRecords } from './release-common.ts'
import { formatSize } from './release-show.ts'

type Flags = { release?: string; out?: string; dryRun?: boolean }

export function addAdditions(group: Command, context: () => Context): void {
  const additions = group.command('additions').description('folders of additions/ as further initrds: a CA, apk keys, modules')
  additions
    .command('show <name>')
    .description('what would be in it, and what is wrong with it; writes nothing')
    .option('--release <id>', 'beside the initramfs of this release (default: what the default profile boots)')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac release additions show site\n  bivouac release additions show site --release alpine/3.22.2/x86_64/lts --json',
    )
    .action((name: string, flags: Flags) => show(context(), name, flags))
  additions
    .command('pack <name>')
    .description('pack it now; the server does so by itself when a station first asks')
    .option('--release <id>', 'beside the initramfs of this release (default: what the default profile boots)')
    .option('--out <file>', 'a copy of it here as well')
    .option('--dry-run', 'as show')
    .addHelpText('after', '\nExamples:\n  bivouac release additions pack site\n  bivouac release additions pack site --out site.cpio.gz')
    .action((name: string, flags: Flags) => (flags.dryRun ? show(context(), name, flags) : pack(context(), name, flags)))
}

/** Packed in a folder that is thrown away. */
async function show(context: Context, name: string, flags: Flags): Promise<void> {
  const { depot } = context.load().config
  const state = await mkdtemp(join(tmpdir(), 'bivouac-addition-'))
  try {
    tell(context, await createAdditions({ depot, state, now: Date.now }).pack(name, await findInitramfs(context, flags)))
  } finally {
    await rm(state, { recursive: true, force: true })
  }
}

async function pack(context: Context, name: string, flags: Flags): Promise<void> {
  const { depot, state } = context.load().config
  const addition = await createAdditions({ depot, state, now: Date.now }).pack(name, await findInitramfs(context, flags))
  if (flags.out) await copyFile(addition.file, resolve(flags.out))
  tell(context, addition)
}

function tell(context: Context, { file: _, ...addition }: Addition): void {
  if (context.json) return sayJson(addition)
  say(`${addition.path}  ${formatSize(addition.sizeBytes)}`)
  for (const member of addition.members) say(`  ${member}`)
  for (const { code, text } of addition.warnings) say(`  warning: ${text} [${code}]`)
}

/** Of the named release, of the one that the default profile boots, or of the only one; undefined where there is none. Throws InputError `release-ambiguous`. */
function findInitramfs(context: Context, { release }: Flags): Promise<string | undefined> {
  return withRecords(context, async (records, { depot, site }) => {
    if (release !== undefined) await requireRelease(depot, release)
    const profile = records.profiles.get(site.defaultProfile)
    const booted = profile?.kind === 'alpine' ? findBootFiles(profile, {}, records) : undefined
    if (release === undefined && booted && 'initramfs' in booted) return booted.initramfs
    const found = records.releases.filter(({ id }) => release === undefined || id === release)
    if (found.length > 1)
      throw new InputError('release-ambiguous', `there are ${found.length} releases, and a CA bundle rests on one: give --release ${found[0]?.id}`)
    return found[0]?.initramfs
  })
}
