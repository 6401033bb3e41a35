// Opens files of the depot as Content, from memory where it can. Called by the door, for TFTP and HTTP alike.
// It never leaves the depot, never mixes two versions of a file, and holds no more memory and handles than it was given.
import { constants } from 'node:fs'
import { type FileHandle, open as openFile } from 'node:fs/promises'
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import { createByteCache } from './cache.ts'
import { wholeContent } from './content.ts'
import { createLooks, explainDisk } from './look.ts'
import type { Maybe } from './maybe.ts'
import { createReader } from './piece.ts'
import { sameFile, type Version } from '../store/version.ts'

/** Files up to this are read as a whole; bigger ones in pieces. */
export const wholeBytes = 4 * 1024 * 1024

export type FilesOptions = {
  readonly depot: string
  /** Memory for file contents, all together. */
  readonly cacheBytes: number
  readonly now?: () => number
  /** How long a file is believed unchanged after a look at it. */
  readonly revalidateMs?: number
  /** Big files open at one moment. */
  readonly handlesMax?: number
  /** What may be served, where the folder is no depot. Throws MissingError. */
  readonly check?: (path: string) => void
}

export type Files = {
  /**
   * A regular file below the depot. At once when it is in memory and was looked at just now. Throws or rejects with MissingError when it is not there or
   * not to be served, OutsideError when the disk fails or too many files are open.
   */
  readonly open: (depotPath: string) => Maybe<Content>
  /** A file elsewhere, by an absolute path that we chose ourselves (a loader of the distribution). */
  readonly openOutside: (path: string) => Maybe<Content>
  /** Now in use. */
  readonly figures: () => { readonly cachedBytes: number; readonly handles: number }
}

export function createFiles({ depot, cacheBytes, now = Date.now, revalidateMs = 100, handlesMax = 256, check }: FilesOptions): Files {
  const cache = createByteCache(cacheBytes)
  const looks = createLooks({ depot, now, revalidateMs, ...(check && { check }) })
  const reader = createReader({ cache, handlesMax, openVersion })

  function openBy(name: string, look: (name: string) => Maybe<Version>): Maybe<Content> {
    const version = look(name)
    if (version instanceof Promise) return openFresh(name, version, look)
    const bytes = cache.get(version.key)
    return bytes ? wholeContent(bytes, version) : openFresh(name, version, look)
  }

  /** Opens the very version that was seen; when the file changes in between, the next one. */
  async function openFresh(name: string, first: Maybe<Version>, look: (name: string) => Maybe<Version>): Promise<Content> {
    let version = await first
    for (let attempt = 0; attempt < 5; attempt++) {
      const content = await openContent(version)
      if (content) return content
      looks.forget(name)
      version = await look(name)
    }
    throw new OutsideError('file-changed', `${name} changes faster than it can be read`, true)
  }

  /** The content, or undefined when the file is another one by now. */
  async function openContent(version: Version): Promise<Content | undefined> {
    try {
      if (version.sizeBytes > wholeBytes) return await reader.openPieces(version)
      const bytes = cache.get(version.key) ?? (await reader.readWhole(version))
      return bytes && wholeContent(bytes, version)
    } catch (error) {
      throw explainDisk(error, version.path)
    }
  }

  return {
    open: (depotPath) => openBy(depotPath, looks.look),
    openOutside: (path) => openBy(path, looks.lookOutside),
    figures: () => ({ cachedBytes: cache.sizeBytes(), handles: reader.handles() }),
  }
}

/** Opens a version; undefined when the path leads to another file by now. Never waits for the other end of a pipe. */
export async function openVersion(version: Version): Promise<FileHandle | undefined> {
  // NOFOLLOW: the path has no links left. NONBLOCK: a pipe put in its place must not hold us.
  const handle = await openFile(version.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if (sameFile(await handle.stat({ bigint: true }), version)) return handle
  await handle.close()
  return undefined
}
