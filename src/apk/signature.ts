// Signatures of apk v2 files: a gzip member of its own in front, holding `.SIGN.RSA.<key file name>` over the bytes of what follows.
// Called by the mirror for indexes and packages. Knows keys by name only, never reads or writes a file. Throws only DecodeError on a peer's bytes.
import { createPrivateKey, createPublicKey, createSign, createVerify, type KeyObject } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { readTar } from '../alpine/tar.ts'
import { writeTar } from '../alpine/tar-write.ts'
import { DecodeError, InputError } from '../boot/error.ts'
import { peekMember, readMember } from './gzip.ts'

/** Public keys by the name of their file in `/etc/apk/keys`, such as `alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub`. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>

export type SignatureAlgorithm = 'sha1' | 'sha256' | 'sha512'

/** One signature as it stands in the file. `keyName` is a file name of the signer's. */
export type Signature = { readonly algorithm: SignatureAlgorithm; readonly keyName: string; readonly bytes: Uint8Array }

/** A key pair that signs; `keyName` is the public key's file name on the stations. */
export type SigningKey = { readonly keyName: string; readonly privateKey: KeyObject }

const tags: Readonly<Record<string, SignatureAlgorithm>> = { RSA: 'sha1', RSA256: 'sha256', RSA512: 'sha512' }
const tagOf: Record<SignatureAlgorithm, string> = { sha1: 'RSA', sha256: 'RSA256', sha512: 'RSA512' }
const signatureStreamBytesMax = 1024 * 1024
/** What apk takes at most for one signature. */
const signatureBytesMax = 65_536

/** The public key of a PEM text. Throws InputError `key-bad` for what is not an RSA public key. */
export function parsePublicKey(name: string, pem: string | Uint8Array): KeyObject {
  return parseKey(name, () => createPublicKey({ key: Buffer.from(pem as string), format: 'pem' }))
}

/** The private key of a PEM text without passphrase. Throws InputError `key-bad`. */
export function parsePrivateKey(name: string, pem: string | Uint8Array): KeyObject {
  return parseKey(name, () => createPrivateKey({ key: Buffer.from(pem as string), format: 'pem' }))
}

function parseKey(name: string, parse: () => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = parse()
  } catch (error) {
    throw new InputError('key-bad', 'is not a key in PEM form', { file: name }, { cause: error })
  }
  if (key.asymmetricKeyType !== 'rsa') throw new InputError('key-bad', `is a key of type ${key.asymmetricKeyType}; apk knows RSA`, { file: name })
  return key
}

/**
 * Where the signed bytes begin (0 when there is no signature), and the signatures in front of them.
 * Throws DecodeError `gzip-…`, `tar-…`, or `signature-mixed` when a signature stream holds anything else.
 */
export function splitSigned(bytes: Uint8Array): { readonly signedFrom: number; readonly signatures: readonly Signature[] } {
  const signatures: Signature[] = []
  let at = 0
  // Several signature streams may follow each other; each is small, and there are as many as there are keys.
  for (let streams = 0; streams < 16; streams++) {
    if (!startsWithSignature(bytes, at)) return { signedFrom: at, signatures }
    const member = readMember(bytes, at, signatureStreamBytesMax)
    signatures.push(...readSignatureTar(member.content))
    at = member.end
  }
  throw new DecodeError('signature-mixed', 'more than 16 signature streams')
}

const startsWithSignature = (bytes: Uint8Array, at: number): boolean =>
  at < bytes.length && Buffer.from(peekMember(bytes, at).subarray(0, 6)).toString('latin1') === '.SIGN.'

/** The signatures in an inflated signature stream. Throws DecodeError `tar-…` or `signature-mixed`. */
export function readSignatureTar(content: Uint8Array): Signature[] {
  return readCutTar(content).flatMap(({ entry, body }) => {
    if (entry.kind !== 'file' || !entry.path.startsWith('.SIGN.') || entry.path.includes('/'))
      throw new DecodeError('signature-mixed', `${JSON.stringify(entry.path.slice(0, 80))} stands among the signatures`)
    const [, , tag = '', ...rest] = entry.path.split('.')
    const algorithm = Object.hasOwn(tags, tag) ? tags[tag] : undefined
    return algorithm && body.length <= signatureBytesMax ? [{ algorithm, keyName: rest.join('.'), bytes: body }] : []
  })
}

/** A tar whose end mark was cut off, as apk's first streams are, or a whole one. Throws DecodeError. */
export function readCutTar(content: Uint8Array): ReturnType<typeof readTar> {
  const whole = new Uint8Array(content.length + 1024)
  whole.set(content)
  return readTar(whole)
}

/** The members as a tar without end mark, in the order given. */
export function writeCutTar(members: Parameters<typeof writeTar>[0], modifiedSeconds = 0): Uint8Array {
  return Buffer.concat(members.map((member) => writeTar([member], modifiedSeconds).subarray(0, -1024)))
}

/**
 * Checks a signed file (an index) against the trusted keys, as apk does: the first signature whose key is trusted decides.
 * Answers which key it was. Throws DecodeError `signature-missing`, `signature-untrusted` or `signature-bad`.
 */
export function verifySigned(bytes: Uint8Array, keys: TrustedKeys): { readonly keyName: string; readonly signedFrom: number } {
  const { signedFrom, signatures } = splitSigned(bytes)
  const signature = chooseSignature(signatures, keys)
  const verify = createVerify(signature.algorithm).update(bytes.subarray(signedFrom))
  checkSignature(signature, keys, (key) => verify.verify(key, signature.bytes))
  return { keyName: signature.keyName, signedFrom }
}

/** The first signature by a key that is trusted. Throws DecodeError `signature-missing` or `signature-untrusted`. */
export function chooseSignature(signatures: readonly Signature[], keys: TrustedKeys): Signature {
  const chosen = signatures.find(({ keyName }) => keys.has(keyName))
  if (chosen) return chosen
  if (!signatures.length) throw new DecodeError('signature-missing', 'it is not signed')
  const names = signatures.map(({ keyName }) => keyName.slice(0, 120)).join(', ')
  throw new DecodeError('signature-untrusted', `it is signed with ${names}, and that key is not among the trusted ones`)
}

/** Throws DecodeError `signature-bad` unless `verify` says yes to the key of that name. */
export function checkSignature({ keyName }: Signature, keys: TrustedKeys, verify: (key: KeyObject) => boolean): void {
  const key = keys.get(keyName)
  let isGood = false
  try {
    isGood = key !== undefined && verify(key)
  } catch {
    isGood = false
  }
  if (!isGood) throw new DecodeError('signature-bad', `the signature with ${keyName} is wrong: the file was changed after it was signed`)
}

/** The gzip member to put in front of `signed`. SHA-1 is what every apk reads; SHA-256 is read from apk-tools 2.12 on. */
export function makeSignature(signed: Iterable<Uint8Array>, { keyName, privateKey }: SigningKey, algorithm: SignatureAlgorithm = 'sha1'): Uint8Array {
  const sign = createSign(algorithm)
  for (const chunk of signed) sign.update(chunk)
  const path = `.SIGN.${tagOf[algorithm]}.${keyName}`
  return gzipSync(writeCutTar([{ kind: 'file', path, bytes: sign.sign(privateKey) }]), { level: 9 })
}

/** The signed file: signature stream and then the bytes unchanged. */
export const signFile = (bytes: Uint8Array, key: SigningKey, algorithm: SignatureAlgorithm = 'sha1'): Uint8Array =>
  new Uint8Array(Buffer.concat([makeSignature([bytes], key, algorithm), bytes]))
