// Reads a v2 package (.apk) in a stream: signature, control stream with .PKGINFO, and the data's digest against the control's. Called by the mirror.
// Holds the two small streams in memory, never the data. Throws only DecodeError; v3 packages (ADB) are told apart, not read.
import { createHash, createVerify } from 'node:crypto'
import { DecodeError } from '../boot/error.ts'
import { readMember } from './gzip.ts'
import { type IndexedPackage, isArch, isPackageName } from './index-file.ts'
import { checkSignature, chooseSignature, readCutTar, type Signature, splitSigned, type TrustedKeys } from './signature.ts'

/** A package as its file says it is. */
export type ReadPackage = {
  /** As an index would name it. */
  readonly entry: IndexedPackage
  readonly signatures: readonly Signature[]
  /** Which trusted key has signed it; absent when no keys were given. */
  readonly signedBy?: string
  /** The gzip stream that signatures cover, and where it begins in the file. */
  readonly control: Uint8Array
  readonly controlFrom: number
  /** SHA-256 of the data stream, hex: equal to what the control stream promises. */
  readonly dataSha256: string
}

export type PackageLimits = { readonly headBytes: number; readonly controlBytes: number; readonly fileBytes: number }
const defaultLimits: PackageLimits = { headBytes: 16 * 1024 * 1024, controlBytes: 64 * 1024 * 1024, fileBytes: 8 * 1024 ** 3 }

/**
 * Reads one package to its end. With `keys` the signature must be of one of them. Throws DecodeError: `package-…`, `signature-…`, `gzip-…`, `tar-…`;
 * what the stream itself throws passes through. (apk-v2(5))
 */
export async function readPackage(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { keys, limits: given }: { readonly keys?: TrustedKeys; readonly limits?: Partial<PackageLimits> } = {},
): Promise<ReadPackage> {
  const limits = { ...defaultLimits, ...given }
  const dataHash = createHash('sha256')
  let pending: Uint8Array = new Uint8Array()
  let tryAt = 1
  let head: Head | undefined
  let sizeBytes = 0
  for await (const chunk of chunks) {
    sizeBytes += chunk.length
    if (sizeBytes > limits.fileBytes) throw new DecodeError('package-size', `more than ${limits.fileBytes} bytes`)
    if (head) {
      dataHash.update(chunk)
      continue
    }
    pending = pending.length ? Buffer.concat([pending, chunk]) : chunk
    if (pending.length < tryAt) continue
    head = tryHead(pending, limits)
    if (head) dataHash.update(pending.subarray(head.controlTo))
    else if (pending.length > limits.headBytes) throw new DecodeError('package-head', 'the control stream has no end')
    // Each try costs as much as what is there: so only when there is twice as much.
    else tryAt = pending.length * 2
  }
  if (!head) {
    head = readHead(pending, limits)
    dataHash.update(pending.subarray(head.controlTo))
  }
  return finish(head, sizeBytes, dataHash.digest('hex'), keys)
}

type Head = {
  readonly signatures: readonly Signature[]
  readonly control: Uint8Array
  readonly controlFrom: number
  readonly controlTo: number
  readonly info: ReadonlyMap<string, readonly string[]>
}

/** Undefined while the bytes end too early. */
function tryHead(bytes: Uint8Array, limits: PackageLimits): Head | undefined {
  try {
    return readHead(bytes, limits)
  } catch (error) {
    if (error instanceof DecodeError && error.code === 'gzip-cut') return undefined
    throw error
  }
}

function readHead(bytes: Uint8Array, { controlBytes }: PackageLimits): Head {
  if (Buffer.from(bytes.subarray(0, 3)).toString('latin1') === 'ADB')
    throw new DecodeError('package-v3', 'a package in the format of apk v3, which is served but not read')
  if (bytes.length < 18) throw new DecodeError('gzip-cut', 'too short for a package')
  const { signedFrom, signatures } = splitSigned(bytes)
  if (signedFrom >= bytes.length) throw new DecodeError('gzip-cut', 'nothing follows the signature')
  const { end, content } = readMember(bytes, signedFrom, controlBytes)
  const files = readCutTar(content).filter(({ entry }) => entry.path === '.PKGINFO')
  const [file] = files
  if (!file || files.length > 1 || file.entry.kind !== 'file')
    throw new DecodeError('package-info', 'no .PKGINFO in the control stream: not a package, or one without parts')
  return {
    signatures,
    control: Uint8Array.from(bytes.subarray(signedFrom, end)),
    controlFrom: signedFrom,
    controlTo: end,
    info: parseInfo(file.body),
  }
}

/** `key = value` lines; a key may come several times. */
function parseInfo(body: Uint8Array): Map<string, string[]> {
  const info = new Map<string, string[]>()
  for (const line of new TextDecoder().decode(body).split('\n')) {
    const at = line.indexOf(' = ')
    if (line.startsWith('#') || at < 1) continue
    const key = line.slice(0, at)
    info.set(key, [...(info.get(key) ?? []), line.slice(at + 3).trim()])
  }
  return info
}

function finish(head: Head, sizeBytes: number, dataSha256: string, keys: TrustedKeys | undefined): ReadPackage {
  const { control, controlFrom, signatures, info } = head
  const datahash = info.get('datahash')?.[0]
  if (!datahash) throw new DecodeError('package-datahash', 'its .PKGINFO has no datahash')
  if (datahash !== dataSha256) throw new DecodeError('package-data', 'its data is not what its .PKGINFO says: it was changed or cut')
  const signedBy = keys && verifyControl(control, signatures, keys)
  const entry = entryOf(info, control, sizeBytes)
  return { entry, signatures, ...(signedBy !== undefined && { signedBy }), control, controlFrom, dataSha256 }
}

function verifyControl(control: Uint8Array, signatures: readonly Signature[], keys: TrustedKeys): string {
  const signature = chooseSignature(signatures, keys)
  checkSignature(signature, keys, (key) => createVerify(signature.algorithm).update(control).verify(key, signature.bytes))
  return signature.keyName
}

function entryOf(info: ReadonlyMap<string, readonly string[]>, control: Uint8Array, sizeBytes: number): IndexedPackage {
  const one = (key: string): string => info.get(key)?.[0] ?? ''
  const count = (key: string): number => (/^[0-9]{1,15}$/.test(one(key)) ? Number(one(key)) : 0)
  const words = (key: string): string[] => (info.get(key) ?? []).flatMap((value) => value.split(/\s+/)).filter(Boolean)
  const [name, version, arch] = [one('pkgname'), one('pkgver'), one('arch')]
  if (!isPackageName(name, version) || !isArch(arch))
    throw new DecodeError('package-name', `${JSON.stringify(`${name}-${version} (${arch})`.slice(0, 120))} is no name, version and architecture`)
  return {
    name,
    version,
    arch,
    checksum: `Q1${createHash('sha1').update(control).digest('base64')}`,
    sizeBytes,
    installedBytes: count('size'),
    description: one('pkgdesc'),
    url: one('url'),
    license: one('license'),
    origin: one('origin'),
    maintainer: one('maintainer'),
    commit: one('commit'),
    builtSeconds: count('builddate'),
    providerPriority: count('provider_priority'),
    depends: words('depend'),
    provides: words('provides'),
    installIf: words('install_if'),
  }
}

/**
 * Is this the package that the index names? Answers what is wrong, or undefined. The checksum binds name, version and (by the datahash) every byte that
 * apk installs.
 */
export function findMismatch(
  entry: Pick<IndexedPackage, 'name' | 'version' | 'sizeBytes' | 'checksum'>,
  { entry: found }: Pick<ReadPackage, 'entry'>,
): string | undefined {
  if (found.name !== entry.name || found.version !== entry.version)
    return `is ${found.name}-${found.version}, the index says ${entry.name}-${entry.version}`
  if (found.sizeBytes !== entry.sizeBytes) return `has ${found.sizeBytes} bytes, the index says ${entry.sizeBytes}`
  if (!matchesChecksum(found, entry.checksum)) return `has the checksum ${found.checksum}, the index says ${entry.checksum}`
  return undefined
}

/** Indexes may write the SHA-1 in hex. */
function matchesChecksum(found: IndexedPackage, wanted: string): boolean {
  if (!/^[0-9a-f]{40}$/.test(wanted)) return found.checksum === wanted
  return Buffer.from(found.checksum.slice(2), 'base64').toString('hex') === wanted
}
