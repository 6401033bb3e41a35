// Which way a try can go on this host: a namespace of its own in which DHCP and TFTP run for real without root, or QEMU's user network
// with HTTP alone. Used by lab.
import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { MachineFirmware } from './machine.ts'
import { findTool, installHint, runTool } from './tool.ts'

/** `whole`: DHCP, TFTP and HTTP by our own server. `http`: QEMU gives the address, everything from the script on is ours. */
export type Road = 'whole' | 'http'

/** The argv prefix that runs a program as root of a network of its own, or why that cannot be. */
export type Namespace = { readonly argv: readonly string[] } | { readonly refused: string }

const tun = '/dev/net/tun'

/** Tries it out: a namespace is made, and a tap interface in it. Leaves nothing behind. */
export async function findNamespace(): Promise<Namespace> {
  const unshare = findTool('unshare')
  const ip = findTool('ip')
  const packages = { apt: 'util-linux iproute2', apk: 'util-linux-misc iproute2', dnf: 'util-linux iproute' }
  if (!unshare || !ip) return { refused: `${unshare ? 'ip' : 'unshare'} is not installed (${installHint(packages)})` }
  if (!existsSync(tun)) return { refused: `${tun} is not there (as root: modprobe tun)` }
  if (!canWrite(tun)) return { refused: `${tun} may not be opened by you (as root: chmod 666 ${tun}, as most systems have it)` }
  const isRoot = process.getuid?.() === 0
  const argv = isRoot ? [unshare, '--net'] : [unshare, '--user', '--map-root-user', '--net']
  try {
    await runTool([...(argv as [string, ...string[]]), 'sh', '-c', `${ip} link set lo up && ${ip} tuntap add dev bvctry mode tap`], {
      timeoutMs: 10_000,
    })
    return { argv }
  } catch (error) {
    return { refused: `no network of our own without root: ${(error as Error).message}` }
  }
}

const canWrite = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

const loaderFolders = ['/usr/lib/ipxe', '/usr/share/ipxe', '/usr/lib/ipxe/x86_64-efi', '/usr/share/ipxe/x86_64-efi', '/boot']

/** Is there a loader that this firmware can run: in the depot, or in the distribution's package? */
export function hasLoader(firmware: MachineFirmware, depot: string): boolean {
  const name = firmware === 'bios' ? 'undionly.kpxe' : 'snponly.efi'
  const folders = [join(depot, 'ipxe'), join(depot, 'ipxe/x86_64-efi'), depot, ...loaderFolders]
  return folders.some((folder) => existsSync(join(folder, name)))
}
