// The operator's choice of options, checked against the tree in use and written as config/local headers. Used by recipes.
// Only known names and typed values get through: a line of a header is code.
import { InputError } from '../boot/error.ts'
import type { Option, OptionBook } from './option.ts'

/** true: define; false: undefine; else the value. */
export type Settings = Readonly<Record<string, boolean | number | string>>

/**
 * The text of every config/local header: what is set, nothing else; empty for the rest.
 * `#undef` always comes first, because a second #define is an error to iPXE's compiler flags.
 * @throws InputError `option-unknown` (with near names) or `option-value`.
 */
export function renderHeaders(book: OptionBook, settings: Settings): Record<string, string> {
  const lines = new Map<string, string[]>(book.headers.map((header) => [header, []]))
  for (const name of Object.keys(settings).sort()) {
    const option = book.options.get(name)
    if (!option)
      throw new InputError('option-unknown', `the source has no option ${JSON.stringify(name.slice(0, 64))}${suggest(book, name)}`, {
        path: `options.${name.slice(0, 64)}`,
      })
    const value = renderValue(option, settings[name] ?? false)
    lines.get(option.header)?.push(`#undef ${name}`, ...(value === undefined ? [] : [`#define ${name}${value && ' '}${value}`]))
  }
  return Object.fromEntries([...lines].map(([header, body]) => [header, body.map((line) => `${line}\n`).join('')]))
}

/** What stands after the name; '' for a flag, undefined for off. */
function renderValue(option: Option, value: boolean | number | string): string | undefined {
  if (value === false) return undefined
  if (option.kind === 'flag') {
    if (value === true) return ''
    throw refuse(option, 'is a switch: true or false')
  }
  if (value === true) {
    const written = option.mentions.find((one) => one.value !== undefined)?.value
    return written ?? ''
  }
  if (option.kind === 'string') return renderString(option, String(value))
  if (typeof value === 'number' || /^(\d{1,10}|0x[0-9a-fA-F]{1,8})$/.test(value)) return renderNumber(option, Number(value), String(value))
  if (option.kind === 'identifier' && /^[A-Za-z_]\w{0,63}$/.test(value)) return value
  throw refuse(option, option.kind === 'number' ? 'takes a whole number' : 'takes one name (letters, digits, _) or a whole number')
}

function renderNumber(option: Option, value: number, text: string): string {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw refuse(option, 'takes a whole number from 0 to 4294967295')
  return text
}

function renderString(option: Option, text: string): string {
  if (!/^[\x20-\x7e]{0,200}$/.test(text) || /["\\]/.test(text)) throw refuse(option, 'takes up to 200 printable ASCII characters without " and \\')
  // These strings end up in format strings of iPXE: a conversion more or less than its own would read foreign memory.
  const own = conversions(option.mentions.find((one) => one.value !== undefined)?.value ?? '')
  if (conversions(text) !== own) throw refuse(option, own ? `must contain ${own} just once and no other %` : 'must not contain %')
  return `"${text}"`
}

const conversions = (text: string): string => (text.match(/%[0-9]*[a-zA-Z]?/g) ?? []).join(' ')

const refuse = (option: Option, what: string): InputError =>
  new InputError('option-value', `${option.name} (config/${option.header}) ${what}`, { path: `options.${option.name}` })

function suggest(book: OptionBook, name: string): string {
  const words = name
    .toUpperCase()
    .split('_')
    .filter((word) => word.length > 2 && word !== 'CMD' && word !== 'PROTO')
  const near = [...book.options.keys()].filter((other) => words.some((word) => other.includes(word))).slice(0, 5)
  return near.length > 0 ? `; near: ${near.join(' ')}` : ''
}
