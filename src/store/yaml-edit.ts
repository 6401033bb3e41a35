// Changes keys of a YAML file and leaves the rest as its writer left it: comments, order, blank lines, quotes. Used by store/edit and importers.
// A plain value is replaced in its place and a new key put at the end, to the byte; deeper changes go through the document, which may move blanks.
import { type Document, isMap, isNode, isScalar, type Node, parseDocument, stringify, visit } from 'yaml'
import { InputError } from '../boot/error.ts'

/** New values by key, deeper blocks merged; null takes a key away (JSON merge patch, RFC 7396). */
export type Patch = { readonly [key: string]: unknown }

/** The text with the patch applied; it still ends in a newline. Throws InputError `yaml` for a text that is no YAML block. */
export function patchYaml(text: string, patch: Patch, file: string): string {
  return Object.entries(patch).reduce((inner, [key, value]) => patchKey(inner, [key], value, file), text)
}

/** A new file of these keys. */
export function writeYaml(value: Patch): string {
  const given = Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined))
  return patchYaml('', given, 'new')
}

function patchKey(text: string, path: readonly string[], value: unknown, file: string): string {
  if (value === undefined) return text
  const document = readBlock(text, file)
  const before = document.getIn(path, true)
  if (isBlock(value) && isMap(before))
    return Object.entries(value).reduce((inner, [key, deeper]) => patchKey(inner, [...path, key], deeper, file), text)
  const after = isBlock(value) ? withoutNull(value) : value
  if (before !== undefined && isSame(document, path, after)) return text
  return replaceScalar(text, path, before, after) ?? appendKey(text, document, path, before, after) ?? changeDocument(document, path, after)
}

function readBlock(text: string, file: string): Document {
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' })
  if (document.errors.length) throw new InputError('yaml', `not valid YAML: ${document.errors[0]?.message}; mend it by hand first`, { file })
  if (document.contents !== null && !isMap(document.contents)) throw new InputError('yaml', 'is not a block of keys; mend it by hand first', { file })
  return document as Document
}

/** One plain word for another, in its place, unless the text then says something else: within brackets a word may need quotes. */
function replaceScalar(text: string, path: readonly string[], before: unknown, value: unknown): string | undefined {
  if (!isScalar(before) || !before.range || before.anchor !== undefined || value === null || typeof value === 'object') return undefined
  const [start, end] = before.range
  const written = stringify(value, plainStyle).trimEnd()
  if (start === end || written.includes('\n') || text.slice(start, end).includes('\n')) return undefined
  const changed = text.slice(0, start) + written + text.slice(end)
  const wanted = parseDocument(text)
  wanted.setIn(path, value)
  const found = parseDocument(changed, { logLevel: 'silent' })
  return !found.errors.length && JSON.stringify(found.toJS()) === JSON.stringify(wanted.toJS()) ? changed : undefined
}

/** A key that is not there yet, after all others. */
function appendKey(text: string, { contents }: Document, path: readonly string[], before: unknown, value: unknown): string | undefined {
  const [key, ...deeper] = path
  if (before !== undefined || value === null || deeper.length || key === undefined) return undefined
  if (isMap(contents) && contents.flow) return undefined
  const document = parseDocument('{}') as Document
  document.contents = document.createNode({}) as never
  document.setIn([key], nodeOf(document, value))
  const start = text === '' || text.endsWith('\n') ? text : `${text}\n`
  const whole = start + document.toString(documentStyle)
  return parseDocument(whole, { logLevel: 'silent' }).errors.length ? undefined : whole
}

function changeDocument(document: Document, path: readonly string[], value: unknown): string {
  if (document.contents === null) document.contents = document.createNode({}) as never
  if (value === null) removeKey(document, path)
  else document.setIn(path, typeof value === 'object' ? nodeOf(document, value) : value)
  return document.toString(documentStyle)
}

/** What is said above the first key is mostly said of the whole file. */
function removeKey(document: Document, path: readonly string[]): void {
  const first = isMap(document.contents) ? document.contents.items[0]?.key : undefined
  const isFirst = path.length === 1 && isScalar(first) && first.value === path[0]
  const [about, above] = [document.commentBefore, isFirst && isNode(first) ? first.commentBefore : undefined]
  document.deleteIn(path)
  if (above) document.commentBefore = about ? `${about}\n\n${above}` : above
}

const plainStyle = { lineWidth: 0 } as const
const documentStyle = { lineWidth: 0, flowCollectionPadding: false } as const

const isSame = (document: Document, path: readonly string[], value: unknown): boolean =>
  JSON.stringify(
    path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], document.toJS({ maxAliasCount: 100 })),
  ) === JSON.stringify(value)

/** Short lists of plain words stand on one line, as people write them. */
function nodeOf(document: Document, value: unknown): unknown {
  const node = document.createNode(value)
  visit(node as Node, {
    Seq(_, seq) {
      if (seq.items.every(isScalar) && stringify(seq.toJSON()).length < 100) seq.flow = true
    },
  })
  return node
}

const isBlock = (value: unknown): value is Patch => typeof value === 'object' && value !== null && !Array.isArray(value)

const withoutNull = (value: Patch): Patch =>
  Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, isBlock(inner) ? withoutNull(inner) : inner] as const])),
  )
