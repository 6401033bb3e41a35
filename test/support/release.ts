// Boot files for tests that look like Alpine's from outside: a bzImage header, an initramfs with modules and keys, a squashfs superblock.
// Nothing of it boots.
import { gzipSync } from 'node:zlib'
import { type CpioEntry, packCpio } from '../../src/alpine/cpio.ts'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'

/** An x86 kernel image as far as its version tells. */
export function makeKernel(version: string): Buffer {
  const image = Buffer.alloc(4096)
  image.write('HdrS', 0x202)
  image.writeUInt16LE(0x300, 0x20e)
  image.write(`${version} (buildozer@build) #1-Alpine SMP\0`, 0x500)
  return image
}

/** A file with the superblock of a squashfs image. */
export function makeModloop(body: string): Buffer {
  const image = Buffer.alloc(96 + body.length)
  image.write('hsqs', 0)
  image.writeUInt16LE(4, 28)
  image.writeBigUInt64LE(BigInt(image.length), 40)
  image.write(body, 96)
  return image
}

/** PEM by name, as in /etc/apk/keys. */
export const releaseKeys: Readonly<Record<string, string>> = {
  'alpine-devel@lists.alpinelinux.org-4a6a0840.rsa.pub': '-----BEGIN PUBLIC KEY-----\nMA0=\n-----END PUBLIC KEY-----\n',
}

export const stockBundle = '# stock bundle\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

/** An initramfs with modules of this kernel, keys and the CA bundle. */
export function makeInitramfs(version: string, keys: Readonly<Record<string, string>> = releaseKeys, more: readonly CpioEntry[] = []): Buffer {
  const file = (path: string, text: string): CpioEntry => ({ kind: 'file', path, mode: 0o644, bytes: new TextEncoder().encode(text) })
  const entries = [
    file('init', '#!/bin/sh\nVERSION=3.12.0-r0\n'),
    file('etc/modules', 'af_packet\nipv6\n'),
    file('etc/ssl/certs/ca-certificates.crt', stockBundle),
    ...Object.entries(keys).map(([name, pem]) => file(`etc/apk/keys/${name}`, pem)),
    file(`lib/modules/${version}/modules.dep`, 'kernel/drivers/net/virtio_net.ko:\n'),
    file(`lib/modules/${version}/kernel/drivers/net/virtio_net.ko`, 'module'),
    ...more,
  ]
  return gzipSync(packCpio(entries))
}

/** The three files of one flavour by name. */
export function makeBootFiles(flavour: string, version = `6.12.31-0-${flavour}`): Record<string, Buffer> {
  return {
    [`vmlinuz-${flavour}`]: makeKernel(version),
    [`initramfs-${flavour}`]: makeInitramfs(version),
    [`modloop-${flavour}`]: makeModloop(`modules of ${version}`),
  }
}

/** As Alpine's alpine-netboot-<version>-<arch>.tar.gz: the files of several flavours below `boot/`. */
export function makeNetboot(files: Readonly<Record<string, Uint8Array>>, more: readonly TarMember[] = []): Buffer {
  const members = Object.entries(files).map(([name, bytes]): TarMember => ({ kind: 'file', path: `boot/${name}`, bytes }))
  return gzipSync(writeTar([{ kind: 'directory', path: 'boot' }, ...members, ...more]))
}
