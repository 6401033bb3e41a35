// `bivouac depot init`, also run by the first `serve`: makes the folders of a depot and a first profile, and never overwrites anything.
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'

/** What stands in a new depot. A text is a file, undefined a folder. */
const layout: Record<string, string | undefined> = {
  configs: undefined,
  'configs/groups': undefined,
  data: undefined,
  scripts: undefined,
  stations: undefined,
  profiles: undefined,
  overlays: undefined,
  releases: undefined,
  apk: undefined,
  ipxe: undefined,
  templates: undefined,
  'profiles/alpine.yaml': `# What a known station boots when its record names no profile. All keys: docs/depot.md
kind: alpine
# release: alpine/3.22.2/x86_64/lts    # a folder below releases/; may be left out while there is only one
# overlay: required                    # no script is given while the station's overlay cannot be served
# repositories: [apk/v3.22/main, apk/v3.22/community]
# arguments: [console=tty0]
`,
  'README.txt': `The depot of Bivouac: one tree for TFTP and HTTP. Everything here may be edited by hand and kept in git.

  configs/    overlays: <mac>.tar.gz, groups/<group>.tar.gz, default.tar.gz
  stations/   one YAML file per station          profiles/  one YAML file per profile
  releases/   alpine/<version>/<arch>/<flavour>/{vmlinuz,initramfs,modloop}-<flavour>
  ipxe/       loaders, over those of the distribution's package
  templates/  your own versions of the scripts   data/ scripts/ apk/  whatever stations fetch
  sshkeys.pub public keys for root (put the file here yourself)
`,
}

/** Makes what is missing; answers which paths it made. */
export async function initDepot(depot: string): Promise<string[]> {
  const made: string[] = []
  await mkdir(depot, { recursive: true })
  for (const [name, text] of Object.entries(layout)) {
    const path = join(depot, name)
    const isNew = text === undefined ? (await mkdir(path, { recursive: true })) !== undefined : await writeNew(path, text)
    if (isNew) made.push(name)
  }
  return made
}

/** What initDepot would make. */
export async function planDepot(depot: string): Promise<string[]> {
  const missing = await Promise.all(
    Object.keys(layout).map(async (name) =>
      stat(join(depot, name)).then(
        () => [],
        () => [name],
      ),
    ),
  )
  return missing.flat()
}

async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

export function addDepotCommand(program: Command, context: () => Context): void {
  const depot = program.command('depot').description('the tree of files that stations are served from')
  depot
    .command('init')
    .description('make the folders of a depot and a first profile; what is there already is left alone')
    .addHelpText('after', '\nExamples:\n  bivouac depot init\n  bivouac depot init --depot /srv/pxe --dry-run --json')
    .option('--dry-run', 'only tell what would be made')
    .action(async ({ dryRun = false }: { dryRun?: boolean }) => {
      const { config } = context().load()
      const made = await (dryRun ? planDepot : initDepot)(config.depot)
      if (context().json) return sayJson({ depot: config.depot, made, ...(dryRun && { dryRun }) })
      say(made.length ? `depot ${config.depot}: ${dryRun ? 'would make' : 'made'} ${made.join(', ')}` : `depot ${config.depot}: nothing to do`)
    })
}
