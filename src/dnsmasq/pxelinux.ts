// Which names pxelinux asks for, in its own order, and the links that put one host into rescue. Used by `bivouac pxelinux` and `bivouac rescue`.
// Order as seen from pxelinux 6.04 (BIOS) and syslinux.efi; it touches nothing but the folder of configurations that it is given.
import { link, lstat, readdir, readFile, readlink, rename, stat, symlink, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Ipv4, ipv4ToNumber, type Mac } from '../boot/address.ts'
import { ConflictError, MissingError } from '../boot/error.ts'
import { codeOf, draftPath, syncFolder } from '../store/atomic.ts'
import { linkName } from './edit.ts'

export type PxelinuxAsker = {
  readonly uuid?: string | undefined
  readonly mac?: Mac | undefined
  readonly ip?: Ipv4 | undefined
  readonly configFile?: string | undefined
}

/** Lore: pxelinux prints the UUID's bytes as they were sent, so the first three fields are turned round against iPXE's and dmidecode's spelling. */
export function swapUuid(uuid: string): string {
  const turn = (field: string) => (field.match(/../g) ?? []).reverse().join('')
  const [first = '', second = '', third = '', ...rest] = uuid.toLowerCase().split('-')
  return [turn(first), turn(second), turn(third), ...rest].join('-')
}

/** Every name that is asked for, first to last. `uuid` is as iPXE and dmidecode print it; `configFile` is DHCP option 209. */
export function listPxelinuxNames({ uuid, mac, ip, configFile }: PxelinuxAsker): string[] {
  const hex = ip === undefined ? '' : ipv4ToNumber(ip).toString(16).toUpperCase().padStart(8, '0')
  const names = [
    ...(uuid === undefined ? [] : [swapUuid(uuid)]),
    ...(mac === undefined ? [] : [linkName(mac)]),
    ...Array.from({ length: hex.length }, (_, at) => hex.slice(0, hex.length - at)),
    'default',
  ]
  return [...(configFile === undefined ? [] : [configFile]), ...names.map((name) => `pxelinux.cfg/${name}`)]
}

/** The first of the names that is a file below the folder; undefined when there is none. `target` is where a link leads. */
export async function findPxelinuxFile(
  folder: string,
  names: readonly string[],
): Promise<{ readonly name: string; readonly target?: string } | undefined> {
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(() => undefined)
    if (!found?.isFile()) continue
    const target = await readlink(join(folder, name)).catch(() => undefined)
    return { name, ...(target !== undefined && { target }) }
  }
  return undefined
}

export const rescueFile = '911boot'

/** One host in rescue. `isOnce`: its link goes away with the next boot. */
export type RescueLink = { readonly mac: Mac; readonly kind: 'symbolic' | 'hard'; readonly isOnce: boolean }

/** `pxelinux.cfg/01-<mac>` becomes a link to the rescue entry, at once. Throws MissingError without that entry, ConflictError where another file stands. */
export async function enableRescue(folder: string, mac: Mac, kind: RescueLink['kind'] = 'symbolic'): Promise<void> {
  const path = join(folder, linkName(mac))
  const entry = await stat(join(folder, rescueFile)).catch(() => undefined)
  if (!entry?.isFile()) throw new MissingError('rescue-entry', `there is no ${join(folder, rescueFile)}: write the rescue entry first`)
  const there = await lstat(path).catch(() => undefined)
  if (there && !(await isRescue(folder, linkName(mac), entry.ino, entry.dev)))
    throw new ConflictError('link-taken', `${path} is something else already; move it away first`)
  const draft = draftPath(path)
  if (kind === 'hard') await link(join(folder, rescueFile), draft)
  else await symlink(rescueFile, draft)
  // Lore: rename of two hard links to one file does nothing, and leaves the draft.
  await rename(draft, path)
  await unlink(draft).catch(() => undefined)
  await syncFolder(folder)
}

/** Takes the link away. Answers false when the host was not in rescue; another file of that name is left alone. */
export async function disableRescue(folder: string, mac: Mac): Promise<boolean> {
  const entry = await stat(join(folder, rescueFile)).catch(() => undefined)
  if (!(await isRescue(folder, linkName(mac), entry?.ino, entry?.dev))) return false
  await unlink(join(folder, linkName(mac)))
  await syncFolder(folder)
  return true
}

/** All hosts whose link leads to the rescue entry. */
export async function listRescue(folder: string, isOnce: (mac: Mac) => boolean = () => false): Promise<RescueLink[]> {
  const entry = await stat(join(folder, rescueFile)).catch(() => undefined)
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  const found: RescueLink[] = []
  for (const name of names.filter((one) => /^01(-[0-9a-f]{2}){6}$/.test(one)).sort()) {
    const kind = await isRescue(folder, name, entry?.ino, entry?.dev)
    const mac = name.slice(3).replaceAll('-', ':') as Mac
    if (kind) found.push({ mac, kind, isOnce: isOnce(mac) })
  }
  return found
}

async function isRescue(folder: string, name: string, ino: number | undefined, dev: number | undefined): Promise<RescueLink['kind'] | undefined> {
  const target = await readlink(join(folder, name)).catch(() => undefined)
  if (target !== undefined) return target.replace(/^\.\//, '') === rescueFile || target === join(folder, rescueFile) ? 'symbolic' : undefined
  const own = await lstat(join(folder, name)).catch(() => undefined)
  return own && own.ino === ino && own.dev === dev ? 'hard' : undefined
}

/** What is wrong with a rescue entry: `IPAPPEND 2` brings BOOTIF, `fullroot=` is where the image fetches the rest. */
export async function lintRescueEntry(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, rescueFile), 'utf8').catch(() => undefined)
  if (text === undefined) return [`there is no ${rescueFile}`]
  const found: string[] = []
  if (!/^\s*ipappend\s+[23]\s*$/im.test(text)) found.push(`${rescueFile} has no IPAPPEND 2: the image is not told which card it booted from (BOOTIF)`)
  if (!/^\s*(kernel|linux)\s+\S+/im.test(text)) found.push(`${rescueFile} names no kernel`)
  return found
}
