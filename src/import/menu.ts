// An iPXE menu script → its items and what each label does. Used by the netboot reader. Pure; any text, never throws. It runs nothing:
// `set name value` with a plain value is known, all else that needs a running iPXE is told as it stands.

export type MenuItem = { readonly label: string; readonly title: string; readonly line: number }
export type MenuAction =
  | {
      readonly kind: 'boot'
      readonly kernel: string
      readonly initrd: readonly string[]
      readonly arguments: readonly string[]
      readonly modules: readonly { readonly file: string; readonly arguments: readonly string[] }[]
    }
  | { readonly kind: 'chain'; readonly url: string }
  | { readonly kind: 'local' }
  | { readonly kind: 'shell' }
export type MenuLabel = {
  readonly label: string
  readonly line: number
  readonly action?: MenuAction
  readonly unknown: readonly { readonly line: number; readonly text: string }[]
}
export type Menu = {
  readonly items: readonly MenuItem[]
  readonly labels: ReadonlyMap<string, MenuLabel>
  readonly default?: string
  /** Mistakes that iPXE meets only when somebody chooses the item. */
  readonly wrong: readonly { readonly line: number; readonly text: string; readonly why: string }[]
}

const linesMax = 20_000
const ofNoMatter = new Set([
  'echo',
  'menu',
  'goto',
  'boot',
  'imgfree',
  'imgstat',
  'dhcp',
  'ifopen',
  'ifconf',
  'ifstat',
  'clear',
  'prompt',
  'sleep',
  'console',
  'cpuid',
  'iseq',
  'isset',
  'colour',
  'cpair',
  'choose',
  'item',
  'set',
  'read',
  'login',
  'params',
  'param',
  'inc',
])

type Open = { label: string; line: number; action?: MenuAction; unknown: { line: number; text: string }[] }

export function parseMenu(text: string): Menu {
  const items: MenuItem[] = []
  const labels = new Map<string, Open>()
  const known = new Map<string, string>()
  const wrong: { line: number; text: string; why: string }[] = []
  const targets: { label: string; line: number; text: string }[] = []
  let chosen: { label: string; line: number; text: string } | undefined
  let open: Open | undefined
  for (const [at, written] of text.split(/\r?\n/, linesMax).entries()) {
    const line = at + 1
    const trimmed = written.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const label = /^:(\S+)/.exec(trimmed)?.[1]
    if (label !== undefined) {
      open = { label, line, unknown: [] }
      if (labels.has(label)) wrong.push({ line, text: trimmed, why: `the label ${label} is there twice; iPXE goes to the first` })
      else labels.set(label, open)
      continue
    }
    for (const command of trimmed.split(/\s+(?:\|\||&&)\s+|\s+(?:\|\||&&)$/)) {
      const words = expand(command, known).trim().split(/\s+/).filter(Boolean)
      const [verb = '', ...rest] = words
      const shown = { line, text: trimmed.slice(0, 200) }
      if (verb === 'set' && rest[0] !== undefined && !rest.slice(1).some((word) => word.includes('${')) && known.size < 1000)
        known.set(rest[0], rest.slice(1).join(' ').slice(0, 4096))
      else if (verb === 'item') readItem(items, rest, line)
      else if (verb === 'goto' && rest[0] !== undefined && !rest[0].includes('${')) targets.push({ label: rest[0], ...shown })
      else if (verb === 'choose') {
        const label = rest[rest.indexOf('--default') + 1]
        if (rest.includes('--default') && label !== undefined && !label.includes('${')) chosen = { label, ...shown }
      } else if (open && !readAction(open, verb, rest) && !ofNoMatter.has(verb)) open.unknown.push(shown)
    }
  }
  for (const { label, line } of items) if (!labels.has(label)) wrong.push({ line, text: `item ${label}`, why: `no label :${label} is there` })
  for (const { label, line, text: said } of targets)
    if (!labels.has(label)) wrong.push({ line, text: said, why: `no label :${label} is there (its colon may be missing)` })
  if (chosen && !items.some(({ label }) => label === chosen?.label)) wrong.push({ ...chosen, why: `the default ${chosen.label} names no item` })
  return { items, labels, ...(chosen && { default: chosen.label }), wrong: wrong.sort((one, other) => one.line - other.line) }
}

const expand = (text: string, known: ReadonlyMap<string, string>): string =>
  text.slice(0, 8192).replace(/\$\{([^}:]+)\}/g, (whole, name: string) => known.get(name) ?? whole)

/** `item [--gap] [--key k] [--default] label text` */
function readItem(items: MenuItem[], words: readonly string[], line: number): void {
  const rest = [...words]
  while (rest[0]?.startsWith('-')) {
    const option = rest.shift() as string
    if (option === '--gap' || option === '-g') return
    if (['--key', '-k', '--menu', '-m'].includes(option)) rest.shift()
  }
  const [label, ...title] = rest
  if (label !== undefined && items.length < 10_000) items.push({ label, title: title.join(' ').slice(0, 200), line })
}

/** Whether the command belongs to what the label boots. */
function readAction(open: Open, verb: string, words: readonly string[]): boolean {
  const plain = words.filter((word, index) => !/^--?[a-z]/.test(word) && !['--name', '-n', '--timeout'].includes(words[index - 1] ?? ''))
  const [first] = plain
  const now = open.action
  if ((verb === 'kernel' || verb === 'imgselect' || verb === 'imgexec') && first !== undefined) {
    open.action ??= { kind: 'boot', kernel: first, initrd: [], arguments: plain.slice(1, 257), modules: [] }
    return true
  }
  if ((verb === 'initrd' || verb === 'module' || verb === 'imgfetch') && first !== undefined) {
    if (now?.kind !== 'boot' || now.initrd.length + now.modules.length >= 16) return false
    open.action =
      verb === 'module'
        ? { ...now, modules: [...now.modules, { file: first, arguments: plain.slice(1, 65) }] }
        : { ...now, initrd: [...now.initrd, first] }
    return true
  }
  if (verb === 'imgargs' && now?.kind === 'boot') {
    open.action = { ...now, arguments: plain.slice(1, 257) }
    return true
  }
  if (verb === 'chain' && first !== undefined) open.action ??= { kind: 'chain', url: first }
  else if (verb === 'exit' || verb === 'sanboot') open.action ??= { kind: 'local' }
  else if (verb === 'shell') open.action ??= { kind: 'shell' }
  else return false
  return true
}
