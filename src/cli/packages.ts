// `bivouac packages serve`: the packages server alone, for a machine of its own: no DHCP, no TFTP, no stations, no operator's API.
import { networkInterfaces } from 'node:os'
import type { Command } from 'commander'
import type { BootEvent } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { type MirrorDescription, openPackages, startPackages } from '../server/packages.ts'
import type { Context } from './context.ts'
import { createTeller, formatTable, leaveUnread, say, sayError, sayJson } from './output.ts'
import { formatSize } from './release-show.ts'
import { formatEvent } from './watch.ts'

const examples = `
It listens on packages.address and packages.port (without one: http.port), serves packages.root, and fetches from mirror.upstream what is missing.
Stations are sent here by "packages.url: http://ADDRESS:PORT" in the boot server's configuration.

Examples:
  bivouac packages serve --packages.root /srv/apk --packages.port 8081
  bivouac packages serve --packages.root /srv/apk --mirror.upstream https://dl-cdn.alpinelinux.org/alpine
  bivouac --config packages.yaml packages serve --quiet
  bivouac packages serve --dry-run                        what it would serve, and from where`

export function addPackagesCommand(program: Command, context: () => Context): void {
  const group = program.command('packages').description('the packages server on a machine of its own').addHelpText('after', examples)
  group
    .command('serve')
    .description('serve the package mirror and nothing else, until SIGTERM or Ctrl-C')
    .option('-q, --quiet', 'do not print what is fetched')
    .option('--dry-run', 'print what would be served, and start nothing')
    .addHelpText('after', examples)
    .action((options: { quiet?: boolean; dryRun?: boolean }) => serve(context(), options))
}

async function serve(context: Context, { quiet = false, dryRun = false }: { quiet?: boolean; dryRun?: boolean }): Promise<void> {
  const { config: given } = context.load()
  const config: Config = { ...given, packages: { ...given.packages, port: given.packages.port ?? given.http.port } }
  if (dryRun) return tell(context, config, config.packages.port ?? 0)
  const print = createTeller()
  const emit = (event: BootEvent): void => {
    if (!quiet) print(context.json ? JSON.stringify(event) : formatEvent(event))
  }
  const onFault = (error: unknown): void => sayError(error, context.json)
  const service = await openPackages(config, { emit, now: Date.now })
  try {
    const server = await startPackages(config, { service, emit, now: Date.now, findMac: () => undefined, onFault })
    tell(context, config, server.port)
    await untilSignal()
    await server.stop()
  } finally {
    await service.close()
    leaveUnread()
  }
}

/** What the running server fetched on request; undefined where none runs or it fetches nothing. */
export async function readPull(context: Context): Promise<MirrorDescription['pull'] | undefined> {
  const answer = await context
    .api()
    .get<MirrorDescription>('/api/v1/mirror')
    .catch(() => undefined)
  return answer?.pull ?? undefined
}

/** The same for people. */
export function formatPull(pull: NonNullable<MirrorDescription['pull']>): string {
  const { upstream, isReachable, problem, hits, joined, misses, failures, keptFiles, keptBytes, maxBytes, indexes } = pull
  const reach = isReachable === undefined ? 'not asked yet' : isReachable ? 'in reach' : `out of reach: ${problem}`
  const lines = [
    `on request from ${upstream} (${reach})`,
    `  ${hits} packages from the disk, ${misses} from there, ${joined} joined one on its way, ${failures} failed`,
    `  kept: ${keptFiles} packages, ${formatSize(keptBytes)} of ${formatSize(maxBytes)}`,
  ]
  const age = (seconds: number | undefined): string => (seconds === undefined ? '-' : `${Math.floor(seconds / 60)} min`)
  const rows = indexes.map(({ path, ageSeconds, packages, stale }) => [path, age(ageSeconds), String(packages ?? '-'), stale ?? ''])
  return [...lines, ...(rows.length ? [formatTable(['index', 'seen newest', 'packages', ''], rows)] : [])].join('\n')
}

function tell({ json }: Context, { packages, mirror, state }: Config, port: number): void {
  const address = ['0.0.0.0', '::'].includes(packages.address) ? ownAddress() : packages.address
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}`
  if (json) return sayJson({ url, root: packages.root, upstream: mirror.upstream ?? null, log: `${state}/packages/access.log` })
  say(`packages  ${url}/`)
  say(`  root      ${packages.root}`)
  say(`  upstream  ${mirror.upstream ?? 'none: only what is there is served'}`)
  say(`  log       ${state}/packages/access.log`)
  say(`In the boot server's configuration:  packages: { url: "${url}" }`)
}

/** An address under which others reach us, else loopback. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

/** Resolves at the first signal; a second one ends the process at once. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  })
}
