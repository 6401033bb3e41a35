// From the text of a URL to what the door understands: a name without a leading slash, and the facts of the query.
// Used by the boot routes. Strict and total: whatever comes in, nothing is thrown and nothing unbounded comes out.
import type { Facts } from '../boot/client.ts'

const maxNameLength = 512
const slash = 47

/**
 * The name in a request path: percent signs decoded once more (`%3A` in a MAC), double slashes folded, no slash in front.
 * Undefined when it cannot be a name of ours: parts that begin with a dot, a backslash, anything but printable ASCII, a slash at the end.
 * `path` is Hono's `c.req.path`, in which `%25` is still encoded, so nothing is decoded twice.
 */
export function foldName(path: string): string | undefined {
  if (path.length > maxNameLength) return undefined
  const text = path.includes('%') ? decode(path) : path
  return text === undefined ? undefined : foldText(text)
}

function foldText(text: string): string | undefined {
  let start = 0
  while (text.charCodeAt(start) === slash) start++
  let hasDouble = false
  for (let index = start, before = slash; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 33 || code > 126 || code === 92 || (code === 46 && before === slash)) return undefined
    if (code === slash && before === slash) hasDouble = true
    before = code
  }
  if (start === text.length || text.charCodeAt(text.length - 1) === slash) return undefined
  const name = start ? text.slice(start) : text
  return hasDouble ? name.replace(/\/{2,}/g, '/') : name
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const factKeys: ReadonlySet<string> = new Set(['uuid', 'serial', 'asset', 'manufacturer', 'product', 'buildarch', 'platform', 'hostname'])
const maxQueryLength = 2048
const maxValueLength = 128
const maxPairs = 32

/**
 * What the station tells of itself in the query. Known keys only, the first of each; a value that is empty, longer than 128
 * characters or not printable ASCII is left out. Undefined when nothing is told. A plus sign is a plus sign: iPXE writes %20.
 */
export function parseFacts(url: string): Facts | undefined {
  const mark = url.indexOf('?')
  if (mark < 0) return undefined
  const end = Math.min(url.length, mark + 1 + maxQueryLength)
  let facts: Record<string, string> | undefined
  for (let start = mark + 1, pairs = 0; start < end && pairs < maxPairs; pairs++) {
    const ampersand = url.indexOf('&', start)
    const stop = ampersand < 0 || ampersand > end ? end : ampersand
    const equals = url.indexOf('=', start)
    const key = equals < 0 || equals >= stop ? '' : url.slice(start, equals)
    start = stop + 1
    if (!factKeys.has(key) || equals + 1 === stop || facts?.[key] !== undefined) continue
    const value = readValue(url.slice(equals + 1, stop))
    if (value === undefined) continue
    facts ??= {}
    facts[key] = value
  }
  return facts
}

function readValue(text: string): string | undefined {
  if (text.length > maxValueLength * 3) return undefined
  const value = text.includes('%') ? decode(text) : text
  return value && value.length <= maxValueLength && isPrintable(value) ? value : undefined
}

/** Printable ASCII, spaces included. */
export function isPrintable(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 32 || code > 126) return false
  }
  return true
}
