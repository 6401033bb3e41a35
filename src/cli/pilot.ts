// `bivouac pilot …`, also when called as `pxe-pilot`: the command line of PXE Pilot, with its tables and exit codes, over its HTTP interface.
import { Command, CommanderError } from 'commander'
import { request } from 'undici'
import { formatPilotTable } from './pilot-table.ts'
import { startPilotServer } from './pilot-serve.ts'
import { defaultPilotFile } from '../pilot/config.ts'

type Configuration = { readonly name: string; readonly bootloader: { readonly name: string } }
type Bootloader = { readonly name: string; readonly file: string; readonly config_path: string }
type Host = {
  readonly name: string
  readonly macAddresses: readonly string[]
  readonly configuration: { readonly name: string } | null
  readonly powerState: string
  readonly ipmi: { readonly macAddress: string; readonly hostname: string } | null
  readonly management: { readonly macAddress: string; readonly ipAddress: string } | null
}

const out = (text: string): void => void process.stdout.write(`${text}\n`)

/** Ends the command with a code, having said all there is to say. */
export class PilotExit extends Error {
  readonly code: number
  constructor(code: number, said?: string) {
    super(said ?? '')
    this.code = code
    if (said) out(said)
  }
}

type Answer = { readonly status: number; readonly body: unknown }

async function call(server: string, method: 'GET' | 'PUT' | 'PATCH', path: string, body?: unknown): Promise<Answer> {
  const token = process.env.BIVOUAC_TOKEN
  const response = await request(`${server.replace(/\/+$/, '')}/v1${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  })
  const text = await response.body.text()
  return { status: response.statusCode, body: text === '' ? undefined : JSON.parse(text) }
}

export function addPilotCommand(program: Command): void {
  program.addCommand(createPilotProgram('pilot'))
}

/** The same commands below `bivouac pilot` and as a program of their own. */
export function createPilotProgram(name: 'pilot' | 'pxe-pilot'): Command {
  const pilot = new Command(name)
    .description("PXE Pilot's command line and server, for sites that script it")
    .option('-s, --server <url>', 'PXE Pilot server', 'http://localhost:3478')
    .option('-d, --debug', 'say more')
    .addHelpText(
      'after',
      `\nExamples:\n  ${name === 'pilot' ? 'bivouac pilot' : name} host list\n  ${name === 'pilot' ? 'bivouac pilot' : name} config deploy --now local compute-1`,
    )
  const server = (): string => pilot.opts<{ server: string }>().server

  pilot
    .command('server')
    .description('run the server')
    .option('-c, --config <file>', 'PXE Pilot YAML configuration file', defaultPilotFile)
    .option('--state <folder>', 'where intents and history are kept', '/var/lib/pxe-pilot')
    .option('--strict', 'passwords in answers, as the original has them')
    .addHelpText('after', '\nExamples:\n  bivouac pilot server --config /etc/pxe-pilot/pxe-pilot.yml')
    .action((options: { config: string; state: string; strict?: boolean }) => startPilotServer(options))

  const bootloader = pilot.command('bootloader').description('boot loaders')
  bootloader
    .command('list')
    .description('list boot loaders')
    .addHelpText('after', '\nExamples:\n  bivouac pilot bootloader list')
    .action(() => listBootloaders(server()))

  const config = pilot.command('config').description('configurations')
  config
    .command('list')
    .description('list configurations')
    .addHelpText('after', '\nExamples:\n  bivouac pilot config list')
    .action(() => listConfigs(server()))
  config
    .command('show <name>')
    .description('show a configuration')
    .addHelpText('after', '\nExamples:\n  bivouac pilot config show local')
    .action((config: string) => showConfig(server(), config))
  config
    .command('deploy <config> <hostnames...>')
    .description('deploy a configuration to hosts')
    .option('-n, --now', 'reboot them at once')
    .option('--dry-run', 'say whom it would reach, change nothing')
    .addHelpText('after', '\nExamples:\n  bivouac pilot config deploy --now install compute-1 compute-2')
    .action((config: string, hostnames: string[], options: { now?: boolean; dryRun?: boolean }) => deploy(server(), config, hostnames, options))

  const host = pilot.command('host').description('hosts')
  host
    .command('list')
    .description('list hosts with their power states')
    .addHelpText('after', '\nExamples:\n  bivouac pilot host list')
    .action(() => listHosts(server()))
  for (const [word, title] of [
    ['reboot', 'Reboot'],
    ['on', 'On'],
    ['off', 'Off'],
  ] as const) {
    host
      .command(`${word} <hostname>`)
      .description(`${word} a host`)
      .addHelpText('after', `\nExamples:\n  bivouac pilot host ${word} compute-1`)
      .action((hostname: string) => switchHost(server(), hostname, word, title))
  }
  host
    .command('refresh')
    .description("look for the hosts' addresses")
    .addHelpText('after', '\nExamples:\n  bivouac pilot host refresh')
    .action(() => refresh(server()))
  return pilot
}

/** The original panics where the server is down; so its exit code is 2. */
async function getList<T>(server: string, path: string): Promise<T[]> {
  try {
    const { body } = await call(server, 'GET', path)
    return (body ?? []) as T[]
  } catch (error) {
    process.stderr.write(`pxe-pilot: ${server} does not answer: ${(error as Error).message}\n`)
    throw new PilotExit(2)
  }
}

async function listBootloaders(server: string): Promise<void> {
  const list = await getList<Bootloader>(server, '/bootloaders')
  out(
    formatPilotTable(
      ['Name', 'File', 'Config path'],
      list.map((one) => [one.name, one.file, one.config_path]),
      { wrap: true },
    ),
  )
}

async function listConfigs(server: string): Promise<void> {
  const list = await getList<Configuration>(server, '/configurations')
  out(
    formatPilotTable(
      ['Name', 'Bootloader'],
      list.map((one) => [one.name, one.bootloader.name]),
      { wrap: true },
    ),
  )
}

async function showConfig(server: string, name: string): Promise<void> {
  const { status, body } = await call(server, 'GET', `/configurations/${encodeURIComponent(name)}`).catch(() => ({ status: 0, body: undefined }))
  if (status === 404) throw new PilotExit(1, 'Error : configuration does not exist')
  if (status !== 200) throw new PilotExit(1, 'Error : server unavailable')
  out((body as { content: string }).content)
}

async function deploy(
  server: string,
  config: string,
  hostnames: readonly string[],
  { now, dryRun }: { now?: boolean; dryRun?: boolean },
): Promise<void> {
  if (dryRun)
    return out(
      formatPilotTable(
        ['Name', 'Configuration', 'Rebooted'],
        hostnames.map((name) => [name, config, now ? 'would' : 'NO']),
      ),
    )
  const hosts = hostnames.map((name) => ({ name, reboot: now === true }))
  const { status, body } = await call(server, 'PUT', `/configurations/${encodeURIComponent(config)}/deploy`, { hosts }).catch(() => ({
    status: 0,
    body: undefined,
  }))
  if (status !== 200) {
    // Nothing on standard output, as the original; the reason is for people.
    const said = (body as { Message?: string } | undefined)?.Message
    process.stderr.write(`pxe-pilot: ${said ?? `${server} does not answer as PXE Pilot`}\n`)
    throw new PilotExit(1)
  }
  const answers = (body as { hosts: { name: string; rebooted: string }[] }).hosts
  out(
    formatPilotTable(
      ['Name', 'Configuration', 'Rebooted'],
      answers.map((one) => [one.name, config, one.rebooted]),
    ),
  )
}

async function listHosts(server: string): Promise<void> {
  const { status, body } = await call(server, 'GET', '/hosts').catch(() => ({ status: 0, body: undefined }))
  if (status !== 200) throw new PilotExit(1, 'Error : server unavailable...Error...')
  const row = ({ name, configuration, macAddresses, ipmi, management, powerState }: Host): string[] => [
    name,
    configuration?.name ?? '',
    macAddresses.join(' | '),
    ipmi?.macAddress ?? management?.macAddress ?? '',
    ipmi?.hostname ?? management?.ipAddress ?? '',
    powerState,
  ]
  out(formatPilotTable(['Name', 'Configuration', 'MAC', 'MGMT MAC', 'MGMT IP', 'Power State'], ((body ?? []) as Host[]).map(row)))
}

async function switchHost(server: string, hostname: string, word: string, title: string): Promise<void> {
  const { status } = await call(server, 'PATCH', `/hosts/${encodeURIComponent(hostname)}/${word}`).catch(() => ({ status: 0 }))
  out(formatPilotTable(['Name', title], [[hostname, status === 204 ? 'OK' : 'ERROR']]))
  if (status !== 204) throw new PilotExit(1)
}

async function refresh(server: string): Promise<void> {
  const { status } = await call(server, 'PATCH', '/refresh').catch(() => ({ status: 0 }))
  if (status !== 204) throw new PilotExit(1)
  out(formatPilotTable(['Refresh'], [['OK']]))
}

/** Runs one of these commands; answers the exit code: 2 for a wrong command line. */
export async function runPilot(argv: readonly string[]): Promise<number> {
  try {
    const program = createPilotProgram('pxe-pilot').exitOverride()
    for (const command of allCommands(program)) command.exitOverride()
    await program.parseAsync([...argv], { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof PilotExit) return error.code
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}

const allCommands = (command: Command): Command[] => command.commands.flatMap((one) => [one as Command, ...allCommands(one as Command)])
