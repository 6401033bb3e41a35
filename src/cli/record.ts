// What the commands of stations and of profiles share: show, set, rename, remove, edit, history, and how a change is sent and told.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Command } from 'commander'
import { InputError, MissingError } from '../boot/error.ts'
import type { Profile, Station } from '../boot/record.ts'
import type { FileEdit } from '../store/edit.ts'
import type { ChangeEntry } from '../store/edit-draft.ts'
import { openRecords } from '../store/record.ts'
import { writeYaml } from '../store/yaml-edit.ts'
import type { Context } from './context.ts'
import { withManager } from './local-api.ts'
import { formatTable, say, sayJson } from './output.ts'
import { patchOf } from './record-patch.ts'

export type Kind = 'station' | 'profile'
export type DryRun = { dryRun?: boolean }
export type Shown = {
  name: string
  record: Station | Profile
  profile?: string
  next?: { text: string } | null
  builtIn?: boolean
  stations?: string[]
}

/** What both kinds have. */
export function addRecordCommands(group: Command, context: () => Context, kind: Kind): void {
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
      changeRecord(context(), 'PATCH', kind, path(name), patchOf(keys), options, `changed ${kind} ${name}`),
    )
  group
    .command(`rename <${kind}> <to>`)
    .description(kind === 'profile' ? 'give it another name, in all stations that boot it too' : 'give it another name')
    .option('-n, --dry-run', 'say what would be written, write nothing')
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} rename kiosk lobby`)
    .action((name: string, to: string, options: DryRun) =>
      changeRecord(context(), 'POST', kind, `${path(name)}/rename`, { to }, options, `${kind} ${name} is ${to} now`),
    )
  group
    .command(`remove <${kind}>`)
    .description('remove the record')
    .option('-n, --dry-run', 'say what would be removed, remove nothing')
    .addHelpText('after', `\nExamples:\n  bivouac ${kind} remove kiosk --dry-run`)
    .action((name: string, options: DryRun) => changeRecord(context(), 'DELETE', kind, path(name), undefined, options, `removed ${kind} ${name}`))
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

const routeOf = (kind: Kind): string => `/api/v1/${kind}s`

/** Sends a change, or asks what it would do, and tells it. `done` is what is said when it is done. */
export async function changeRecord(
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
