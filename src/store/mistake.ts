// What an operator wrote wrong, as data and as text: a code, where it stands, what is allowed there. Made from zod's issues.
// Used for the configuration, the records and bodies of the HTTP interface.
import type { z } from 'zod'
import { InputError, type Place } from '../boot/error.ts'
import { listPlaceholders, sayPlaceholder } from './placeholder.ts'
import { findClosest, keysAt } from './schema.ts'

/** One mistake and where it stands. `code` is stable; `message` says what is wrong and what is allowed, without the place. */
export type Mistake = { readonly code: string; readonly message: string } & Readonly<Place>

/** Several mistakes told at once; `message` has one line for each. */
export class MistakesError extends InputError {
  readonly mistakes: readonly Mistake[]
  constructor(title: string, mistakes: readonly Mistake[]) {
    const texts = mistakes.map(formatMistake)
    const [first = title] = texts
    super(
      mistakes[0]?.code ?? 'input',
      texts.length === 1 ? first : `${title}: ${texts.length} mistakes\n${texts.map((text) => `  ${text}`).join('\n')}`,
    )
    this.mistakes = mistakes
  }
}

/** `bivouac.yaml:3: http.port: must be …`, as InputError writes it. */
export const formatMistake = ({ code, message, ...place }: Mistake): string => new InputError(code, message, place).message

/** `networks[0].pool[1]`: a path as people write it. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index ? '.' : ''}${String(part)}`)).join('')
}

/**
 * The checked value, or every mistake in it, one for each key, in the order of the lines. A value that still holds a placeholder of a copied
 * example is a mistake everywhere. `placeOf` tells where the value of a path was written.
 */
export function checkValue<S extends z.ZodType>(
  schema: S,
  value: unknown,
  placeOf: (path: readonly PropertyKey[]) => Place,
): { readonly value: z.output<S> } | { readonly mistakes: readonly Mistake[] } {
  const forgotten = listPlaceholders(value)
  const outcome = schema.safeParse(value)
  if (outcome.success && !forgotten.length) return { value: outcome.data }
  const seen = new Set(forgotten.map(({ path }) => `${formatPath(path)} false`))
  const issues = (outcome.error?.issues ?? []).flatMap(openUnion).filter((issue) => {
    const key = `${formatPath(issue.path)} ${issue.code === 'unrecognized_keys'}`
    return !seen.has(key) && seen.add(key)
  })
  const mistakes = [
    ...forgotten.map(({ path, placeholder }): Mistake => ({ code: 'placeholder', message: sayPlaceholder(placeholder), ...placeOf(path) })),
    ...issues.flatMap((issue) => mistakesOf(issue, schema, value, placeOf)),
  ]
  return { mistakes: mistakes.sort((one, other) => (one.line ?? 0) - (other.line ?? 0)) }
}

/** Where one of several forms is allowed, what is meant is the form in which the mistake lies deepest. */
function openUnion(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || ('options' in issue && issue.options)) return [issue]
  const depths = issue.errors.map((form) => Math.max(...form.map(({ path }) => path.length)))
  const deepest = Math.max(0, ...depths)
  const form = deepest > 0 ? issue.errors[depths.indexOf(deepest)] : undefined
  return form ? form.flatMap((inner) => openUnion({ ...inner, path: [...issue.path, ...inner.path] })) : [issue]
}

type Said = { readonly code: string; readonly message: string }

function mistakesOf(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown, placeOf: (path: readonly PropertyKey[]) => Place): Mistake[] {
  const at = (path: readonly PropertyKey[], said: Said): Mistake => ({ ...said, ...placeOf(path) })
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path, value)
    return issue.keys.map((key) => at([...issue.path, key], sayUnknownKey(key, known)))
  }
  const found = issue.path.reduce<unknown>((inner, part) => (inner as Record<PropertyKey, unknown> | undefined)?.[part], value)
  return [at(issue.path, sayIssue(issue, found))]
}

function sayUnknownKey(key: string, known: readonly string[]): Said {
  const near = findClosest(key, known)
  const hint = near ? `; did you mean "${near}"?` : ''
  return { code: 'unknown-key', message: `there is no key "${key}" here${hint} (allowed: ${known.join(', ')})` }
}

function sayIssue(issue: z.core.$ZodIssue, found: unknown): Said {
  switch (issue.code) {
    case 'invalid_type':
      return sayType(issue.expected, found)
    case 'invalid_value':
      return sayNotAllowed(issue.values.map(String), found)
    case 'invalid_union':
      return 'options' in issue && issue.options ? sayNotAllowed(issue.options.map(String), found) : sayTypes(issue.errors.flat(), found)
    case 'too_big':
      return sayLimit(issue.origin, 'at most', issue.maximum, found)
    case 'too_small':
      return sayLimit(issue.origin, 'at least', issue.minimum, found)
    case 'invalid_key':
      return { code: 'bad-key', message: issue.issues[0]?.message ?? issue.message }
    case 'invalid_format':
      return { code: 'bad-value', message: `${show(found)} is not right: ${issue.message}` }
    default:
      return { code: issueCode(issue) ?? 'bad-value', message: issue.message }
  }
}

/** A refinement may bring its own code: `{ code: 'custom', params: { code: 'loader-twice' } }`. */
const issueCode = (issue: z.core.$ZodIssue): string | undefined =>
  issue.code === 'custom' && typeof issue.params?.code === 'string' ? issue.params.code : undefined

const typeNames: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a block of keys',
  record: 'a block of keys',
}

function sayType(expected: string, found: unknown): Said {
  const wanted = typeNames[expected] ?? expected
  if (found === undefined) return { code: 'missing-key', message: `is missing; it is ${wanted}` }
  if (expected === 'string' && isPlaceholderList(found)) return { code: 'placeholder', message: sayPlaceholder(`[${found[0]}]`) }
  const hint = expected === 'string' && typeof found !== 'object' ? ': put it in quotes' : ''
  return { code: 'wrong-type', message: `must be ${wanted}, not ${show(found)}${hint}` }
}

/** None of several types. */
function sayTypes(issues: readonly z.core.$ZodIssue[], found: unknown): Said {
  const wanted = issues.flatMap((issue) => (issue.code === 'invalid_type' ? [typeNames[issue.expected] ?? issue.expected] : []))
  if (found === undefined) return { code: 'missing-key', message: `is missing; it is ${wanted.join(' or ')}` }
  return { code: 'wrong-type', message: `must be ${[...new Set(wanted)].join(' or ')}, not ${show(found)}` }
}

/** Lore: the source document writes `[serveur_tftp]`, which YAML takes for a list. */
const isPlaceholderList = (found: unknown): found is [string] =>
  Array.isArray(found) && found.length === 1 && typeof found[0] === 'string' && /^[a-z0-9]+([_ -][a-z0-9]+)+$/i.test(found[0])

function sayNotAllowed(allowed: readonly string[], found: unknown): Said {
  const list = `allowed: ${allowed.join(', ')}`
  if (found === undefined) return { code: 'missing-key', message: `is missing; ${list}` }
  const near = typeof found === 'string' ? findClosest(found, allowed) : undefined
  return { code: 'not-allowed', message: `${show(found)} is not allowed; ${near ? `did you mean ${near}? ` : ''}${list}` }
}

function sayLimit(origin: string, bound: string, limit: number | bigint, found: unknown): Said {
  if (origin === 'string') return { code: 'out-of-range', message: `must have ${bound} ${limit} characters, not ${String(found).length}` }
  if (origin === 'array')
    return { code: 'out-of-range', message: `must have ${bound} ${limit} entries, not ${Array.isArray(found) ? found.length : 'that'}` }
  return { code: 'out-of-range', message: `must be ${bound} ${limit}, not ${show(found)}` }
}

function show(found: unknown): string {
  if (Array.isArray(found)) return 'a list'
  if (found === null || found === undefined) return 'nothing'
  if (typeof found === 'object') return 'a block of keys'
  const text = typeof found === 'string' ? JSON.stringify(found) : String(found)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

/** A mistake of an input that is in force all the same, or is kept out of force by itself: what `config check` and the problem list show. */
export type Finding = Mistake & { readonly severity: 'error' | 'warning' }

/** `error pool-overlap: bivouac.yaml:9: networks[0].pool[1]: …` */
export const formatFinding = (finding: Finding): string => `${finding.severity} ${finding.code}: ${formatMistake(finding)}`
