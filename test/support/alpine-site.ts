// A stand-in for Alpine's own mirror, laid out as that is: releases with checksums and signature, main and community with signed packages.
// For tests of import, sync, init and the documents; it holds no Alpine. What boots of it is the stand-in release, where one is given.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createMessage, generateKey, readPrivateKey, sign } from 'openpgp'
import { packCpio } from '../../src/alpine/cpio.ts'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { makeApkKey, makePackage, type PackageOptions, type TestKey, writeRepository } from './apk.ts'
import { makeBootFiles, makeInitramfs } from './release.ts'

/** Files of a release that really boots; absent: files that only look like one. */
export type SiteBoot = { readonly kernel: string; readonly initramfs: string; readonly modloop: string }

export type AlpineSiteOptions = {
  /** Becomes `…/alpine` of a mirror. */
  readonly folder: string
  readonly branch?: string
  readonly version?: string
  readonly arch?: string
  readonly flavours?: readonly string[]
  readonly boot?: SiteBoot
  /** Packages of main and community besides those that every station needs. */
  readonly main?: readonly PackageOptions[]
  readonly community?: readonly PackageOptions[]
}

export type AlpineSite = {
  readonly folder: string
  readonly branch: string
  readonly version: string
  readonly arch: string
  /** What packages and indexes are signed with; the initramfs has its public half. */
  readonly key: TestKey
  /** What the release is signed with, armored, as `ncopa.asc` is. */
  readonly releaseKey: string
  readonly fingerprint: string
  /** The netboot archive's path below the folder. */
  readonly tarball: string
}

const basePackages: readonly PackageOptions[] = [
  { name: 'alpine-base', version: '3.22.2-r0', depends: ['alpine-baselayout', 'busybox', 'openrc', 'apk-tools'] },
  { name: 'alpine-baselayout', version: '3.7.0-r0' },
  { name: 'apk-tools', version: '2.14.9-r2', depends: ['musl>=1.2'] },
  { name: 'busybox', version: '1.37.0-r18', depends: ['musl'], provides: ['cmd:busybox=1.37.0-r18'] },
  { name: 'musl', version: '1.2.5-r10', provides: ['so:libc.musl-x86_64.so.1=1'] },
  { name: 'openrc', version: '0.62.6-r0', depends: ['so:libc.musl-x86_64.so.1'] },
  { name: 'openssh', version: '10.0_p1-r9', depends: ['openssl'] },
  { name: 'openssl', version: '3.5.4-r0', depends: ['so:libc.musl-x86_64.so.1'] },
]
const communityPackages: readonly PackageOptions[] = [
  { name: 'hello', version: '2.12-r1', depends: ['so:libc.musl-x86_64.so.1'], files: { 'usr/bin/hello': '#!/bin/sh\necho hello\n' } },
  { name: 'htop', version: '3.4.1-r0', depends: ['so:libc.musl-x86_64.so.1'] },
]

/** Lays the mirror. The same key signs in one process, so that several sites trust each other. */
export async function makeAlpineSite(options: AlpineSiteOptions): Promise<AlpineSite> {
  const { folder, branch = 'v3.22', version = '3.22.2', arch = 'x86_64', flavours = ['lts', 'virt'], boot } = options
  const key = makeApkKey('alpine-devel@lists.alpinelinux.org-0badcafe.rsa.pub')
  const packages = (list: readonly PackageOptions[]) => list.map((one) => makePackage({ ...one, arch, key }))
  writeRepository(folder, `${branch}/main/${arch}`, packages([...basePackages, ...(options.main ?? [])]), key)
  writeRepository(folder, `${branch}/community/${arch}`, packages([...communityPackages, ...(options.community ?? [])]), key)
  const write = (path: string, content: string | Uint8Array): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  const home = `${branch}/releases/${arch}`
  const files = new Map(flavours.flatMap((flavour) => [...filesOf(flavour, key, boot)]))
  for (const [name, bytes] of files) write(`${home}/netboot-${version}/${name}`, bytes)
  const name = `alpine-netboot-${version}-${arch}.tar.gz`
  const tarball = `${home}/${name}`
  const bytes = gzipSync(writeTar([...files].map(([file, body]): TarMember => ({ kind: 'file', path: `boot/${file}`, bytes: body }))), { level: 1 })
  const digest = (kind: string): string => createHash(kind).update(bytes).digest('hex')
  const { publicKey, privateKey } = await makeReleaseKey()
  write(tarball, bytes)
  write(`${tarball}.sha256`, `${digest('sha256')}  ${name}\n`)
  write(`${tarball}.sha512`, `${digest('sha512')}  ${name}\n`)
  write(`${tarball}.asc`, await signDetached(bytes, privateKey))
  write(
    `${home}/latest-releases.yaml`,
    latestReleases({ branch, version, arch, name, sizeBytes: bytes.length, sha256: digest('sha256'), sha512: digest('sha512') }),
  )
  linkLatest(folder, branch, write)
  const { fingerprint } = await makeReleaseKey()
  return { folder, branch, version, arch, key, releaseKey: publicKey, fingerprint, tarball }
}

/** `latest-stable/` is a link on the real ones; a copy of what is asked for there will do. */
function linkLatest(folder: string, branch: string, write: (path: string, content: Uint8Array) => void): void {
  const path = 'releases/x86_64/latest-releases.yaml'
  write(`latest-stable/${path}`, readFileSync(join(folder, branch, path)))
}

/** vmlinuz, initramfs and modloop of a flavour; the initramfs trusts the packages' key. */
function filesOf(flavour: string, key: TestKey, boot: SiteBoot | undefined): Map<string, Uint8Array> {
  if (!boot) {
    const initramfs = makeInitramfs(`6.12.31-0-${flavour}`, { [key.keyName]: key.publicPem })
    return new Map(Object.entries({ ...makeBootFiles(flavour), [`initramfs-${flavour}`]: initramfs }))
  }
  const keys = packCpio([{ kind: 'file', path: `etc/apk/keys/${key.keyName}`, mode: 0o644, bytes: new TextEncoder().encode(key.publicPem) }])
  return new Map<string, Uint8Array>([
    [`vmlinuz-${flavour}`, readFileSync(boot.kernel)],
    [`initramfs-${flavour}`, Buffer.concat([pad(readFileSync(boot.initramfs)), keys])],
    [`modloop-${flavour}`, readFileSync(boot.modloop)],
  ])
}

/** The kernel takes archives one after the other at multiples of four. */
const pad = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, new Uint8Array((4 - (bytes.length % 4)) % 4)])

type Latest = Record<'branch' | 'version' | 'arch' | 'name' | 'sha256' | 'sha512', string> & { readonly sizeBytes: number }

const latestReleases = ({ branch, version, arch, name, sizeBytes, sha256, sha512 }: Latest): string => `---
-
  title: "Netboot"
  desc: |
    Kernel, initramfs and modloop for
    netboot.
  branch: ${branch}
  arch: ${arch}
  version: ${version}
  flavor: alpine-netboot
  file: ${name}
  iso: ${name}
  date: 2025-10-08
  time: 09:21:39
  size: ${sizeBytes}
  sha256: ${sha256}
  sha512: ${sha512}
`

let releaseKey: Promise<{ publicKey: string; privateKey: string; fingerprint: string }> | undefined

/** An OpenPGP key pair; made once a process. */
function makeReleaseKey(): Promise<{ publicKey: string; privateKey: string; fingerprint: string }> {
  releaseKey ??= (async () => {
    const { publicKey, privateKey } = await generateKey({ userIDs: [{ name: 'Stand-in', email: 'stand-in@example.invalid' }], format: 'armored' })
    return { publicKey, privateKey, fingerprint: (await readPrivateKey({ armoredKey: privateKey })).getFingerprint().toUpperCase() }
  })()
  return releaseKey
}

async function signDetached(bytes: Uint8Array, privateKey: string): Promise<string> {
  const message = await createMessage({ binary: bytes })
  return sign({ message, signingKeys: await readPrivateKey({ armoredKey: privateKey }), detached: true, format: 'armored' }) as Promise<string>
}

/** Copies the archive with its checksums and signature, as somebody carries them to a network that is cut off. */
export function carryRelease({ folder, tarball }: AlpineSite, to: string): string {
  mkdirSync(to, { recursive: true })
  const name = tarball.split('/').at(-1) as string
  for (const ending of ['', '.sha256', '.sha512', '.asc']) copyFileSync(join(folder, `${tarball}${ending}`), join(to, `${name}${ending}`))
  return join(to, name)
}
