// Labels → profile: which profile a station boots, and why the others do not. Pure.
import type { Mac } from './address.ts'
import type { Facts } from './client.ts'
import { describeNext } from './next.ts'
import type { Conditions, Profile, Records, Site, Station } from './record.ts'

/** One step of an answer's reasoning. `held` is false for a rule that was looked at and lost. */
export type Reason = { readonly rule: string; readonly held: boolean; readonly text: string }

export const because = (rule: string, text: string): Reason => ({ rule, held: true, text })
export const butNot = (rule: string, text: string): Reason => ({ rule, held: false, text })

/** What one station boots. `station` is absent for one without a record. */
export type Choice = { readonly station?: Station; readonly profile: Profile; readonly why: readonly Reason[] }

/** Everything that a `match:` may ask for: the record's labels, its name and group, the MAC, and what the station tells of itself. */
export function labelsOf(mac: Mac, station: Station | undefined, facts: Facts): Record<string, string> {
  const known = { ...station?.labels, ...(station && { name: station.name }), ...(station?.group && { group: station.group }), mac }
  const told = Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined && value !== ''))
  return { ...told, ...known } as Record<string, string>
}

/** The profile of this MAC: the record's own, else the `match` of the highest priority, then one that names the station, then the most labels, else the site's default, or its rule for unknowns. */
export function chooseProfile(mac: Mac, facts: Facts, records: Records, site: Site): Choice {
  const station = records.stationByMac.get(mac)
  const why: Reason[] = [station ? because('station', `${mac} is station ${station.name}`) : butNot('station', `no record has ${mac}`)]
  const ordered = chooseNext(mac, station, records, why)
  if (ordered) return choice(station, ordered, why)
  const named = station?.profile
  if (named !== undefined) {
    const profile = records.profiles.get(named)
    if (profile) return choice(station, profile, [...why, because('station.profile', `the record names profile ${named}`)])
    why.push(butNot('station.profile', `the record names profile ${named}, which does not exist`))
    return fallBack(station, records, 'wait', why)
  }
  const matched = matchProfile(labelsOf(mac, station, facts), records, why)
  if (matched) return choice(station, matched, why)
  const [rule, name] = station ? ['default', site.defaultProfile] : ['unknown', site.unknown]
  return fallBack(station, records, name, [
    ...why,
    because(rule, `${station ? 'nothing else is said' : 'a station without a record'}: the site's setting "${rule}" is ${name}`),
  ])
}

/** The profile that was ordered for the next boot, while the order holds; its fallback once it has failed. */
function chooseNext(mac: Mac, station: Station | undefined, records: Records, why: Reason[]): Profile | undefined {
  const next = [mac, ...(station?.macs ?? [])].map((one) => records.nextByMac?.get(one)).find((one) => one !== undefined)
  if (!next) return undefined
  const name = next.state === 'active' ? next.profile : next.fallback
  const profile = name === undefined ? undefined : records.profiles.get(name)
  const text = `ordered by ${next.by}: ${describeNext(next)}`
  why.push(profile ? because('next', text) : butNot('next', name === undefined ? text : `profile ${name}, which was ordered, does not exist`))
  return profile
}

type Candidate = { readonly profile: Profile; readonly blocks: readonly Conditions[] }
/** A profile that fits, with the weight of its largest block that does. */
type Held = { readonly profile: Profile; readonly size: number }

function matchProfile(labels: Record<string, string>, records: Records, why: Reason[]): Profile | undefined {
  const candidates = [...records.profiles.values()]
    .flatMap((profile): Candidate[] => (profile.match ? [{ profile, blocks: [profile.match].flat() }] : []))
    .sort((one, other) => rank(one.profile, largest(one.blocks), other.profile, largest(other.blocks)))
  const held = candidates
    .flatMap(({ profile, blocks }): Held[] => {
      const fitting = blocks.filter((block) => findMiss(block, labels) === undefined)
      return fitting.length ? [{ profile, size: largest(fitting) }] : []
    })
    .sort((one, other) => rank(one.profile, one.size, other.profile, other.size))
  const [best, ...others] = held
  const winner = best?.profile
  for (const { profile, blocks } of candidates) {
    if (profile === winner) break
    if (!held.some((one) => one.profile === profile)) why.push(butNot('match', `profile ${profile.name} wants ${sayMisses(blocks, labels)}`))
  }
  if (best) for (const other of others) why.push(butNot('match', `profile ${other.profile.name} matches too, ${sayRank(best, other)}`))
  if (winner)
    why.push(
      because('match', `profile ${winner.name} matches ${JSON.stringify(winner.match)}${winner.priority ? ` with priority ${winner.priority}` : ''}`),
    )
  return winner
}

/** Priority, then who names the station itself, then the number of labels, then the name. */
function rank(one: Profile, oneSize: number, other: Profile, otherSize: number): number {
  return (other.priority ?? 0) - (one.priority ?? 0) || otherSize - oneSize || (one.name < other.name ? -1 : 1)
}

/** Why the other is second. */
function sayRank(winner: Held, { profile, size }: Held): string {
  const [first, second] = [winner.profile.priority ?? 0, profile.priority ?? 0]
  if (first !== second) return `but ${winner.profile.name} has priority ${first} over ${second}`
  if (winner.size >= exactWeight && size < exactWeight) return `but ${winner.profile.name} names the station itself`
  return size < winner.size ? `but ${winner.profile.name} by more labels` : `but ${winner.profile.name} is first by its name`
}

const exactLabels: ReadonlySet<string> = new Set(['mac', 'name', 'uuid'])
/** More than any number of labels: a block that names the station itself goes before all that hold for several. */
const exactWeight = 1_000

/** How much a profile's most exact block asks for: its labels, and whether it names the station itself. */
const largest = (blocks: readonly Conditions[]): number =>
  Math.max(...blocks.map((block) => Object.keys(block).reduce((sum, label) => sum + (exactLabels.has(label) ? exactWeight : 1), 0)))

const labelOf = (labels: Record<string, string>, label: string): string | undefined => (Object.hasOwn(labels, label) ? labels[label] : undefined)

/** The first label of a block that does not fit. */
function findMiss(block: Conditions, labels: Record<string, string>): string | undefined {
  return Object.keys(block).find((label) => ![block[label]].flat().includes(labelOf(labels, label)))
}

function sayMisses(blocks: readonly Conditions[], labels: Record<string, string>): string {
  const misses = blocks.map((block) => {
    const label = findMiss(block, labels) ?? ''
    return `${label}=${[block[label]].flat().join(' or ')}, the station has ${labelOf(labels, label) ?? 'none'}`
  })
  return misses.join('; or ')
}

function choice(station: Station | undefined, profile: Profile, why: readonly Reason[]): Choice {
  return { ...(station && { station }), profile, why }
}

/** The named profile, or the built-in `wait` when a setting names one that is gone: a station must never boot by accident. */
function fallBack(station: Station | undefined, records: Records, name: string, why: readonly Reason[]): Choice {
  const profile = records.profiles.get(name)
  if (profile) return choice(station, profile, why)
  return choice(station, { name: 'wait', kind: 'wait' }, [...why, butNot('profile', `profile ${name} does not exist: the station waits`)])
}
