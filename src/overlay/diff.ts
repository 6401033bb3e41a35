// What differs between two overlays: packages, services, files, and the text of small ones. Asked by accept, the API and the commands.
// What only root may read in a station is told to differ, never shown.
import { createHash } from 'node:crypto'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { scanOverlay } from '../alpine/overlay.ts'
import type { TarEntry } from '../alpine/tar.ts'
import { bytesOf } from './member.ts'
import { selfPath } from './pack.ts'
import { diffTexts, type Pairs, startPairs } from './text-diff.ts'

/** An archive to compare. `secretPaths` are never shown. */
export type DiffSide = { readonly path: string; readonly secretPaths?: readonly string[] }

type ListChange = { readonly added: readonly string[]; readonly removed: readonly string[] }
export type FileChange = {
  readonly path: string
  readonly change: 'added' | 'removed' | 'changed'
  /** `-rw-r--r-- 0:0 120 bytes` or `link to …`, before and after. */
  readonly before?: string
  readonly after?: string
  /** Hunks of a unified diff, of small text files. */
  readonly text?: string
  /** It may hold secrets, so its text is not shown. */
  readonly isMasked?: true
}
export type OverlayDiff = {
  readonly packages: ListChange
  readonly services: ListChange
  readonly files: readonly FileChange[]
  readonly isSame: boolean
}

const textMax = 64 * 1024
/** Of one archive so much text is held, and shown where it differs; of what comes after only that it differs. */
const textsMax = 8 * 1024 * 1024
const worldPath = 'etc/apk/world'
/** Stations are not to wait for the differences of a hundred thousand files. */
const pathsPerTurn = 2000
const hashedMax = 32 * 1024 * 1024
const privateNames =
  /(^|\/)(shadow|gshadow)[^/]*$|ssh_host_[^/]*_key$|\.(key|pem|p12)$|(^|\/)(wireguard|wpa_supplicant|ssl\/private)(\/|$)|\.rsa$|id_(rsa|ed25519|ecdsa)$/

type Seen = { readonly line: string; readonly kind: TarEntry['kind']; readonly digest: string; readonly text?: string; readonly isPrivate: boolean }

/** Compares two archives. Throws as `scanOverlay` does. */
export async function diffOverlays(before: DiffSide | undefined, after: DiffSide | undefined): Promise<OverlayDiff> {
  const [old, young] = await Promise.all([before, after].map((side) => (side ? readSide(side) : new Map<string, Seen>())))
  return compareSides(old as Map<string, Seen>, young as Map<string, Seen>)
}

async function readSide({ path, secretPaths = [] }: DiffSide): Promise<Map<string, Seen>> {
  const secrets = new Set(secretPaths)
  const seen = new Map<string, Seen>()
  let textsLeft = textsMax
  const shorten = ({ text, ...one }: Seen, name: string): Seen => {
    if (text === undefined) return one
    if (name !== worldPath) textsLeft -= text.length
    return name === worldPath || textsLeft >= 0 ? { ...one, text } : one
  }
  await scanOverlay(path, {
    keepBytes: ({ sizeBytes }) => Math.min(sizeBytes, hashedMax),
    onEntry: (entry, name, body) => seen.set(name, shorten(look(entry, name, name === selfPath ? withoutId(body) : body, secrets), name)),
  })
  return seen
}

/** An overlay's own id differs with every byte of the others, and tells nothing beside them. */
const withoutId = (body: Uint8Array): Uint8Array => bytesOf(new TextDecoder().decode(body).replace(/^overlay=.*\n/m, ''))

function look(entry: TarEntry, name: string, body: Uint8Array, secrets: ReadonlySet<string>): Seen {
  const { kind, mode, uid, gid, sizeBytes, target } = entry
  const isPrivate = secrets.has(name) || (kind === 'file' && (mode & 0o004) === 0) || privateNames.test(name)
  const line = target ? `${kind} to ${target}` : `${formatMode(kind, mode)} ${uid}:${gid}${kind === 'file' ? ` ${sizeBytes} bytes` : ''}`
  const text = kind === 'file' && !isPrivate && sizeBytes <= textMax ? decode(body) : undefined
  return { line, kind, digest: createHash('sha256').update(body).digest('hex'), isPrivate, ...(text !== undefined && { text }) }
}

function decode(body: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    return /[\x00-\x08\x0e-\x1f]/.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

/** As `ls -l` shows it. */
export function formatMode(kind: TarEntry['kind'] | 'link', mode: number): string {
  const first = kind === 'directory' ? 'd' : kind === 'link' ? 'l' : '-'
  const bits = [...'rwxrwxrwx'].map((letter, index) => (mode & (0o400 >> index) ? letter : '-'))
  const special = (at: number, bit: number, letter: string): void => {
    if (mode & bit) bits[at] = bits[at] === 'x' ? letter : letter.toUpperCase()
  }
  special(2, 0o4000, 's')
  special(5, 0o2000, 's')
  special(8, 0o1000, 't')
  return first + bits.join('')
}

async function compareSides(old: Map<string, Seen>, young: Map<string, Seen>): Promise<OverlayDiff> {
  const paths = [...new Set([...old.keys(), ...young.keys()])].sort()
  const pairs = startPairs()
  const compare = (path: string): FileChange[] => {
    const [before, after] = [old.get(path), young.get(path)]
    if (before && after) return before.line === after.line && before.digest === after.digest ? [] : [changeOf(path, before, after, pairs)]
    const one = (before ?? after) as Seen
    return one.kind === 'directory' ? [] : [changeOf(path, before, after, pairs)]
  }
  const files: FileChange[] = []
  for (let at = 0; at < paths.length; at += pathsPerTurn) {
    files.push(...paths.slice(at, at + pathsPerTurn).flatMap(compare))
    await othersTurn()
  }
  const lines = (side: Map<string, Seen>): string[] => (side.get(worldPath)?.text ?? '').split(/\s+/).filter(Boolean)
  const services = (side: Map<string, Seen>): string[] =>
    [...side].flatMap(([path, { kind }]) => (kind === 'directory' ? [] : (/^etc\/runlevels\/([^/]+\/[^/]+)$/.exec(path)?.[1] ?? [])))
  return {
    packages: compareLists(lines(old), lines(young)),
    services: compareLists(services(old), services(young)),
    files,
    isSame: files.length === 0,
  }
}

function changeOf(path: string, before: Seen | undefined, after: Seen | undefined, pairs: Pairs): FileChange {
  const isMasked = before?.isPrivate === true || after?.isPrivate === true
  const text = isMasked ? undefined : textOf(before, after, pairs)
  return {
    path,
    change: !before ? 'added' : !after ? 'removed' : 'changed',
    ...(before && { before: before.line }),
    ...(after && { after: after.line }),
    ...(text && { text }),
    ...(isMasked && { isMasked }),
  }
}

/** A file that is not there on one side counts as empty; a file whose text is not shown has none. */
function textOf(before: Seen | undefined, after: Seen | undefined, pairs: Pairs): string | undefined {
  if ([before, after].some((one) => one && one.text === undefined)) return undefined
  return diffTexts(before?.text ?? '', after?.text ?? '', pairs)
}

function compareLists(old: readonly string[], young: readonly string[]): ListChange {
  const [before, after] = [new Set(old), new Set(young)]
  return { added: young.filter((one) => !before.has(one)).sort(), removed: old.filter((one) => !after.has(one)).sort() }
}
