// What an import would change here: the draft compared with records, files and bivouac.yaml as they are. What is there already is kept; a second run plans nothing.
// Used by `bivouac import`; carried out by apply.
import { lstat, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { builtInProfiles, type Profile, type Station } from '../boot/record.ts'
import type { RecordBook } from '../store/record.ts'
import { readProfile, readStation } from '../store/record-file.ts'
import { type Patch, writeYaml } from '../store/yaml-edit.ts'
import { type Draft, type FileWish, type Left, makeName, type Places, type StationWish } from './draft.ts'
import { isSameFile } from './same.ts'
import { mergeSettings } from './setting.ts'

export type RecordPlan = { readonly name: string; readonly value: Patch; readonly isNew: boolean; readonly source: string }

export type ImportPlan = {
  readonly profiles: readonly RecordPlan[]
  readonly stations: readonly RecordPlan[]
  readonly files: readonly FileWish[]
  /** bivouac.yaml as it will be; undefined: it stays. */
  readonly settings?: { readonly file: string; readonly text: string }
  /** What is here already and says otherwise: ours is kept. */
  readonly kept: readonly string[]
  readonly notes: readonly string[]
  readonly left: readonly Left[]
}

export const isNothing = ({ profiles, stations, files, settings }: ImportPlan): boolean =>
  !profiles.length && !stations.length && !files.length && !settings

type Planning = { readonly kept: string[]; readonly left: Left[]; readonly files: FileWish[] }

/** Compares and checks. `file`: bivouac.yaml, which may not be there yet. Throws InputError for one that is no YAML. */
export async function planImport(draft: Draft, book: RecordBook, places: Places, file: string): Promise<ImportPlan> {
  const planning: Planning = { kept: [], left: [...draft.left], files: [...draft.files] }
  const profiles = planProfiles(draft, book, planning)
  const names = new Set([...book.current().profiles.keys(), ...profiles.map(({ name }) => name)])
  const stations = planStations(draft, book, names, places, planning)
  const files: FileWish[] = []
  for (const wish of planning.files) {
    const state = await compareFile(wish)
    if (state === 'missing') files.push(wish)
    else if (state === 'other') planning.kept.push(`${wish.to} is there and says otherwise`)
  }
  const settings = mergeSettings(await readFile(file, 'utf8').catch(() => ''), draft.settings, file, planning.kept)
  return {
    profiles,
    stations,
    files,
    ...(settings !== undefined && { settings: { file, text: settings } }),
    kept: planning.kept,
    notes: draft.notes,
    left: planning.left,
  }
}

const isFile = (book: RecordBook, kind: 'stations' | 'profiles', name: string): boolean => /\.ya?ml$/.test(book.placeOf(kind, name, []).file ?? '')

function planProfiles({ profiles }: Draft, book: RecordBook, { kept, left }: Planning): RecordPlan[] {
  const made: RecordPlan[] = []
  for (const { name, value, source, line } of profiles) {
    const read = readProfile(writeYaml({ ...value }), `profiles/${name}.yaml`)
    if ('mistakes' in read) {
      const [first] = read.mistakes
      left.push({
        file: source,
        ...(line !== undefined && { line }),
        text: name,
        why: `no profile can say it: ${first?.path ? `${first.path}: ` : ''}${first?.message ?? ''}`,
      })
      continue
    }
    if (made.some((one) => one.name === name)) left.push({ file: source, text: name, why: 'another profile of this import has the name' })
    else {
      const there = isFile(book, 'profiles', name) ? book.current().profiles.get(name) : builtInProfiles.find((one) => one.name === name)
      if (!there) made.push({ name, value, isNew: true, source })
      else if (!isSame(there, read.value)) kept.push(`profile ${name} is here already and says otherwise`)
    }
  }
  return made
}

const isSame = (one: Profile, other: Profile): boolean => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
const sorted = (value: object): unknown => Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))

function planStations({ stations }: Draft, book: RecordBook, profiles: ReadonlySet<string>, places: Places, planning: Planning): RecordPlan[] {
  const made: RecordPlan[] = []
  const holders = new Map<string, string>()
  for (const station of book.current().stations)
    if (isFile(book, 'stations', station.name)) for (const mac of station.macs) holders.set(mac, station.name)
  const isTaken = (name: string): boolean => isFile(book, 'stations', name) || made.some((one) => one.name === name)
  for (const wish of stations) {
    const owners = [...new Set(wish.macs.flatMap((mac) => holders.get(mac) ?? []))]
    const [owner] = owners
    const leave = (why: string) => void planning.left.push({ file: wish.source, text: wish.name.slice(0, 80), why })
    if (owners.length > 1 || made.some((one) => one.name === owner)) {
      leave(`its MACs are those of ${owners.join(' and ')}`)
      continue
    }
    const name = owner ?? makeName(wish.name, isTaken, `pxe-${wish.macs[0]?.replaceAll(':', '')}`)
    const planned = planStation(
      wish,
      name,
      owner === undefined ? undefined : book.current().stations.find((one) => one.name === owner),
      profiles,
      places,
      planning,
    )
    for (const mac of wish.macs) holders.set(mac, name)
    if (planned) made.push(planned)
  }
  return made
}

function planStation(
  { macs, value, secrets = [], source }: StationWish,
  name: string,
  there: Station | undefined,
  profiles: ReadonlySet<string>,
  places: Places,
  { kept, left, files }: Planning,
): RecordPlan | undefined {
  const leave = (why: string): undefined => void left.push({ file: source, text: name, why })
  const { profile, ...others } = value
  const isKnown = typeof profile === 'string' && profiles.has(profile)
  if (profile !== undefined && !isKnown && !there) leave(`profile ${String(profile)} could not be made; the station boots the setting "default"`)
  const wanted: Record<string, unknown> = structuredClone({ macs: [...macs], ...others, ...(isKnown && { profile }) })
  const texts = secrets.map(({ at, text }) => ({ to: join(places.state, 'secrets', [name, ...at.slice(2)].join('.')), at, text }))
  for (const { to, at } of texts) putAt(wanted, at, { file: to })
  const read = readStation(writeYaml(wanted), `stations/${name}.yaml`)
  if ('mistakes' in read)
    return leave(
      `no record can say it: ${read.mistakes
        .map(({ path, message }) => `${path ?? ''} ${message}`)
        .join('; ')
        .slice(0, 400)}`,
    )
  const value_ = there ? missingKeys(there, read.value, wanted, kept) : wanted
  if (!Object.keys(value_).length) return undefined
  if ('power' in value_) {
    for (const { to, text } of texts) {
      if (/[\r\n]/.test(text) || text !== text.trim())
        left.push({ file: source, text: `${name}: a secret`, why: `begins or ends with a blank, or has several lines: look at ${to}` })
      files.push({ to, text: `${text}\n`, mode: 0o600 })
    }
  }
  return { name, value: value_, isNew: !there, source }
}

/** Keys that the record has not; what it says otherwise is kept. */
function missingKeys(there: Station, read: Station, wanted: Readonly<Record<string, unknown>>, kept: string[]): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const key of Object.keys(wanted)) {
    const [mine, theirs] = [there[key as keyof Station], read[key as keyof Station]]
    if (key === 'macs') {
      const all = [...new Set([...there.macs, ...read.macs])]
      if (all.length > there.macs.length) patch.macs = all
    } else if (mine === undefined) patch[key] = wanted[key]
    else if (JSON.stringify(mine) !== JSON.stringify(theirs)) kept.push(`station ${there.name} has another ${key}`)
  }
  return patch
}

function putAt(value: Record<string, unknown>, [key = '', ...deeper]: readonly string[], put: unknown): void {
  if (!deeper.length) value[key] = put
  else {
    value[key] ??= {}
    putAt(value[key] as Record<string, unknown>, deeper, put)
  }
}

async function compareFile(wish: FileWish): Promise<'missing' | 'same' | 'other'> {
  const stat = await lstat(wish.to).catch(() => undefined)
  if (!stat) return 'missing'
  if ('target' in wish) return stat.isSymbolicLink() && (await readlink(wish.to)) === wish.target ? 'same' : 'other'
  if (!stat.isFile()) return 'other'
  if ('text' in wish) return (await readFile(wish.to, 'utf8')) === wish.text ? 'same' : 'other'
  return (await isSameFile(wish.from, wish.to)) ? 'same' : 'other'
}
