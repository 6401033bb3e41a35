// Several repositories' indexes made ready for questions: who provides which name, who comes along with whom. Built once, asked by closure.
// Names and dependencies are parsed when they are first needed; nothing is changed afterwards.
import { DecodeError } from '../boot/error.ts'
import { type Dependency, parseDependency } from './dependency.ts'
import type { IndexedPackage } from './index-file.ts'

/** One repository: its index, where it is (`v3.22/main`), and the tag that its packages are pinned with, if any. */
export type Repository = { readonly place: string; readonly packages: readonly IndexedPackage[]; readonly tag?: string }

/** A package that may be chosen. */
export type Candidate = {
  readonly package: IndexedPackage
  /** Position of its repository in the list: the first is preferred among equals. */
  readonly repository: number
  readonly place: string
  readonly tag?: string
  /** `name-version`, for people. */
  readonly label: string
}

/** A candidate under one of its names, with the version that it has under that name ('' where none is told). */
export type Provider = { readonly candidate: Candidate; readonly version: string }

/** One package of an answer and the repository that has it. */
export type Chosen = { readonly package: IndexedPackage; readonly place: string }

export type Catalog = {
  readonly size: number
  /** Who has this name or provides it. */
  readonly providersOf: (name: string) => readonly Provider[]
  /** Is there a package of that very name? */
  readonly hasPackage: (name: string) => boolean
  readonly dependsOf: (candidate: Candidate) => readonly Dependency[]
  readonly installIfOf: (candidate: Candidate) => readonly Dependency[]
  /** Every name that it has: its own first. */
  readonly namesOf: (candidate: Candidate) => readonly { readonly name: string; readonly version: string }[]
  /** Candidates whose `install_if` mentions this name. */
  readonly triggeredBy: (name: string) => readonly Candidate[]
}

const nobody: readonly Provider[] = []
const none: readonly Candidate[] = []

/** Makes the catalog. `arch` leaves out packages of another architecture (`noarch` always stays). Throws nothing: what cannot be parsed is passed over. */
export function createCatalog(repositories: readonly Repository[], arch?: string): Catalog {
  const providers = new Map<string, Provider[]>()
  const own = new Set<string>()
  const triggers = new Map<string, Candidate[]>()
  const depends = new WeakMap<Candidate, readonly Dependency[]>()
  const names = new WeakMap<Candidate, readonly { name: string; version: string }[]>()
  let size = 0

  const rules = new Map<Candidate, readonly Dependency[]>()
  const installIfOf = (candidate: Candidate): readonly Dependency[] => rules.get(candidate) ?? []

  repositories.forEach(({ place, packages, tag }, repository) => {
    for (const one of packages) {
      if (arch !== undefined && one.arch !== '' && one.arch !== 'noarch' && one.arch !== arch) continue
      const candidate: Candidate = { package: one, repository, place, ...(tag !== undefined && { tag }), label: `${one.name}-${one.version}` }
      size++
      own.add(one.name)
      push(providers, one.name, { candidate, version: one.version })
      for (const word of one.provides) {
        const { name, version } = splitProvide(word)
        if (name !== one.name) push(providers, name, { candidate, version })
      }
      const rule = one.installIf.length ? parseWords(one.installIf) : undefined
      if (!rule) continue
      rules.set(candidate, rule)
      for (const { name } of rule) push(triggers, name, candidate)
    }
  })

  return {
    size,
    providersOf: (name) => providers.get(name) ?? nobody,
    hasPackage: (name) => own.has(name),
    installIfOf,
    triggeredBy: (name) => triggers.get(name) ?? none,
    dependsOf: (candidate) => {
      const known = depends.get(candidate)
      if (known) return known
      const parsed = candidate.package.depends.map(parseOrAbsent)
      depends.set(candidate, parsed)
      return parsed
    },
    namesOf: (candidate) => {
      const known = names.get(candidate)
      if (known) return known
      const { name, version, provides } = candidate.package
      const all = [{ name, version }, ...provides.map(splitProvide).filter((one) => one.name !== name)]
      names.set(candidate, all)
      return all
    },
  }
}

function push<T>(table: Map<string, T[]>, name: string, value: T): void {
  const list = table.get(name)
  if (list) list.push(value)
  else table.set(name, [value])
}

/** `so:libc.musl-x86_64.so.1=1` → name and version. Most of an index's words are these, so no pattern is run. */
function splitProvide(word: string): { name: string; version: string } {
  const at = word.search(/[<>=~]/)
  return at < 0 ? { name: word, version: '' } : { name: word.slice(0, at), version: word.slice(at).replace(/^[<>=~]+/, '') }
}

/** A dependency that cannot be read is one that nobody fulfils: it is then named as missing. */
function parseOrAbsent(text: string): Dependency {
  try {
    return parseDependency(text)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { text, name: text, isConflict: false }
  }
}

/** All of them, or nothing when one cannot be read: apk puts such a rule out of force. */
function parseWords(words: readonly string[]): readonly Dependency[] | undefined {
  try {
    return words.map(parseDependency)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
