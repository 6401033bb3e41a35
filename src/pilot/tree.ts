// PXE Pilot's tree of links: which configurations there are, which one a host has, and the links that a deploy makes. Files and links only; it decides nothing.
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import { codeOf } from '../store/atomic.ts'
import type { FileChange } from '../store/transaction.ts'
import type { Bootloader, PilotConfig, PilotHost } from './config.ts'

export type Configuration = { readonly name: string; readonly bootloader: Bootloader; readonly path: string }

/** What stands in a host's place: a configuration, nothing, or something that no deploy made. */
export type Deployed = { readonly configuration?: Configuration; readonly odd?: 'plain file' | 'dangling link' | 'folder' | 'unknown target' }

const flat: Bootloader = { name: '', file: '', config_path: '' }

/** All configurations: boot loaders in the file's order, names in byte order; every entry of a folder counts, also hidden ones. */
export async function listConfigurations({ directory, bootloaders }: PilotConfig): Promise<Configuration[]> {
  const folders = bootloaders.length
    ? bootloaders.map((bootloader) => ({ bootloader, path: join(directory, bootloader.name) }))
    : [{ bootloader: flat, path: directory }]
  const lists = await Promise.all(
    folders.map(async ({ bootloader, path }) =>
      (await listFolder(path)).map((name): Configuration => ({ name, bootloader, path: `${path}/${name}` })),
    ),
  )
  return lists.flat()
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path, { encoding: 'buffer' })).sort(Buffer.compare).map(String)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return []
    throw error
  }
}

/** Names are compared, never made into paths: `..`, a slash or NUL finds nothing. */
export const findConfiguration = (configurations: readonly Configuration[], name: string): Configuration | undefined =>
  configurations.find((one) => one.name === name)

/** Its bytes as text. Throws what the disk throws, for a folder too. */
export const readContent = ({ path }: Configuration): Promise<string> => readFile(path, 'utf8')

export const linkPath = ({ tftpRoot }: PilotConfig, mac: Mac): string => join(tftpRoot, 'pxelinux.cfg', `01-${formatMacHyphen(mac)}`)

const primaryOf = ({ mac_addresses: macs }: PilotHost): Mac => macs[0] as Mac

/** What the primary MAC's link says: the base name of its target, looked up among the names; the first one wins where two boot loaders have it, unless the path tells. */
export async function readDeployed(config: PilotConfig, host: PilotHost, configurations: readonly Configuration[]): Promise<Deployed> {
  const path = linkPath(config, primaryOf(host))
  try {
    const kind = await lstat(path)
    if (!kind.isSymbolicLink()) return { odd: kind.isDirectory() ? 'folder' : 'plain file' }
    const target = await readlink(path)
    const found = configurations.find((one) => one.path === target) ?? findConfiguration(configurations, basename(target))
    return found ? { configuration: found } : { odd: 'unknown target' }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return {}
    throw error
  }
}

/** The links of one host: the primary MAC's to the configuration, the others' to the primary's. Their texts are those of PXE Pilot, absolute where the file's are. */
export function planLinks(config: PilotConfig, host: PilotHost, configuration: Configuration): FileChange[] {
  const primary = primaryOf(host)
  const first = linkPath(config, primary)
  return host.mac_addresses.map((mac) => ({ path: linkPath(config, mac), target: mac === primary ? configuration.path : first }))
}
