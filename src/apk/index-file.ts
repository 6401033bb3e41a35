// APKINDEX.tar.gz, apk's v2 index: signature stream, then DESCRIPTION and APKINDEX. Read and written here; called by the mirror and release rooms.
// Reads only what the signature covers. Verifying is signature.ts's; v3 indexes (`*.adb`) are never parsed. Throws only DecodeError.
import { gzipSync } from 'node:zlib'
import { readTar } from '../alpine/tar.ts'
import { writeTar } from '../alpine/tar-write.ts'
import { DecodeError } from '../boot/error.ts'
import { readMember } from './gzip.ts'
import { splitSigned, writeCutTar } from './signature.ts'

/** One package as an index names it. Dependencies are as they are written: `so:libc.musl-x86_64.so.1`, `busybox>=1.36`, `!uclibc`. */
export type IndexedPackage = {
  readonly name: string
  readonly version: string
  readonly arch: string
  /** `Q1` and base64 of the SHA-1 of the package's control stream: binds the package to the signed index. */
  readonly checksum: string
  readonly sizeBytes: number
  readonly installedBytes: number
  readonly description: string
  readonly url: string
  readonly license: string
  readonly origin: string
  readonly maintainer: string
  readonly commit: string
  readonly builtSeconds: number
  readonly providerPriority: number
  readonly depends: readonly string[]
  readonly provides: readonly string[]
  readonly installIf: readonly string[]
}

export type ApkIndex = { readonly description: string; readonly packages: readonly IndexedPackage[] }

/** `bytes`: of the index when inflated; the largest of Alpine's is 11 MB. */
export type IndexLimits = { readonly bytes: number; readonly packages: number }
const defaultLimits: IndexLimits = { bytes: 128 * 1024 * 1024, packages: 250_000 }

/** The file's name below `<branch>/<repository>/<arch>/`. */
export const indexFileName = 'APKINDEX.tar.gz'

/** The name under which a repository keeps a package. */
export const packageFileName = ({ name, version }: Pick<IndexedPackage, 'name' | 'version'>): string => `${name}-${version}.apk`

/** Reads an APKINDEX.tar.gz, signed or not; nothing is verified. Throws DecodeError `gzip-…`, `tar-…`, `index-…`. */
export function readIndex(bytes: Uint8Array, given: Partial<IndexLimits> = {}): ApkIndex {
  const limits = { ...defaultLimits, ...given }
  const { description, text } = openIndex(bytes, limits)
  return { description, packages: parseIndex(text, limits) }
}

/** The packages of the same file, some at a time: who serves stations meanwhile gives way between them. Throws as `readIndex` does. */
export function* readIndexPieces(bytes: Uint8Array): Generator<IndexedPackage[]> {
  yield* parseIndexPieces(openIndex(bytes, defaultLimits).text, defaultLimits)
}

function openIndex(bytes: Uint8Array, limits: IndexLimits): { readonly description: string; readonly text: string } {
  const files = readTar(inflateFrom(bytes, splitSigned(bytes).signedFrom, limits.bytes))
  const bodies = files.filter(({ entry }) => entry.kind === 'file' && entry.path === 'APKINDEX')
  if (bodies.length !== 1) throw new DecodeError('index-missing', bodies.length ? 'two files called APKINDEX' : 'no file called APKINDEX in it')
  const description = files.find(({ entry }) => entry.path === 'DESCRIPTION')
  return { description: description ? decoder.decode(description.body).trim() : '', text: decoder.decode(bodies[0]?.body) }
}

function inflateFrom(bytes: Uint8Array, start: number, maxBytes: number): Uint8Array {
  const contents: Uint8Array[] = []
  let left = maxBytes
  for (let at = start; at < bytes.length; ) {
    const member = readMember(bytes, at, left)
    contents.push(member.content)
    left -= member.content.length
    at = member.end
  }
  if (!contents.length) throw new DecodeError('index-missing', 'nothing follows the signature')
  return contents.length === 1 ? (contents[0] as Uint8Array) : Buffer.concat(contents)
}

const decoder = new TextDecoder()

/** The text of an index: blocks of `K:value` lines between empty lines. Throws DecodeError `index-…`. (apk-package(5), the APKINDEX format) */
export function parseIndex(text: string, limits: Pick<IndexLimits, 'packages'> = defaultLimits): IndexedPackage[] {
  return [...parseIndexPieces(text, limits)].flat()
}

const packagesPerPiece = 500

function* parseIndexPieces(text: string, { packages: maxPackages }: Pick<IndexLimits, 'packages'>): Generator<IndexedPackage[]> {
  let packages: IndexedPackage[] = []
  let count = 0
  let block: Record<string, string> = {}
  let isEmpty = true
  const finish = (): void => {
    if (!isEmpty) {
      packages.push(makePackage(block))
      count++
    }
    if (count > maxPackages) throw new DecodeError('index-long', `more than ${maxPackages} packages`)
    block = {}
    isEmpty = true
  }
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf('\n', at)
    const end = found < 0 ? text.length : found
    if (end === at) finish()
    else if (text[at + 1] === ':') {
      block[text[at] as string] = text.slice(at + 2, end)
      isEmpty = false
    } else throw new DecodeError('index-line', `a line without its letter: ${JSON.stringify(text.slice(at, Math.min(end, at + 60)))}`)
    at = end + 1
    if (packages.length < packagesPerPiece) continue
    yield packages
    packages = []
  }
  finish()
  yield packages
}

// Both become file names: nothing that could leave its folder or hide.
const namePattern = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$/
const versionPattern = /^[0-9][A-Za-z0-9._~+-]{0,63}$/
const archPattern = /^[a-z0-9_]{1,16}$/
const checksumPattern = /^(Q1[A-Za-z0-9+/]{27}=|Q2[A-Za-z0-9+/]{43}=|[0-9a-f]{40})$/

/** Is this a name and version that apk's files may have? */
export const isPackageName = (name: string, version: string): boolean => namePattern.test(name) && versionPattern.test(version)

/** Is this an architecture as apk writes it (`x86_64`, `noarch`)? */
export const isArch = (arch: string): boolean => archPattern.test(arch)

function makePackage(block: Readonly<Record<string, string>>): IndexedPackage {
  const { P: name = '', V: version = '', A: arch = '', C: checksum = '' } = block
  if (!isPackageName(name, version))
    throw new DecodeError('index-name', `${JSON.stringify(`${name}-${version}`.slice(0, 80))} is no name of a package`)
  // Old indexes leave the architecture out.
  if (arch && !isArch(arch)) throw new DecodeError('index-arch', `${name}: ${JSON.stringify(arch.slice(0, 40))} is no architecture`)
  if (!checksumPattern.test(checksum)) throw new DecodeError('index-checksum', `${name}: ${JSON.stringify(checksum.slice(0, 60))} is no checksum`)
  return {
    name,
    version,
    arch,
    checksum,
    sizeBytes: parseCount(name, block.S),
    installedBytes: parseCount(name, block.I),
    description: block.T ?? '',
    url: block.U ?? '',
    license: block.L ?? '',
    origin: block.o ?? '',
    maintainer: block.m ?? '',
    commit: block.c ?? '',
    builtSeconds: parseCount(name, block.t),
    providerPriority: parseCount(name, block.k),
    depends: splitWords(block.D),
    provides: splitWords(block.p),
    installIf: splitWords(block.i),
  }
}

function parseCount(name: string, text: string | undefined): number {
  if (!text) return 0
  if (!/^[0-9]{1,15}$/.test(text)) throw new DecodeError('index-number', `${name}: ${JSON.stringify(text.slice(0, 40))} is no number`)
  return Number(text)
}

const noWords: readonly string[] = []
const splitWords = (text: string | undefined): readonly string[] => (text ? text.split(' ').filter(Boolean) : noWords)

/** The text of an index, packages in the order of their names. Fields in apk's own order. */
export function formatIndex(packages: readonly IndexedPackage[]): string {
  const keyOf = (one: IndexedPackage): string => `${one.name} ${one.version}`
  return packages
    .toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
    .map((one) => `${formatPackage(one)}\n\n`)
    .join('')
}

function formatPackage(one: IndexedPackage): string {
  const fields: [string, string][] = [
    ['C', one.checksum],
    ['P', one.name],
    ['V', one.version],
    ['A', one.arch],
    ['S', String(one.sizeBytes)],
    ['I', String(one.installedBytes)],
    ['T', one.description],
    ['U', one.url],
    ['L', one.license],
    ['o', one.origin],
    ['m', one.maintainer],
    ['t', one.builtSeconds ? String(one.builtSeconds) : ''],
    ['c', one.commit],
    ['k', one.providerPriority ? String(one.providerPriority) : ''],
    ['D', one.depends.join(' ')],
    ['p', one.provides.join(' ')],
    ['i', one.installIf.join(' ')],
  ]
  return fields
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}:${value.replaceAll('\n', ' ')}`)
    .join('\n')
}

/** An unsigned APKINDEX.tar.gz, the same bytes for the same packages. `signFile` puts a signature in front. */
export function writeIndex({ description, packages }: ApkIndex): Uint8Array {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  const head = writeCutTar([{ kind: 'file', path: 'DESCRIPTION', bytes: encode(description) }])
  const list = writeTar([{ kind: 'file', path: 'APKINDEX', bytes: encode(formatIndex(packages)) }])
  return new Uint8Array(gzipSync(Buffer.concat([head, list]), { level: 9 }))
}
