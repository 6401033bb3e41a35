// Changes stations and profiles in their YAML files: comments kept, checked before they are written, all files of one change or none,
// with the writer's name in a history. Used by the API, and by commands when no server runs.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { findMac } from '../boot/address.ts'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { builtInProfiles, type Profile, type Station } from '../boot/record.ts'
import { codeOf } from './atomic.ts'
import { openJournal } from './journal.ts'
import { MistakesError } from './mistake.ts'
import type { RecordBook, RecordKind } from './record.ts'
import { readProfile, readStation } from './record-file.ts'
import { type FileChange, openTransactions } from './transaction.ts'
import { type Patch, patchYaml, writeYaml } from './yaml-edit.ts'

/** One record's change. `create` refuses a name that is taken; `rename` keeps the file's text. */
export type RecordChange = { readonly kind: RecordKind; readonly name: string } & (
  | { readonly action: 'create'; readonly value: Patch }
  | { readonly action: 'change'; readonly patch: Patch }
  | { readonly action: 'rename'; readonly to: string }
  | { readonly action: 'remove' }
)

/** One file before and after; undefined: not there. */
export type FileEdit = { readonly file: string; readonly before: string | undefined; readonly after: string | undefined }

/** Who changed what, when. `keys` are the keys that a change named. */
export type ChangeEntry = {
  readonly at: number
  readonly by: string
  readonly kind: RecordKind
  readonly name: string
  readonly action: RecordChange['action']
  readonly keys?: readonly string[]
  readonly to?: string
  /** Old and new profile of a station, where it changed: what history is asked for most. */
  readonly profile?: readonly [string | null, string | null]
}

export type RecordEditor = {
  /**
   * Carries out all changes or none (`isDryRun`: none, checked all the same) and answers which files they change; resolves when they are durable and in force. Throws InputError (MistakesError) for a record that would be
   * wrong, ConflictError for a name or MAC that another has, MissingError for a record that is not there or is no file.
   */
  readonly apply: (changes: readonly RecordChange[], by: string, options?: { readonly isDryRun?: boolean }) => Promise<readonly FileEdit[]>
  /** Newest last, at most `limit`. */
  readonly history: (kind?: RecordKind, name?: string, limit?: number) => readonly ChangeEntry[]
  readonly close: () => Promise<void>
}

export type EditorOptions = { readonly depot: string; readonly state: string; readonly records: RecordBook; readonly now: () => number }

/** A record file as it will be. `text` undefined: gone. */
type Draft = { file: string; kind: RecordKind; name: string; before: string | undefined; text: string | undefined }

const entrySchema = z.looseObject({ at: z.number(), by: z.string(), kind: z.enum(['stations', 'profiles']), name: z.string(), action: z.string() })
const maxHistory = 10_000

/** Opens the history and finishes what a crash left undone. Throws OutsideError when the disk refuses. */
export async function openEditor({ depot, state, records, now }: EditorOptions): Promise<RecordEditor> {
  const transactions = await openTransactions(join(state, 'intents'))
  const read = (value: unknown): ChangeEntry => entrySchema.parse(value) as unknown as ChangeEntry
  const { journal, entries } = await openJournal(join(state, 'changes.jsonl'), { sync: true, read, last: maxHistory })
  const known = [...entries]
  let running: Promise<unknown> = Promise.resolve()

  async function apply(changes: readonly RecordChange[], by: string, isDryRun: boolean): Promise<readonly FileEdit[]> {
    // What was edited by hand a moment ago is looked at too.
    await records.reload()
    const drafts: Draft[] = []
    const told: ChangeEntry[] = []
    for (const change of changes) told.push(await draftChange(depot, records, drafts, change, { at: now(), by }))
    checkDrafts(records, drafts)
    const edits = drafts.filter(({ text, before }) => text !== before).map(({ file, before, text }) => ({ file, before, after: text }))
    if (isDryRun) return edits
    await transactions.commit(
      edits.map(
        ({ file, after }): FileChange => (after === undefined ? { path: join(depot, file), gone: true } : { path: join(depot, file), bytes: after }),
      ),
    )
    await records.reload()
    known.push(...told)
    known.splice(0, known.length - maxHistory)
    await journal.append(told)
    return edits
  }

  return {
    apply(changes, by, { isDryRun = false } = {}) {
      const mine = running.then(() => apply(changes, by, isDryRun))
      running = mine.catch(() => undefined)
      return mine
    },
    history: (kind, name, limit = 200) =>
      known.filter((entry) => (!kind || entry.kind === kind) && (name === undefined || entry.name === name || entry.to === name)).slice(-limit),
    close: () => running.then(() => journal.close()),
  }
}

async function draftChange(
  depot: string,
  records: RecordBook,
  drafts: Draft[],
  change: RecordChange,
  base: { at: number; by: string },
): Promise<ChangeEntry> {
  const { kind, name, action } = change
  const entry = { ...base, kind, name, action }
  if (action === 'create') {
    const file = `${kind}/${parseName(name)}.yaml`
    if (isTaken(records, drafts, kind, name))
      throw new ConflictError('name-taken', `there is a ${singular(kind)} ${name} already; change it, or take another name`)
    drafts.push({ file, kind, name, before: await readText(depot, file), text: writeYaml(change.value) })
    return { ...entry, keys: Object.keys(change.value) }
  }
  const draft = await openDraft(depot, records, drafts, kind, name)
  if (action === 'remove') {
    draft.text = undefined
    return entry
  }
  if (action === 'rename') {
    renameDraft(records, drafts, draft, change.to)
    for (const station of kind === 'profiles' ? usersOf(records, name) : [])
      await draftChange(depot, records, drafts, { kind: 'stations', name: station, action: 'change', patch: { profile: change.to } }, base)
    return { ...entry, to: change.to }
  }
  const before = profileOf(kind, draft)
  draft.text = patchRecord(draft, change.patch)
  const after = profileOf(kind, draft)
  return { ...entry, keys: Object.keys(change.patch), ...(before !== after && { profile: [before, after] as const }) }
}

/** The draft of an earlier change in this call, else the file as it stands. */
async function openDraft(depot: string, records: RecordBook, drafts: Draft[], kind: RecordKind, name: string): Promise<Draft> {
  const open = drafts.find((draft) => draft.kind === kind && draft.name === name && draft.text !== undefined)
  if (open) return open
  const { file = '' } = records.placeOf(kind, name, [])
  const text = isRecordPath(file) ? await readText(depot, file) : undefined
  if (text === undefined) throw new MissingError('record-missing', sayMissing(records, kind, name))
  const draft: Draft = { file, kind, name, before: text, text }
  drafts.push(draft)
  return draft
}

/** Stations whose record names the profile. */
const usersOf = (records: RecordBook, profile: string): string[] =>
  records
    .current()
    .stations.filter((station) => station.profile === profile)
    .map(({ name }) => name)

function renameDraft(records: RecordBook, drafts: Draft[], draft: Draft, to: string): void {
  parseName(to)
  if (isTaken(records, drafts, draft.kind, to)) throw new ConflictError('name-taken', `there is a ${singular(draft.kind)} ${to} already`)
  const text = draft.text ?? ''
  draft.text = undefined
  // A name that stands in the file is changed there too; without one the file's name is the record's.
  const isNamed = /^name:/m.test(text)
  drafts.push({
    file: `${draft.kind}/${to}.yaml`,
    kind: draft.kind,
    name: to,
    before: undefined,
    text: isNamed ? patchYaml(text, { name: to }, draft.file) : text,
  })
}

/** A file says `mac:` or `macs:`, not both: one address goes where it says mac, more of them take its line. */
function patchRecord({ kind, text = '', file }: Draft, patch: Patch): string {
  const written = /^mac:([ \t]*)("[^"]*"|'[^']*'|[^\s#]+)/m
  if (kind !== 'stations' || !Array.isArray(patch.macs) || !written.test(text)) return patchYaml(text, patch, file)
  const { macs, ...rest } = patch
  const wanted = (macs as unknown[]).map(String)
  if (wanted.length === 1) return patchYaml(text, isSameMac(written.exec(text)?.[2], wanted[0]) ? rest : { mac: wanted[0], ...rest }, file)
  return patchYaml(
    text.replace(written, (_, blanks: string) => `macs:${blanks}[${wanted.join(', ')}]`),
    patch,
    file,
  )
}

const isSameMac = (one = '', other = ''): boolean => {
  const mac = findMac(one.replace(/["']/g, ''))
  return mac !== undefined && mac === findMac(other)
}

/** Every record as it would be: right by itself, and no name or MAC twice. */
function checkDrafts(records: RecordBook, drafts: readonly Draft[]): void {
  const gone = new Set(drafts.filter(({ text }) => text === undefined).map(({ kind, name }) => `${kind}/${name}`))
  const made = drafts.flatMap((draft) => (draft.text === undefined ? [] : [{ draft, value: readDraft(draft) }]))
  const touched = new Set([...gone, ...made.map(({ draft }) => `${draft.kind}/${draft.name}`)])
  const holders = new Map<string, string>()
  for (const station of records.current().stations)
    if (!touched.has(`stations/${station.name}`)) for (const mac of station.macs) holders.set(mac, station.name)
  checkUse(records, gone, made, touched)
  for (const { draft, value } of made) {
    if (draft.kind !== 'stations') continue
    for (const mac of (value as Station).macs) {
      const holder = holders.get(mac)
      if (holder !== undefined) throw new ConflictError('mac-twice', `${mac} is station ${holder}'s; take it away there first`)
      holders.set(mac, draft.name)
    }
  }
}

type Made = { readonly draft: Draft; readonly value: Station | Profile }

/** A profile that stations name is not taken away, unless a built-in one or another file has its name. */
function checkUse(records: RecordBook, gone: ReadonlySet<string>, made: readonly Made[], touched: ReadonlySet<string>): void {
  const builtIn = new Set(builtInProfiles.map(({ name }) => name))
  const remaining = [
    ...records.current().stations.filter(({ name }) => !touched.has(`stations/${name}`)),
    ...made.flatMap(({ draft, value }) => (draft.kind === 'stations' ? [value as Station] : [])),
  ]
  const isGone = (profile: string): boolean =>
    gone.has(`profiles/${profile}`) && !builtIn.has(profile) && !made.some(({ draft }) => draft.kind === 'profiles' && draft.name === profile)
  const users = remaining.filter(({ profile }) => profile !== undefined && isGone(profile)).map(({ name }) => name)
  if (users.length)
    throw new ConflictError(
      'profile-in-use',
      `${users.slice(0, 5).join(', ')}${users.length > 5 ? '…' : ''} (${users.length}) boot it; give them another profile first`,
    )
}

function readDraft({ kind, file, name, text = '' }: Draft): Station | Profile {
  const outcome = kind === 'stations' ? readStation(text, file) : readProfile(text, file)
  if ('mistakes' in outcome) throw new MistakesError(file, outcome.mistakes)
  if (outcome.value.name !== name)
    throw new InputError('name-differs', `the name is changed by renaming, not by the key name`, { file, path: 'name' })
  return outcome.value
}

const isTaken = (records: RecordBook, drafts: readonly Draft[], kind: RecordKind, name: string): boolean => {
  const mine = drafts.findLast((draft) => draft.kind === kind && draft.name === name)
  return mine ? mine.text !== undefined : isRecordPath(records.placeOf(kind, name, []).file ?? '')
}

const isRecordPath = (file: string): boolean => /\.ya?ml$/.test(file)

const singular = (kind: RecordKind): string => kind.slice(0, -1)

function sayMissing(records: RecordBook, kind: RecordKind, name: string): string {
  const isBuiltIn = kind === 'profiles' && records.current().profiles.has(name)
  if (isBuiltIn) return `profile ${name} is built in and has no file; create profiles/${name}.yaml in its place first`
  return `there is no ${singular(kind)} ${name.slice(0, 64)}`
}

function parseName(name: string): string {
  const parsed = nameSchema.safeParse(name)
  if (!parsed.success) throw new InputError('name', parsed.error.issues[0]?.message ?? 'not a name', { path: 'name' })
  return parsed.data
}

function profileOf(kind: RecordKind, { text = '', file }: Draft): string | null {
  const outcome = kind === 'stations' ? readStation(text, file) : undefined
  return (outcome && 'value' in outcome && outcome.value.profile) || null
}

async function readText(depot: string, file: string): Promise<string | undefined> {
  try {
    return await readFile(join(depot, file), 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
