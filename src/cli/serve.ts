// `bivouac serve`: makes what is missing on a first start, runs the server until a signal, and says in a few lines what listens where.
import { stat } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { relative } from 'node:path'
import type { Command } from 'commander'
import { InputError } from '../boot/error.ts'
import { lintRecords } from '../config/lint-record.ts'
import type { Config, LoadedConfig } from '../config.ts'
import type { Listening } from '../server/door.ts'
import { type Server, startServer } from '../server.ts'
import { formatFinding } from '../store/mistake.ts'
import type { Context } from './context.ts'
import { initDepot, planDepot } from './depot.ts'
import { createTeller, leaveUnread, say, sayError, sayJson, warn } from './output.ts'
import { formatEvent } from './watch.ts'

export function addServeCommand(program: Command, context: () => Context, version: string): void {
  program
    .command('serve')
    .description('run the server until it is stopped (SIGTERM or Ctrl-C); SIGHUP reads the records again')
    .option('-q, --quiet', 'do not print what stations do')
    .option('--dry-run', 'only tell what would be made and listened on')
    .addHelpText(
      'after',
      `
Examples:
  bivouac serve                                     no root, high ports, DHCP off
  bivouac serve --dry-run                           what it would make and listen on
  bivouac serve --http.port 8081 --depot /srv/pxe   keys of the configuration as flags
  sudo bivouac --config lab.yaml serve              with networks: DHCP on 67, TFTP on 69`,
    )
    .action((options: { quiet?: boolean; dryRun?: boolean }) =>
      options.dryRun ? tellPlan(context()) : serve(context(), version, options.quiet === true),
    )
}

async function serve(context: Context, version: string, quiet: boolean): Promise<void> {
  // From the first moment on: a reload while the server starts must not end it, and it reads everything anyway.
  process.on('SIGHUP', () => {})
  const loaded = context.load()
  for (const lint of loaded.lints) warn(formatFinding(lint))
  const made = await prepareDepot(loaded.config.depot)
  const server = await startServer(loaded.config, version, (error) => sayError(error, context.json))
  if (context.json)
    sayJson({
      listening: server.listening,
      depot: loaded.config.depot,
      state: loaded.config.state,
      warnings: server.warnings,
      token: server.newToken ?? null,
    })
  else sayStart(loaded, server, version, made.length > 0)
  for (const finding of lintRecords(loaded, server.records)) warn(formatFinding(finding))
  const tell = createTeller()
  if (!quiet) server.listen((event) => tell(context.json ? JSON.stringify(event) : formatEvent(event)))
  await untilStopped(server).finally(leaveUnread)
}

/** What `serve` would do; nothing is made, opened or bound. */
async function tellPlan({ load, json }: Context): Promise<void> {
  const { config, lints } = load()
  const { depot, state, http, tftp, networks, packages } = config
  const made = await planDepot(depot)
  const isNewState = await stat(state).then(
    () => false,
    () => true,
  )
  const listening = [
    { service: 'http', address: http.address, port: http.port },
    ...(packages.port === undefined ? [] : [{ service: 'packages', address: packages.address, port: packages.port }]),
    ...(tftp.enabled ? [{ service: 'tftp', address: tftp.address, port: tftp.port }] : []),
    ...networks.map(({ name, mode, interface: card }) => ({ service: 'dhcp', interface: card, port: 67, network: name, mode })),
  ]
  if (json) return sayJson({ dryRun: true, depot, state, made, isNewState, listening, lints })
  for (const lint of lints) warn(formatFinding(lint))
  for (const { service, port, ...one } of listening)
    say(
      `would listen  ${service.padEnd(8)} ${'network' in one ? `port ${port} on ${one.interface}, network ${one.network}, ${one.mode}` : `${one.address}:${port}`}`,
    )
  if (!networks.length) say('              dhcp     off: no network is declared in the configuration')
  say(`depot         ${shortPath(depot)}${made.length ? `: would make ${made.join(', ')}` : ''}`)
  say(`state         ${shortPath(state)}${isNewState ? ': would be made, with a new operator token' : ''}`)
}

/** Makes what is missing; a depot that may only be read (another user's, a read-only mount) is served as it is. */
async function prepareDepot(depot: string): Promise<string[]> {
  try {
    return await initDepot(depot)
  } catch (error) {
    const { message } = error as Error
    const isThere = await stat(depot).then(
      (found) => found.isDirectory(),
      () => false,
    )
    if (!isThere)
      throw new InputError('depot-folder', `the depot ${depot} cannot be made: ${message}; give a folder that this user may write (--depot)`)
    warn(`bivouac: folders that the depot lacks cannot be made, it is served as it is: ${message}`)
    return []
  }
}

/** Ends the server at the first signal; a second one ends the process at once. */
function untilStopped(server: Server): Promise<void> {
  process.on('SIGHUP', () => {
    server.records.reload().catch((error: Error) => warn(`bivouac: reading the records again failed: ${error.message}`))
  })
  return new Promise((resolve, reject) => {
    const end = () => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
      server.stop().then(resolve, reject)
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  })
}

function sayStart({ config }: LoadedConfig, server: Server, version: string, isNew: boolean): void {
  say(`Bivouac ${version}`)
  const tell = (what: string, text: string): void => say(`  ${what.padEnd(serviceWidth)} ${text}`)
  for (const socket of server.listening) tell(socket.service, describe(socket))
  if (!config.networks.length) tell('dhcp', 'off: no network is declared in the configuration')
  tell('depot', `${shortPath(config.depot)}${isNew ? ' (new)' : ''}, state ${shortPath(config.state)}`)
  if (server.newToken) say(`  operator token, shown only now: ${server.newToken}`)
  for (const warning of server.warnings) say(`  note: ${warning}`)
  say(`Next: ${nextStep(config, server)}`)
}

/** As wide as the longest name of a service. */
const serviceWidth = 'packages'.length

const describe = ({ service, address, port, network, mode }: Listening): string => {
  if (service !== 'tftp' && service !== 'dhcp') return `http://${isWildcard(address) ? ownAddress() : address}:${port}/`
  return `${address}:${port}${network ? `  network ${network}, ${mode}` : ''}`
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** An address under which others reach us, else loopback. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

function shortPath(path: string): string {
  const short = relative(process.cwd(), path)
  return short === '' ? '.' : short.startsWith('..') ? path : `./${short}`
}

function nextStep(config: Config, { records }: Server): string {
  const { releases, stations } = records.current()
  if (!releases.length) return '"npm run try" boots a virtual station; docs/first-station.md tells how to boot a real one.'
  if (!stations.length)
    return 'write a station record below stations/ in the depot (docs/first-station.md), or let unknown stations boot (setting "unknown").'
  if (!config.networks.length) return 'declare a network to turn DHCP on, or point your DHCP server here (docs/networks.md).'
  return 'plug a station in; "npx bivouac events --follow" shows what it does.'
}
