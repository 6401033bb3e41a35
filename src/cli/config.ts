// `bivouac config check|show`: reads the configuration and the records as the server would, and tells every mistake. Starts nothing.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { lintHandMenus } from '../config/hand-menu.ts'
import { lintHandRescue } from '../config/hand-rescue.ts'
import { lintRecords } from '../config/lint-record.ts'
import type { LoadedConfig } from '../config.ts'
import { createLocalGate } from '../server/local.ts'
import { rehearse } from '../station/rehearsal.ts'
import { type Finding, formatFinding } from '../store/mistake.ts'
import type { Context } from './context.ts'
import { exitCodes, say, sayJson } from './output.ts'

export function addConfigCommand(program: Command, context: () => Context): void {
  const config = program.command('config').description('the configuration')
  config
    .command('check')
    .description('check the configuration, the station and profile records, what they say together, and iPXE menus in the depot; starts nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac config check\n  bivouac --config lab.yaml --json config check\n\nExit code 2 when there is an error; warnings alone are 0.',
    )
    .action(() => check(context()))
  config
    .command('show')
    .description('the configuration in force, each value with where it came from')
    .addHelpText('after', '\nExamples:\n  bivouac config show\n  BIVOUAC_HTTP_PORT=8081 bivouac --config lab.yaml config show --json')
    .action(() => show(context()))
}

async function check(context: Context): Promise<void> {
  const loaded = context.load()
  const findings = await findAll(loaded)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  if (errors) process.exitCode = exitCodes.invalid
  if (context.json) return sayJson({ file: loaded.file ?? null, errors, findings })
  for (const finding of findings) say(formatFinding(finding))
  say(`${loaded.file ?? 'no configuration file, defaults'}: ${errors ? `${errors} error${errors > 1 ? 's' : ''}` : 'good'}`)
}

/** Everything that is wrong with the configuration, with each record, and with both together. */
async function findAll(loaded: LoadedConfig): Promise<Finding[]> {
  const { config, lints } = loaded
  const { records, loaders, scripts, close } = await createLocalGate(config)
  try {
    const hasFile = (path: string) => existsSync(join(config.depot, path))
    const hasLoader = (name: string) => loaders.find(name) !== undefined
    rehearse(records.current(), config.site.defaultProfile, scripts)
    const broken = scripts.problems().map((problem): Finding => ({ severity: 'error', code: 'template-bad', ...problem }))
    const wrongTogether = lintRecords(loaded, records, { hasFile, hasLoader, hasTemplate: scripts.has })
    return [...lints, ...records.problems(), ...broken, ...wrongTogether, ...lintHandMenus(config.depot), ...lintHandRescue(config)]
  } finally {
    close()
  }
}

function show(context: Context): void {
  const { values, file } = context.load()
  if (context.json) return sayJson({ file: file ?? null, values })
  say(`# ${file ?? 'no configuration file'}`)
  for (const { key, value, source } of values) say(`${key}: ${value === undefined ? 'not set' : JSON.stringify(value)}    # ${source}`)
}
