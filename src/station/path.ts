// Which paths below the depot may be served at all, and as what type. Pure; used by file, name and the gate.
import { MissingError } from '../boot/error.ts'

/** Folders at the depot's top that are for the operator only. Compared without case: a depot may lie on a CIFS share. */
const privateFolders: ReadonlySet<string> = new Set(['stations', 'profiles', 'overlays', 'templates', 'state', 'secrets', 'keys', 'lost+found'])

/** Settings at the depot's top, `bivouac.yaml` above all. */
const privateFile = /^[^/]+\.(ya?ml|toml|ini|conf|env|key)$/

/** Of these folders only what is named so: packed additions and not the trees that they are made of, public keys and not their private halves. */
const publicOnly: readonly (readonly [folder: string, allowed: RegExp])[] = [
  ['additions/', /^additions\/[a-z0-9][a-z0-9_.-]*-[0-9a-f]{8,64}\.cpio(\.gz)?$/],
  ['apk/keys/', /^apk\/keys\/[^/]+\.pub$/],
]

const maxPathLength = 1024

/**
 * Throws MissingError `file-missing` for a path that is never served: absolute, with `.`, `..` or an empty part, with a part that begins with a
 * dot, with anything but printable ASCII, or private to the operator. The same answer as for a file that is not there.
 */
export function checkServed(path: string): void {
  if (!isServed(path)) throw missing(path)
}

/** As `checkServed`, without the error. */
export function isServed(path: string): boolean {
  // Space to tilde, no backslash, no part that is empty or begins with a dot.
  if (path.length > maxPathLength || !/^[ -[\]-~]+$/.test(path) || /(^|\/)(\.|\/|$)/.test(path)) return false
  const lower = path.toLowerCase()
  const slash = lower.indexOf('/')
  if (slash < 0) return !privateFile.test(lower)
  const rule = publicOnly.find(([folder]) => lower.startsWith(folder))
  return rule ? rule[1].test(lower) : !privateFolders.has(lower.slice(0, slash).trimEnd())
}

export const missing = (path: string): MissingError => new MissingError('file-missing', `there is no ${JSON.stringify(path.slice(0, 120))}`)

// Lore: edk2's HTTP Boot goes by the type, and takes the name's ending only where there is none it knows.
const types: readonly (readonly [ending: string, type: string])[] = [
  ['.efi', 'application/efi'],
  ['.iso', 'application/vnd.efi-iso'],
  ['.img', 'application/vnd.efi-img'],
  ['.ipxe', 'text/plain'],
  ['.txt', 'text/plain'],
  ['.cfg', 'text/plain'],
  ['.pub', 'text/plain'],
  ['.sh', 'text/plain'],
  ['.html', 'text/html'],
  ['.json', 'application/json'],
  ['.gz', 'application/gzip'],
  ['.tgz', 'application/gzip'],
]

/** The media type of a file, by the end of its name. */
export function typeOf(path: string): string {
  const name = path.toLowerCase()
  return types.find(([ending]) => name.endsWith(ending))?.[1] ?? 'application/octet-stream'
}
