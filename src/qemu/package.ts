// A repository of one small package for the stand-in depot: signed as Alpine's are, by a key that is made with it and thrown away.
// Called by depot.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { writeTar } from '../alpine/tar-write.ts'
import { type IndexedPackage, indexFileName, packageFileName, writeIndex } from '../apk/index-file.ts'
import { makeSignature, signFile, type SigningKey, writeCutTar } from '../apk/signature.ts'

export const exampleKeyName = 'stand-in.rsa.pub'
export const examplePackage = 'stand-in-hello'

/** The repository's files by name, and the public key (PEM) that stations need for them. */
export type ExampleRepository = { readonly files: ReadonlyMap<string, Uint8Array>; readonly publicKey: string }

/** Each call makes a new key, which takes some tenths of a second. */
export function makeExampleRepository(): ExampleRepository {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key: SigningKey = { keyName: exampleKeyName, privateKey }
  const { entry, bytes } = makeExamplePackage(key)
  const index = signFile(writeIndex({ description: 'of the stand-in', packages: [entry] }), key)
  return {
    files: new Map([
      [indexFileName, index],
      [packageFileName(entry), bytes],
    ]),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  }
}

/** Three gzip streams: signature, control, data. (apk-package(5)) */
function makeExamplePackage(key: SigningKey): { entry: IndexedPackage; bytes: Uint8Array } {
  const text = (words: string) => new TextEncoder().encode(words)
  const data = gzipSync(
    writeTar([
      { kind: 'directory', path: 'usr' },
      { kind: 'directory', path: 'usr/bin' },
      { kind: 'file', path: `usr/bin/${examplePackage}`, mode: 0o755, bytes: text('#!/bin/sh\necho "hello from a package"\n') },
    ]),
  )
  const facts = {
    name: examplePackage,
    version: '1-r0',
    arch: 'x86_64',
    description: 'an example',
    url: 'https://example.invalid/',
    license: 'MIT',
    origin: examplePackage,
    maintainer: '',
    commit: '',
    builtSeconds: 0,
    providerPriority: 0,
    depends: [],
    provides: [],
    installIf: [],
  }
  const info = [
    `pkgname = ${facts.name}`,
    `pkgver = ${facts.version}`,
    `arch = ${facts.arch}`,
    `datahash = ${createHash('sha256').update(data).digest('hex')}`,
  ]
  const control = gzipSync(writeCutTar([{ kind: 'file', path: '.PKGINFO', bytes: text(`${info.join('\n')}\n`) }]))
  const bytes = Buffer.concat([makeSignature([control], key), control, data])
  const checksum = `Q1${createHash('sha1').update(control).digest('base64')}`
  return { entry: { ...facts, checksum, sizeBytes: bytes.length, installedBytes: 64 }, bytes }
}
