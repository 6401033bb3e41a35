// `bivouac power …`: stations switched by their own controllers, over the running server.
import { type Command, Option } from 'commander'
import type { Context } from './context.ts'
import { exitCodes, formatTable, say, sayJson } from './output.ts'

type Result = { readonly station: string; readonly state: string | null; readonly error: string | null }
type Options = { boot?: 'network' | 'disk'; dryRun?: boolean }

export function addPowerCommand(program: Command, context: () => Context): void {
  const power = program
    .command('power')
    .description('switch stations: IPMI, Redfish, Wake-on-LAN or a command, as the key power of their records says')
  power
    .command('status <stations...>')
    .description('are they on?')
    .addHelpText('after', '\nExamples:\n  bivouac power status kiosk-1 kiosk-2')
    .action((stations: string[]) => run(context(), 'status', stations, {}))
  for (const [action, what] of [
    ['on', 'switch them on'],
    ['off', 'switch them off, at once'],
    ['cycle', 'reset them; one that is off is switched on'],
  ] as const) {
    power
      .command(`${action} <stations...>`)
      .description(what)
      .addOption(new Option('--boot <device>', 'what they boot from next, once').choices(['network', 'disk']))
      .option('-n, --dry-run', 'ask their states, switch nothing')
      .addHelpText('after', `\nExamples:\n  bivouac power ${action} kiosk-1 --boot network`)
      .action((stations: string[], options: Options) => run(context(), action, stations, options))
  }
  power
    .command('refresh <subnets...>')
    .description('look for controllers that records name by their MAC, by asking every address of these subnets once (needs fping)')
    .addHelpText('after', '\nExamples:\n  bivouac power refresh 10.9.1.0/24')
    .action(async (subnets: string[]) => {
      const answer = await context().api().post<{ neighbours: number }>('/api/v1/power/refresh', { subnets })
      if (context().json) return sayJson(answer)
      say(`${answer.neighbours} neighbours are known`)
    })
}

async function run(context: Context, action: string, stations: readonly string[], { boot, dryRun }: Options): Promise<void> {
  const asked = dryRun ? 'status' : action
  const results = await context.api().post<Result[]>('/api/v1/power', { stations, action: asked, ...(boot && !dryRun && { bootFrom: boot }) })
  if (results.some(({ error }) => error !== null)) process.exitCode = exitCodes.failed
  if (context.json) return sayJson(results)
  const told = ({ state, error }: Result): string => error ?? (dryRun ? `is ${state}; would: ${action}` : (state ?? 'done'))
  say(
    formatTable(
      ['station', action === 'status' ? 'state' : action],
      results.map((one) => [one.station, told(one)]),
    ),
  )
}
