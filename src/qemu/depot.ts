// A depot of its own for one virtual station: the stand-in release, a record, a profile, a layer, a repository, a key. Used by lab and test/qemu.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type TarMember, writeTar } from '../alpine/tar-write.ts'
import { findMac, formatMacHyphen, type Mac } from '../boot/address.ts'
import { exampleKeyName, examplePackage, makeExampleRepository } from './package.ts'
import { buildStandIn, type StandIn, type StandInOptions } from './release.ts'

export const standInRelease = 'stand-in/x86_64'
const repository = 'apk/stand-in/main'

/** Makes or renews the depot in `folder`. Throws MissingError with what to install. */
export async function makeDepot(options: StandInOptions & { readonly mac: Mac; readonly hostname: string }): Promise<StandIn> {
  const { folder, mac, hostname } = options
  const write = (name: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  mkdirSync(join(folder, 'releases/stand-in'), { recursive: true })
  const release = await buildStandIn({ ...options, folder: join(folder, 'releases', standInRelease) })
  // Of an earlier Bivouac: it would be laid over the layer.
  rmSync(join(folder, `configs/${formatMacHyphen(mac)}.tar.gz`), { force: true })
  write(`stations/${hostname}.yaml`, `macs: ["${mac}"]\nhostname: ${hostname}\nprofile: stand-in\n`)
  write('profiles/stand-in.yaml', `${standInProfile}layers: [stand-in]\nrepositories: [${repository}]\n`)
  write('overlays/stand-in/layer.yaml', `packages: [${examplePackage}]\nkeys: [${exampleKeyName}]\n`)
  write('overlays/stand-in/etc/motd.ejs', 'Welcome to <%= it.station.hostname %>.\n')
  if (!existsSync(join(folder, `overlays/stand-in/${exampleKeyName}`))) {
    const { files, publicKey } = makeExampleRepository()
    for (const [name, bytes] of files) write(`${repository}/x86_64/${name}`, bytes)
    // Last: it says that the rest is whole.
    write(`overlays/stand-in/${exampleKeyName}`, publicKey)
  }
  write('sshkeys.pub', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody@stand-in\n')
  return release
}

/** The profile of the stand-in release. A station that fails ends at once, in place of waiting for somebody at its console. */
export const standInProfile = `kind: alpine\nrelease: ${standInRelease}\narguments: [console=ttyS0, quiet, panic=-1]\n`

/** An overlay as Alpine's init wants it, for the stand-in's init. `more` are further members. */
export function packOverlay(hostname: string, more: readonly TarMember[] = []): Uint8Array {
  const file = (path: string, text: string): TarMember => ({ kind: 'file', path, bytes: Buffer.from(text) })
  const members: TarMember[] = [{ kind: 'directory', path: 'etc' }, file('etc/hostname', `${hostname}\n`), file('etc/.default_boot_services', '')]
  return gzipSync(writeTar([...members, ...more]))
}

/** Has the depot a release of 64-bit PCs and an overlay for this MAC (an archive; `isServed`: one of layers)? Then the virtual station can boot what real ones boot. */
export function canBootFrom(depot: string, mac: Mac, isServed = false): boolean {
  const overlays = listFolder(join(depot, 'configs'))
  const hasOverlay = overlays.some((name) => name === 'default.tar.gz' || findMac(name.replace(/(\.apkovl)?\.tar\.gz$/, '')) === mac)
  return (isServed || hasOverlay) && hasKernel(join(depot, 'releases'), false, 8)
}

function hasKernel(folder: string, isForPc: boolean, depth: number): boolean {
  return listFolder(folder).some((name) => {
    if (isForPc && name.startsWith('vmlinuz-')) return true
    const path = join(folder, name)
    return depth > 0 && isFolder(path) && hasKernel(path, isForPc || name === 'x86_64', depth - 1)
  })
}

const listFolder = (path: string): string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
