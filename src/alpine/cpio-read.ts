// Reads cpio archives of the "newc" kind, as initramfs images are made of them: several one after the other, zeros between. The writer is in cpio.
// It throws only DecodeError, holds no more than it is asked to keep, and writes nothing to disk.
import { DecodeError } from '../boot/error.ts'

export type CpioMemberKind = 'file' | 'directory' | 'link' | 'other'

/** One member's header. `path` is as it stands in the archive. */
export type CpioMember = { readonly kind: CpioMemberKind; readonly path: string; readonly mode: number; readonly sizeBytes: number }

export type CpioReaderOptions = {
  /** More members than that are refused. */
  readonly maxMembers?: number
  /** How many of a file's first bytes to keep; asked once for each file. */
  readonly keepBytes?: (member: CpioMember) => number
  /** Called for each member when its body has gone by; of a link, `body` is the target. */
  readonly onMember: (member: CpioMember, body: Uint8Array) => void
}

/**
 * `push` takes the archive in pieces of any size and answers how many bytes it took: less than all when what follows the last archive is none.
 * `end` says that it is all. Both throw DecodeError (`cpio-…`).
 */
export type CpioReader = { readonly push: (chunk: Uint8Array) => number; readonly end: () => void }

// Six characters of magic, then thirteen fields of eight hex digits (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
const headerBytes = 110
const maxNameBytes = 4096
const maxTargetBytes = 4096
const nothing = new Uint8Array()
const trailer = 'TRAILER!!!'
const decoder = new TextDecoder()

type Part = { readonly what: 'header' | 'name' | 'body' | 'padding'; readonly length: number; readonly kept: Uint8Array; at: number }
type Header = { readonly mode: number; readonly sizeBytes: number; readonly nameBytes: number }

export function createCpioReader({ maxMembers = 200_000, keepBytes = () => 0, onMember }: CpioReaderOptions): CpioReader {
  let part: Part | undefined
  let header: Header = { mode: 0, sizeBytes: 0, nameBytes: 0 }
  let member: CpioMember | undefined
  let members = 0
  let archives = 0
  let afterPadding: () => void = waitForArchive

  const expect = (what: Part['what'], length: number, keep = length): void => {
    part = { what, length, kept: keep ? new Uint8Array(keep) : nothing, at: 0 }
  }
  /** Zeros up to the next multiple of four, then what comes after. */
  function pad(usedBytes: number, next: () => void): void {
    afterPadding = next
    const length = -usedBytes & 3
    if (length) expect('padding', length, 0)
    else next()
  }
  function waitForArchive(): void {
    part = undefined
  }

  function finish({ what, kept }: Part): void {
    if (what === 'header') takeHeader(kept)
    else if (what === 'name') takeName(kept)
    else if (what === 'body') takeBody(kept)
    else afterPadding()
  }

  function takeHeader(bytes: Uint8Array): void {
    header = decodeHeader(bytes)
    expect('name', header.nameBytes)
  }

  function takeName(bytes: Uint8Array): void {
    const path = decodeName(bytes)
    if (path === trailer) {
      archives++
      return pad(headerBytes + header.nameBytes, waitForArchive)
    }
    if (++members > maxMembers) throw new DecodeError('cpio-members', `more than ${maxMembers} members`)
    member = { kind: kindOf(header.mode), path, mode: header.mode & 0o7777, sizeBytes: header.sizeBytes }
    if (member.kind === 'link' && header.sizeBytes > maxTargetBytes) throw new DecodeError('cpio-link', `a link of ${header.sizeBytes} bytes`)
    const keep = member.kind === 'link' ? header.sizeBytes : member.kind === 'file' ? Math.min(header.sizeBytes, Math.max(0, keepBytes(member))) : 0
    pad(headerBytes + header.nameBytes, () => {
      if (header.sizeBytes) expect('body', header.sizeBytes, keep)
      else takeBody(nothing)
    })
  }

  function takeBody(kept: Uint8Array): void {
    if (member) onMember(member, kept)
    member = undefined
    pad(header.sizeBytes, () => expect('header', headerBytes))
  }

  function push(chunk: Uint8Array): number {
    let at = 0
    while (at < chunk.length) {
      if (!part) {
        // Between archives: zeros, or the next one's magic.
        const byte = chunk[at] as number
        if (byte === 0) {
          at++
          continue
        }
        if (byte !== 48) return at
        expect('header', headerBytes)
      }
      const current = part as unknown as Part
      const taken = Math.min(chunk.length - at, current.length - current.at)
      const wanted = Math.min(taken, current.kept.length - current.at)
      if (wanted > 0) current.kept.set(chunk.subarray(at, at + wanted), current.at)
      current.at += taken
      at += taken
      if (current.at === current.length) finish(current)
    }
    return at
  }

  function end(): void {
    if (part) throw new DecodeError('cpio-cut', 'the archive ends within a member')
    if (!archives) throw new DecodeError('cpio-cut', 'not a cpio archive: it is empty')
  }

  return { push, end }
}

function decodeHeader(bytes: Uint8Array): Header {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  // 070702 is the same with a checksum, which nobody makes and which the kernel does not check either.
  if (!/^07070[12][0-9A-Fa-f]{104}$/.test(text)) throw new DecodeError('cpio-header', 'not a cpio archive of the newc kind, or damaged')
  const field = (index: number): number => Number.parseInt(text.slice(6 + index * 8, 14 + index * 8), 16)
  const header = { mode: field(1), sizeBytes: field(6), nameBytes: field(11) }
  if (header.nameBytes < 2 || header.nameBytes > maxNameBytes) throw new DecodeError('cpio-name', `a name of ${header.nameBytes} bytes`)
  return header
}

function decodeName(bytes: Uint8Array): string {
  if (bytes[bytes.length - 1] !== 0 || bytes.indexOf(0) !== bytes.length - 1)
    throw new DecodeError('cpio-name', 'a name without its end, or with two')
  return decoder.decode(bytes.subarray(0, -1))
}

const kinds: ReadonlyMap<number, CpioMemberKind> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'link'],
])

const kindOf = (mode: number): CpioMemberKind => kinds.get(mode & 0o170000) ?? 'other'
