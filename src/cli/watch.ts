// `bivouac events|trace|status|leases`: what a running server has seen, over its HTTP API. Reads only.
import { type Command, Option } from 'commander'
import { parseMac } from '../boot/address.ts'
import type { BootEvent } from '../boot/event.ts'
import { InputError } from '../boot/error.ts'
import type { SequenceStep } from '../boot/sequence.ts'
import type { BootView, LeaseView } from '../http/view.ts'
import { formatMistake, type Mistake } from '../store/mistake.ts'
import type { Context } from './context.ts'
import { formatTable, formatTime, say, sayJson } from './output.ts'

/** One line for one event: time, station, step, what matters of it. */
export function formatEvent(event: BootEvent): string {
  const detail = Object.entries(event.detail ?? {}).map(([name, value]) => `${name}=${value}`)
  const parts = [formatTime(event.at), (event.mac ?? '-').padEnd(17), event.kind.padEnd(15), event.ip ?? '', event.network ?? '', ...detail]
  return parts.filter((part) => part !== '').join('  ')
}

/** `90s`, `10m`, `2h`, `3d` → milliseconds. Throws InputError. */
export function parseAge(text: string): number {
  const [, count = '', unit = ''] = /^([0-9]{1,6})(s|m|h|d)$/.exec(text) ?? []
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit]
  if (unitMs === undefined) throw new InputError('age', `"${text}" is not an age such as 90s, 10m, 2h or 3d`)
  return Number(count) * unitMs
}

type EventOptions = { follow?: boolean; since?: string; kind?: string[]; limit: string }

export function addWatchCommands(program: Command, context: () => Context): void {
  program
    .command('events [mac]')
    .description('what stations did, oldest first')
    .option('-f, --follow', 'go on with what comes')
    .option('--since <age>', 'only what is younger than this: 90s, 10m, 2h, 3d')
    .option('--kind <kind...>', 'only these kinds: discover, offer, script, overlay, up, nak, pool-full…')
    .addOption(new Option('--limit <n>', 'at most so many').default('200'))
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac events --since 10m\n  bivouac events 52:54:00:12:34:56 --follow\n  bivouac --json events --kind pool-full no-loader overlay-broken',
    )
    .action((mac: string | undefined, options: EventOptions) => showEvents(context(), mac, options))
  program
    .command('trace <station>')
    .description('the boots of one station (MAC or name), step by step: what came, when, and what is still due')
    .addHelpText('after', '\nExamples:\n  bivouac trace kiosk-1\n  bivouac trace 52:54:00:12:34:56 --json')
    .action((station: string) => showTrace(context(), station))
  program
    .command('status')
    .description('what the server listens on, serves and complains of')
    .addHelpText('after', '\nExamples:\n  bivouac status\n  bivouac status --server http://10.9.0.1:8080     with BIVOUAC_TOKEN in the environment')
    .action(async () => sayStatus(context(), await context().api().get<Status>('/api/v1/status')))
  program
    .command('leases')
    .description('who holds which address')
    .addHelpText('after', '\nExamples:\n  bivouac leases\n  bivouac leases --json')
    .action(async () => sayLeases(context(), await context().api().get<LeaseView[]>('/api/v1/leases')))
}

function eventPath(mac: string | undefined, options: EventOptions): string {
  const query = new URLSearchParams({ limit: options.limit })
  if (mac) query.set('mac', parseMac(mac))
  if (options.since) query.set('since', String(Date.now() - parseAge(options.since)))
  if (options.kind) query.set('kinds', options.kind.join(','))
  return `/api/v1/events?${query}`
}

async function showEvents(context: Context, mac: string | undefined, options: EventOptions): Promise<void> {
  const show = (event: BootEvent) => say(context.json ? JSON.stringify(event) : formatEvent(event))
  const path = eventPath(mac, options)
  const past = await context.api().get<BootEvent[]>(path)
  for (const event of past) show(event)
  if (!options.follow) return
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  for await (const line of context.api().follow(path, stop.signal, lastIdOf(past))) show(JSON.parse(line))
}

/** The live stream's id of the last of these events: its time, and how many of that millisecond came before it. */
function lastIdOf(events: readonly BootEvent[]): string | undefined {
  const at = events.at(-1)?.at
  return at === undefined ? undefined : `${at}.${events.filter((event) => event.at === at).length - 1}`
}

async function showTrace(context: Context, station: string): Promise<void> {
  const answer = await context
    .api()
    .get<{ name: string | null; macs: string[]; boots: BootView[] }>(`/api/v1/stations/${encodeURIComponent(station)}/trace`)
  if (context.json) return sayJson(answer)
  if (!answer.boots.length) return say(`${answer.name ?? station}: nothing seen yet`)
  for (const boot of answer.boots) sayBoot(boot)
}

function sayBoot(boot: BootView): void {
  const state = boot.isUp ? 'up' : `not up, due next: ${boot.due[0] ?? 'nothing'}`
  say(`boot of ${new Date(boot.startedAt).toISOString()}: ${state}${boot.reason === null ? '' : `; ${boot.reason}`}`)
  for (const step of boot.sequence) saySequenceStep(step, boot.startedAt)
  if (boot.missing) say(`  missing: ${boot.missing} (a later step came without it)`)
  const report = Object.entries(boot.report ?? {}).filter(([name]) => reported.has(name))
  if (report.length) say(`  it says: ${report.map(([name, value]) => `${name} ${value}`).join(', ')}`)
  for (const event of boot.trouble) say(`  trouble: ${formatEvent(event)}`)
}

const reported: ReadonlySet<string> = new Set(['release', 'kernel', 'hostname', 'uptimeSeconds', 'modloop', 'failed', 'missing', 'report'])

/** The step of the document, and under its time what we saw of it. */
function saySequenceStep({ number, name, state, events, lacks }: SequenceStep, startedAt: number): void {
  const head = `${String(number).padStart(4)}. ${name.padEnd(22)}`
  if (!events.length) say(`${head} ${stateWords[state]}${lacks.length && state !== 'open' ? `: ${lacks.join(', ')}` : ''}`)
  for (const [index, event] of events.entries()) {
    const after = `+${((event.at - startedAt) / 1000).toFixed(1).padStart(6)} s`
    say(`${index ? ' '.repeat(head.length) : head} ${after}  ${event.kind.padEnd(12)} ${event.detail?.file ?? event.ip ?? ''}`)
  }
  if (events.length && lacks.length && state === 'missing') say(`${' '.repeat(head.length)} MISSING: ${lacks.join(', ')}`)
}

const stateWords: Readonly<Record<SequenceStep['state'], string>> = {
  seen: '',
  implied: '(by what follows)',
  missing: 'MISSING',
  due: 'due',
  open: '-',
}

type Status = {
  version: string
  uptimeSeconds: number
  listening: { service: string; address: string; port: number; network?: string }[]
  counts: Record<string, number>
  problems: Mistake[]
  troubled?: { station: string; isUp: boolean; reason: string }[]
}

function sayStatus(context: Context, status: Status): void {
  if (context.json) return sayJson(status)
  say(`Bivouac ${status.version}, up for ${Math.round(status.uptimeSeconds)} s`)
  for (const { service, address, port, network } of status.listening)
    say(`  ${service.padEnd(8)} ${address}:${port}${network ? `  network ${network}` : ''}`)
  say(
    `  ${Object.entries(status.counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')}`,
  )
  for (const problem of status.problems) say(`  problem: ${formatMistake(problem)}`)
  for (const { station, isUp, reason } of status.troubled ?? []) say(`  station ${station}: ${isUp ? 'up' : 'not up'}; ${reason}`)
}

function sayLeases(context: Context, leases: LeaseView[]): void {
  if (context.json) return sayJson(leases)
  if (!leases.length) return say('no leases')
  const until = (seconds: number | null) => (seconds === null ? 'for ever' : new Date(seconds * 1000).toISOString())
  say(
    formatTable(
      ['address', 'mac', 'state', 'until', 'network', 'hostname'],
      leases.map((lease) => [lease.ip, lease.mac, lease.state, until(lease.expiresAt), lease.network, lease.hostname ?? '']),
    ),
  )
}
