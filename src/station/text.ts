// What may stand in a script. iPXE has no quoting: it splits at blanks, expands ${…} again and again, and ends words at || and &&.
// So values are never escaped but allowed or refused. Used by script for every `<%= %>`, and by view.
import { InputError } from '../boot/error.ts'

const brand = Symbol('printed')

/** Text that was checked for a wider set than a plain string, on purpose. */
export type Printed = { readonly [brand]: string }

const printed = (text: string): Printed => ({ [brand]: text })

const refuse = (text: string, allowed: string): InputError =>
  new InputError('script-value', `${JSON.stringify(text.slice(0, 120))} cannot stand in a script: ${allowed}`)

/** One word. Printable ASCII; no blank, `$`, backslash, backtick or quotes; not an operator or a comment of iPXE. */
export function word(text: string): Printed {
  if (!/^[!-~]+$/.test(text) || /[$\\`"']/.test(text)) throw refuse(text, 'one word of printable ASCII without $, \\, ` and quotes')
  if (text === '||' || text === '&&' || text.startsWith('#')) throw refuse(text, 'iPXE would take it for an operator or a comment')
  return printed(text)
}

/** An absolute http(s) or tftp URL. */
export function url(text: string): Printed {
  if (!/^(https?|tftp):\/\/[A-Za-z0-9._~:/?#@!&()*+,;=%[\]-]+$/.test(text)) throw refuse(text, 'an absolute URL, percent-encoded')
  return printed(text)
}

/** Several words with single blanks between them, each as `word`. For messages and lists. */
export function line(text: string): Printed {
  for (const part of text.split(' ')) word(part)
  return printed(text)
}

/** Text of our own code, in which iPXE's own `${…}` may stand. Never for what comes from a file, a packet or a request. */
export const literal = (text: string): Printed => printed(text)

/** Any text as a line: what is not allowed becomes a question mark, long text is cut. For reasons that people read. */
export function plain(text: string, maxLength = 300): Printed {
  const cleaned = text
    .replace(/["'`]/g, '')
    .replace(/[^A-Za-z0-9 .,:;/_()+=@%!?<>-]+/g, '?')
    .replace(/ +/g, ' ')
    .trim()
    .slice(0, maxLength)
    .trimEnd()
  return line(cleaned || '-')
}

/** What a `<%= %>` prints. Throws InputError `script-value` for null, undefined, objects, and strings that are not a `word`. */
export function print(value: unknown): string {
  if (typeof value === 'string') return word(value)[brand]
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value === 'object' && value !== null && brand in value) return (value as Printed)[brand]
  throw new InputError('script-value', `a value of type ${value === null ? 'null' : typeof value} cannot stand in a script`)
}
