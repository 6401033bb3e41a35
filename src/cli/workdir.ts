// `bivouac workdir init`: a rescue site's work directory from its archive, and what it lacks.
import type { Command } from 'commander'
import { InputError } from '../boot/error.ts'
import { unpackWorkdir } from '../import/workdir.ts'
import { checkWorkdir } from '../import/workdir-check.ts'
import type { Context } from './context.ts'
import { say, sayJson, warn } from './output.ts'

type Init = { readonly from: string; readonly sha256?: string; readonly dir: string; readonly dryRun?: boolean }

export function addWorkdirCommand(program: Command, context: () => Context): void {
  program
    .command('workdir')
    .description('work directories of dnsmasq and pxelinux sites: conf/, tftpboot/, images/')
    .command('init')
    .description('unpack one from its archive, overwriting nothing, and tell what it lacks')
    .requiredOption('--from <archive>', 'the archive (.tgz)')
    .option('--sha256 <hex>', 'what the archive’s SHA-256 has to be')
    .option('--dir <folder>', 'where to', '.')
    .option('-n, --dry-run', 'read and check the archive, write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac workdir init --from pxebootbinaries.tgz --dir PXEDOCK\n  bivouac workdir init --from pxebootbinaries.tgz --dry-run',
    )
    .action((options: Init) => init(context(), options))
}

async function init(context: Context, { from, sha256, dir, dryRun = false }: Init): Promise<void> {
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) throw new InputError('sha256', '--sha256 takes 64 hex digits')
  const result = await unpackWorkdir({ archive: from, folder: dir, sha256, isDry: dryRun })
  const lacking = await checkWorkdir(dir, dryRun ? result.placed : [])
  if (context.json) return sayJson({ ...result, lacking, dryRun })
  for (const path of result.different) warn(`warning: ${path} is there with other content: left as it is`)
  say(`${result.placed.length} placed, ${result.same.length} there already${dryRun ? ' (--dry-run: nothing is done)' : ''}; SHA-256 ${result.sha256}`)
  for (const { path, hint } of lacking) say(`lacks ${path}: ${hint}`)
}
