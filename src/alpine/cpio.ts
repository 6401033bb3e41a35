// Writes cpio archives in the "newc" format, the one that the kernel unpacks as initramfs. Used for the stand-in release and for
// additions to a stock initramfs. The same entries always give the same bytes; nothing is read from disk here.
import { InputError } from '../boot/error.ts'

/** One member. `path` is relative, without `./`; `mode` holds the permission bits. Owner is always root. */
export type CpioEntry =
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'device'; readonly path: string; readonly mode: number; readonly major: number; readonly minor: number }

const typeBits: Record<CpioEntry['kind'], number> = { file: 0o100000, directory: 0o040000, link: 0o120000, device: 0o020000 }
const trailer = 'TRAILER!!!'
const encoder = new TextEncoder()

/**
 * The archive, not compressed. Members come in the order given; folders that nobody named stand before their first member, with
 * mode 0755. `modifiedSeconds` is every member's time. Throws InputError `cpio-path` for a path that would leave the root or come twice.
 * (Linux Documentation/driver-api/early-userspace/buffer-format.rst)
 */
export function packCpio(entries: readonly CpioEntry[], modifiedSeconds = 0): Uint8Array {
  const all = withParents(entries)
  const members = all.map((entry, index) => encodeMember(entry, index + 1, modifiedSeconds))
  members.push(encodeHeader({ inode: 0, mode: 0, links: 1, time: 0, sizeBytes: 0, major: 0, minor: 0 }, trailer))
  const sizeBytes = members.reduce((sum, member) => sum + member.length, 0)
  // Blocks of 512 as cpio(1) writes them; the kernel skips the zeros.
  const archive = new Uint8Array(Math.ceil(sizeBytes / 512) * 512)
  let at = 0
  for (const member of members) {
    archive.set(member, at)
    at += member.length
  }
  return archive
}

function withParents(entries: readonly CpioEntry[]): CpioEntry[] {
  const named = new Set<string>()
  const all: CpioEntry[] = []
  for (const entry of entries) {
    checkPath(entry.path)
    const parts = entry.path.split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/')
      if (named.has(path)) continue
      named.add(path)
      all.push({ kind: 'directory', path, mode: 0o755 })
    }
    if (named.has(entry.path)) throw new InputError('cpio-path', `${entry.path} comes twice, or after its own members`)
    named.add(entry.path)
    all.push(entry)
  }
  return all
}

function checkPath(path: string): void {
  const isBad = path === trailer || path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')
  if (isBad) throw new InputError('cpio-path', `"${path}" is not a relative path without "." and ".."`)
}

function encodeMember(entry: CpioEntry, inode: number, time: number): Uint8Array {
  const body = entry.kind === 'file' ? entry.bytes : entry.kind === 'link' ? encoder.encode(entry.target) : new Uint8Array()
  const mode = typeBits[entry.kind] | (entry.kind === 'link' ? 0o777 : entry.mode & 0o7777)
  const [major, minor] = entry.kind === 'device' ? [entry.major, entry.minor] : [0, 0]
  const links = entry.kind === 'directory' ? 2 : 1
  const header = encodeHeader({ inode, mode, links, time, sizeBytes: body.length, major, minor }, entry.path)
  const member = new Uint8Array(header.length + padded(body.length))
  member.set(header)
  member.set(body, header.length)
  return member
}

type Header = { inode: number; mode: number; links: number; time: number; sizeBytes: number; major: number; minor: number }

/** 110 bytes of hex fields, the name with its NUL, and zeros up to a multiple of four. */
function encodeHeader({ inode, mode, links, time, sizeBytes, major, minor }: Header, path: string): Uint8Array {
  const name = encoder.encode(path)
  const fields = [inode, mode, 0, 0, links, time, sizeBytes, 0, 0, major, minor, name.length + 1, 0]
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  const header = new Uint8Array(padded(text.length + name.length + 1))
  header.set(encoder.encode(text))
  header.set(name, text.length)
  return header
}

const padded = (sizeBytes: number): number => (sizeBytes + 3) & ~3
