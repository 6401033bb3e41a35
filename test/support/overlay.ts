// Overlays for tests: one with nothing to warn of, as bytes ready to be served.
import { gzipSync } from 'node:zlib'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const service = (level: string, name: string): TarMember => ({ kind: 'link', path: `etc/runlevels/${level}/${name}`, target: `/etc/init.d/${name}` })

/** What stands in the good overlay. */
export function overlayMembers(hostname: string): TarMember[] {
  return [
    { kind: 'file', path: 'etc/hostname', bytes: bytes(`${hostname}\n`) },
    { kind: 'file', path: 'etc/apk/world', bytes: bytes('alpine-base\nopenssh\n') },
    { kind: 'file', path: 'etc/network/interfaces', bytes: bytes('auto eth0\niface eth0 inet dhcp\n') },
    { kind: 'file', path: 'etc/shadow', mode: 0o640, gid: 42, bytes: bytes('root:!::0:::::\n') },
    service('boot', 'networking'),
    service('boot', 'hostname'),
    service('sysinit', 'devfs'),
    service('sysinit', 'modloop'),
  ]
}

/** A whole overlay, gzip and all. */
export const goodOverlay = (hostname: string): Uint8Array => gzipSync(writeTar(overlayMembers(hostname)))
