// Reads a whole overlay archive into memory, within bounds: a layer that is a .tar.gz, or the station's own. Called by layer and composer.
// It unpacks nothing to disk. What no overlay may have is refused by alpine/overlay; what goes through a link is refused here.
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { plainPath, scanOverlay } from '../alpine/overlay.ts'
import type { TarEntry } from '../alpine/tar.ts'
import { BivouacError, DecodeError, InputError } from '../boot/error.ts'
import { checkTarget, type Limits, openSame, type ReadTree } from './folder.ts'
import { isMemberPath } from './layer-file.ts'
import type { Member, Note, TemplateMember } from './member.ts'
import { checkOwners, compileText } from './render.ts'

type ArchiveOptions = {
  readonly depot: string
  /** As people know it. */
  readonly file: string
  /** An operator's: its templates are rendered, its `layer.yaml` is read, and owners are root's. Else all is taken as it stands. */
  readonly isLayer: boolean
  readonly limits: Limits
  /** The version that is meant; absent: whatever is there. */
  readonly identity?: string
}

/** What the archive holds. Throws DecodeError, InputError with the archive's name, OutsideError when it is another one by now. */
export async function readArchive(path: string, { depot, file, isLayer, limits, identity }: ArchiveOptions): Promise<ReadTree> {
  const reading = createReading(file, isLayer, limits)
  try {
    const source = identity === undefined ? path : await openSame(path, identity, file)
    await scanOverlay(source, {
      limits: { entries: limits.entries, inflatedBytes: limits.sizeBytes },
      keepBytes: reading.keepBytes,
      onEntry: reading.take,
    })
  } catch (error) {
    throw named(error, file)
  }
  if (reading.hasTemplates) {
    const stats = await stat(path)
    await checkOwners(depot, dirname(path), '', file, { uid: stats.uid, isForAll: (stats.mode & 0o002) !== 0 })
  }
  return reading.tree()
}

/** May the file be laid over a station's layers? Throws what `readArchive` would throw for a station's own archive; holds none of its bytes. */
export async function checkArchive(path: string, file: string, limits: Limits): Promise<void> {
  const { take } = createReading(file, false, limits)
  const bounds = { entries: limits.entries, inflatedBytes: limits.sizeBytes }
  await scanOverlay(path, { limits: bounds, keepBytes: () => 0, onEntry: take }).catch((error: unknown) => {
    throw named(error, file)
  })
}

function named(error: unknown, file: string): unknown {
  if (error instanceof DecodeError) return new InputError(error.code, error.message, { file }, { cause: error })
  if (error instanceof InputError && error.place.file === undefined) return new InputError(error.code, error.message, { file }, { cause: error })
  return error
}

function createReading(file: string, isLayer: boolean, limits: Limits) {
  const members = new Map<string, Member | TemplateMember>()
  const top = new Map<string, Uint8Array>()
  const notes: Note[] = []
  let heldBytes = 0
  let hasTemplates = false
  const refuse = (code: string, path: string, message: string): InputError =>
    new InputError(code, message, { file: `${file}: ${path.slice(0, 200)}` })

  function keepBytes({ sizeBytes, kind, path }: TarEntry): number {
    if (kind !== 'file') return 0
    if (heldBytes + sizeBytes > limits.sizeBytes) throw refuse('layer-size', path, `holds more than ${limits.sizeBytes} bytes`)
    return sizeBytes
  }

  function take(entry: TarEntry, path: string, body: Uint8Array): void {
    if (!isMemberPath(path)) throw refuse('layer-path', JSON.stringify(path), 'is a name that no overlay may have')
    if (path.split('/').length > limits.depth) throw refuse('layer-depth', path, `is more than ${limits.depth} folders deep`)
    refuseThrough(path)
    heldBytes += body.length
    if (!path.includes('/') && entry.kind !== 'directory') return takeTop(entry, path, body)
    const owner = isLayer ? {} : { uid: entry.uid, gid: entry.gid }
    const mode = plainMode(entry, path)
    if (entry.kind === 'directory') return void members.set(path, { kind: 'directory', mode, ...owner })
    if (entry.kind === 'link') {
      if (isLayer) checkTarget(path, entry.target, `${file}: ${path}`)
      return void members.set(path, { kind: 'link', target: entry.target })
    }
    if (entry.kind === 'hardlink') return void members.set(path, copyOf(plainPath(entry.target), path))
    if (isLayer && path.endsWith('.ejs')) {
      hasTemplates = true
      const template = compileText(`${file}: ${path}`, new TextDecoder().decode(body))
      return void members.set(path.slice(0, -4), { kind: 'template', template, ...(mode & 0o111 && { mode }) })
    }
    members.set(path, { kind: 'file', body, mode, ...owner })
  }

  function takeTop(entry: TarEntry, path: string, body: Uint8Array): void {
    if (isLayer) return void top.set(path, body)
    notes.push({ code: 'top-level', text: `${path} at the top of ${file} is left out: apk would stop reading the list of the overlay's files there` })
    if (entry.kind === 'link') refuseThrough(path)
  }

  /** Unpacked by the station, such a member would land where the link leads. */
  function refuseThrough(path: string): void {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const above = members.get(path.slice(0, slash))
      if (above && above.kind !== 'directory')
        throw refuse('layer-link', path, `lies below ${path.slice(0, slash)}, which is a ${above.kind} in the same archive`)
    }
  }

  function copyOf(target: string, path: string): Member | TemplateMember {
    const found = members.get(target)
    if (found?.kind !== 'file')
      throw refuse('layer-link', path, `is a hard link to ${JSON.stringify(target.slice(0, 120))}, which is no file of the archive before it`)
    return found
  }

  /** Programs that run as their owner come only by `files:` of a layer. */
  function plainMode({ mode, kind }: TarEntry, path: string): number {
    if (mode & 0o6000)
      notes.push({
        code: 'setuid',
        text: `${path} of ${file} loses its set-user-ID or set-group-ID bit`,
        remedy: `tell its mode in files: of a layer's layer.yaml`,
      })
    if (isLayer && kind === 'file') return mode & 0o111 ? 0o755 : 0o644
    return mode & (kind === 'directory' ? 0o1777 : 0o777)
  }

  return {
    keepBytes,
    take: (entry: TarEntry, path: string, body: Uint8Array): void => {
      try {
        take(entry, path, body)
      } catch (error) {
        throw error instanceof BivouacError ? error : new InputError('layer-archive', String(error), { file })
      }
    },
    get hasTemplates() {
      return hasTemplates
    },
    tree: (): ReadTree => ({ members, top, notes, heldBytes }),
  }
}
