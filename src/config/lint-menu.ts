// Mistakes in iPXE menus that people write by hand: items without a label, labels without a colon, defaults and jumps that lead nowhere, entries
// without `boot`, paths that nobody has. Used by `config check` and for the menus that we render ourselves. Pure.
import type { Finding } from '../store/mistake.ts'

export type MenuLintOptions = {
  /** Is there a file at this path below the depot? Absent: paths are not looked at. */
  readonly hasFile?: (path: string) => boolean
  /** The folder of the depot that the script lies in: what relative paths begin with. */
  readonly folder?: string
}

type Line = { readonly number: number; readonly text: string }
type Named = { readonly name: string; readonly number: number }

/** What is wrong with the script, with line numbers. A script without `item` is no menu, and nothing is said of it. */
export function lintMenuScript(text: string, file: string, options: MenuLintOptions = {}): Finding[] {
  const lines = readLines(text)
  const items = lines.flatMap(itemOf)
  if (!items.length) return []
  const found: Finding[] = []
  const say = (severity: Finding['severity'], code: string, line: number, message: string) => void found.push({ severity, code, message, file, line })
  const labels = lines.flatMap(labelOf)
  const jumps = lines.flatMap(jumpsOf)
  lintLabels({ lines, items, labels, jumps }, say)
  lintDefaults(lines, items, say)
  lintBlocks(lines, items, labels, say)
  lintPaths(lines, options, say)
  return found.sort((one, other) => (one.line ?? 0) - (other.line ?? 0))
}

type Say = (severity: Finding['severity'], code: string, line: number, message: string) => void

/** Comments and empty lines left out; a backslash at the end joins lines. */
function readLines(text: string): Line[] {
  const lines: Line[] = []
  let open: Line | undefined
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line: Line = { number: open?.number ?? index + 1, text: `${open?.text ?? ''}${raw.replace(/\\$/, ' ')}` }
    open = raw.endsWith('\\') ? line : undefined
    if (!open && line.text.trim() && !/^\s*#/.test(line.text)) lines.push({ number: line.number, text: line.text.trim() })
  }
  return lines
}

/** `item [--key x] [--default] [--menu m] [--gap] [label] [text]` (iPXE src/hci/commands/menu_cmd.c, form_cmd.c). */
function itemOf({ number, text }: Line): Named[] {
  const words = text.split(/\s+/)
  if (words[0] !== 'item') return []
  const rest = words.slice(1)
  while (rest[0]?.startsWith('-')) {
    const option = rest.shift() as string
    if (/^(--gap|-g)$/.test(option)) return []
    if (/^(--key|-k|--menu|-m|--form|-f)$/.test(option)) rest.shift()
  }
  return rest[0] === undefined ? [] : [{ name: rest[0], number }]
}

const labelOf = ({ number, text }: Line): Named[] => (text.startsWith(':') ? [{ name: (text.slice(1).split(/\s/)[0] as string) || '', number }] : [])

const jumpsOf = ({ number, text }: Line): Named[] =>
  [...text.matchAll(/(?:^|\s)goto\s+(\S+)/g)].map((found) => ({ name: found[1] as string, number }))

type Script = {
  readonly lines: readonly Line[]
  readonly items: readonly Named[]
  readonly labels: readonly Named[]
  readonly jumps: readonly Named[]
}

function lintLabels({ lines, items, labels, jumps }: Script, say: Say): void {
  const known = new Set(labels.map(({ name }) => name))
  const wanted = new Map([...items, ...jumps].map(({ name }) => [name, true]))
  // A line that is nothing but such a name was meant as the label.
  const meant = new Map(lines.filter(({ text }) => wanted.has(text) && !known.has(text)).map(({ number, text }) => [text, number]))
  for (const [name, number] of meant)
    say('error', 'label-colon', number, `${name} is no command; as the label that is jumped to it needs a colon: ":${name}"`)
  for (const { name, number } of items)
    if (!known.has(name) && !meant.has(name) && !name.includes('${')) say('error', 'item-label', number, `item ${name} has no label ":${name}"`)
  for (const { name, number } of jumps)
    if (!known.has(name) && !meant.has(name) && !name.includes('${'))
      say('error', 'goto-label', number, `goto ${name} leads nowhere: there is no label ":${name}"`)
  const seen = new Set<string>()
  for (const { name, number } of labels) {
    if (seen.has(name)) say('error', 'label-twice', number, `the label ":${name}" is there twice: only the first is ever reached`)
    else if (!wanted.has(name)) say('warning', 'label-unused', number, `no item and no goto leads to ":${name}"`)
    seen.add(name)
  }
}

function lintDefaults(lines: readonly Line[], items: readonly Named[], say: Say): void {
  const set = settingsOf(lines)
  for (const { number, text } of lines.filter((line) => /^choose\b/.test(line.text))) {
    const name = /(?:--default|-d)[ =]+(\S+)/.exec(text)?.[1]
    if (name === undefined) continue
    const real = expand(name, set)
    if (real !== undefined && !items.some((item) => item.name === real))
      say('error', 'menu-default', number, `--default ${name} names no item (there are ${items.map((item) => item.name).join(', ')})`)
  }
}

/** What leaves an item. */
const starts = /(^|\|\||&&)\s*(boot|imgexec|chain|goto|exit|reboot|poweroff|shell|sanboot|login|config)\b/

/** An item's lines end in something that goes on; kernel and no boot falls through into the next item. */
function lintBlocks(lines: readonly Line[], items: readonly Named[], labels: readonly Named[], say: Say): void {
  for (const { name, number } of labels.filter((label) => items.some((item) => item.name === label.name))) {
    const from = lines.findIndex((line) => line.number === number) + 1
    const length = lines.slice(from).findIndex(({ text }) => text.startsWith(':'))
    const block = length < 0 ? lines.slice(from) : lines.slice(from, from + length)
    const kernel = block.find(({ text }) => /^(kernel|imgselect|imgload)\b/.test(text))
    const boots = block.some(({ text }) => /(^|\|\||&&)\s*(boot|imgexec|chain|sanboot)\b/.test(text))
    if (kernel && !boots && !block.some(({ text }) => /&&\s*goto\b/.test(text)))
      say('error', 'boot-missing', kernel.number, `item ${name} loads a kernel and has no boot`)
    else if (!kernel && block.length && !block.some(({ text }) => starts.test(text)))
      say('warning', 'item-falls', number, `item ${name} falls through into what follows`)
  }
}

/** `set name value` of the script itself, where it is set once. */
function settingsOf(lines: readonly Line[]): ReadonlyMap<string, string | undefined> {
  const set = new Map<string, string | undefined>()
  for (const { text } of lines)
    for (const found of text.matchAll(/(?:^|\|\||&&)\s*set\s+(\S+)\s*(.*?)(?=\s*(?:\|\||&&|$))/g)) {
      const name = (found[1] as string).split(':')[0] as string
      set.set(name, set.has(name) ? undefined : found[2])
    }
  return set
}

/** The text with the script's own settings in it; undefined when it hangs on what only the station knows. */
function expand(text: string, set: ReadonlyMap<string, string | undefined>): string | undefined {
  let told = text
  for (let depth = 0; depth < 8 && told.includes('${'); depth++) {
    const next = told.replace(/\$\{([^${}]+)\}/g, (whole, name: string) => set.get(name.split(':')[0] as string) ?? whole)
    if (next === told) return undefined
    told = next
  }
  return told.includes('${') ? undefined : told
}

const fetches = /(?:^|\|\||&&)\s*(kernel|initrd|module|chain|imgfetch|imgload)\s+([^|&]*)/g

function lintPaths(lines: readonly Line[], { hasFile, folder = '' }: MenuLintOptions, say: Say): void {
  const set = settingsOf(lines)
  for (const { number, text } of lines)
    for (const found of text.matchAll(fetches)) {
      const words = (found[2] as string)
        .trim()
        .split(/\s+/)
        .filter((word) => !word.startsWith('--'))
      const written = words[0]
      const place = written && expand(written, set)
      if (!place) continue
      if (/^[a-z]+:/i.test(place)) {
        if (!isReachable(place)) say('error', 'path-unresolved', number, `${written} is no URL that can be fetched`)
        continue
      }
      const path = place.startsWith('/') ? place.slice(1) : `${folder}${folder && '/'}${place}`
      if (hasFile && !hasFile(path.replace(/\?.*$/, ''))) say('error', 'path-unresolved', number, `there is no ${path} in the depot`)
    }
}

/** Schemes of iPXE, with a host; `file:` and images that are loaded already need none. */
function isReachable(place: string): boolean {
  return /^(https?|ftp|tftp|nfs|slam|x-tftm|iscsi|aoe|ib_srp|fcp):\/\/[^/\s]+/i.test(place) || /^(file|iscsi|aoe|fcp|ib_srp):/i.test(place)
}
