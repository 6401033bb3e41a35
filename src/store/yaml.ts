// YAML text → value, with the line of every key, so that a mistake can be pointed at. Used for the configuration and for all records.
import { isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { Mistake } from './mistake.ts'

/** A read YAML file. `lineOf` answers the line (from 1) of the key or entry that the path leads to, or of the nearest one above it. */
export type YamlFile = { readonly value: unknown; readonly lineOf: (path: readonly PropertyKey[]) => number }

/** A file of more than this is not looked at: people write these by hand. */
export const maxYamlBytes = 1 << 20
const maxAliases = 100
const maxDepth = 64

/** Reads one YAML 1.2 document (an empty one is null): keys once only, no alias bombs. Answers the mistakes where it is none. */
export function readYaml(text: string, file: string): YamlFile | { readonly mistakes: readonly Mistake[] } {
  const refuse = (message: string, line = 1, code = 'yaml') => ({ mistakes: [{ code, message, file, line }] })
  if (Buffer.byteLength(text) > maxYamlBytes) return refuse(`the file has more than ${maxYamlBytes} bytes`, 1, 'too-big')
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' })
    const line = (offset: number) => Math.max(1, lines.linePos(offset).line)
    // What follows the first error is mostly its echo.
    const [broken] = document.errors
    if (broken) return refuse(sentence(broken.message), line(broken.pos[0]), yamlCode(broken.code))
    const value: unknown = document.toJS({ maxAliasCount: maxAliases })
    if (isDeeper(value, maxDepth)) return refuse(`more than ${maxDepth} levels, or an alias that leads back to itself`)
    const root = document.contents
    const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node)
    return { value, lineOf: (path) => line(offsetOf(root, path, resolve)) }
  } catch (error) {
    // Aliases that multiply or lead nowhere, or nesting that exhausts the stack.
    const { message } = error as Error
    const [, name] = /^Unresolved alias .*: (\S+)$/.exec(message) ?? []
    return refuse(sentence(message), name ? lines.linePos(text.indexOf(`*${name}`)).line : 1)
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

const yamlCode = (code: string): string => (code === 'DUPLICATE_KEY' ? 'key-twice' : code === 'TAB_AS_INDENT' ? 'yaml-tab' : 'yaml')

const sentence = (message: string): string => `not valid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`

function offsetOf(root: Node | null, path: readonly PropertyKey[], resolve: (node: unknown) => unknown): number {
  let node: unknown = root
  let offset = 0
  for (const part of path) {
    const inner = resolve(node)
    const pair = isMap(inner) ? inner.items.find(({ key }) => keyText(key) === String(part)) : undefined
    const entry = isSeq(inner) ? inner.items[Number(part)] : undefined
    const place = pair ? pair.key : isPair(entry) ? entry.key : entry
    if (!isNode(place)) break
    offset = place.range?.[0] ?? offset
    node = pair ? pair.value : entry
  }
  return offset
}

const keyText = (key: unknown): string => (isScalar(key) ? String(key.value) : String(key))
