// What a world file brings onto a station: the packages, in the order in which they are installed, and what nobody has.
// Called by the mirror (partial sync, snapshots), the release and media rooms and `bivouac apk resolve`. Pure, bounded, same answer for the same sets.
import { type Candidate, type Catalog, type Chosen, createCatalog, type Provider, type Repository } from './catalog.ts'
import { type Dependency, isFulfilled, parseDependency } from './dependency.ts'
import { sortForInstall } from './install-order.ts'
import { compareVersions } from './version.ts'

/**
 * Something that is asked for and cannot be had. `absent`: no index has the name. `version`: the name is there (`available`), not such a version.
 * `conflict`: it cannot be there together with `available`. `choice`: only several packages stand for it (`available`) and none is preferred: name one.
 */
export type Missing = {
  readonly dependency: string
  readonly reason: 'absent' | 'version' | 'conflict' | 'choice'
  /** `world`, or the packages that ask for it. */
  readonly requiredBy: readonly string[]
  readonly available: readonly string[]
}

export type Closure = { readonly packages: readonly Chosen[]; readonly missing: readonly Missing[] }

/** No world that a station can hold in its memory comes near it. */
const packagesMax = 50_000
const restartsMax = 64

/**
 * Resolves a world (the words of a world file) against repositories or a catalog made of them. Answers also where something is missing: then the
 * rest, as apk installs it. Throws DecodeError `dependency-bad` for a word that is no dependency, `world-long` for more than it may be.
 */
export function resolveWorld(world: readonly string[], from: readonly Repository[] | Catalog): Closure {
  const catalog = 'providersOf' in from ? from : createCatalog(from)
  const wanted = [...new Set(world)].sort().map(parseDependency)
  // Names that could not be had because another choice came first go first the next time; what contradicted a choice is kept in mind;
  // who asked for what cannot be had at all is taken only where nobody else will do.
  const memory: Memory = { early: new Set(), learnt: [], avoided: new Set() }
  for (let round = 0; ; round++) {
    const attempt = solve(wanted, catalog, memory, round < restartsMax)
    if (attempt) return { packages: sortForInstall(attempt.chosen, wanted, catalog), missing: attempt.missing }
  }
}

type Memory = { readonly early: Set<string>; readonly learnt: Dependency[]; readonly avoided: Set<Candidate> }
type Need = { readonly dependency: Dependency; readonly requiredBy: Candidate | undefined }
type Attempt = { readonly chosen: ReadonlyMap<string, Provider>; readonly missing: readonly Missing[] }

/** One run; undefined when something was learnt that makes another one worth while. */
function solve(world: readonly Dependency[], catalog: Catalog, memory: Memory, mayRestart: boolean): Attempt | undefined {
  /** Who stands for each name, by now. */
  const chosen = new Map<string, Provider>()
  const candidates = new Set<Candidate>()
  const needs = new Map<string, Need[]>()
  const conflicts = new Map<string, Need[]>()
  const missing = new Map<string, Missing>()
  const queues: Need[][] = [[], [], []]
  let isStale = false

  const ask = (need: Need): void => {
    const { dependency } = need
    push(dependency.isConflict ? conflicts : needs, dependency.name, need)
    const holder = chosen.get(dependency.name)
    if (dependency.isConflict) {
      if (holder && holder.candidate !== need.requiredBy && fulfils(dependency, holder)) contradict(need, holder)
    } else if (!holder) queues[rankOf(dependency)]?.push(need)
    else if (!fulfils(dependency, holder)) contradict(need, holder)
  }

  /** Single choices first, then names that packages have, then names that are only provided. */
  const rankOf = ({ name }: Dependency): number =>
    memory.early.has(name) || catalog.providersOf(name).length === 1 ? 0 : catalog.hasPackage(name) ? 1 : 2

  /** A choice made earlier does not go with this need. */
  const contradict = (need: Need, holder: Provider): void => {
    const isKnown = memory.learnt.some(({ text }) => text === need.dependency.text)
    if (mayRestart && !isKnown) {
      memory.learnt.push(need.dependency)
      isStale = true
    } else note(need, need.dependency.isConflict ? 'conflict' : 'version', [holder.candidate.label])
  }

  const note = ({ dependency, requiredBy }: Need, reason: Missing['reason'], available: readonly string[]): void => {
    const before = missing.get(dependency.text)
    const who = requiredBy?.label ?? 'world'
    const all = before ? [...new Set([...before.requiredBy, who])] : [who]
    missing.set(dependency.text, { dependency: dependency.text, reason: before?.reason ?? reason, requiredBy: all, available })
  }

  const isFree = (candidate: Candidate): boolean =>
    catalog.namesOf(candidate).every(({ name, version }) => {
      const holder = chosen.get(name)
      if (holder && holder.candidate !== candidate && (version !== '' || holder.version !== '')) return false
      const provider = { candidate, version }
      return (
        !conflicts.get(name)?.some(({ dependency, requiredBy }) => requiredBy !== candidate && fulfils(dependency, provider)) &&
        !needs.get(name)?.some(({ dependency }) => !fulfils(dependency, provider) && !holder)
      )
    }) &&
    catalog.dependsOf(candidate).every((dependency) => {
      const holder = dependency.isConflict ? chosen.get(dependency.name) : undefined
      return !holder || holder.candidate === candidate || !fulfils(dependency, holder)
    })

  /** Is there somebody for each of its dependencies? Not looked at any deeper. */
  const isWhole = ({ candidate }: Provider): boolean => catalog.dependsOf(candidate).every((one) => one.isConflict || isPossible(one))

  const isPossible = (dependency: Dependency): boolean => {
    const holder = chosen.get(dependency.name)
    if (holder) return fulfils(dependency, holder)
    return catalog.providersOf(dependency.name).some((provider) => fulfils(dependency, provider))
  }

  const isAllowed = ({ candidate }: Provider, { dependency, requiredBy }: Need): boolean =>
    candidate.tag === undefined || candidate.tag === dependency.tag || candidate.tag === requiredBy?.tag

  /** Virtual names are taken by themselves only from who has a priority, or is asked for by name. */
  const isSelectable = ({ candidate, version }: Provider, name: string): boolean =>
    version !== '' || candidate.package.name === name || candidate.package.providerPriority > 0 || needs.has(candidate.package.name)

  const take = (candidate: Candidate): void => {
    if (candidates.size >= packagesMax) return
    candidates.add(candidate)
    for (const { name, version } of catalog.namesOf(candidate)) if (!chosen.has(name)) chosen.set(name, { candidate, version })
    for (const dependency of catalog.dependsOf(candidate)) ask({ dependency, requiredBy: candidate })
    for (const { name } of catalog.namesOf(candidate)) for (const one of catalog.triggeredBy(name)) if (isTriggered(one)) triggered.add(one)
  }

  const choose = (need: Need): void => {
    const { dependency } = need
    const holder = chosen.get(dependency.name)
    if (holder) return void (fulfils(dependency, holder) || contradict(need, holder))
    const named = catalog.providersOf(dependency.name)
    const fitting = named.filter((one) => fulfils(dependency, one) && isAllowed(one, need))
    if (!fitting.length) return note(need, named.length ? 'version' : 'absent', labelsOf(named))
    const selectable = fitting.filter((one) => isSelectable(one, dependency.name))
    if (!selectable.length) return note(need, 'choice', labelsOf(fitting))
    const free = selectable.filter(({ candidate }) => isFree(candidate))
    const whole = free.filter(isWhole)
    const best = pickBest(whole.length ? whole : free.length ? free : selectable, dependency, memory)
    if (free.length) return take(best.candidate)
    if (mayRestart && !memory.early.has(dependency.name)) {
      memory.early.add(dependency.name)
      isStale = true
    } else if (mayRestart && need.requiredBy && !memory.avoided.has(need.requiredBy)) {
      memory.avoided.add(need.requiredBy)
      isStale = true
    } else note(need, 'conflict', blockersOf(best.candidate))
  }

  const blockersOf = (candidate: Candidate): string[] => {
    const holders = catalog.namesOf(candidate).flatMap(({ name }) => chosen.get(name)?.candidate ?? [])
    const foes = catalog.namesOf(candidate).flatMap(({ name }) => (conflicts.get(name) ?? []).map(({ requiredBy }) => requiredBy?.label ?? 'world'))
    const labels = [...holders.filter((one) => one !== candidate).map(({ label }) => label), ...foes]
    return [...new Set(labels)].slice(0, labelsMax)
  }

  const triggered = new Set<Candidate>()
  /** Packages that come along because all that their `install_if` names is there: the newest of each name that can be had. */
  const takeTriggered = (): boolean => {
    const ready = [...triggered].filter((one) => !chosen.has(one.package.name) && one.tag === undefined && isTriggered(one))
    const best = ready.sort((one, other) => compareCandidates(other, one)).find((one) => isFree(one) && isWhole({ candidate: one, version: '' }))
    if (best) take(best)
    return best !== undefined
  }
  const isTriggered = (candidate: Candidate): boolean =>
    catalog.installIfOf(candidate).every((dependency) => {
      const holder = chosen.get(dependency.name)
      return dependency.isConflict ? !holder || !fulfils(dependency, holder) : holder !== undefined && fulfils(dependency, holder)
    })

  for (const dependency of world) ask({ dependency, requiredBy: undefined })
  do {
    for (let need = next(queues); need && !isStale; need = next(queues)) choose(need)
  } while (!isStale && takeTriggered())
  return isStale ? undefined : { chosen, missing: [...missing.values()].sort((one, other) => (one.dependency < other.dependency ? -1 : 1)) }
}

const next = (queues: readonly Need[][]): Need | undefined => queues.find(({ length }) => length)?.shift()

const labelsMax = 8
const labelsOf = (providers: readonly Provider[]): string[] =>
  [...new Set(providers.map(({ candidate }) => candidate.label))].sort().slice(0, labelsMax)

function push(table: Map<string, Need[]>, name: string, need: Need): void {
  const list = table.get(name)
  if (list) list.push(need)
  else table.set(name, [need])
}

/** Name and version fit; a `><` asks for one package by its checksum. */
const fulfils = (dependency: Dependency, { candidate, version }: Provider): boolean =>
  dependency.operator === '><' ? dependency.version === candidate.package.checksum : isFulfilled(dependency, version)

/** As apk prefers: what contradicted nothing before, the tag's repository, the newest by the name that was asked for, by its own, the priority, the first repository. */
function pickBest(providers: readonly Provider[], { name, tag }: Dependency, { learnt, avoided }: Memory): Provider {
  if (providers.length === 1) return providers[0] as Provider
  const told = learnt.filter((one) => one.name === name)
  const good = (one: Provider): number =>
    Number(told.every((dependency) => fulfils(dependency, one) !== dependency.isConflict)) - Number(avoided.has(one.candidate))
  const pinned = ({ candidate }: Provider): number => Number(tag !== undefined && candidate.tag === tag)
  return providers.toSorted(
    (one, other) =>
      good(other) - good(one) ||
      pinned(other) - pinned(one) ||
      compareVersions(other.version, one.version) ||
      compareCandidates(other.candidate, one.candidate),
  )[0] as Provider
}

function compareCandidates(one: Candidate, other: Candidate): number {
  const isSame = one.package.name === other.package.name
  return (
    (isSame ? compareVersions(one.package.version, other.package.version) : 0) ||
    one.package.providerPriority - other.package.providerPriority ||
    other.repository - one.repository ||
    (one.label < other.label ? 1 : one.label > other.label ? -1 : 0)
  )
}
