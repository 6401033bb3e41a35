// `bivouac import …`: what an existing site has, read into records, settings and files; what is here already is kept, what was not understood is told.
import { networkInterfaces } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { ownAddressOf } from '../dnsmasq/import.ts'
import { applyImport } from '../import/apply.ts'
import { readDnsmasq } from '../import/dnsmasq.ts'
import type { Draft, FileWish, Left, Places } from '../import/draft.ts'
import { readNetboot } from '../import/netboot.ts'
import { type ImportPlan, isNothing, planImport, type RecordPlan } from '../import/plan.ts'
import { readPxePilot } from '../import/pxe-pilot.ts'
import { readSrvPxe } from '../import/srv-pxe.ts'
import { openRecords } from '../store/record.ts'
import type { Context } from './context.ts'
import { withManager } from './local-api.ts'
import { say, sayJson, warn } from './output.ts'

type Options = { readonly copy?: boolean; readonly dryRun?: boolean; readonly withNetworks?: boolean }
type Read = (path: string, places: Places, options: Options) => Promise<Draft>

const ownAddresses = () =>
  Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).flatMap(({ family, cidr }) => (family === 'IPv4' && cidr ? [ownAddressOf(cidr, name)] : [])),
  )

const kinds: readonly { readonly name: string; readonly what: string; readonly example: string; readonly read: Read }[] = [
  {
    name: 'pxe-pilot',
    what: "PXE Pilot's YAML file: hosts, their power, adapters, the tree of configurations and links",
    example: '/etc/pxe-pilot/pxe-pilot.yml',
    read: readPxePilot,
  },
  {
    name: 'dnsmasq',
    what: 'a dnsmasq.conf with its hosts and dhcphosts, and the links in pxelinux.cfg of its TFTP folder',
    example: '/etc/dnsmasq.conf',
    read: (path, places, { withNetworks = false }) => readDnsmasq(path, places, { own: ownAddresses(), takesNetworks: withNetworks }),
  },
  {
    name: 'srv-pxe',
    what: 'a store with gpxe-script, boot files at its top, and configs/<mac>.tar.gz',
    example: '/srv/pxe --copy',
    read: readSrvPxe,
  },
  {
    name: 'netboot',
    what: 'a tree with menu.ipxe: the menu as it is, and a profile for each item that can be one',
    example: '/srv/http --copy',
    read: readNetboot,
  },
]

export function addImportCommand(program: Command, context: () => Context): void {
  const group = program
    .command('import')
    .description('take over an existing site: PXE Pilot, dnsmasq, /srv/pxe, an iPXE menu; loses nothing, tells what it did not understand')
  for (const { name, what, example, read } of kinds) {
    const command = group
      .command(`${name} <path>`)
      .description(what)
      .option('--copy', 'copy its files into the depot (default: they stay where they are)')
      .option('-n, --dry-run', 'tell all of it, write nothing')
      .addHelpText(
        'after',
        `\nExamples:\n  bivouac import ${name} ${example} --dry-run\n  bivouac import ${name} ${example}\n\nWhat is here already is kept. A second run finds nothing to do.`,
      )
      .action((path: string, options: Options) => run(context(), path, options, read))
    if (name === 'dnsmasq') command.option('--with-networks', 'take the networks too: Bivouac then answers DHCP on them, so stop dnsmasq first')
  }
}

async function run(context: Context, path: string, options: Options, read: Read): Promise<void> {
  const { config, file = 'bivouac.yaml' } = context.load()
  const places: Places = { depot: resolve(config.depot), state: resolve(config.state), folder: dirname(resolve(file)), copies: options.copy === true }
  const draft = await read(path, places, options)
  const book = await openRecords({ depot: places.depot, networks: config.networks, emit: () => {}, now: Date.now })
  book.close()
  const plan = await planImport(draft, book, places, resolve(file))
  const isDryRun = options.dryRun === true
  if (!isDryRun && !isNothing(plan)) await applyImport(plan, (profiles, stations) => putRecords(context, profiles, stations))
  if (context.json) return sayJson({ dryRun: isDryRun, nothingToDo: isNothing(plan), ...showPlan(plan) })
  sayPlan(plan, isDryRun)
}

const putRecords = (context: Context, profiles: readonly RecordPlan[], stations: readonly RecordPlan[]): Promise<unknown> => {
  const bodyOf = ({ name, value }: RecordPlan): object => ({ name, ...value })
  return withManager(context, (call) => call('POST', '/api/v1/stations/import', { profiles: profiles.map(bodyOf), stations: stations.map(bodyOf) }))
}

/** Without the bytes of files: some are secrets. */
function showPlan({ profiles, stations, files, settings, kept, notes, left }: ImportPlan): object {
  return { profiles, stations, files: files.map(showFile), settings: settings?.file ?? null, kept, notes, left }
}

const showFile = (wish: FileWish): object => ({
  to: wish.to,
  ...('from' in wish && { from: wish.from }),
  ...('target' in wish && { target: wish.target }),
})

function sayPlan(plan: ImportPlan, isDryRun: boolean): void {
  const { profiles, stations, files, settings, kept, notes, left } = plan
  const would = isDryRun ? 'would be ' : ''
  for (const one of profiles) say(`profile ${one.name}: ${would}made (${String(one.value.kind)})`)
  for (const one of stations) say(`station ${one.name}: ${would}${one.isNew ? 'made' : 'changed'} (${describe(one)})`)
  for (const wish of files.slice(0, 50)) say(`${wish.to}: ${would}${'from' in wish ? 'copied' : 'target' in wish ? 'linked' : 'written'}`)
  if (files.length > 50) say(`… and ${files.length - 50} files more`)
  if (settings) say(`${settings.file}: ${would}changed; the server reads it when it starts`)
  for (const note of notes) say(`note: ${note}`)
  for (const one of kept) say(`kept: ${one}`)
  for (const one of left) warn(`not taken over: ${formatLeft(one)}`)
  say(isNothing(plan) ? `nothing to do${left.length ? `; ${left.length} not taken over` : ''}` : summary(plan, isDryRun))
}

const describe = ({ value }: RecordPlan): string =>
  Object.keys(value)
    .map((key) => (key === 'profile' ? `profile ${String(value[key])}` : key))
    .join(', ')

const formatLeft = ({ file, line, text, why }: Left): string => `${file}${line === undefined ? '' : `:${line}`}: ${text}: ${why}`

const summary = ({ profiles, stations, files, left }: ImportPlan, isDryRun: boolean): string =>
  `${profiles.length} profiles, ${stations.length} stations, ${files.length} files${isDryRun ? ' (--dry-run: nothing was written)' : ''}; ${left.length} not taken over`
