// One layer as it was read: its members, its templates and its settings. Read from a folder or an archive, kept in memory for many stations.
// Called by composer. What a layer may not hold is refused here, with the layer's name; nothing of it is ever followed or unpacked to disk.
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { MistakesError } from '../store/mistake.ts'
import { identityOf, isSettled } from '../store/version.ts'
import { readArchive } from './archive.ts'
import { type FolderLook, lookFolder, readFolder } from './folder.ts'
import { emptySettings, type LayerSettings, readLayerFile } from './layer-file.ts'
import { bytesOf, type Member, type Note, type TemplateMember } from './member.ts'

export type Layer = {
  readonly name: string
  readonly members: ReadonlyMap<string, Member | TemplateMember>
  readonly settings: LayerSettings
  /** `keys` of the settings: file name → bytes. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  readonly notes: readonly Note[]
  /** Bytes that it holds in memory. */
  readonly heldBytes: number
}

/** Where a layer is and what it is now. `fingerprint` is another one whenever a byte of it may be. */
export type LayerLook = {
  readonly name: string
  /** Below the depot, for people. */
  readonly file: string
  readonly path: string
  readonly fingerprint: string
  /** False: it changed a moment ago, and may again without showing it. */
  readonly isSettled: boolean
  readonly folder?: FolderLook
}

/** Bounds of one layer: an overlay lands in half of a small station's memory. */
export const layerLimits = { entries: 20_000, sizeBytes: 256 * 1024 * 1024, depth: 64 } as const

/** Finds a layer. Throws MissingError `layer-missing`, InputError when it is there twice or leads out of `overlays/`. */
export async function lookLayer(depot: string, name: string, now: () => number): Promise<LayerLook> {
  const home = join(depot, 'overlays')
  const found = await Promise.all([name, `${name}.tar.gz`].map((one) => findInside(home, one)))
  const [folder, archive] = found
  if (folder && archive) throw new InputError('layer-twice', `overlays/${name}/ and overlays/${name}.tar.gz are both there: remove one`)
  const path = folder ?? archive
  if (!path)
    throw new MissingError(
      'layer-missing',
      `there is no layer ${name}: neither overlays/${name}/ nor overlays/${name}.tar.gz${await listOthers(home)}`,
    )
  const checkedAt = now()
  const stats = await stat(path, { bigint: true })
  const file = folder ? `overlays/${name}` : `overlays/${name}.tar.gz`
  if (stats.isDirectory() !== (folder !== undefined))
    throw new InputError('layer-kind', 'a layer is a folder, or a file whose name ends in .tar.gz', { file })
  if (!folder) return { name, file, path, fingerprint: `${path} ${identityOf(stats)}`, isSettled: isSettled(stats, checkedAt) }
  const look = await lookFolder(path, file, layerLimits, now)
  return { name, file, path, fingerprint: look.fingerprint, isSettled: look.isSettled, folder: look }
}

async function findInside(home: string, name: string): Promise<string | undefined> {
  const path = await realpath(join(home, name)).catch(() => undefined)
  if (path === undefined) return undefined
  const root = await realpath(home)
  if (!path.startsWith(root + sep))
    throw new InputError('layer-outside', 'is a link that leads out of overlays/: copy the files, or mount them here', { file: `overlays/${name}` })
  return path
}

async function listOthers(home: string): Promise<string> {
  const names = await listLayers(home)
  return names.length ? ` (there are: ${names.slice(0, 20).join(', ')})` : '; no layers are there at all'
}

/** Names of all layers of `overlays/`. */
export async function listLayers(home: string): Promise<string[]> {
  const entries = await readdir(home, { withFileTypes: true }).catch(() => [])
  const names = entries.map((entry) => (entry.isDirectory() ? entry.name : entry.name.replace(/\.tar\.gz$/, '')))
  return [...new Set(names)]
    .filter((name, index) => nameSchema.safeParse(name).success && (entries[index]?.isDirectory() || entries[index]?.name.endsWith('.tar.gz')))
    .sort()
}

/** Reads what `lookLayer` found. Throws InputError with file and line, DecodeError for a broken archive, OutsideError when it changes meanwhile. */
export async function readLayer(look: LayerLook, depot: string): Promise<Layer> {
  const read = look.folder
    ? await readFolder(look.folder, depot, layerLimits)
    : await readArchive(look.path, { depot, file: look.file, isLayer: true, limits: layerLimits })
  const text = read.top.get('layer.yaml')
  const settings = text ? parseSettings(new TextDecoder().decode(text), `${look.file}/layer.yaml`) : emptySettings
  const keys = new Map<string, Uint8Array>()
  for (const key of settings.keys) {
    const bytes = read.top.get(key)
    if (!bytes)
      throw new InputError('layer-key', `there is no file ${key} at the top of the layer`, { file: `${look.file}/layer.yaml`, path: 'keys' })
    keys.set(key, bytes)
  }
  const unused = [...read.top.keys()].filter((name) => name !== 'layer.yaml' && !keys.has(name))
  return {
    name: look.name,
    members: read.members,
    settings,
    keys,
    notes: [...read.notes, ...unused.map((name) => noteTop(look.name, name))],
    heldBytes: read.heldBytes,
  }
}

function parseSettings(text: string, file: string): LayerSettings {
  const outcome = readLayerFile(text, file)
  if ('value' in outcome) return outcome.value
  throw new MistakesError(file, outcome.mistakes)
}

const noteTop = (layer: string, name: string): Note => ({
  code: 'top-level',
  text: `${name} at the top of layer ${layer} is left out: apk would stop reading the list of the overlay's files there`,
  remedy: 'put it into a folder, such as etc/, or leave it: it does no harm',
})

/** The members of `files:` in a layer's settings that bring their own bytes. */
export function declaredMembers(settings: LayerSettings, secretOf: (name: string) => Uint8Array): [string, Member][] {
  return Object.entries(settings.files).flatMap(([path, file]): [string, Member][] => {
    const owner = file.owner ?? {}
    const mode = file.mode === undefined ? {} : { mode: file.mode }
    if (file.link !== undefined) return [[path, { kind: 'link', target: file.link }]]
    if (file.folder) return [[path, { kind: 'directory', ...mode, ...owner }]]
    if (file.content !== undefined) return [[path, { kind: 'file', body: bytesOf(file.content), ...mode, ...owner }]]
    if (file.secret !== undefined) return [[path, { kind: 'file', body: secretOf(file.secret), mode: 0o600, ...mode, ...owner, isSecret: true }]]
    return []
  })
}
