// A site's work directory out of its archive (`conf/`, `tftpboot/`, `images/`): unpacked aside, checked as a whole, then put in place. Called by `bivouac workdir init`.
// It never overwrites: a file that is there with other content stays as it is, and is told.
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { chmod, link, lstat, mkdir, mkdtemp, readlink, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join, normalize } from 'node:path'
import { createGunzip } from 'node:zlib'
import { createTarReader, type TarEntry } from '../alpine/tar.ts'
import { BivouacError, ConflictError, DecodeError, InputError, MissingError } from '../boot/error.ts'
import { codeOf, diskError } from '../store/atomic.ts'

export type WorkdirAsk = {
  readonly archive: string
  readonly folder: string
  readonly sha256?: string | undefined
  readonly isDry?: boolean | undefined
}

/** Paths below the folder. `different` were there with other content and were left. `sha256` is the archive's. */
export type WorkdirResult = {
  readonly placed: readonly string[]
  readonly same: readonly string[]
  readonly different: readonly string[]
  readonly sha256: string
}

/** Root images of rescue systems are below 2 GiB; the whole directory is a few of them. */
export const workdirLimits = { inflatedBytes: 16 * 1024 ** 3, entries: 20_000 }

/** Made where they are missing. */
export const workdirFolders: readonly string[] = ['conf', 'tftpboot', 'images']

type Member = {
  readonly kind: 'file' | 'link' | 'hardlink'
  readonly path: string
  readonly target: string
  readonly isProgram: boolean
  sha256: string
}

/**
 * Unpacks. Throws DecodeError for an archive that is damaged or over the bounds, InputError `archive-hostile` or `archive-sha256`, MissingError
 * `archive-missing`, ConflictError `workdir-taken` where a folder of the archive is a link or a file here: then nothing was placed.
 */
export async function unpackWorkdir({ archive, folder, sha256: wanted, isDry = false }: WorkdirAsk, limits = workdirLimits): Promise<WorkdirResult> {
  if (!isDry) await mkdir(folder, { recursive: true })
  const aside = isDry ? undefined : await mkdtemp(join(folder, '.workdir-'))
  try {
    const { members, sha256 } = await readMembers(archive, aside, limits)
    if (wanted !== undefined && wanted.toLowerCase() !== sha256)
      throw new InputError('archive-sha256', `${basename(archive)} has the SHA-256 ${sha256}, not ${wanted.slice(0, 64)}: nothing was unpacked`)
    const found = { placed: [] as string[], same: [] as string[], different: [] as string[] }
    const states: ['placed' | 'same' | 'different', Member][] = []
    for (const member of members) states.push([await compareMember(folder, member, members), member])
    for (const [state, { path }] of states) found[state].push(path)
    if (aside !== undefined) {
      for (const name of workdirFolders) await mkdir(join(folder, name), { recursive: true })
      for (const [state, member] of states) if (state === 'placed') await place(folder, aside, member)
    }
    return { ...found, sha256 }
  } finally {
    if (aside !== undefined) await rm(aside, { recursive: true, force: true })
  }
}

async function readMembers(archive: string, aside: string | undefined, limits: typeof workdirLimits): Promise<{ members: Member[]; sha256: string }> {
  const members = new Map<string, Member>()
  let open: Writing | undefined
  const reader = createTarReader({
    limits: { entries: limits.entries },
    onBody: (entry, piece) => {
      open ??= openWriting(aside, checkMember(entry, members))
      open.write(piece)
    },
    onEntry: (entry) => {
      const path = open ? '' : checkMember(entry, members)
      if (entry.kind === 'file') {
        open ??= openWriting(aside, path)
        members.set(open.path, { kind: 'file', path: open.path, target: '', isProgram: (entry.mode & 0o100) !== 0, sha256: open.finish() })
      } else if (entry.kind === 'link' || entry.kind === 'hardlink')
        members.set(path, {
          kind: entry.kind,
          path,
          target: entry.kind === 'link' ? entry.target : normalize(entry.target),
          isProgram: false,
          sha256: '',
        })
      open = undefined
    },
  })
  const hash = createHash('sha256')
  const source = createReadStream(archive)
  const gunzip = createGunzip()
  source.on('data', (piece) => void hash.update(piece))
  source.on('error', (error) => gunzip.destroy(error))
  let bytes = 0
  try {
    for await (const piece of source.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      bytes += piece.length
      if (bytes > limits.inflatedBytes)
        throw new DecodeError('archive-big', `${basename(archive)} unpacks to more than ${limits.inflatedBytes} bytes`)
      reader.push(piece)
    }
    reader.end()
    checkTree(members)
  } catch (error) {
    if (error instanceof BivouacError) throw error
    if (codeOf(error) === 'ENOENT') throw new MissingError('archive-missing', `there is no ${archive}`)
    throw new DecodeError('archive-damaged', `${basename(archive)} cannot be unpacked: ${(error as Error).message}`, { cause: error })
  } finally {
    open?.abandon()
    source.destroy()
    gunzip.destroy()
  }
  return { members: [...members.values()], sha256: hash.digest('hex') }
}

const hostile = (path: string, what: string): InputError =>
  new InputError('archive-hostile', `the archive has ${JSON.stringify(path.slice(0, 120))}, ${what}: nothing was placed`)

/** The member's path, without `./`. A link's `..` may stand in front only: behind a name it would depend on what that name leads to. */
function checkMember({ path: written, kind, target }: TarEntry, members: ReadonlyMap<string, Member>): string {
  const path = normalize(written)
  if (written.startsWith('/') || written.split('/').includes('..') || /[\0\n]/.test(written)) throw hostile(written, 'which leads out of its folder')
  if (kind === 'character-device' || kind === 'block-device' || kind === 'fifo') throw hostile(written, `which is a ${kind}`)
  if (kind !== 'directory' && (path === '.' || members.has(path))) throw hostile(written, 'which comes twice or has no name')
  if (kind === 'link') {
    const full = normalize(join(dirname(path), target))
    if (target === '' || target.startsWith('/') || full.split('/')[0] === '..' || /[^./][^/]*\/(.*\/)?\.\.(\/|$)/.test(target))
      throw hostile(written, `which is a link to ${JSON.stringify(target.slice(0, 120))}`)
  }
  if (kind === 'hardlink' && members.get(normalize(target))?.kind !== 'file') throw hostile(written, 'which is a hard link to no file before it')
  return path
}

/** Nothing lies below a file or a link. */
function checkTree(members: ReadonlyMap<string, Member>): void {
  for (const path of members.keys())
    for (let above = dirname(path); above !== '.'; above = dirname(above))
      if (members.has(above)) throw hostile(path, 'which lies below a file or a link')
}

type Writing = { readonly path: string; readonly write: (piece: Uint8Array) => void; readonly finish: () => string; readonly abandon: () => void }

/** Synchronous, for the reader is. Without a folder it only counts the checksum. */
function openWriting(aside: string | undefined, path: string): Writing {
  const hash = createHash('sha256')
  const guard = <T>(run: () => T): T => {
    try {
      return run()
    } catch (error) {
      if (codeOf(error) === 'ENOTDIR' || codeOf(error) === 'EEXIST' || codeOf(error) === 'EISDIR')
        throw hostile(path, 'which is file and folder at once')
      throw diskError(path, error)
    }
  }
  const handle = guard(() => {
    if (aside === undefined) return undefined
    mkdirSync(dirname(join(aside, path)), { recursive: true })
    return openSync(join(aside, path), 'wx', 0o644)
  })
  const close = () => {
    if (handle !== undefined) closeSync(handle)
  }
  const write = (piece: Uint8Array): void => {
    hash.update(piece)
    if (handle !== undefined)
      guard(() => {
        for (let at = 0; at < piece.length; ) at += writeSync(handle, piece, at)
      })
  }
  const finish = (): string => {
    if (handle !== undefined) guard(() => fsyncSync(handle))
    close()
    return hash.digest('hex')
  }
  return { path, write, finish, abandon: close }
}

async function compareMember(folder: string, member: Member, members: readonly Member[]): Promise<'placed' | 'same' | 'different'> {
  for (let above = dirname(member.path); above !== '.'; above = dirname(above)) {
    const stats = await lstat(join(folder, above)).catch(() => undefined)
    if (stats && !stats.isDirectory()) throw new ConflictError('workdir-taken', `${join(folder, above)} is no folder (or a link): nothing was placed`)
  }
  const path = join(folder, member.path)
  const stats = await lstat(path).catch(() => undefined)
  if (!stats) return 'placed'
  if (member.kind === 'link') return (await readlink(path).catch(() => undefined)) === member.target ? 'same' : 'different'
  const wanted = member.kind === 'file' ? member.sha256 : members.find((one) => one.path === member.target)?.sha256
  return stats.isFile() && (await hashFile(path)) === wanted ? 'same' : 'different'
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) hash.update(piece)
  return hash.digest('hex')
}

/** By link, which fails where something has come meanwhile, where a rename would overwrite. */
async function place(folder: string, aside: string, { kind, path, target, isProgram }: Member): Promise<void> {
  const to = join(folder, path)
  try {
    await mkdir(dirname(to), { recursive: true })
    if (kind === 'link') await symlink(target, to)
    else await link(join(aside, kind === 'file' ? path : target), to)
    if (kind === 'file' && isProgram) await chmod(to, 0o755)
  } catch (error) {
    throw diskError(to, error)
  }
}
