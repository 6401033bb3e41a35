// `bivouac station|profile …`: records listed, shown and changed, in their YAML files and with their comments. Over the server when one runs, else here.
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { parse } from 'yaml'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import { uuidSchema } from '../boot/field.ts'
import type { Profile, Station } from '../boot/record.ts'
import type { StationView } from '../http/view.ts'
import type { FileEdit } from '../store/edit.ts'
import type { ChangeEntry } from '../store/edit-draft.ts'
import { openRecords } from '../store/record.ts'
import { writeYaml } from '../store/yaml-edit.ts'
import type { Context } from './context.ts'
import { type ManageCall, withManager } from './local-api.ts'
import { formatTable, say, sayJson } from './output.ts'

type Kind = 'station' | 'profile'
type DryRun = { dryRun?: boolean }
type Shown = { name: string; record: Station | Profile; profile?: string; next?: { text: string } | null; builtIn?: boolean; stations?: string[] }

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
      change(context(), 'POST', 'station', '', { name, ...recordOf(options) }, options, `made station ${name}`),
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
      change(context(), 'PATCH', 'station', `/${encodeURIComponent(name)}`, { labels: labelsOf(changes) }, options, `changed station ${name}`),
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
  addCommon(station, context, 'station')
}

export function addProfileCommand(program: Command, context: () => Context): void {
  const profile = program.command('profile').description('profiles: what stations boot')
  profile
    .command('list')
    .description('all profiles, and how many stations name them')
    .addHelpText('after', '\nExamples:\n  bivouac profile list')
    .action(() => listProfiles(context()))
  profile
    .command('add <name> <keys...>')
    .description('make a profile from key=value; kind= must be there')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  bivouac profile add disk kind=local\n  bivouac profile add kiosk kind=alpine "layers=[base, kiosk]" match.group=kiosk',
    )
    .action((name: string, keys: string[], options: DryRun) =>
      change(context(), 'POST', 'profile', '', { name, ...patchOf(keys) }, options, `made profile ${name}`),
    )
  addCommon(profile, context, 'profile')
}

/** What both kinds have. */
function addCommon(group: Command, context: () => Context, kind: Kind): void {
  const path = (name: string): string => `/${encodeURIComponent(name)}`
  group
    .command(`show <${kind}>`)
    .description(`one ${kind}: its record, and what it comes to`)
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} show kiosk`)
    .action((name: string) => showRecord(context(), kind, name))
  group
    .command(`set <${kind}> <keys...>`)
    .description('set keys: key=value (a value is read as YAML, key.deeper=value goes into a block), key= takes one away')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText(
      'after',
      `\nExamples:\n  bivouac ${kind} set kiosk ${kind === 'station' ? 'profile=rescue address=' : 'overlay=none'}\n  bivouac ${kind} set kiosk "layers=[base, kiosk]" --dry-run`,
    )
    .action((name: string, keys: string[], options: DryRun) =>
      change(context(), 'PATCH', kind, path(name), patchOf(keys), options, `changed ${kind} ${name}`),
    )
  group
    .command(`rename <${kind}> <to>`)
    .description(kind === 'profile' ? 'give it another name, in all stations that boot it too' : 'give it another name')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} rename kiosk lobby`)
    .action((name: string, to: string, options: DryRun) =>
      change(context(), 'POST', kind, `${path(name)}/rename`, { to }, options, `${kind} ${name} is ${to} now`),
    )
  group
    .command(`remove <${kind}>`)
    .description('remove the record')
    .option('-n, --dry-run', 'say what would be removed, remove nothing')
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} remove kiosk --dry-run`)
    .action((name: string, options: DryRun) => change(context(), 'DELETE', kind, path(name), undefined, options, `removed ${kind} ${name}`))
  group
    .command(`edit <${kind}>`)
    .description("open its file in $EDITOR, on the server's own machine")
    .addHelpText('after', `\nExamples:\n  EDITOR=vi bivouac ${kind} edit kiosk`)
    .action((name: string) => editRecord(context(), kind, name))
  group
    .command(`history <${kind}>`)
    .description('who changed it, and when')
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} history kiosk`)
    .action((name: string) => showHistory(context(), kind, name))
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
  await change(context, 'POST', 'station', '', body, options, `made station ${name}`)
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

/** `room=a12`, `floor-` → labels with null for those that go. Throws InputError. */
function labelsOf(changes: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    changes.map((change) => {
      const [, key, value, gone] = /^([A-Za-z0-9][A-Za-z0-9_.-]*?)(?:=(.*)|(-))$/s.exec(change) ?? []
      if (key === undefined) throw new InputError('label', `"${change}" is neither key=value nor key-`)
      return [key, gone ? null : (value ?? '')]
    }),
  )
}

/** `labels.room=a12` → `{ labels: { room: 'a12' } }`. Throws InputError. */
function patchOf(keys: readonly string[]): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const text of keys) {
    const [, key = '', value = ''] = /^([A-Za-z0-9_.-]+)=(.*)$/s.exec(text) ?? []
    if (!key) throw new InputError('key', `"${text}" is not of the form key=value`)
    const path = key.split('.')
    const last = path.pop() as string
    let inner = patch
    for (const part of path) {
      inner[part] ??= {}
      inner = inner[part] as Record<string, unknown>
    }
    inner[last] = value === '' ? null : readValue(value, key)
  }
  return patch
}

function readValue(text: string, key: string): unknown {
  try {
    const value = parse(text) as unknown
    // Lore: YAML takes a MAC of digits for a number to the base of sixty, and a version such as 3.10 for 3.1: what changes when written again was meant as text.
    return typeof value === 'number' && String(value) !== text ? text : value
  } catch (error) {
    throw new InputError('value', `${key}: not a YAML value: ${(error as Error).message.split('\n', 1)[0]}`)
  }
}

const routeOf = (kind: Kind): string => `/api/v1/${kind}s`

async function change(
  context: Context,
  method: 'POST' | 'PATCH' | 'DELETE',
  kind: Kind,
  path: string,
  body: unknown,
  { dryRun }: DryRun,
  done: string,
): Promise<void> {
  const answer = await withManager(context, (call) =>
    call<Shown & { files?: FileEdit[] }>(method, `${routeOf(kind)}${path}${dryRun ? '?dryRun=true' : ''}`, body),
  )
  if (context.json) return sayJson(answer ?? { done: true })
  if (!dryRun) return say(done)
  for (const file of answer.files ?? []) sayEdit(file)
  if (!answer.files?.length) say('nothing would change')
}

function sayEdit({ file, before, after }: FileEdit): void {
  say(after === undefined ? `would remove ${file}` : `would ${before === undefined ? 'make' : 'change'} ${file}:`)
  for (const line of (after ?? '').split('\n').slice(0, -1)) say(`  ${line}`)
}

async function showRecord(context: Context, kind: Kind, name: string): Promise<void> {
  const shown = await withManager(context, (call) => call<Shown>('GET', `${routeOf(kind)}/${encodeURIComponent(name)}`))
  if (context.json) return sayJson(shown)
  say(`${kind} ${shown.name}${shown.builtIn ? ' (built in)' : ''}`)
  for (const line of writeYaml(pick(shown.record)).trimEnd().split('\n')) say(`  ${line}`)
  if (shown.next) say(`next boot: ${shown.next.text}`)
  if (shown.stations?.length) say(`booted by: ${shown.stations.join(', ')}`)
}

/** Without what only says that nothing is said. */
const pick = (record: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(record).filter(
      ([key, value]) => key !== 'name' && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0),
    ),
  )

async function showHistory(context: Context, kind: Kind, name: string): Promise<void> {
  const entries = await withManager(context, (call) => call<ChangeEntry[]>('GET', `${routeOf(kind)}/${encodeURIComponent(name)}/history`))
  if (context.json) return sayJson(entries)
  if (!entries.length) return say('nothing was changed by command')
  say(
    formatTable(
      ['when', 'by', 'what', 'detail'],
      entries.map((entry) => [new Date(entry.at).toISOString(), entry.by, entry.action, detailOf(entry)]),
    ),
  )
}

function detailOf({ keys, to, profile }: ChangeEntry): string {
  if (profile) return `profile ${profile[0] ?? '-'} → ${profile[1] ?? '-'}`
  return to ?? keys?.join(', ') ?? ''
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

async function listProfiles(context: Context): Promise<void> {
  const profiles = await withManager(context, (call) => call<Shown[]>('GET', '/api/v1/profiles'))
  if (context.json) return sayJson(profiles)
  say(
    formatTable(
      ['name', 'kind', 'stations', ''],
      profiles.map(({ name, record, stations = [], builtIn }) => [
        name,
        (record as Profile).kind,
        String(stations.length),
        builtIn ? 'built in' : '',
      ]),
    ),
  )
}

/** The file as it stands, in the operator's editor; the server reads it again by itself. */
async function editRecord(context: Context, kind: Kind, name: string): Promise<void> {
  const { depot, networks } = context.load().config
  const records = await openRecords({ depot, networks, emit: () => {}, now: Date.now })
  records.close()
  const { file = '' } = records.placeOf(`${kind}s`, name, [])
  if (!/\.ya?ml$/.test(file)) throw new MissingError('record-missing', `there is no file of a ${kind} ${name} in ${depot}`)
  const [editor = 'vi', ...words] = (process.env.VISUAL ?? process.env.EDITOR ?? 'vi').split(' ')
  const { status, error } = spawnSync(editor, [...words, join(depot, file)], { stdio: 'inherit' })
  if (error) throw new MissingError('editor-missing', `${editor} cannot be run: ${error.message}; set EDITOR`)
  if (status !== 0) throw new InputError('editor-failed', `${editor} ended with ${status}`)
  const again = await openRecords({ depot, networks, emit: () => {}, now: Date.now })
  again.close()
  const wrong = again.problems().filter((problem) => problem.file === file)
  if (wrong.length)
    throw new InputError(
      'record-bad',
      wrong.map(({ message, line, path }) => `${file}:${line ?? 1}: ${path ? `${path}: ` : ''}${message}`).join('\n'),
    )
  say(`${file} is right`)
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

/** A list of records as YAML or JSON, a table by name, or CSV. Throws InputError. */
export function readStations(text: string, file: string): object[] {
  if (file.endsWith('.csv') || /^name,/.test(text)) return readCsv(text)
  const value = parse(text) as unknown
  if (Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null)) return value as object[]
  const table = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  if (Array.isArray(table?.stations)) return table.stations as object[]
  if (table && Object.values(table).every((one) => typeof one === 'object' && one !== null))
    return Object.entries(table).map(([name, one]) => ({ name, ...(one as object) }))
  throw new InputError('import', 'a list of stations, or a block of them by name, or CSV with a header line', { file })
}

function readCsv(text: string): object[] {
  const [header = '', ...lines] = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith('#'))
  const keys = header.split(',').map((key) => key.trim())
  return lines.map((line, index) => {
    const cells = line.split(',').map((cell) => cell.trim())
    if (cells.length !== keys.length) throw new InputError('import', `line ${index + 2} has ${cells.length} cells, the header ${keys.length}`)
    const station: Record<string, unknown> = {}
    for (const [at, key] of keys.entries()) if (cells[at]) putCell(station, key, cells[at] as string)
    return station
  })
}

function putCell(station: Record<string, unknown>, key: string, cell: string): void {
  if (key.startsWith('label.')) station.labels = { ...(station.labels as object), [key.slice(6)]: cell }
  else if (key === 'mac' || key === 'macs') station.macs = cell.split(/[ ;|]+/)
  else if (key === 'layers' || key === 'arguments') station[key] = cell.split(/[ ;|]+/)
  else station[key] = cell
}
