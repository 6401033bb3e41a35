// Changes of records as drafts of their files: what each file would hold afterwards. Used by store/edit, which checks and writes them.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findMac } from '../boot/address.ts'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { codeOf } from './atomic.ts'
import type { RecordBook, RecordKind } from './record.ts'
import { readStation } from './record-file.ts'
import { type Patch, patchYaml, writeYaml } from './yaml-edit.ts'

/** One record's change. `create` refuses a name that is taken; `rename` keeps the file's text. */
export type RecordChange = { readonly kind: RecordKind; readonly name: string } & (
  | { readonly action: 'create'; readonly value: Patch }
  | { readonly action: 'change'; readonly patch: Patch }
  | { readonly action: 'rename'; readonly to: string }
  | { readonly action: 'remove' }
)

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

/** A record file as it will be. `text` undefined: gone. */
export type Draft = { file: string; kind: RecordKind; name: string; before: string | undefined; text: string | undefined }

/** Adds the drafts of one change; answers what the history is to say of it. Throws ConflictError, MissingError or InputError. */
export async function draftChange(
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
