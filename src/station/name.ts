// From the name in a request to what is asked for: one name space for TFTP and HTTP. Pure; used by the door.
// A name may begin with `t/<ticket>/`, and then with a MAC as its first folder, which says who asks; neither is a part of the file's path.
import { findMac, type Ipv4, type Mac, numberToIpv4 } from '../boot/address.ts'
import { ticketPattern } from './ticket.ts'

/** How pxelinux and GRUB name themselves when they look for their configuration, most exact first. */
export type PxelinuxKey =
  | { readonly by: 'uuid'; readonly uuids: readonly string[] }
  | { readonly by: 'mac'; readonly mac: Mac }
  | { readonly by: 'ip'; readonly ip: Ipv4 }
  | { readonly by: 'default' }

/** What a name means. `mac` is who asks, when the name says it; `ticket` what stood in front of it, unchecked. */
export type Asked = Meaning & { readonly ticket?: string }

type Meaning =
  /** The script that loops over the cards; also under the name that UEFI builds of iPXE ask for by themselves. */
  | { readonly kind: 'boot'; readonly mac?: Mac }
  | { readonly kind: 'gpxe'; readonly mac?: Mac }
  /** One station's script; `profile` is what was chosen in its menu. */
  | { readonly kind: 'station'; readonly mac: Mac; readonly profile?: string; readonly form?: 'pxelinux' | 'grub' }
  | { readonly kind: 'pxelinux'; readonly path: string; readonly key?: PxelinuxKey; readonly isAtRoot: boolean; readonly mac?: Mac }
  /** GRUB's configuration; `path` is as it was asked for, for GRUB's folder may be any. No key: the file that all share. */
  | { readonly kind: 'grub'; readonly path: string; readonly key: PxelinuxKey; readonly mac?: Mac }
  /** An answer file of profile kind linux. */
  | { readonly kind: 'answer'; readonly mac: Mac; readonly file: string; readonly profile?: string }
  | { readonly kind: 'overlay'; readonly mac: Mac }
  | { readonly kind: 'file'; readonly path: string; readonly mac?: Mac }

const maxNameLength = 1024

/** Reads a name as it came, percent signs already decoded. Total: any text gives an answer, at worst a file that nobody has. */
export function readName(name: string): Asked {
  // Lore: some UEFI and Windows loaders write backslashes, several ROMs a leading slash.
  const path = name
    .slice(0, maxNameLength + 1)
    .replaceAll('\\', '/')
    .replace(/\/{2,}/g, '/')
    .replace(/^\//, '')
  const found = /^t\/([^/]+)\/(.*)$/.exec(path)
  const ticket = found?.[1]
  if (found && ticket !== undefined && ticketPattern.test(ticket)) return { ...readOwned(found[2] ?? ''), ticket }
  return readOwned(path)
}

function readOwned(path: string): Meaning {
  const slash = path.indexOf('/')
  const mac = slash > 0 ? findStationMac(path.slice(0, slash)) : undefined
  return mac ? { mac, ...readPath(path.slice(slash + 1)) } : readPath(path)
}

/** A MAC in any spelling, also with pxelinux's hardware type in front (`01-`). */
function findStationMac(text: string): Mac | undefined {
  // 12 to 20 characters; everything else is no MAC, and finding that out by an exception costs more than the rest of the request.
  if (text.length < 12 || text.length > 20) return undefined
  return findMac(text) ?? (/^01[-:]/.test(text) ? findMac(text.slice(3)) : undefined)
}

function readPath(path: string): Meaning {
  const base = path.slice(path.lastIndexOf('/') + 1)
  if (base === 'autoexec.ipxe' || path === 'boot.ipxe') return { kind: 'boot' }
  if (path === 'gpxe-script') return { kind: 'gpxe' }
  const script = readScript(path) ?? readAnswer(path)
  if (script) return script
  const overlayMac = findStationMac(/^configs\/([^/]+?)(?:\.apkovl)?\.tar\.gz$/i.exec(path)?.[1] ?? '')
  if (overlayMac) return { kind: 'overlay', mac: overlayMac }
  return readPxelinux(path) ?? readGrub(path) ?? { kind: 'file', path }
}

/** `boot/<mac>.ipxe`, `boot/<mac>/<profile>.ipxe`, and the latter for pxelinux and GRUB. */
function readScript(path: string): Meaning | undefined {
  const found = /^boot\/([^/]+?)(?:\/([A-Za-z0-9][A-Za-z0-9_.-]{0,62}))?\.(ipxe|pxelinux|grub)$/.exec(path)
  const [, owner = '', profile, form] = found ?? []
  const mac = findStationMac(owner)
  if (!mac || (!profile && form !== 'ipxe')) return undefined
  return { kind: 'station', mac, ...(profile && { profile }), ...(form !== 'ipxe' && { form: form as 'pxelinux' | 'grub' }) }
}

/** `answers/<mac>/<file>`, or `answers/<mac>/<profile>/<file>` for what was chosen in a menu. */
function readAnswer(path: string): Meaning | undefined {
  const found = /^answers\/([^/]+)\/(?:([A-Za-z0-9][A-Za-z0-9_.-]{0,62})\/)?([A-Za-z0-9][A-Za-z0-9_.-]{0,62})$/.exec(path)
  const [, owner = '', profile, file] = found ?? []
  const mac = findStationMac(owner)
  return mac && file !== undefined ? { kind: 'answer', mac, file, ...(profile && { profile }) } : undefined
}

/** `grub.cfg` in any folder, and `grub.cfg-<key>`. Lore: GRUB 2.06 asks by UUID, MAC, address and its beginnings, then without a key. */
function readGrub(path: string): Meaning | undefined {
  const found = /^(?:.*\/)?grub\.cfg(?:-([^/]+))?$/.exec(path)
  const key = found && readPxelinuxKey(found[1] ?? 'default')
  return key ? { kind: 'grub', path, key } : undefined
}

/** `pxelinux.cfg/<key>` in any folder; the depot knows it at its top. */
function readPxelinux(path: string): Meaning | undefined {
  const found = /^(.*\/)?(pxelinux\.cfg\/([^/]+))$/.exec(path)
  if (!found) return undefined
  const key = readPxelinuxKey(found[3] as string)
  return { kind: 'pxelinux', path: found[2] as string, isAtRoot: !found[1], ...(key && { key }) }
}

function readPxelinuxKey(text: string): PxelinuxKey | undefined {
  if (text === 'default') return { by: 'default' }
  const uuid = text.toLowerCase()
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return { by: 'uuid', uuids: [uuid, swapUuid(uuid)] }
  const mac = text.startsWith('01-') ? findMac(text.slice(3)) : undefined
  if (mac) return { by: 'mac', mac }
  return /^[0-9A-F]{8}$/.test(text) ? { by: 'ip', ip: numberToIpv4(Number.parseInt(text, 16)) } : undefined
}

/** Lore: pxelinux prints the UUID's bytes as they were sent; the first three fields are little-endian there (pxelinux 6.04). */
function swapUuid(uuid: string): string {
  const swap = (field: string): string => (field.match(/../g) as string[]).reverse().join('')
  const [first = '', second = '', third = '', ...rest] = uuid.split('-')
  return [swap(first), swap(second), swap(third), ...rest].join('-')
}
