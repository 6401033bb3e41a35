// A configuration of pxelinux → its entries: kernel, initrd, arguments, local boot. Used by the readers of TFTP trees. Pure; any text, never throws.
// Grammar: syslinux's doc/config page; one keyword a line, in any case.

export type PxelinuxEntry = {
  readonly label: string
  readonly line: number
  readonly kernel?: string
  readonly initrd: readonly string[]
  readonly arguments: readonly string[]
  readonly isLocal: boolean
  /** IPAPPEND or SYSAPPEND: the loader adds `ip=`, `BOOTIF=`… itself. */
  readonly ipAppend?: number
}

export type PxelinuxFile = {
  readonly entries: readonly PxelinuxEntry[]
  readonly default?: string
  /** Lines that say something that is none of these. */
  readonly left: readonly { readonly line: number; readonly text: string }[]
}

type Open = { -readonly [K in keyof PxelinuxEntry]: PxelinuxEntry[K] }

const linesMax = 20_000
/** How it looks, not what it boots. */
const ofNoMatter =
  /^(prompt|timeout|totaltimeout|ontimeout|onerror|display|say|menu|ui|serial|console|font|kbdmap|allowoptions|noescape|nocomplete|implicit|text|endtext|help|f\d+)$/i

export function parsePxelinux(text: string): PxelinuxFile {
  const entries: Open[] = []
  const left: { line: number; text: string }[] = []
  const top: Open = { label: '', line: 0, initrd: [], arguments: [], isLocal: false }
  let chosen: string | undefined
  let isText = false
  for (const [at, written] of text.split(/\r?\n/, linesMax).entries()) {
    const [, key = '', value = ''] = /^\s*(\S+)\s*(.*?)\s*$/.exec(written) ?? []
    const word = key.toLowerCase()
    if (word === 'text' || word === 'endtext') isText = word === 'text'
    if (isText || key === '' || key.startsWith('#') || ofNoMatter.test(word)) continue
    if (word === 'default') chosen = value
    else if (word === 'label') entries.push({ ...top, label: value.slice(0, 200), line: at + 1 })
    else if (!readKey(entries.at(-1) ?? top, word, value, at + 1)) left.push({ line: at + 1, text: written.trim().slice(0, 200) })
  }
  // Without labels the file is one entry: what stands at its top, or what DEFAULT names as a command.
  if (!entries.length && chosen !== undefined && !top.kernel && !top.isLocal) {
    const [kernel = '', ...words] = chosen.split(/\s+/)
    readKey(top, 'kernel', kernel, 1)
    readKey(top, 'append', words.join(' '), 1)
  }
  if (!entries.length && (top.kernel || top.isLocal)) entries.push({ ...top, line: Math.max(1, top.line) })
  return { entries, ...(chosen !== undefined && { default: chosen }), left }
}

/** Whether the key is one of an entry's. */
function readKey(entry: Open, key: string, value: string, line: number): boolean {
  if (!entry.line) entry.line = line
  if (key === 'kernel' || key === 'linux') {
    if (value) entry.kernel = value
  } else if (key === 'initrd') entry.initrd = value.split(',').filter(Boolean).slice(0, 16)
  else if (key === 'append') {
    const words = value === '-' ? [] : value.split(/\s+/).filter(Boolean)
    const initrd = words.flatMap((word) => (word.startsWith('initrd=') ? word.slice(7).split(',') : []))
    if (initrd.length) entry.initrd = initrd.filter(Boolean).slice(0, 16)
    entry.arguments = words.filter((word) => !word.startsWith('initrd=')).slice(0, 256)
  } else if (key === 'localboot') entry.isLocal = true
  else if (key === 'ipappend' || key === 'sysappend') entry.ipAppend = Number(value) || 0
  else return false
  return true
}

/** The entry that is booted when nobody chooses: that of DEFAULT, else the only one or the first. */
export const defaultEntry = ({ entries, default: chosen }: PxelinuxFile): PxelinuxEntry | undefined =>
  entries.find(({ label }) => chosen !== undefined && label.toLowerCase() === chosen.toLowerCase()) ?? entries[0]
