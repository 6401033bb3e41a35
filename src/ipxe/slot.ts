// Places in a finished loader that can be filled without a compiler: a padded script, and CA fingerprints. Used by input (makes them) and patch (fills them).
// No marker found is an error, never a silently unpatched file.
import { InputError, MissingError } from '../boot/error.ts'
import { checkScript } from './recipe.ts'

// iPXE treats lines with # as comments; the second one ends up behind the script's own end.
const beginMark = '#bivouac-slot-begin '
const endMark = '\n#bivouac-slot-end\n'
const shebang = '#!ipxe\n'

/**
 * A script of exactly `scriptBytes`, newlines behind it, that can be found again in a binary.
 * @throws InputError `script-too-long` with the room that there is, `script-bad`.
 */
export function renderSlot(script: string, scriptBytes: number): Uint8Array {
  checkScript(script)
  const head = Buffer.from(`${shebang}${beginMark}${String(scriptBytes).padStart(6, '0')}\n`)
  const body = Buffer.from(script.replace(/^[^\n]*\n?/, '').replace(/\r\n/g, '\n'))
  const tail = Buffer.from(endMark)
  const room = scriptBytes - head.length - tail.length
  if (body.length > room)
    throw new InputError('script-too-long', `the script has ${body.length} bytes after its first line, the slot has room for ${room}`, {
      path: 'script',
    })
  if (body.includes(beginMark) || body.includes(endMark.trim()))
    throw new InputError('script-bad', 'the script contains the marks of the slot', { path: 'script' })
  return Buffer.concat([head, body, Buffer.alloc(room - body.length, '\n'), tail])
}

export type Slot = { readonly offset: number; readonly sizeBytes: number }

/**
 * Where the script slot is. There must be exactly one.
 * @throws MissingError `slot-missing`; InputError `slot-damaged` when it is there twice or its end is not where it should be.
 */
export function findSlot(binary: Uint8Array): Slot {
  const bytes = view(binary)
  const mark = Buffer.from(shebang + beginMark)
  const offset = bytes.indexOf(mark)
  if (offset < 0) throw new MissingError('slot-missing', 'this loader has no script slot: build it with `slot:` in its recipe')
  if (bytes.indexOf(mark, offset + 1) >= 0) throw new InputError('slot-damaged', 'this loader has more than one script slot')
  const sizeText = bytes.toString('latin1', offset + mark.length, offset + mark.length + 7)
  const sizeBytes = /^\d{6}\n$/.test(sizeText) ? Number(sizeText) : 0
  const tail = Buffer.from(endMark)
  const end = offset + sizeBytes
  if (sizeBytes < mark.length + 7 + tail.length || !bytes.subarray(end - tail.length, end).equals(tail))
    throw new InputError('slot-damaged', 'the script slot of this loader is damaged')
  return { offset, sizeBytes }
}

/** The script that is in the slot now, without its padding. */
export function readSlot(binary: Uint8Array): string {
  const { offset, sizeBytes } = findSlot(binary)
  const text = view(binary).toString('utf8', offset, offset + sizeBytes - endMark.length)
  return `${text.replace(/^(#!ipxe\n)#bivouac-slot-begin \d+\n/, '$1').replace(/\n+$/, '')}\n`
}

/** A copy of the binary with another script in its slot; the size stays. @throws what findSlot and renderSlot throw. */
export function fillSlot(binary: Uint8Array, script: string): Uint8Array {
  const { offset, sizeBytes } = findSlot(binary)
  const copy = Buffer.from(binary)
  copy.set(renderSlot(script, sizeBytes), offset)
  return copy
}

/** SHA-256 fingerprints, filled up to `count` by repeating the last: what a slot for CAs holds. */
export function renderAuthorities(fingerprints: readonly string[], count: number): Uint8Array {
  if (fingerprints.length === 0 || fingerprints.length > count)
    throw new InputError('authorities-count', `there is room for 1 to ${count} CAs`, { path: 'trust' })
  return Buffer.from(Array.from({ length: count }, (_, index) => fingerprints[Math.min(index, fingerprints.length - 1)] ?? '').join(''), 'hex')
}

/**
 * A copy of the binary that trusts other CAs.
 * @param now the fingerprints (64 hex digits each) that are in it, from its manifest; they must be found exactly once.
 * @throws MissingError `authorities-missing`, InputError `authorities-count`.
 */
export function fillAuthorities(binary: Uint8Array, now: readonly string[], wanted: readonly string[]): Uint8Array {
  const copy = Buffer.from(binary)
  const old = Buffer.from(now.join(''), 'hex')
  const offset = old.length === 0 ? -1 : copy.indexOf(old)
  if (offset < 0)
    throw new MissingError(
      'authorities-missing',
      'the CA fingerprints of this loader are not where its manifest says: it cannot be changed without a build',
    )
  if (copy.indexOf(old, offset + 1) >= 0) throw new InputError('slot-damaged', 'this loader has its CA fingerprints in more than one place')
  copy.set(renderAuthorities(wanted, now.length), offset)
  return copy
}

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
