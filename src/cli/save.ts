// `bivouac save open|close|list`: for which stations the way back is open. Asks the running server, whose business it is alone.
import type { Command } from 'commander'
import { formatDuration, parseDuration } from '../boot/duration.ts'
import type { Phase } from '../station/phase.ts'
import type { Context } from './context.ts'
import { formatTable, say, sayJson } from './output.ts'

const examples = `
Examples:
  bivouac save open kiosk-1 --for 2h        then, on the station: wget -O- http://SERVER/save | sh
  bivouac save open 52:54:00:12:34:56
  bivouac save list
  bivouac save close kiosk-1`

type Opened = Phase & { readonly token: string; readonly command: string; readonly tokenCommand: string }

/** Adds the group. */
export function addSaveCommand(program: Command, context: () => Context): void {
  const group = program.command('save').description('let a station send its configuration back, for a while').addHelpText('after', examples)
  group
    .command('open <station>')
    .description('open the configuration phase of a station (MAC or name), and print what to run there')
    .option('--for <time>', 'how long: 30m, 2h, 1d', '2h')
    .option('--dry-run', 'only tell what would be opened')
    .action((station: string, options: { for: string; dryRun?: boolean }) => open(context(), station, options))
  group
    .command('close <station>')
    .description('end it now: what comes later is refused')
    .option('--dry-run', 'only tell what would be closed')
    .action((station: string, options: { dryRun?: boolean }) => close(context(), station, options.dryRun === true))
  group
    .command('list')
    .description('what is open, and until when')
    .action(async () => {
      const phases = await context().api().get<Phase[]>('/api/v1/save')
      if (context().json) return sayJson(phases)
      if (!phases.length) return say('no configuration phase is open')
      say(formatTable(['station', 'macs', 'until', 'left'], phases.map(rowOf)))
    })
}

const rowOf = ({ station, macs, until }: Phase): string[] => [
  station ?? 'no record',
  macs.join(' '),
  new Date(until).toISOString(),
  formatDuration(until - Date.now()),
]

const pathOf = (station: string): string => `/api/v1/stations/${encodeURIComponent(station)}`

async function open(context: Context, station: string, options: { for: string; dryRun?: boolean }): Promise<void> {
  const durationMs = parseDuration(options.for, '--for')
  if (options.dryRun) {
    const { name, macs } = await context.api().get<{ name: string | null; macs: string[] }>(`${pathOf(station)}/trace`)
    if (context.json) return sayJson({ station: name, macs, durationMs, opened: false })
    return say(`would open ${name ?? 'a station without a record'} (${macs.join(' ')}) for ${formatDuration(durationMs)}`)
  }
  const opened = await context.api().post<Opened>(`${pathOf(station)}/save`, { for: options.for })
  if (context.json) return sayJson(opened)
  say(`${opened.station ?? opened.macs.join(' ')} may save its configuration until ${new Date(opened.until).toISOString()}. On the station, as root:`)
  say(`  ${opened.command}`)
  say('or, where its address does not tell who it is (the token is shown this once):')
  say(`  ${opened.tokenCommand}`)
}

async function close(context: Context, station: string, isDryRun: boolean): Promise<void> {
  if (isDryRun) {
    const [{ macs }, phases] = await Promise.all([
      context.api().get<{ macs: string[] }>(`${pathOf(station)}/trace`),
      context.api().get<Phase[]>('/api/v1/save'),
    ])
    const found = phases.filter((phase) => phase.macs.some((mac) => macs.includes(mac)))
    if (context.json) return sayJson({ closed: [], wouldClose: found })
    return say(found.length ? `would close ${found.map(({ station: name, macs: all }) => name ?? all.join(' ')).join(', ')}` : 'nothing is open')
  }
  const { closed } = await context.api().delete<{ closed: Phase[] }>(`${pathOf(station)}/save`)
  if (context.json) return sayJson({ closed })
  say(closed.length ? `closed: ${closed.map(({ station: name, macs }) => name ?? macs.join(' ')).join(', ')}` : 'nothing was open')
}
