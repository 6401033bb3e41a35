// Looks at files of the depot: which version of which file a name means now. Used by file and the gate, each with its own memory.
// It follows links only inside the depot, and only to what may be served.
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isWithin } from '../boot/age.ts'
import { BivouacError, MissingError, OutsideError } from '../boot/error.ts'
import { type Maybe, onward, orElse } from './maybe.ts'
import { checkServed, missing, typeOf } from './path.ts'
import { type FileStat, identityOf, isSettled, type Version } from '../store/version.ts'

export type LookOptions = {
  readonly depot: string
  readonly now: () => number
  /** How long a look is believed. */
  readonly revalidateMs: number
  /** Throws MissingError for what is never served; other than a depot's rules for another folder. */
  readonly check?: (path: string) => void
}

export type Looks = {
  /**
   * The file that a path below the depot means. At once when it was looked at just now. Throws or rejects with MissingError when there is
   * none or it is not to be served, OutsideError when the disk fails.
   */
  readonly look: (depotPath: string) => Maybe<Version>
  /** Is there such a file, or one that the disk does not let us see now? Without an exception where it was looked for just now. */
  readonly isThere: (depotPath: string) => Maybe<boolean>
  /** The same as `look` for an absolute path outside, which we chose ourselves. */
  readonly lookOutside: (path: string) => Maybe<Version>
  /** The next look goes to the disk. */
  readonly forget: (name: string) => void
}

type Known = { readonly found: Version | MissingError; readonly checkedAt: number }

const maxKnown = 10_000

export function createLooks({ depot, now, revalidateMs, check = checkServed }: LookOptions): Looks {
  const known = new Map<string, Known>()
  const running = new Map<string, Promise<Version>>()

  function look(depotPath: string): Maybe<Version> {
    // What is remembered was checked; names outside begin with a slash and are not for those who ask by a depot path.
    const version = depotPath.startsWith('/') ? undefined : recall(depotPath)
    if (version) return version
    check(depotPath)
    return lookFresh(depotPath, () => locate(depot, depotPath, check))
  }

  function isThere(depotPath: string): Maybe<boolean> {
    const found = recent(depotPath)
    if (found) return !(found instanceof MissingError)
    return orElse(
      () => onward(look(depotPath), () => true),
      (error) => !(error instanceof MissingError),
    )
  }

  function recent(name: string): Known['found'] | undefined {
    const entry = known.get(name)
    return entry && isWithin(revalidateMs, entry.checkedAt, now()) ? entry.found : undefined
  }

  function recall(name: string): Version | undefined {
    const found = recent(name)
    if (found instanceof MissingError) throw found
    return found
  }

  function lookFresh(name: string, find: () => Promise<string>): Promise<Version> {
    let looking = running.get(name)
    if (!looking) {
      looking = lookNow(name, find).finally(() => running.delete(name))
      running.set(name, looking)
    }
    return looking
  }

  async function lookNow(name: string, find: () => Promise<string>): Promise<Version> {
    const checkedAt = now()
    const before = known.get(name)?.found
    known.delete(name)
    try {
      const path = await find()
      const stats = await stat(path, { bigint: true })
      if (!stats.isFile()) throw missing(name)
      const settled = isSettled(stats, checkedAt)
      const version = versionOf(before, path, stats, settled)
      if (settled) remember(name, { found: version, checkedAt })
      return version
    } catch (error) {
      const told = explainDisk(error, name)
      if (told instanceof MissingError) remember(name, { found: told, checkedAt })
      throw told
    }
  }

  function remember(name: string, entry: Known): void {
    known.set(name, entry)
    const oldest = known.size > maxKnown ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
  }

  return { look, isThere, lookOutside: (path) => recall(path) ?? lookFresh(path, () => realpath(path)), forget: (name) => known.delete(name) }
}

/** The real path of a served file. Every link is followed, and must end inside the depot, at a path that may be served itself. */
async function locate(depot: string, depotPath: string, check: (path: string) => void): Promise<string> {
  const root = await realpath(depot)
  const path = await realpath(join(root, depotPath))
  if (!path.startsWith(`${root}/`)) throw missing(depotPath)
  check(path.slice(root.length + 1))
  return path
}

let unsettledCount = 0

/** The version that was known before if it is the same, else a new one. A file that changed a moment ago is a version of its own each time. */
function versionOf(before: Version | MissingError | undefined, path: string, stats: FileStat, settled: boolean): Version {
  const identity = identityOf(stats)
  if (settled && before && 'identity' in before && before.identity === identity && before.path === path) return before
  const key = settled ? identity : `${identity}#${++unsettledCount}`
  return { path, identity, key, sizeBytes: Number(stats.size), etag: key, type: typeOf(path), modifiedAt: Number(stats.mtimeMs) }
}

const goneCodes: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EISDIR', 'EACCES', 'EPERM', 'ENXIO'])

/** An error of the disk as one of ours: MissingError where a file is not there for us, else OutsideError. */
export function explainDisk(error: unknown, name: string): BivouacError {
  if (error instanceof BivouacError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (goneCodes.has(code)) return missing(name)
  return new OutsideError('file-read', `the depot cannot be read: ${message}`, true, { cause: error })
}
