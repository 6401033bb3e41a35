// Drafts of records looked at together before they are written: each right by itself, no name or MAC twice, no profile taken from its stations. Used by store/edit.
import { ConflictError, InputError } from '../boot/error.ts'
import { builtInProfiles, type Profile, type Station } from '../boot/record.ts'
import type { Draft } from './edit-draft.ts'
import { MistakesError } from './mistake.ts'
import type { RecordBook } from './record.ts'
import { readProfile, readStation } from './record-file.ts'

/** Throws InputError (MistakesError) or ConflictError for the first thing that would be wrong. */
export function checkDrafts(records: RecordBook, drafts: readonly Draft[]): void {
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
