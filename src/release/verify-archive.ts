// Is an archive what Alpine published? Checksums and the OpenPGP signature of its release key. Called by import before anything is unpacked.
// Without a key only checksums are compared, and the answer says so.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { PublicKey } from 'openpgp'
import { InputError, OutsideError } from '../boot/error.ts'

/** Of Natanael Copa's key, which signs Alpine's releases (alpinelinux.org/downloads). */
export const alpineFingerprint = '0482D84022F52DF1C4E7CD43293ACD0907D9495A'

const readBytes = 1024 * 1024

/** Loaded when a signature is to be looked at: every other command would pay for it. */
const loadOpenPgp = () => import('openpgp')

/** Hex digests of the file, in one pass. */
export async function digestFile(
  path: string,
  onBytes: (doneBytes: number) => void = () => {},
): Promise<{ sha256: string; sha512: string; sizeBytes: number }> {
  const [sha256, sha512] = [createHash('sha256'), createHash('sha512')]
  let sizeBytes = 0
  for await (const piece of createReadStream(path, { highWaterMark: readBytes })) {
    sha256.update(piece as Uint8Array)
    sha512.update(piece as Uint8Array)
    sizeBytes += (piece as Uint8Array).length
    onBytes(sizeBytes)
  }
  return { sha256: sha256.digest('hex'), sha512: sha512.digest('hex'), sizeBytes }
}

/** The digest that a `.sha256` or `.sha512` file gives for this name: `<hex>  <name>`, or the hex alone. Undefined when it speaks of others. */
export function readChecksum(text: string, name: string, kind: 'sha256' | 'sha512'): string | undefined {
  const pattern = new RegExp(`^([0-9a-fA-F]{${kind === 'sha256' ? 64 : 128}})(?:\\s+\\*?(?:.*/)?([^/\\s]+))?\\s*$`)
  for (const line of text.slice(0, 64 * 1024).split('\n')) {
    const [, hex, of] = pattern.exec(line) ?? []
    if (hex && (of === undefined || of === name)) return hex.toLowerCase()
  }
  return undefined
}

/** The public key of this fingerprint in an armored file. Throws InputError `release-key` for a file that is none or holds another key. */
export async function readReleaseKey(armored: string, fingerprint: string, file: string): Promise<PublicKey> {
  const wanted = fingerprint.replace(/[\s:]/g, '').toUpperCase()
  if (!/^[0-9A-F]{40}([0-9A-F]{24})?$/.test(wanted)) throw new InputError('release-fingerprint', 'a fingerprint has 40 (or 64) hex digits')
  const { readKeys } = await loadOpenPgp()
  const keys = await readKeys({ armoredKeys: armored }).catch((error: unknown) => {
    throw new InputError('release-key', `is no OpenPGP public key: ${(error as Error).message}`, { file }, { cause: error })
  })
  const key = keys.find((one) => one.getFingerprint().toUpperCase() === wanted)
  if (key) return key.toPublic()
  const found = keys.map((one) => one.getFingerprint().toUpperCase()).join(', ')
  throw new InputError('release-key', `holds the key ${found || 'of nobody'}, not ${wanted}; if that one is meant: --fingerprint`, { file })
}

/** Throws OutsideError `signature-wrong` unless the detached signature over the file is the key's. Reads the file once, in pieces. */
export async function verifySignature(path: string, armored: string, key: PublicKey): Promise<void> {
  const refuse = (error: unknown) =>
    new OutsideError(
      'signature-wrong',
      `the signature of ${path} is not of the release key: ${(error as Error).message}; nothing was imported`,
      false,
      { cause: error },
    )
  const { createMessage, readSignature, verify } = await loadOpenPgp()
  try {
    const signature = await readSignature({ armoredSignature: armored })
    const binary = Readable.toWeb(createReadStream(path, { highWaterMark: readBytes })) as ReadableStream<Uint8Array>
    const message = await createMessage({ binary })
    const { data, signatures } = await verify({ message, signature, verificationKeys: key, format: 'binary' })
    // Nothing moves until the data is read. By its reader: openpgp 6 swaps the stream's methods when it tees it, but not its iterator.
    const reader = (data as unknown as ReadableStream<Uint8Array>).getReader()
    while (!(await reader.read()).done);
    if (!signatures.length) throw new Error('there is none')
    await Promise.any(signatures.map(({ verified }) => verified)).catch((error: unknown) => {
      throw error instanceof AggregateError ? error.errors[0] : error
    })
  } catch (error) {
    throw refuse(error)
  }
}
