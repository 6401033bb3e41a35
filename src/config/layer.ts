// File, environment and flags laid over each other, each value with where it was said. Used by config.ts. Reads no file itself.
import type { Place } from '../boot/error.ts'
import { formatPath, type Mistake } from '../store/mistake.ts'
import { findClosest } from '../store/schema.ts'
import { readYaml } from '../store/yaml.ts'
import { type ConfigKey, configKeys, findKey, findVariable, otherVariables } from './key.ts'

export type Layered = {
  /** What is to be checked: the file's value with flags and variables put in. */
  readonly value: unknown
  readonly mistakes: readonly Mistake[]
  readonly warnings: readonly Mistake[]
  readonly placeOf: (path: readonly PropertyKey[]) => Place
  /** `flag --http.port`, `environment BIVOUAC_HTTP_PORT`, `bivouac.yaml:3`, `default`. */
  readonly sourceOf: (key: ConfigKey) => string
}

type Env = Readonly<Record<string, string | undefined>>
type File = { readonly name: string; readonly text: string }
type Given = { readonly key: ConfigKey; readonly value: unknown; readonly said: string }

/** Lays them over each other: flag over environment over file. */
export function layerConfig(file: File | undefined, flags: Readonly<Record<string, string>>, env: Env): Layered {
  const yaml = file ? readYaml(file.text, file.name) : undefined
  if (yaml && 'mistakes' in yaml)
    return { value: {}, mistakes: yaml.mistakes, warnings: [], placeOf: () => ({ file: file?.name ?? '' }), sourceOf: () => 'default' }
  const environment = readEnvironment(env)
  const flagged = readFlags(flags)
  const given = new Map<string, Given>([...environment.given, ...flagged.given].map((one) => [one.key.name, one]))
  const inFile = dropEmpty(yaml?.value ?? {})
  const value = [...given.values()].reduce<unknown>((tree, { key, value: leaf }) => put(tree, key.path, leaf), inFile)
  const findGiven = (path: readonly PropertyKey[]) => given.get(path.slice(0, 2).join('.')) ?? given.get(String(path[0]))
  const placeOf = (path: readonly PropertyKey[]): Place => {
    const one = findGiven(path)
    if (one) return { file: one.said, ...(path.length > one.key.path.length && { path: formatPath(path) }) }
    if (!file || !yaml) return { path: formatPath(path) }
    // What the file does not say has no line in it.
    const isSaid = !path.length || isGiven(inFile, [String(path[0])])
    return { file: file.name, ...(isSaid && { line: yaml.lineOf(path) }), path: formatPath(path) }
  }
  const sourceOf = (key: ConfigKey): string => {
    const one = given.get(key.name)
    if (one) return one.said.startsWith('--') ? `flag ${one.said}` : `environment ${one.said}`
    return isGiven(inFile, key.path) ? `${file?.name}:${yaml?.lineOf(key.path)}` : 'default'
  }
  return { value, mistakes: [...environment.mistakes, ...flagged.mistakes], warnings: environment.warnings, placeOf, sourceOf }
}

type Reading = { readonly given: Given[]; readonly mistakes: Mistake[]; readonly warnings: Mistake[] }

function readFlags(flags: Readonly<Record<string, string>>): Reading {
  const reading: Reading = { given: [], mistakes: [], warnings: [] }
  for (const [name, text] of Object.entries(flags)) {
    const key = findKey(name)
    if (key) reading.given.push(readGiven(key, key.flag, text, reading.mistakes))
    else reading.mistakes.push({ code: 'unknown-flag', message: `there is no key of that name${hint(`--${name}`, allFlags)}`, file: `--${name}` })
  }
  return reading
}

/** A variable that begins with BIVOUAC_ and is none of ours may be a slip of the pen, or Kubernetes' (BIVOUAC_SERVICE_HOST): only a warning. */
function readEnvironment(env: Env): Reading {
  const reading: Reading = { given: [], mistakes: [], warnings: [] }
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('BIVOUAC_') || otherVariables.has(variable) || text === undefined) continue
    const key = findVariable(variable)
    if (key) reading.given.push(readGiven(key, variable, text, reading.mistakes))
    else
      reading.warnings.push({ code: 'unknown-variable', message: `there is no variable ${variable}${hint(variable, allVariables)}`, file: variable })
  }
  return reading
}

const allFlags = configKeys.map(({ flag }) => flag)
const allVariables = configKeys.map(({ variable }) => variable)

function hint(word: string, known: readonly string[]): string {
  const near = findClosest(word, known)
  return near ? `; did you mean ${near}?` : ' (docs/configuration.md lists them)'
}

/** Text is taken as it stands; numbers, true and false, lists and tables are read as YAML. */
function readGiven(key: ConfigKey, said: string, text: string, mistakes: Mistake[]): Given {
  if (key.kind === 'string' || key.kind === 'enum') return { key, value: text, said }
  const yaml = readYaml(text, said)
  if ('value' in yaml) return { key, value: yaml.value, said }
  mistakes.push(...yaml.mistakes)
  return { key, value: undefined, said }
}

/** A copy of the tree with the leaf at the path. What is no block of keys is left as it is: the schema will say so. */
function put(tree: unknown, [part, ...rest]: readonly string[], leaf: unknown): unknown {
  if (part === undefined) return leaf
  if (!isBlock(tree)) return tree
  return { ...tree, [part]: put(rest.length && tree[part] == null ? {} : tree[part], rest, leaf) }
}

/** `http:` with nothing below it, because all of it is commented out, says nothing. */
const dropEmpty = (tree: unknown): unknown => (isBlock(tree) ? Object.fromEntries(Object.entries(tree).filter(([, inner]) => inner !== null)) : tree)

function isGiven(tree: unknown, path: readonly string[]): boolean {
  return path.reduce<unknown>((inner, part) => (isBlock(inner) ? inner[part] : undefined), tree) !== undefined
}

const isBlock = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
