// `bivouac explain <station>`: what a station would get at every step, and why, before any packet is sent. Asks the running server,
// or works it out from the configuration and the depot when none runs.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { findMac, type Mac } from '../boot/address.ts'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { Reason } from '../boot/match.ts'
import type { Loader } from '../ipxe/library.ts'
import { createLocalGate } from '../server/local.ts'
import type { ExplainedDecision, Explanation } from '../station/explain.ts'
import type { Context } from './context.ts'
import { say, sayJson } from './output.ts'
import { formatHeld } from './overlay-show.ts'

type Options = { arch?: number[]; network?: string; script?: boolean; local?: boolean }
type Answer = { readonly name: string | null; readonly explanations: readonly Explanation[] }

export function addExplainCommand(program: Command, context: () => Context): void {
  program
    .command('explain <station>')
    .description('what a station (MAC or name) would get at every step, and why, the losing rules too; sends nothing')
    .option(
      '--arch <codes>',
      'firmware to explain, as option 93 codes: 0 BIOS, 7 UEFI x64, 11 UEFI arm64, 16 HTTP Boot x64 (default: 0,7)',
      parseArchs,
    )
    .option('--network <name>', 'the network that it asks on (default: of its address, of its lease, or the first)')
    .option('--script', 'print only the script')
    .addOption(new Option('--local', 'work it out here, without asking the running server'))
    .addHelpText('after', '\nExamples:\n  bivouac explain 52:54:00:12:34:56\n  bivouac explain kiosk-1 --arch 11\n  bivouac explain kiosk-1 --script')
    .action((station: string, options: Options) => explain(context(), station, options))
}

function parseArchs(text: string): number[] {
  if (!/^[0-9]{1,5}(,[0-9]{1,5})*$/.test(text)) throw new InvalidArgumentError('numbers separated by commas, such as 0,7')
  return text.split(',').map(Number)
}

async function explain(context: Context, station: string, options: Options): Promise<void> {
  const answer = await ask(context, station, options)
  if (context.json) return sayJson(answer)
  for (const explanation of answer.explanations) {
    if (options.script) say(explanation.script.text ?? '')
    else sayExplanation(explanation)
  }
}

async function ask(context: Context, station: string, options: Options): Promise<Answer> {
  if (options.local) return askLocally(context, station, options)
  const { arch, network } = options
  const query = new URLSearchParams({ ...(arch && { arch: arch.join(',') }), ...(network !== undefined && { network }) })
  try {
    return await context.api().get<Answer>(`/api/v1/explain/${encodeURIComponent(station)}?${query}`)
  } catch (error) {
    if (error instanceof OutsideError && error.code === 'no-server' && !context.isServerNamed) return askLocally(context, station, options)
    throw error
  }
}

async function askLocally(context: Context, station: string, options: Options): Promise<Answer> {
  const { config } = context.load()
  const { gate, records, close } = await createLocalGate(config)
  try {
    const { stations, stationByMac } = records.current()
    const mac = findMac(station)
    const record = mac ? stationByMac.get(mac) : stations.find(({ name }) => name === station)
    const macs: readonly Mac[] = record?.macs ?? (mac ? [mac] : [])
    if (!macs.length) throw new MissingError('station', `"${station}" is neither a MAC address nor the name of a station`)
    const explanations = await Promise.all(
      macs.map((one) =>
        gate.explain(one, {
          httpBase: context.serverUrl(),
          ...(options.arch && { archs: options.arch }),
          ...(options.network !== undefined && { network: options.network }),
        }),
      ),
    )
    return { name: record?.name ?? null, explanations }
  } finally {
    close()
  }
}

function sayExplanation({ mac, station, place, dhcp, script, overlay }: Explanation): void {
  const where = place ? `network ${place.network} (${place.mode})` : 'DHCP is off, so this is what it would answer'
  say(`${mac}, ${station ? `station ${station}` : 'no record'}, ${where}`)
  for (const one of dhcp.filter(isNews)) sayDecision(one, place?.leaseIp)
  say(`\n3. The script (${script.name}): profile ${script.profile}, kind ${script.kind}${script.boots ? '' : ', boots nothing'}`)
  sayReasons(script.why)
  say(`\n4. The overlay: ${'path' in overlay ? `${overlay.path} (${overlay.from})` : `none: ${overlay.missing}`}`)
  if ('path' in overlay && overlay.layers) say(`   layers ${overlay.layers.join(', ')}; SHA-256 ${overlay.digest}`)
  if ('path' in overlay && overlay.pinned) say(`   held at ${formatHeld(overlay.pinned)}`)
  if ('path' in overlay && overlay.isSecret) say('   secret: given once for each boot, and only with the ticket of its script')
  if ('path' in overlay) for (const path of overlay.passed) sayReasons([{ rule: 'overlay', held: false, text: `there is no ${path}` }])
  if ('path' in overlay) for (const { code, text } of overlay.warnings) say(`   warning: ${text} [${code}]`)
  if (script.text) say(`\n5. What the station is sent:\n\n${script.text.trimEnd().replace(/^/gm, '   | ')}`)
}

/** iPXE is answered alike on every firmware, as a rule: the same words once. */
const isNews = (one: ExplainedDecision, at: number, all: readonly ExplainedDecision[]): boolean =>
  !all.slice(0, at).some((before) => before.stage === one.stage && JSON.stringify(before.decision) === JSON.stringify(one.decision))

const stageNames = {
  firmware: '1. Its firmware asks by DHCP',
  ipxe: '2. A foreign iPXE asks',
  bivouac: '2. Our iPXE asks',
  system: 'Its system asks',
} as const

function sayDecision({ stage, firmware, decision, loader }: ExplainedDecision, leaseIp?: string): void {
  say(`\n${stageNames[stage]} (${firmware}): ${describeDecision(decision, leaseIp)}${loader ? `\n   from ${describeLoader(loader)}` : ''}`)
  sayReasons(decision.why)
}

/** `/srv/depot/ipxe/undionly.kpxe (depot): artifact 17ad26a0a2a0, recipe undionly, built 2026-11-21 03:11 UTC` */
export function describeLoader({ path, source, artifact }: Loader): string {
  if (!artifact) return `${path} (${source})`
  const made = artifact.kind === 'patched' ? 'patched' : 'built'
  const time = new Date(artifact.builtAt).toISOString().slice(0, 16).replace('T', ' ')
  return `${path} (${source}): artifact ${artifact.fingerprint}, ${artifact.recipe ? `recipe ${artifact.recipe}` : artifact.target}, ${made} ${time} UTC`
}

/** `10.9.0.50, by its record`, or what else its address will be. */
function describeAddress(decision: ExplainedDecision['decision'], leaseIp: string | undefined): string {
  if (decision.kind === 'ignore' || decision.address.from === 'elsewhere') return 'its address from another server'
  if (decision.address.from === 'record') return `address ${decision.address.ip} by its record`
  return leaseIp ? `address ${leaseIp}, which it holds` : 'an address of the pool'
}

function describeDecision(decision: ExplainedDecision['decision'], leaseIp: string | undefined): string {
  switch (decision.kind) {
    case 'ignore':
      return 'no answer'
    case 'lease':
      return `${describeAddress(decision, leaseIp)}, nothing to boot`
    case 'loader':
      return `${describeAddress(decision, leaseIp)}, loader ${decision.via === 'http' ? decision.url : decision.file}`
    case 'script':
      return `${describeAddress(decision, leaseIp)}, script ${decision.url}`
  }
}

function sayReasons(why: readonly Reason[]): void {
  for (const { held, rule, text } of why) say(`   ${held ? '+' : '-'} ${rule.padEnd(16)} ${text}`)
}
