// Writes tar archives, the same bytes for the same members: sorted, owner 0:0 by number, one fixed time. For overlays that we make.
// Names that ustar cannot hold go into a pax header. The reader is in tar.
import { InputError } from '../boot/error.ts'

/** One member to write. `path` is relative, without `./`. Owner and group are numbers, root's when absent. */
export type TarMember = {
  readonly path: string
  /** Permission bits; 0644 for files, 0755 for folders when absent. */
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
} & (
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  | { readonly kind: 'directory' }
  | { readonly kind: 'link' | 'hardlink'; readonly target: string }
)

const blockBytes = 512
const encoder = new TextEncoder()
const typeFlags: Record<TarMember['kind'], string> = { file: '0', hardlink: '1', link: '2', directory: '5' }

/**
 * The archive, not compressed. Members are sorted by their names' bytes, so folders stand before what is in them; folders that nobody named
 * are not added. `modifiedSeconds` is every member's time. Throws InputError `tar-path` for a path that would leave the root or comes twice.
 * (POSIX.1-2001, pax: ustar and extended headers)
 */
export function writeTar(members: readonly TarMember[], modifiedSeconds = 0): Uint8Array {
  const sorted = members.map((member) => ({ member, key: Buffer.from(member.path) })).sort((one, other) => Buffer.compare(one.key, other.key))
  const pieces: Uint8Array[] = []
  let before: string | undefined
  for (const { member } of sorted) {
    if (member.path === before) throw new InputError('tar-path', `${member.path} comes twice`)
    before = member.path
    const body = member.kind === 'file' ? member.bytes : new Uint8Array()
    pieces.push(encodeHead(member, body.length, modifiedSeconds), body, tarPadding(body.length))
  }
  pieces.push(tarEnd)
  return join(pieces)
}

/** Two blocks of zeros, with which every archive ends. */
export const tarEnd: Uint8Array = new Uint8Array(blockBytes * 2)

/** The zeros that follow a body of so many bytes. */
export const tarPadding = (sizeBytes: number): Uint8Array => new Uint8Array((blockBytes - (sizeBytes % blockBytes)) % blockBytes)

/** A member without its bytes, for archives that are written piece by piece: head, body, padding, and `tarEnd` at last. */
export type TarHead = Omit<TarMember, 'bytes' | 'kind' | 'target'> & { readonly kind: TarMember['kind']; readonly target?: string }

function checkPath(path: string): void {
  const isBad = path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')
  if (isBad) throw new InputError('tar-path', `"${path}" is not a relative path without "." and ".."`)
}

/** What stands before a member's bytes. Throws InputError `tar-path` for a path that would leave the root. */
export function encodeHead(member: TarHead, sizeBytes: number, time = 0): Uint8Array {
  checkPath(member.path)
  const path = encoder.encode(member.kind === 'directory' ? `${member.path}/` : member.path)
  const target = encoder.encode(member.target ?? '')
  const split = splitName(path)
  const records = [...(split ? [] : [paxRecord('path', path)]), ...(target.length > 100 ? [paxRecord('linkpath', target)] : [])]
  const { name, prefix } = split ?? { name: path.subarray(0, 100), prefix: new Uint8Array() }
  const mode = member.kind === 'link' ? 0o777 : (member.mode ?? (member.kind === 'directory' ? 0o755 : 0o644)) & 0o7777
  const numbers = { mode, uid: member.uid ?? 0, gid: member.gid ?? 0, sizeBytes, time }
  const header = encodeHeader(name, prefix, target.subarray(0, 100), typeFlags[member.kind], numbers)
  return join([...paxHeader(records, time), header])
}

function paxHeader(records: readonly Uint8Array[], time: number): Uint8Array[] {
  if (!records.length) return []
  const body = join(records)
  const name = encoder.encode('PaxHeader')
  return [
    encodeHeader(name, new Uint8Array(), new Uint8Array(), 'x', { mode: 0o644, uid: 0, gid: 0, sizeBytes: body.length, time }),
    body,
    tarPadding(body.length),
  ]
}

/** `<length> key=value\n`; the length counts its own digits. */
function paxRecord(key: string, value: Uint8Array): Uint8Array {
  const rest = key.length + value.length + 3
  let length = rest + String(rest).length
  if (rest + String(length).length !== length) length++
  return join([encoder.encode(`${length} ${key}=`), value, encoder.encode('\n')])
}

/** The name in ustar's two fields, or undefined when it does not fit. */
function splitName(path: Uint8Array): { name: Uint8Array; prefix: Uint8Array } | undefined {
  if (path.length <= 100) return { name: path, prefix: new Uint8Array() }
  // The slash between the fields is not stored; a folder's last slash belongs to its name.
  const slash = path
    .subarray(0, 156)
    .subarray(0, path.length - 1)
    .lastIndexOf(47)
  if (slash < 1 || path.length - slash - 1 > 100) return undefined
  return { prefix: path.subarray(0, slash), name: path.subarray(slash + 1) }
}

type Numbers = { mode: number; uid: number; gid: number; sizeBytes: number; time: number }

function encodeHeader(name: Uint8Array, prefix: Uint8Array, target: Uint8Array, flag: string, numbers: Numbers): Uint8Array {
  const block = new Uint8Array(blockBytes)
  const text = (offset: number, value: string): void => block.set(encoder.encode(value), offset)
  const octal = (offset: number, digits: number, value: number): void => text(offset, value.toString(8).padStart(digits, '0'))
  block.set(name, 0)
  octal(100, 7, numbers.mode)
  octal(108, 7, numbers.uid)
  octal(116, 7, numbers.gid)
  octal(124, 11, numbers.sizeBytes)
  octal(136, 11, numbers.time)
  text(148, '        ')
  text(156, flag)
  block.set(target, 157)
  text(257, 'ustar\0' + '00')
  block.set(prefix, 345)
  const sum = block.reduce((total, byte) => total + byte, 0)
  text(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  return block
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
