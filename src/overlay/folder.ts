// Reads a layer's folder: looks at every file first (which tells whether anything changed), then reads. Called by layer.
// It follows no link and opens nothing but plain files; what was looked at is what is read.
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { BivouacError, InputError, OutsideError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import { identityOf, isSettled } from '../store/version.ts'
import { isMemberPath } from './layer-file.ts'
import type { Member, Note, TemplateMember } from './member.ts'
import { compileLayerTemplate } from './render.ts'

export type Limits = { readonly entries: number; readonly sizeBytes: number; readonly depth: number }

type Found = {
  readonly path: string
  readonly kind: 'file' | 'directory' | 'link'
  readonly identity: string
  readonly sizeBytes: number
  readonly isExecutable: boolean
  readonly uid: number
  readonly isForAll: boolean
}

export type FolderLook = {
  readonly root: string
  /** As people know it. */
  readonly file: string
  readonly found: readonly Found[]
  readonly fingerprint: string
  readonly isSettled: boolean
}

/** What a folder or an archive holds. `top` are the files right at its top, which never go into an overlay. */
export type ReadTree = {
  readonly members: ReadonlyMap<string, Member | TemplateMember>
  readonly top: ReadonlyMap<string, Uint8Array>
  readonly notes: readonly Note[]
  readonly heldBytes: number
}

/** Of version control, of editors and of desktops: nobody means them to be in a station. */
const leftOut = /^(\.git|\.svn|\.hg|\.gitkeep|\.keep|\.gitignore|\.gitattributes|\.DS_Store|\..*\.sw[po]|.*~|#.*#)$/

/** Files up to this are held in memory, bigger ones are read again when an archive is written. */
const heldMax = 256 * 1024
const topMax = 1024 * 1024

/** Looks at every member. Throws InputError for what no layer may hold, or when there is too much. */
export async function lookFolder(root: string, file: string, limits: Limits, now: () => number): Promise<FolderLook> {
  const found: Found[] = []
  let sizeBytes = 0
  let settled = true
  const refuse = (code: string, path: string, message: string): InputError => new InputError(code, message, { file: `${file}/${path}` })

  async function walk(folder: string, depth: number): Promise<void> {
    if (depth > limits.depth) throw refuse('layer-depth', folder, `is more than ${limits.depth} folders deep`)
    const names = (await readdir(join(root, folder))).filter((name) => !leftOut.test(name)).sort()
    for (const name of names) {
      const path = folder ? `${folder}/${name}` : name
      if (!isMemberPath(path)) throw refuse('layer-path', JSON.stringify(path.slice(0, 200)), 'has characters that no overlay may have in a name')
      const checkedAt = now()
      const stats = await lstat(join(root, path), { bigint: true })
      const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'link' : undefined
      if (!kind) throw refuse('layer-device', path, 'is a device, pipe or socket: a layer holds files, folders and links only')
      const identity = identityOf(stats)
      settled &&= isSettled(stats, checkedAt)
      sizeBytes += kind === 'file' ? Number(stats.size) : 0
      found.push({
        path,
        kind,
        identity,
        sizeBytes: Number(stats.size),
        isExecutable: (stats.mode & 0o111n) !== 0n,
        uid: Number(stats.uid),
        isForAll: (stats.mode & 0o002n) !== 0n,
      })
      if (found.length > limits.entries) throw refuse('layer-entries', '', `holds more than ${limits.entries} files`)
      if (sizeBytes > limits.sizeBytes) throw refuse('layer-size', '', `holds more than ${limits.sizeBytes} bytes`)
      if (kind === 'directory') await walk(path, depth + 1)
    }
  }

  await walk('', 0).catch((error: unknown) => {
    throw !(error instanceof BivouacError) && codeOf(error)
      ? new OutsideError('layer-read', `${file} cannot be read: ${(error as Error).message}`, true, { cause: error })
      : error
  })
  const hash = createHash('sha256').update(root)
  for (const one of found) hash.update(`\0${one.path}\0${one.kind}\0${one.identity}\0${one.isExecutable}${one.isForAll}${one.uid}`)
  return { root, file, found, fingerprint: hash.digest('hex'), isSettled: settled }
}

/** Reads what was looked at. Throws InputError (a template, a link out), OutsideError `layer-changed` when it is not the same any more. */
export async function readFolder(look: FolderLook, depot: string, limits: Limits): Promise<ReadTree> {
  const members = new Map<string, Member | TemplateMember>()
  const top = new Map<string, Uint8Array>()
  const notes: Note[] = []
  let heldBytes = 0
  for (const one of look.found) {
    const { path, kind } = one
    const place = `${look.file}/${path}`
    if (kind === 'directory') members.set(path, { kind })
    else if (kind === 'link') {
      const target = await readlink(join(look.root, path)).catch(() => changed(place))
      checkTarget(path, target, place)
      if (path.includes('/')) members.set(path, { kind, target })
      else top.set(path, new Uint8Array())
    } else if (!path.includes('/')) top.set(path, await readFound(look, one, topMax))
    else if (path.endsWith('.ejs')) {
      const bytes = await readFound(look, one, topMax)
      const template = await compileLayerTemplate({ depot, root: look.root, path, file: place, bytes, owner: one })
      members.set(path.slice(0, -4), { kind: 'template', template, ...(one.isExecutable && { mode: 0o755 }) })
      heldBytes += bytes.length
    } else {
      const isHeld = one.sizeBytes <= heldMax
      const body = isHeld
        ? await readFound(look, one, limits.sizeBytes)
        : { file: join(look.root, path), identity: one.identity, sizeBytes: one.sizeBytes }
      if (isHeld) heldBytes += one.sizeBytes
      members.set(path, { kind, body, ...(one.isExecutable && { mode: 0o755 }) })
    }
  }
  for (const { path } of look.found)
    if (path.endsWith('.ejs') && look.found.some((one) => one.path === path.slice(0, -4))) throw twice(look.file, path)
  return { members, top, notes, heldBytes }
}

const twice = (file: string, path: string): InputError =>
  new InputError('layer-twice', `${path} and ${path.slice(0, -4)} are both there: remove one`, { file: `${file}/${path}` })

/** Links are the station's own and may be absolute; one that climbs over the root is a mistake or an attack. */
export function checkTarget(path: string, target: string, place: string): void {
  const refuse = (message: string): InputError => new InputError('layer-link', message, { file: place })
  if (target === '' || target.length > 4096 || /[\x00-\x1f\x7f]/.test(target)) throw refuse('is a link to a name that no overlay may have')
  if (target.startsWith('/')) return
  let depth = path.split('/').length - 1
  for (const part of target.split('/')) {
    if (part === '..') depth--
    else if (part !== '' && part !== '.') depth++
    if (depth < 0) throw refuse(`is a link that leads out of the station's root: ${JSON.stringify(target.slice(0, 120))}`)
  }
}

async function readFound({ root, file }: FolderLook, { path, identity, sizeBytes }: Found, maxBytes: number): Promise<Uint8Array> {
  const place = `${file}/${path}`
  if (sizeBytes > maxBytes) throw new InputError('layer-size', `is bigger than ${maxBytes} bytes`, { file: place })
  const handle = await openSame(join(root, path), identity, place)
  try {
    const bytes = Buffer.alloc(sizeBytes)
    const { bytesRead } = await handle.read(bytes, 0, sizeBytes, 0)
    return bytesRead === sizeBytes ? bytes : changed(place)
  } finally {
    await handle.close()
  }
}

/** Opens a file only if it is still the one that was looked at. Throws OutsideError `layer-changed`. */
export async function openSame(path: string, identity: string, place: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: Error) => changed(place, error))
  const stats = await handle.stat({ bigint: true })
  if (identityOf(stats) === identity) return handle
  await handle.close()
  return changed(place)
}

function changed(place: string, cause?: Error): never {
  throw new OutsideError('layer-changed', `${place} was changed while it was being read${cause ? `: ${cause.message}` : ''}`, true)
}
