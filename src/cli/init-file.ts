// Edits of files that people keep by hand, for `bivouac init`: keys that are not there are added, comments and order stay, nothing is replaced.
import { readFile } from 'node:fs/promises'
import { isMap, parseDocument } from 'yaml'
import { ConflictError, InputError } from '../boot/error.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'

/** The text, or undefined where there is no such file. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** One key that shall have this value. `path` is `['mirror', 'upstream']`. */
export type Wish = { readonly path: readonly string[]; readonly value: unknown }

/**
 * The text with what it lacks. Throws ConflictError `init-differs` for a key that says something else, InputError for a file that is no YAML table.
 * `title` heads a file that was empty.
 */
export function addKeys(text: string, wishes: readonly Wish[], file: string, title: string): string {
  const document = parseDocument(text)
  if (document.errors.length || (document.contents !== null && !isMap(document.contents)))
    throw new InputError('init-file', `is no YAML table: ${document.errors[0]?.message.split('\n')[0] ?? 'it holds something else'}`, { file })
  let isChanged = false
  for (const { path, value } of wishes) {
    const there: unknown = document.hasIn(path) ? toPlain(document.getIn(path)) : undefined
    if (there !== undefined && there !== null) {
      if (JSON.stringify(there) !== JSON.stringify(value))
        throw new ConflictError(
          'init-differs',
          `${file} says ${path.join('.')}: ${JSON.stringify(there)} already, not ${JSON.stringify(value)}; change it there, or ask for the same`,
        )
      continue
    }
    document.setIn(path, document.createNode(value))
    isChanged = true
  }
  if (!isChanged) return text
  return `${text.trim() === '' ? `# ${title}\n` : ''}${String(document)}`
}

const toPlain = (node: unknown): unknown =>
  node !== null && typeof node === 'object' && 'toJSON' in node ? (node as { toJSON: () => unknown }).toJSON() : node

/** Adds top-level lines at the end of a text, those whose key it does not have. */
export function appendKeys(text: string, lines: Readonly<Record<string, string>>): string {
  const document = parseDocument(text)
  const missing = Object.entries(lines).filter(([key]) => !document.has(key))
  return missing.length
    ? `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${missing.map(([key, value]) => `${key}: ${value}\n`).join('')}`
    : text
}

/** Writes the text, unless the file has it already; answers whether it did. */
export async function writeText(path: string, before: string | undefined, after: string): Promise<boolean> {
  if (before === after) return false
  await writeAtomic(path, after, 0o644)
  return true
}
