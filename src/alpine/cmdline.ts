// The kernel line of an Alpine station, word by word. Called by station/view for scripts of every form. Pure; it fetches nothing.
// Alpine's firstboot service evaluates the whole line as root in a shell, so each word is held to a narrow set of characters.
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import { kernelWordSchema } from '../boot/field.ts'
import { takesRepositoryList } from './branch.ts'

/** What goes on the line. What is absent or empty is left out. URLs are absolute; `fileUrl` makes them. */
export type KernelLine = {
  /** URL of the overlay, or the folder of overlays whose name the station's own iPXE completes by `${net0/mac}`. */
  readonly overlay?: string | { readonly folder: string }
  readonly sshKey?: string
  readonly modloop?: string
  readonly modules?: readonly string[]
  readonly alpineDev?: string
  readonly repositories?: readonly string[]
  /** Of the release, such as `v3.19`: before v3.20 only the first repository is put on the line, for the init would take all of them for one URL. */
  readonly branch?: string
  /** The card that the station boots from; `net0`: completed by the station's own iPXE. */
  readonly bootif?: Mac | 'net0'
  /** Name of the initramfs image, or of it and what comes after it: UEFI kernels find them by these words alone. */
  readonly initrd?: string | readonly string[]
  /** Arguments from above that are left out after all; free ones are never. */
  readonly omit?: readonly string[]
  /** Free arguments, profile's first. Kept in order, repeated as given. */
  readonly arguments?: readonly string[]
}

/** x86's COMMAND_LINE_SIZE without its NUL (Linux arch/x86/include/asm/setup.h). */
export const maxLineBytes = 2047

// The longest that iPXE can put in place of its markers; stands in their place while the line is checked.
const anyMac = '52:54:00:12:34:56' as Mac

/** A word as it is checked and counted, and as it is printed. They differ where iPXE fills something in. */
type Word = { readonly checked: string; readonly printed: string; readonly name: string }

/**
 * The line, in the order of the owner's document, then BOOTIF, initrd, free arguments. `reserveBytes` is what the loader adds by itself.
 * Throws InputError: `kernel-word` (a character that is not allowed; the path names the word), `kernel-reserved` (a free argument that only
 * the gate may set), `kernel-open` (one that keeps the overlay from being fetched), `kernel-ip` (no network for the overlay), `overlay-name` (the overlay's URL must end in .tar.gz), `kernel-long` (over 2,047 bytes).
 */
export function buildKernelLine(line: KernelLine, reserveBytes = 0): string {
  const words = wordsOf(line)
  for (const word of words) checkWord(word)
  checkLength(words, reserveBytes)
  return words.map(({ printed }) => printed).join(' ')
}

function wordsOf(line: KernelLine): Word[] {
  const list = (name: string, values: readonly string[] | undefined): Word[] => (values?.length ? [word(name, values.join(','))] : [])
  const single = (name: string, value: string | undefined): Word[] => (value ? [word(name, value)] : [])
  const own = [
    ...overlayWord(line.overlay),
    word('ip', 'dhcp'),
    ...single('ssh_key', line.sshKey),
    ...single('modloop', line.modloop),
    ...list('modules', line.modules),
    ...single('alpine_dev', line.alpineDev),
    ...list('alpine_repo', takesRepositoryList(line.branch) ? line.repositories : line.repositories?.slice(0, 1)),
    ...bootifWord(line.bootif),
    ...[line.initrd ?? []].flat().flatMap((name) => single('initrd', name)),
  ]
  const free = (line.arguments ?? []).map(freeWord)
  // Without a network no overlay is fetched, and the station would stand open.
  if (line.omit?.includes('ip') && line.overlay && !free.some(({ name }) => name === 'ip')) {
    throw new InputError('kernel-ip', 'ip is omitted, and no argument ip=… stands in its place: the overlay could not be fetched', { path: 'ip' })
  }
  const loser = line.overlay && free.find(({ checked }) => losesOverlay.test(checked))
  if (loser) {
    throw new InputError('kernel-open', `with the argument ${loser.checked} the overlay would not be fetched, and the station would stand open`, {
      path: loser.name,
    })
  }
  return [...own.filter(({ name }) => !line.omit?.includes(name)), ...free]
}

const word = (name: string, value: string): Word => ({ name, checked: `${name}=${value}`, printed: `${name}=${value}` })

// Lore: Alpine's init takes what follows the last dot for a cipher's name unless it is gz, and stops in a shell (mkinitfs 3.6 to 3.13).
function overlayWord(overlay: KernelLine['overlay']): Word[] {
  if (!overlay) return []
  if (typeof overlay === 'object') {
    const url = (name: string): string => `apkovl=${overlay.folder}/${name}.tar.gz`
    // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own marker, filled in on the station
    return [{ name: 'apkovl', checked: url(anyMac), printed: url('${net0/mac}') }]
  }
  if (!overlay.endsWith('.tar.gz')) {
    throw new InputError('overlay-name', `the overlay's URL must end in .tar.gz, or Alpine asks for a pass phrase: ${overlay.slice(0, 120)}`, {
      path: 'apkovl',
    })
  }
  return [word('apkovl', overlay)]
}

function bootifWord(bootif: KernelLine['bootif']): Word[] {
  if (!bootif) return []
  const checked = `BOOTIF=01-${formatMacHyphen(bootif === 'net0' ? anyMac : bootif)}`
  // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own marker, filled in on the station
  return [{ name: 'BOOTIF', checked, printed: bootif === 'net0' ? 'BOOTIF=01-${net0/mac:hexhyp}' : checked }]
}

/** Never from a record: the overlay is the gate's to give, and an `initrd=` of their own would take the right one away. */
const reserved: ReadonlySet<string> = new Set(['apkovl', 'noapkovl', 'initrd'])

/**
 * Words that keep Alpine's init from fetching the overlay, so that the station would stand open or stop in a shell: `root=` takes the way of an
 * installed system, `single`, `s` and `1` mean a shell, `noip` and `ip=none` no network (mkinitfs, initramfs-init; facts seen up to 3.13).
 */
const losesOverlay = /^(root=.*|single|s|1|noip|ip=(off|none))$/

function freeWord(text: string): Word {
  const name = text.split('=', 1)[0] as string
  if (reserved.has(name)) {
    throw new InputError('kernel-reserved', `${name}= cannot be a free argument: the server gives it when it can be served`, { path: name })
  }
  return { name, checked: text, printed: text }
}

function checkWord({ name, checked }: Word): void {
  const result = kernelWordSchema.safeParse(checked)
  if (result.success) return
  const allowed = result.error.issues[0]?.message ?? 'not allowed'
  throw new InputError('kernel-word', `${JSON.stringify(checked.slice(0, 120))}: ${allowed}`, { path: name.slice(0, 40) })
}

function checkLength(words: readonly Word[], reserveBytes: number): void {
  const sizeBytes = words.reduce((sum, { checked }) => sum + checked.length + 1, -1) + reserveBytes
  if (sizeBytes <= maxLineBytes) return
  const longest = words.toSorted((one, other) => other.checked.length - one.checked.length)[0] as Word
  throw new InputError(
    'kernel-long',
    `the kernel line has ${sizeBytes} bytes and may have ${maxLineBytes}; the longest word is ${longest.name} with ${longest.checked.length}`,
    { path: longest.name.slice(0, 40) },
  )
}

/** The URL of a path below the depot: every part percent-encoded, nothing in it that a shell or iPXE would read. */
export function fileUrl(httpBase: string, path: string): string {
  if (/^[A-Za-z0-9_.+@/-]+$/.test(path)) return `${httpBase}/${path}`
  const parts = path
    .split('/')
    .map((part) => encodeURIComponent(part).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`))
  // Plus and at-sign stand in Alpine's package names and need no encoding in a path (RFC 3986, section 3.3).
  return `${httpBase}/${parts.join('/').replaceAll('%2B', '+').replaceAll('%40', '@')}`
}
