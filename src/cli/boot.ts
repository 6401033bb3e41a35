// `bivouac boot`: what stations boot next, for a while. Only the call-back of the system ends an order; its limits lead to a stated fallback.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../boot/duration.ts'
import { InputError } from '../boot/error.ts'
import type { Context } from './context.ts'
import { type ManageCall, withManager } from './local-api.ts'
import { exitCodes, formatTable, say, sayJson } from './output.ts'

type Options = {
  profile?: string
  once?: boolean
  untilUp?: boolean
  times?: number
  attempts?: number
  for?: string
  fallback?: string
  list?: boolean
  clear?: boolean
  now?: boolean
  dryRun?: boolean
}
type Order = {
  readonly mac: string
  readonly station: string | null
  readonly profile: string
  readonly state: string
  readonly by: string
  readonly text: string
}

export function addBootCommand(program: Command, context: () => Context): void {
  program
    .command('boot [stations...]')
    .description("order what stations (names or MACs) boot next; ended by the system's call-back (POST /up/<mac>), never by a fetch")
    .option('--profile <name>', 'what they boot')
    .option('--once', 'until one boot has called back; three attempts at most (the default)')
    .option('--until-up', 'until one boot has called back, however many attempts that takes')
    .addOption(new Option('--times <n>', 'until so many boots have called back').argParser(parseCount))
    .addOption(new Option('--attempts <n>', 'boots that may begin without a call-back').argParser(parseCount))
    .option('--for <time>', 'for no longer than this: 90m, 2h, 1d', '1d')
    .option('--fallback <name>', 'what they boot once the order has failed (default: their usual profile)')
    .option('--now', 'and restart them at once: boot from the network next, then a power cycle, by the key power of their records')
    .option('--list', 'all orders')
    .option('--clear', 'take the orders of these stations away')
    .option('-n, --dry-run', 'check the order, give none')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac boot kiosk-1 --profile rescue --once\n  bivouac boot bench-1 bench-2 --profile install --fallback local --attempts 2\n  bivouac boot kiosk-1 --profile rescue --now\n  bivouac boot --list\n  bivouac boot kiosk-1 --clear\n\nAn installer calls back as its last step: wget -O- --post-data done http://SERVER/up/MAC',
    )
    .action((stations: string[], options: Options) => run(context(), stations, options))
}

function parseCount(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 999')
  return Number(text)
}

function run(context: Context, stations: readonly string[], options: Options): Promise<void> {
  if (options.list) return withManager(context, (call) => list(context, call))
  if (!stations.length) throw new InputError('stations', 'name the stations, or ask for --list')
  if (options.clear) return withManager(context, (call) => clear(context, call, stations))
  if (options.profile === undefined) throw new InputError('profile', 'say what they boot: --profile NAME, or --clear')
  if ([options.once, options.untilUp, options.times !== undefined].filter(Boolean).length > 1)
    throw new InputError('order', 'one of --once, --until-up and --times')
  return withManager(context, (call) => order(context, call, stations, options))
}

async function order(context: Context, call: ManageCall, stations: readonly string[], options: Options): Promise<void> {
  const { profile, times, attempts, untilUp, fallback } = options
  const body = {
    stations,
    profile,
    ...(times !== undefined && { times }),
    ...(attempts !== undefined ? { attempts } : untilUp && { attempts: null }),
    forSeconds: Math.ceil(parseDuration(options.for ?? '1d') / 1000),
    ...(fallback !== undefined && { fallback }),
  }
  const orders = await call<Order[]>('POST', `/api/v1/next${options.dryRun ? '?dryRun=true' : ''}`, body)
  const restarts = options.now ? await restart(context, orders, options.dryRun === true) : undefined
  if (context.json) return sayJson(restarts ? { orders, restarts } : orders)
  for (const one of orders) say(`${options.dryRun ? 'would order: ' : ''}${one.station ?? one.mac}: ${one.text}`)
  for (const { station, error } of restarts ?? []) say(`${station}: ${error ?? (options.dryRun ? 'would be restarted' : 'restarted')}`)
}

type Restart = { readonly station: string; readonly error: string | null }

/** The order stands whatever comes of this: a station that cannot be switched is told, and boots it when somebody restarts it. */
async function restart(context: Context, orders: readonly Order[], isDryRun: boolean): Promise<Restart[]> {
  const unknown = orders.flatMap(({ station, mac }) => (station === null ? [{ station: mac, error: sayUnswitched('it has no record') }] : []))
  const stations = [...new Set(orders.flatMap(({ station }) => station ?? []))]
  if (isDryRun || !stations.length) return markFailed([...stations.map((station) => ({ station, error: null })), ...unknown])
  const results = await context
    .api()
    .post<Restart[]>('/api/v1/power', { stations, action: 'cycle', bootFrom: 'network', bootFromIfPossible: true })
    .catch((error: Error) => stations.map((station) => ({ station, error: error.message })))
  return markFailed([...results.map(({ station, error }) => ({ station, error: error === null ? null : sayUnswitched(error) })), ...unknown])
}

const sayUnswitched = (why: string): string => `not restarted: ${why}; the order stands, restart it by hand`

function markFailed(restarts: readonly Restart[]): Restart[] {
  if (restarts.some(({ error }) => error !== null)) process.exitCode = exitCodes.failed
  return [...restarts]
}

async function clear(context: Context, call: ManageCall, stations: readonly string[]): Promise<void> {
  for (const station of stations) await call('DELETE', `/api/v1/stations/${encodeURIComponent(station)}/next`)
  if (context.json) return sayJson({ cleared: stations })
  say(`${stations.join(', ')}: boots as usual again`)
}

async function list(context: Context, call: ManageCall): Promise<void> {
  const orders = await call<Order[]>('GET', '/api/v1/next')
  if (context.json) return sayJson(orders)
  if (!orders.length) return say('no orders: every station boots its usual profile')
  say(
    formatTable(
      ['station', 'profile', 'state', 'by', 'how it stands'],
      orders.map((one) => [one.station ?? one.mac, one.profile, one.state, one.by, one.text]),
    ),
  )
}
