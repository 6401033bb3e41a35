// Reads tar archives that strangers made: ustar, GNU long names, pax path, linkpath and size. Called by overlay; tests use it on our own.
// It throws only DecodeError, holds no more than it is asked to keep, and writes nothing to disk. The writer is in tar-write.
import { DecodeError } from '../boot/error.ts'

export type TarKind = 'file' | 'directory' | 'link' | 'hardlink' | 'character-device' | 'block-device' | 'fifo'

/** One member's header. `path` is as it stands in the archive, without the slash that ends a folder's name. */
export type TarEntry = {
  readonly kind: TarKind
  readonly path: string
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly owner: string
  readonly group: string
  readonly sizeBytes: number
  readonly modifiedSeconds: number
  /** Where a link or hard link leads; empty for the others. */
  readonly target: string
}

export type TarLimits = { readonly entries: number; readonly extensionBytes: number }
const defaultLimits: TarLimits = { entries: 200_000, extensionBytes: 1024 * 1024 }

export type TarReaderOptions = {
  readonly limits?: Partial<TarLimits>
  /** How many of a file's first bytes to keep; asked once for each file. */
  readonly keepBytes?: (entry: TarEntry) => number
  /** Takes a file's bytes as they go by, for archives too big to keep; asked once for each file. */
  readonly sinkFor?: (entry: TarEntry) => ((piece: Uint8Array) => void) | undefined
  /** Called for each piece of a file's body as it goes by, for whoever writes it elsewhere; the piece is only lent. */
  readonly onBody?: (entry: TarEntry, piece: Uint8Array) => void
  /** Called for each member when its body has gone by; `body` is what was kept. */
  readonly onEntry: (entry: TarEntry, body: Uint8Array) => void
}

/** `push` takes the archive in pieces of any size, `end` says that it is all. Both throw DecodeError (`tar-…`). */
export type TarReader = { readonly push: (chunk: Uint8Array) => void; readonly end: () => void }

const blockBytes = 512
const nothing = new Uint8Array()

/** Overrides that an extension header gives to the next member. */
type Extension = { path?: string; target?: string; sizeBytes?: number }
type Body = {
  readonly entry: TarEntry
  readonly extension?: 'L' | 'K' | 'x' | 'g'
  readonly kept: Uint8Array
  keptBytes: number
  readonly sink?: ((piece: Uint8Array) => void) | undefined
}

/** A reader for one archive. */
export function createTarReader({ limits: given, keepBytes = () => 0, sinkFor, onBody, onEntry }: TarReaderOptions): TarReader {
  const limits = { ...defaultLimits, ...given }
  const block = new Uint8Array(blockBytes)
  let blockFill = 0
  let body: Body | undefined
  let bodyLeft = 0
  let paddingLeft = 0
  let extension: Extension = {}
  let zeroBlocks = 0
  let entries = 0

  function startEntry(): void {
    const { entry, flag } = decodeHeader(block, extension)
    if (++entries > limits.entries) throw new DecodeError('tar-entries', `more than ${limits.entries} members`)
    const isExtension = flag === 'L' || flag === 'K' || flag === 'x' || flag === 'g'
    if (isExtension && entry.sizeBytes > limits.extensionBytes)
      throw new DecodeError('tar-extension', `an extension header of ${entry.sizeBytes} bytes`)
    const keep = isExtension ? entry.sizeBytes : entry.kind === 'file' ? Math.min(entry.sizeBytes, Math.max(0, keepBytes(entry))) : 0
    const sink = !isExtension && entry.kind === 'file' ? sinkFor?.(entry) : undefined
    body = { entry, ...(isExtension && { extension: flag }), kept: keep ? new Uint8Array(keep) : nothing, keptBytes: 0, sink }
    bodyLeft = entry.sizeBytes
    paddingLeft = (blockBytes - (entry.sizeBytes % blockBytes)) % blockBytes
    if (!isExtension) extension = {}
    if (bodyLeft === 0) finishBody(body)
  }

  function finishBody(done: Body): void {
    body = undefined
    if (done.extension) extension = { ...extension, ...decodeExtension(done.extension, done.kept) }
    else onEntry(done.entry, done.kept)
  }

  function takeBody(chunk: Uint8Array, current: Body): number {
    const taken = Math.min(chunk.length, bodyLeft)
    const wanted = Math.min(taken, current.kept.length - current.keptBytes)
    if (wanted > 0) {
      current.kept.set(chunk.subarray(0, wanted), current.keptBytes)
      current.keptBytes += wanted
    }
    current.sink?.(chunk.subarray(0, taken))
    if (!current.extension) onBody?.(current.entry, chunk.subarray(0, taken))
    bodyLeft -= taken
    if (bodyLeft === 0) finishBody(current)
    return taken
  }

  function takeBlock(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, blockBytes - blockFill)
    block.set(chunk.subarray(0, taken), blockFill)
    blockFill += taken
    if (blockFill < blockBytes) return taken
    blockFill = 0
    if (isZero(block)) zeroBlocks++
    // One block of zeros and then a member: programs disagree on what follows, so nobody may have it.
    else if (zeroBlocks) throw new DecodeError('tar-gap', 'a member after a block of zeros')
    else startEntry()
    return taken
  }

  function push(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length && zeroBlocks < 2) {
      let taken: number
      if (body) taken = takeBody(rest, body)
      else if (paddingLeft) {
        taken = Math.min(rest.length, paddingLeft)
        paddingLeft -= taken
      } else taken = takeBlock(rest)
      rest = rest.subarray(taken)
    }
  }

  function end(): void {
    if (body || paddingLeft || blockFill) throw new DecodeError('tar-cut', 'the archive ends within a member')
    if (!zeroBlocks) throw new DecodeError('tar-cut', entries ? 'the archive has no end mark: it was cut' : 'not a tar archive: it is empty')
    if (extension.path !== undefined || extension.target !== undefined) throw new DecodeError('tar-cut', 'an extension header without its member')
  }

  return { push, end }
}

/** The whole archive at once, with the files' bytes. The caller has bounded its size. Throws DecodeError. */
export function readTar(bytes: Uint8Array, limits?: Partial<TarLimits>): { entry: TarEntry; body: Uint8Array }[] {
  const members: { entry: TarEntry; body: Uint8Array }[] = []
  const reader = createTarReader({
    ...(limits && { limits }),
    keepBytes: ({ sizeBytes }) => Math.min(sizeBytes, bytes.length),
    onEntry: (entry, body) => members.push({ entry, body }),
  })
  reader.push(bytes)
  reader.end()
  return members
}

const isZero = (block: Uint8Array): boolean => block.every((byte) => byte === 0)

const kinds: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'link',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  L: 'file',
  K: 'file',
  x: 'file',
  g: 'file',
}

// POSIX.1-1988 ustar header: name 0+100, mode 100+8, uid 108+8, gid 116+8, size 124+12, mtime 136+12, checksum 148+8, type 156,
// linkname 157+100, magic 257+6, uname 265+32, gname 297+32, prefix 345+155.
function decodeHeader(block: Uint8Array, extension: Extension): { entry: TarEntry; flag: string } {
  checkSum(block)
  const flag = String.fromCharCode(block[156] as number)
  const headerKind = kinds[flag]
  if (!headerKind) throw new DecodeError('tar-type', `member type ${JSON.stringify(flag)} is not known`)
  const isExtension = 'LKxg'.includes(flag)
  const magic = decodeText(block, 257, 5)
  // GNU keeps other things where ustar has the prefix; its magic is "ustar  " with blanks.
  const prefix = magic === 'ustar' && block[262] === 0 ? decodeText(block, 345, 155) : ''
  const name = decodeText(block, 0, 100)
  const path = (!isExtension && extension.path) || (prefix ? `${prefix}/${name}` : name)
  // Old tar: a file whose name ends in a slash is a folder.
  const kind = headerKind === 'file' && !isExtension && path.endsWith('/') ? 'directory' : headerKind
  const sizeBytes = sizeOf(decodeNumber(block, 124, 12), isExtension ? undefined : extension.sizeBytes)
  if (kind !== 'file' && sizeBytes) throw new DecodeError('tar-size', `${quote(path)} is a ${kind} with a body of ${sizeBytes} bytes`)
  if (!path) throw new DecodeError('tar-name', 'a member without a name')
  return { flag, entry: entryOf(block, kind, path.replace(/(?<=.)\/+$/, ''), sizeBytes, extension) }
}

/** pax may give only the size that the header cannot hold (8 GiB): where both speak, readers that know one of them must see the same members. */
function sizeOf(inHeader: number, inExtension: number | undefined): number {
  if (inExtension === undefined || inExtension === inHeader) return inHeader
  if (inExtension < 0o100000000000) throw new DecodeError('tar-size', `two sizes for one member: ${inHeader} and ${inExtension}`)
  return inExtension
}

function entryOf(block: Uint8Array, kind: TarKind, path: string, sizeBytes: number, extension: Extension): TarEntry {
  const target = kind === 'link' || kind === 'hardlink' ? (extension.target ?? decodeText(block, 157, 100)) : ''
  return {
    kind,
    path,
    mode: decodeNumber(block, 100, 8) & 0o7777,
    uid: decodeNumber(block, 108, 8),
    gid: decodeNumber(block, 116, 8),
    owner: decodeText(block, 265, 32),
    group: decodeText(block, 297, 32),
    sizeBytes,
    modifiedSeconds: decodeNumber(block, 136, 12),
    target,
  }
}

function checkSum(block: Uint8Array): void {
  let sum = 0
  for (let at = 0; at < blockBytes; at++) sum += at >= 148 && at < 156 ? 32 : (block[at] as number)
  const stored = decodeText(block, 148, 8).trim()
  if (!/^[0-7]+$/.test(stored) || sum !== Number.parseInt(stored, 8))
    throw new DecodeError('tar-checksum', 'a header whose checksum is wrong: not tar, or damaged')
}

const decoder = new TextDecoder()

function decodeText(bytes: Uint8Array, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return decoder.decode(end < 0 ? field : field.subarray(0, end))
}

/** Octal digits between blanks and NULs, or GNU's base 256 when the first bit is set. */
function decodeNumber(block: Uint8Array, offset: number, length: number): number {
  const first = block[offset] as number
  if (first & 0x80) {
    let value = first & 0x7f
    for (let at = offset + 1; at < offset + length; at++) value = value * 256 + (block[at] as number)
    // Negative times (0xff…) are of no use here; sizes beyond 2^53 are nobody's.
    if (first === 0xff) return 0
    if (!Number.isSafeInteger(value)) throw new DecodeError('tar-number', 'a number that is too big')
    return value
  }
  const digits = decodeText(block, offset, length).trim()
  if (!/^[0-7]*$/.test(digits)) throw new DecodeError('tar-number', `${quote(digits)} is not an octal number`)
  return digits ? Number.parseInt(digits, 8) : 0
}

function decodeExtension(flag: 'L' | 'K' | 'x' | 'g', bytes: Uint8Array): Extension {
  if (flag === 'L') return { path: decodeText(bytes, 0, bytes.length) }
  if (flag === 'K') return { target: decodeText(bytes, 0, bytes.length) }
  // A global header speaks for all members that follow; none of its keys may name one of them.
  const records = decodePax(bytes)
  return flag === 'x' ? records : {}
}

/** pax records: `<length> <key>=<value>\n`, length of the whole record in decimal (POSIX.1-2001, pax, extended header). */
function decodePax(bytes: Uint8Array): Extension {
  const found: Extension = {}
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(32, at)
    const lengthText = blank < 0 || blank - at > 8 ? '' : decoder.decode(bytes.subarray(at, blank))
    const length = /^[1-9][0-9]*$/.test(lengthText) ? Number(lengthText) : 0
    if (!length || at + length > bytes.length || bytes[at + length - 1] !== 10) throw new DecodeError('tar-pax', 'a pax header that cannot be read')
    const record = decoder.decode(bytes.subarray(blank + 1, at + length - 1))
    readRecord(record, found)
    at += length
  }
  return found
}

function readRecord(record: string, found: Extension): void {
  const equals = record.indexOf('=')
  const [key, value] = [record.slice(0, equals), record.slice(equals + 1)]
  if (equals < 1 || value.includes('\0')) throw new DecodeError('tar-pax', 'a pax header that cannot be read')
  if (key === 'path') found.path = value
  else if (key === 'linkpath') found.target = value
  else if (key === 'size') {
    if (!/^[0-9]{1,15}$/.test(value)) throw new DecodeError('tar-pax', `${quote(value)} is not a size`)
    found.sizeBytes = Number(value)
  } else if (key.startsWith('GNU.sparse.')) throw new DecodeError('tar-type', 'sparse files are not read')
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 80))
