// What iPXE's config/*.h offer, read from the source tree in use: every `#define` line with its condition and text. Used by settings and forms.
// Never a fixed list: names change between releases.
import { DecodeError } from '../boot/error.ts'
import { evaluateCondition, negateCondition } from './condition.ts'

/** One line that speaks of an option. `condition` is the #if expression that it stands under. */
export type Mention = { readonly on: boolean; readonly value?: string; readonly condition?: string }

export type Option = {
  readonly name: string
  /** File below config/, `general.h`. */
  readonly header: string
  /** A flag is there or not; the others carry a value. `number` includes expressions. */
  readonly kind: 'flag' | 'string' | 'number' | 'identifier'
  readonly description: string
  readonly mentions: readonly Mention[]
}

export type OptionBook = {
  readonly options: ReadonlyMap<string, Option>
  /** Headers that include their config/local copy, sorted: only these can be changed from outside. */
  readonly headers: readonly string[]
}

const linePattern = /^\s*(\/\/)?\s*#\s*(define|undef)\s+([A-Za-z_]\w*)(\()?\s*(.*)$/
const textLimit = 200_000

/**
 * Reads all option headers of a tree.
 * @param headers file name → text.
 * @throws DecodeError `option-header` for a text that cannot be one (too long, #endif without #if).
 */
export function parseOptions(headers: Readonly<Record<string, string>>): OptionBook {
  const options = new Map<string, Option>()
  const changeable: string[] = []
  for (const [header, text] of Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!text.includes(`<config/local/${header}>`)) continue
    changeable.push(header)
    for (const option of parseHeader(header, text)) if (!options.has(option.name)) options.set(option.name, option)
  }
  return { options, headers: changeable }
}

type Found = { name: string; description: string; mentions: Mention[] }

/** The options of one header, in the order of their first mention. */
export function parseHeader(header: string, text: string): Option[] {
  if (text.length > textLimit) throw new DecodeError('option-header', `${header} is too long for a header of options`)
  const found = new Map<string, Found>()
  const conditions: string[] = []
  let comment = ''
  for (const line of joinLines(text)) {
    if (line.startsWith('/*')) {
      comment = plainComment(line)
      continue
    }
    const directive = /^\s*#\s*(ifdef|ifndef|if|elif|else|endif)\b\s*(.*)$/.exec(line)
    if (directive) applyDirective(conditions, directive[1] ?? '', plainCondition(directive[2] ?? ''), header)
    else addMention(found, line, conditions, comment)
    if (line.trim() === '' || directive) comment = ''
  }
  if (conditions.length > 0) throw new DecodeError('option-header', `${header} has an #if without #endif`)
  return [...found.values()].map((one) => ({ ...one, header, kind: kindOf(one.mentions) }))
}

function applyDirective(conditions: string[], word: string, expression: string, header: string): void {
  if (word === 'if') conditions.push(expression)
  else if (word === 'ifdef') conditions.push(`defined ( ${expression} )`)
  else if (word === 'ifndef') conditions.push(/^CONFIG_\w+_H$/.test(expression) ? '' : `! defined ( ${expression} )`)
  else {
    const last = conditions.pop()
    if (last === undefined) throw new DecodeError('option-header', `${header} has #${word} without #if`)
    if (word === 'else') conditions.push(negateCondition(last))
    if (word === 'elif') conditions.push(`( ${negateCondition(last)} ) && ( ${expression} )`)
  }
}

function addMention(found: Map<string, Found>, line: string, conditions: readonly string[], comment: string): void {
  const [, off, word, name, call, rest = ''] = linePattern.exec(line) ?? []
  if (!name || call || /^CONFIG_\w+_H$/.test(name)) return
  const { value, note } = splitValue(rest)
  const condition = conditions
    .filter(Boolean)
    .map((one) => (conditions.length > 1 ? `( ${one} )` : one))
    .join(' && ')
  const mention = { on: !off && word === 'define', ...(value ? { value } : {}), ...(condition ? { condition } : {}) }
  const known = found.get(name)
  if (!known) found.set(name, { name, description: note || comment, mentions: [mention] })
  else {
    known.mentions.push(mention)
    known.description ||= note || comment
  }
}

/** The value and the comment behind it. A `//` inside quotes is no comment. */
function splitValue(rest: string): { value: string; note: string } {
  const quoted = /^"(?:[^"\\]|\\.)*"/.exec(rest)?.[0]
  const [, value = '', note = ''] = /^(.*?)\s*(?:\/\*+\s*(.*?)\s*(?:\*\/.*)?)?$/.exec(rest.slice(quoted?.length ?? 0).replace(/\s*\/\/.*$/, '')) ?? []
  return { value: (quoted ?? '') + value, note: note.replace(/\s+\*(?=\s)/g, '') }
}

/** Continued lines become one; a comment that fills lines of its own becomes one line. */
function joinLines(text: string): string[] {
  const joined: string[] = []
  let open: string | undefined
  for (const raw of text.split(/\r?\n/)) {
    const line: string = open === undefined ? raw : `${open} ${raw.trim()}`
    const start = line.lastIndexOf('/*')
    const isOpen = start >= 0 && !line.includes('*/', start)
    open = isOpen ? line : line.endsWith('\\') ? line.slice(0, -1) : undefined
    if (open === undefined) joined.push(line)
  }
  if (open !== undefined) joined.push(open)
  return joined
}

/** The first sentence of a comment, without its stars. */
function plainComment(line: string): string {
  const words = line
    .replace(/^\/\*+|\*+\/\s*$/g, '')
    .replace(/\s+\*(?=\s|$)/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return (/^.*?[.:](?=\s|$)/.exec(words)?.[0] ?? words).slice(0, 200)
}

const plainCondition = (text: string): string =>
  text
    .replace(/\/\*.*?\*\//g, '')
    .replace(/\/\/.*$/, '')
    .replace(/\s+/g, ' ')
    .trim()

function kindOf(mentions: readonly Mention[]): Option['kind'] {
  const value = mentions.find((one) => one.value !== undefined)?.value
  if (value === undefined) return 'flag'
  if (value.startsWith('"')) return 'string'
  return /^[A-Za-z_]\w*$/.test(value) ? 'identifier' : 'number'
}

/** What the option is without us, where `defined` holds the macros of a platform and architecture (macrosOf). A string keeps its quotes. */
export function defaultOf(option: Option, defined: ReadonlySet<string>): boolean | string {
  let now: boolean | string = false
  for (const { on, value, condition } of option.mentions) {
    if (condition !== undefined && !evaluateCondition(condition, defined)) continue
    if (on) now = value ?? true
    else if (value === undefined && option.mentions.length > 1) now = false
  }
  return now
}
