// `bivouac station …`: who boots from here. Over the server when one runs, else on the depot itself.
import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import { uuidSchema } from '../boot/field.ts'
import type { StationView } from '../http/view.ts'
import type { FileEdit } from '../store/edit.ts'
import type { Context } from './context.ts'
import { type ManageCall, withManager } from './local-api.ts'
import { formatTable, say, sayJson } from './output.ts'
import { addRecordCommands, changeRecord, type DryRun } from './record.ts'
import { labelsOf } from './record-patch.ts'
import { readStations } from './station-table.ts'

export function addStationCommand(program: Command, context: () => Context): void {
  const station = program.command('station').description('the records of stations: who boots from here, and what')
  station
    .command('list')
    .description('all stations, and MACs that were seen without a record')
    .addHelpText('after', '\nExamples:\n  bivouac station list\n  bivouac station list --json')
    .action(() => listStations(context()))
  station
    .command('add <name>')
    .description('make a record')
    .requiredOption('--mac <mac...>', 'MAC addresses, in any spelling; the first one is the main one')
    .option('--address <ip>', 'a fixed address')
    .option('--hostname <name>', 'its host name (default: the name)')
    .option('--group <name>', 'its group')
    .option('--profile <name>', 'what it boots (default: by match, or the setting "default")')
    .option('--uuid <uuid>', 'its UUID, as dmidecode prints it')
    .option('--label <key=value...>', 'labels')
    .option('--layer <name...>', 'layers of its overlay')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac station add kiosk-1 --mac 52:54:00:12:34:56 --profile kiosk\n  bivouac station add bench --mac 5254.0012.3456 --address 10.9.0.50 --label room=a12',
    )
    .action((name: string, options: AddOptions) =>
      changeRecord(context(), 'POST', 'station', '', { name, ...recordOf(options) }, options, `made station ${name}`),
    )
  station
    .command('adopt <mac> <name>')
    .description('make a record for a station that was seen without one, with its UUID and what it told of itself as labels')
    .option('--profile <name>', 'what it boots')
    .option('--group <name>', 'its group')
    .option('--no-facts', 'without UUID and labels')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText('after', '\nExamples:\n  bivouac station list\n  bivouac station adopt 52:54:00:12:34:56 kiosk-7 --profile kiosk')
    .action((mac: string, name: string, options: AdoptOptions) => adopt(context(), readMac(mac), name, options))
  station
    .command('label <station> <changes...>')
    .description('set labels (key=value) and take them away (key-)')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText('after', '\nExamples:\n  bivouac station label kiosk-1 room=a12 floor=2\n  bivouac station label kiosk-1 floor-')
    .action((name: string, changes: string[], options: DryRun) =>
      changeRecord(context(), 'PATCH', 'station', `/${encodeURIComponent(name)}`, { labels: labelsOf(changes) }, options, `changed station ${name}`),
    )
  station
    .command('import <file>')
    .description('make or change many records from YAML, JSON or CSV with a header line; - reads standard input')
    .option('-n, --dry-run', 'check all of it, write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac station import stations.csv --dry-run\n  bivouac station import stations.csv\n\nA CSV begins with a line such as: name,mac,address,group,profile,label.room',
    )
    .action((file: string, options: DryRun) => importStations(context(), file, options))
  addRecordCommands(station, context, 'station')
}

type AddOptions = DryRun & {
  mac: string[]
  address?: string
  hostname?: string
  group?: string
  profile?: string
  uuid?: string
  label?: string[]
  layer?: string[]
}

/** Throws InputError; words that follow `--mac` are taken for MACs too. */
function readMac(text: string): Mac {
  const mac = findMac(text)
  if (mac) return mac
  const hint = text.includes('=') ? '; other keys: --group, --label…, or afterwards "bivouac station set NAME key=value"' : ''
  throw new InputError('mac', `"${text.slice(0, 40)}" is not a MAC address such as 52:54:00:12:34:56${hint}`)
}

function recordOf({ mac, label, layer, dryRun: _, ...plain }: AddOptions): object {
  return {
    macs: mac.flatMap((one) => one.split(',')).map(readMac),
    ...plain,
    ...(label && { labels: labelsOf(label) }),
    ...(layer && { layers: layer.flatMap((one) => one.split(',')) }),
  }
}

type AdoptOptions = DryRun & { profile?: string; group?: string; facts: boolean }

async function adopt(context: Context, mac: Mac, name: string, { profile, group, facts, ...options }: AdoptOptions): Promise<void> {
  const said = facts ? await hear(context, mac) : {}
  const body = { name, macs: [mac], ...(profile && { profile }), ...(group && { group }), ...said }
  await changeRecord(context, 'POST', 'station', '', body, options, `made station ${name}`)
}

/** UUID and labels from what the running server heard; nothing without a server, which alone can have heard it. */
async function hear(context: Context, mac: Mac): Promise<object> {
  const stations = await context
    .api()
    .get<StationView[]>('/api/v1/stations')
    .catch((error: unknown) => {
      if (error instanceof OutsideError && error.code === 'no-server' && !context.isServerNamed) return []
      throw error
    })
  const said = stations.find((one) => !one.hasRecord && one.macs.includes(mac))?.said
  const uuid = uuidSchema.safeParse(said?.uuid).data
  const labels = Object.fromEntries((['manufacturer', 'product', 'serial'] as const).flatMap((key) => (said?.[key] ? [[key, said[key]]] : [])))
  return { ...(uuid && { uuid }), ...(Object.keys(labels).length && { labels }) }
}

async function listStations(context: Context): Promise<void> {
  const stations = await context.api().get<StationView[]>('/api/v1/stations')
  if (context.json) return sayJson(stations)
  if (!stations.length) return say('no stations yet; "bivouac station add NAME --mac …" makes one')
  const row = (one: StationView): string[] => [
    one.name ?? '(no record)',
    one.macs.join(' '),
    one.profile ?? '-',
    one.group ?? '-',
    one.address ?? '-',
    one.isUp ? 'up' : one.step ? `${one.step}, due ${one.due ?? 'nothing'}` : one.said ? 'seen' : 'never seen',
    one.hasRecord ? '' : sayWho(one.said),
  ]
  say(formatTable(['name', 'mac', 'profile', 'group', 'address', 'state', 'says that it is'], stations.map(row)))
}

/** Maker, product and serial, else what DHCP told. */
function sayWho(said: StationView['said']): string {
  const { manufacturer, product, serial, vendorClass } = said ?? {}
  const machine = [manufacturer, product, serial && `serial ${serial}`].filter(Boolean).join(', ')
  return machine || vendorClass || ''
}

async function importStations(context: Context, file: string, { dryRun }: DryRun): Promise<void> {
  const source =
    file === '-'
      ? await readAll(process.stdin)
      : await readFile(file, 'utf8').catch(() => {
          throw new MissingError('file-missing', `${file} cannot be read`)
        })
  const stations = readStations(source, file)
  const answer = await withManager(context, (call) => sendStations(call, stations, dryRun === true))
  if (context.json) return sayJson(answer)
  say(`${dryRun ? 'would have ' : ''}${answer.made} made, ${answer.changed} changed, ${answer.same} the same already`)
}

type Imported = { readonly made: number; readonly changed: number; readonly same: number; readonly files: readonly FileEdit[] }

const sendStations = (call: ManageCall, stations: readonly object[], dryRun: boolean): Promise<Imported> =>
  call<Imported>('POST', `/api/v1/stations/import${dryRun ? '?dryRun=true' : ''}`, { stations })
