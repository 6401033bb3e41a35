// Looks through an overlay (apkovl) before a script may name it: Alpine's init takes whatever comes, in silence. Called by the gate.
// It reads the archive once, in pieces, within bounds; it unpacks nothing and trusts nothing in it.
import { createReadStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { BivouacError, DecodeError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import { type OverlayWarning, rootScript, warnOverlay } from './overlay-warning.ts'
import { createTarReader, type TarEntry } from './tar.ts'

/** What stands in an overlay that can be served. */
export type OverlayReport = {
  readonly entries: number
  /** Bytes of the tar, not compressed. */
  readonly inflatedBytes: number
  readonly hostname?: string
  /** Packages of `etc/apk/world`. */
  readonly world: readonly string[]
  /** Lines of `etc/apk/repositories`; used beside those of the kernel line. */
  readonly repositories: readonly string[]
  /** `<runlevel>/<service>` of every service that starts. */
  readonly services: readonly string[]
  /** `etc/.default_boot_services` is there: Alpine adds its own set, and fetches `ssh_key=`. */
  readonly hasDefaultServices: boolean
  /** `root/.ssh/authorized_keys` is there; host keys of sshd are. */
  readonly hasSshKeys?: true
  readonly hasHostKeys?: true
  readonly warnings: readonly OverlayWarning[]
}

export type OverlayLimits = { readonly inflatedBytes: number; readonly entries: number }

/** The tar lands in half of a small station's memory; what is bigger is a mistake or an attack. */
export const defaultOverlayLimits: OverlayLimits = { inflatedBytes: 512 * 1024 * 1024, entries: 200_000 }

const keptBytes = 64 * 1024
const maxListed = 1000
const keptPaths: ReadonlySet<string> = new Set(['etc/hostname', 'etc/apk/world', 'etc/apk/repositories', 'etc/shadow', rootScript])

/** What is gathered while the members go by. */
type Findings = {
  entries: number
  inflatedBytes: number
  readonly texts: Map<string, string>
  readonly links: Set<string>
  readonly services: string[]
  hasDefaultServices: boolean
  hasSshKeys: boolean
  hasHostKeys: boolean
  /** First example of each oddity: code → member's name. */
  readonly oddities: Map<string, string>
}

/**
 * The report on an overlay, given as bytes, as the path of a file, or as an open file, which is closed. Throws DecodeError when it is not gzip, not tar, cut, or over the
 * bounds; InputError when it is encrypted or has a member that no overlay may have (absolute, `..`, device); MissingError when
 * there is no such file; OutsideError when it cannot be read.
 */
export async function inspectOverlay(source: Uint8Array | string | FileHandle, limits: Partial<OverlayLimits> = {}): Promise<OverlayReport> {
  const findings: Findings = {
    entries: 0,
    inflatedBytes: 0,
    texts: new Map(),
    links: new Set(),
    services: [],
    hasDefaultServices: false,
    hasSshKeys: false,
    hasHostKeys: false,
    oddities: new Map(),
  }
  findings.inflatedBytes = await scanOverlay(source, {
    limits,
    keepBytes: (entry, path) => (keptPaths.has(path) ? Math.min(entry.sizeBytes, keptBytes) : 0),
    onEntry: (entry, path, body) => readEntry(entry, path, body, findings),
  })
  return report(findings)
}

export type ScanOptions = {
  readonly limits?: Partial<OverlayLimits>
  /** How many of a file's first bytes to keep. */
  readonly keepBytes: (entry: TarEntry, path: string) => number
  /** Called for each member but the root itself; `path` is without `./`. */
  readonly onEntry: (entry: TarEntry, path: string, body: Uint8Array) => void
}

/** Goes through an overlay once, within bounds. Answers how many bytes it unpacks to. Throws as `inspectOverlay` does, and what `onEntry` throws. */
export async function scanOverlay(source: Uint8Array | string | FileHandle, { limits, keepBytes, onEntry }: ScanOptions): Promise<number> {
  const bounds = { ...defaultOverlayLimits, ...limits }
  let inflatedBytes = 0
  const reader = createTarReader({
    limits: { entries: bounds.entries },
    keepBytes: (entry) => keepBytes(entry, plainPath(entry.path)),
    onEntry: (entry, body) => {
      const path = plainPath(entry.path)
      if (path === '.' || path === '') return
      refuseMember(entry, path)
      onEntry(entry, path, body)
    },
  })
  const stream = streamOf(source)
  try {
    await pipeline(stream, refuseCipher, createGunzip({ chunkSize: 64 * 1024 }), async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) {
        inflatedBytes += chunk.length
        if (inflatedBytes > bounds.inflatedBytes) throw new DecodeError('overlay-size', `unpacks to more than ${bounds.inflatedBytes} bytes`)
        reader.push(chunk)
      }
    })
    reader.end()
  } catch (error) {
    throw explainFailure(error)
  }
  return inflatedBytes
}

function streamOf(source: Uint8Array | string | FileHandle): Readable {
  if (source instanceof Uint8Array) return Readable.from([source])
  const options = { highWaterMark: 64 * 1024 }
  return typeof source === 'string' ? createReadStream(source, options) : source.createReadStream(options)
}

// Lore: `lbu commit -e` writes openssl's format; the initramfs of a network boot cannot install openssl (mkinitfs 3.6 to 3.13).
async function* refuseCipher(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true
  for await (const chunk of chunks) {
    if (isFirst && Buffer.from(chunk.subarray(0, 8)).toString('latin1') === 'Salted__') {
      throw new InputError('overlay-encrypted', 'the overlay is encrypted, and a station that boots from the network cannot open it')
    }
    isFirst = false
    yield chunk
  }
  if (isFirst) throw new DecodeError('overlay-gzip', 'the file is empty')
}

function explainFailure(error: unknown): unknown {
  if (error instanceof BivouacError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return new MissingError('overlay-missing', 'there is no such overlay')
  if (code?.startsWith('Z_')) return new DecodeError('overlay-gzip', `not gzip, or damaged: ${message}`, { cause: error })
  return new OutsideError('overlay-read', `the overlay cannot be read: ${message}`, true, { cause: error })
}

export const plainPath = (path: string): string => path.replace(/^(\.\/)+/, '')

function readEntry(entry: TarEntry, path: string, body: Uint8Array, findings: Findings): void {
  findings.entries++
  noteOddities(entry, path, findings)
  if (body.length) findings.texts.set(path, new TextDecoder().decode(body))
  if (entry.kind === 'link') findings.links.add(path)
  if (path === 'root/.ssh/authorized_keys') findings.hasSshKeys = true
  if (/^etc\/ssh\/ssh_host_[a-z0-9]+_key$/.test(path)) findings.hasHostKeys = true
  if (path === 'etc/.default_boot_services') findings.hasDefaultServices = true
  const service = /^etc\/runlevels\/([^/]+\/[^/]+)$/.exec(path)?.[1]
  if (service && entry.kind !== 'directory') findings.services.push(service)
}

/** What cannot be in an overlay by accident. */
function refuseMember(entry: TarEntry, path: string): void {
  const { kind } = entry
  const told = JSON.stringify(path.slice(0, 120))
  if (kind === 'character-device' || kind === 'block-device' || kind === 'fifo') {
    throw new InputError('overlay-device', `${told} is a ${kind}: an overlay holds files, folders and links only`)
  }
  if (!isInside(path)) throw new InputError('overlay-path', `${told} is not a path below the root without ".."`)
  if (kind === 'hardlink' && !isInside(plainPath(entry.target))) {
    throw new InputError('overlay-path', `${told} is a hard link out of the archive: ${JSON.stringify(entry.target.slice(0, 120))}`)
  }
}

const isInside = (path: string): boolean => path.length <= 4096 && !path.startsWith('/') && !path.split('/').includes('..')

function noteOddities(entry: TarEntry, path: string, { oddities, links }: Findings): void {
  const note = (code: string): void => {
    if (!oddities.has(code)) oddities.set(code, path)
  }
  if (entry.path.startsWith('./')) note('dot-slash')
  if (!path.includes('/') && entry.kind !== 'directory') note('top-level')
  if ((entry.owner && entry.owner !== 'root') || (entry.group && entry.group !== 'root')) note('owner-names')
  if (entry.kind === 'file' && entry.mode & 0o4000) note('setuid')
  if (links.size && passesLink(path, links)) note('through-link')
}

function passesLink(path: string, links: ReadonlySet<string>): boolean {
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) if (links.has(path.slice(0, slash))) return true
  return false
}

function report(findings: Findings): OverlayReport {
  const { texts, services, hasDefaultServices } = findings
  const hostname = texts.get('etc/hostname')?.trim()
  return {
    entries: findings.entries,
    inflatedBytes: findings.inflatedBytes,
    ...(hostname && { hostname }),
    world: linesOf(texts.get('etc/apk/world')),
    repositories: linesOf(texts.get('etc/apk/repositories')),
    services: services.slice(0, maxListed).toSorted(),
    hasDefaultServices,
    ...(findings.hasSshKeys && { hasSshKeys: true }),
    ...(findings.hasHostKeys && { hasHostKeys: true }),
    warnings: warnOverlay(findings),
  }
}

const linesOf = (text: string | undefined): string[] =>
  (text ?? '')
    .split(/\s*\n\s*/)
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith('#'))
    .slice(0, maxListed)
