// The command line: `bivouac <command>`. Makes the program out of one file per command group, and maps errors to exit codes.
import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { isConfigKey } from '../config.ts'
import { addBootCommand } from './boot.ts'
import { addApkCommand } from './apk.ts'
import { addConfigCommand } from './config.ts'
import { createContext, type Context, type GlobalOptions, takeKeys } from './context.ts'
import { addDepotCommand } from './depot.ts'
import { addDnsmasqCommands } from './dnsmasq.ts'
import { addExplainCommand } from './explain.ts'
import { addHostCommand } from './host.ts'
import { addIpxeCommand } from './ipxe.ts'
import { createIpxeDeps } from './ipxe-open.ts'
import { addImportCommand } from './import.ts'
import { addInitCommand } from './init.ts'
import { addMediaCommand } from './media.ts'
import { addMirrorCommand } from './mirror.ts'
import { addNfsCommand } from './nfs.ts'
import { exitCodeOf, exitCodes, sayError } from './output.ts'
import { addPxelinuxCommand, addRescueCommand } from './pxelinux.ts'
import { addProfileCommand } from './profile.ts'
import { addStationCommand } from './station.ts'
import { PilotExit, addPilotCommand, runPilot } from './pilot.ts'
import { addPowerCommand } from './power.ts'
import { addReleaseCommand } from './release.ts'
import { addOverlayCommand } from './overlay.ts'
import { addPackagesCommand } from './packages.ts'
import { addSaveCommand } from './save.ts'
import { addServeCommand } from './serve.ts'
import { addTokenCommand } from './token.ts'
import { addTryCommand } from './try.ts'
import { addWatchCommands } from './watch.ts'
import { addWorkdirCommand } from './workdir.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const help = `
Every key of the configuration is also a flag and a variable of the environment:
  --http.port 8081          BIVOUAC_HTTP_PORT=8081          (docs/configuration.md lists them)

Examples:
  bivouac serve                              a server with defaults: no root, DHCP off
  bivouac --config lab.yaml config check     tell every mistake, start nothing
  bivouac try                                boot a virtual station from it
  bivouac explain 52:54:00:12:34:56          what would this station get, and why
  bivouac events --follow                    what stations do, as it happens

Exit codes: 0 done, 1 usage, 2 bad input or configuration, 3 conflict (port taken…), 4 something is missing or out of reach, 5 failed.`

/** The whole program. Actions get the context by a function, since the options are known only when they run. */
export function createProgram(keys: Record<string, string>, env: NodeJS.ProcessEnv): Command {
  const program = new Command('bivouac')
    .description('Boot server for diskless Alpine stations')
    .version(version)
    .option('-c, --config <file>', 'the configuration (default: bivouac.yaml, if there is one)')
    .option('--json', 'answers for machines')
    .option('--server <url>', 'the running server to ask (default: the configured port on this machine)')
    .option('--token <token>', 'operator token (better: BIVOUAC_TOKEN in the environment)')
    .addHelpText('after', help)
    .showHelpAfterError('(the same with --help tells how)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
  const context = (): Context => createContext({ ...program.opts<Omit<GlobalOptions, 'keys'>>(), keys }, env)
  addServeCommand(program, context, version)
  addTryCommand(program, context)
  addDepotCommand(program, context)
  addConfigCommand(program, context)
  addExplainCommand(program, context)
  addStationCommand(program, context)
  addProfileCommand(program, context)
  addImportCommand(program, context)
  addBootCommand(program, context)
  addPowerCommand(program, context)
  addWatchCommands(program, context)
  addIpxeCommand(program, createIpxeDeps(context))
  addNfsCommand(program, context)
  addMediaCommand(program, context)
  addInitCommand(program, context)
  addPackagesCommand(program, context)
  addMirrorCommand(program, context)
  addApkCommand(program, context)
  addReleaseCommand(program, context)
  addOverlayCommand(program, context)
  addSaveCommand(program, context)
  addTokenCommand(program, context)
  addHostCommand(program, context)
  addDnsmasqCommands(program, context)
  addPxelinuxCommand(program, context)
  addRescueCommand(program, context)
  addWorkdirCommand(program, context)
  addPilotCommand(program)
  for (const command of program.commands) showOwnExamples(command)
  return program
}

/** A command whose group has the examples shows those of them that are its own. */
function showOwnExamples(command: Command, above: readonly string[] = [], path = command.name()): void {
  const pieces: string[] = []
  // Lore: a Command is an EventEmitter, which commander's types leave out; help texts are listeners of this event.
  const emitter = command as Command & Pick<EventEmitter, 'emit'>
  emitter.emit('afterHelp', { error: false, command, write: (text: string) => pieces.push(text) })
  const examples = pieces
    .join('')
    .split('\n')
    .filter((line) => line.startsWith('  bivouac '))
  const own = above.filter((line) => new RegExp(`^  bivouac (--\\S+ (\\S+ )?)*${path}( |$)`).test(line))
  if (!examples.length && own.length) command.addHelpText('after', `\nExamples:\n${own.join('\n')}`)
  for (const below of command.commands) showOwnExamples(below, [...above, ...examples], `${path} ${below.name()}`)
}

/** Runs one command line; answers the exit code. */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const json = argv.includes('--json')
  try {
    // Its options are PXE Pilot's, some of them under names of ours.
    if (argv[0] === 'pilot') return await runPilot(argv.slice(1))
    const { keys, rest } = takeKeys(argv, isConfigKey)
    await createProgram(keys, env).parseAsync(nameVersion(rest), { from: 'user' })
    return process.exitCode === undefined ? exitCodes.done : Number(process.exitCode)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    // With flags of ours before `pilot`, its exits come by here; their words are said already.
    if (error instanceof PilotExit) return error.code
    sayError(error, json)
    return exitCodeOf(error)
  }
}

/** Behind a command `--version` is Alpine's; before one it is ours, which commander would take it for everywhere. */
function nameVersion(argv: readonly string[]): string[] {
  const command = argv.findIndex((word) => !word.startsWith('-'))
  return argv.map((word, at) => (command >= 0 && at > command ? word.replace(/^--version(?==|$)/, '--alpine-version') : word))
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  // A closed pipe (`bivouac events | head`) is an end, not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.exitCode = await run(process.argv.slice(2), process.env)
}
