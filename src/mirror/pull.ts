// The pull-through mirror: what stations ask for comes from the folder, and what the folder lacks from the upstream, to station and disk at once.
// Called by the door and the packages server. Only names of Alpine's shape are ever asked of the upstream.
import { basename, dirname, join } from 'node:path'
import type { TrustedKeys } from '../apk/signature.ts'
import type { Content } from '../boot/content.ts'
import { MissingError } from '../boot/error.ts'
import type { Emit } from '../boot/event.ts'
import type { Upstream } from '../upstream/client.ts'
import { readContents } from './contents.ts'
import { createPullIndexes, type IndexReport } from './pull-index.ts'
import { type Kept, openKept } from './pull-kept.ts'
import { createPullDesk, type PackageName } from './pull-desk.ts'
import { parsePullName } from './pull-name.ts'
import { createReach } from './pull-reach.ts'
import { createBudget, type OpenFile } from './pull-spool.ts'
import { createPullTeller } from './pull-tell.ts'

type Maybe<T> = T | Promise<T>

export type PullOptions = {
  /** The mirror's folder, `packages.root`. */
  readonly root: string
  /** `https://dl-cdn.alpinelinux.org/alpine`, no slash at the end, and the client to ask it with. */
  readonly upstreamUrl: string
  readonly upstream: Upstream
  readonly keys: () => Promise<TrustedKeys>
  /** A file that the folder has, from memory where it can. Throws or rejects with MissingError. */
  readonly openStored: (path: string) => Maybe<Content>
  /** Where the list of what was kept is kept. */
  readonly state: string
  readonly indexMinutes: number
  readonly maxBytes: number
  readonly now: () => number
  readonly emit: Emit
  /** Is this folder (`v3.22/main/x86_64`) a sync's? Its index is not asked for anew. */
  readonly isHeld?: (folder: string) => boolean
  /** How long an index is waited for when there is an older one. */
  readonly patienceMs?: number
  /** Files that come at one moment, and that wait for it. */
  readonly transfers?: number
  readonly waiting?: number
  readonly openFile?: OpenFile
}

export type Pull = {
  /**
   * `v3.22/main/x86_64/busybox-1.36.1-r31.apk`, a path below the root. At once when it is in memory. Throws or rejects with MissingError when neither
   * folder nor upstream has it, OutsideError when the upstream is away or gives what is not right.
   */
  readonly open: (path: string) => Maybe<Content>
  readonly describe: () => PullReport
  /** Ends what is under way and writes down what was used. */
  readonly close: () => Promise<void>
}

/** What status shows. `hits` came from the folder, `misses` from the upstream, `joined` from a transfer that was under way. */
export type PullReport = {
  readonly upstream: string
  readonly isReachable?: boolean
  readonly problem?: string
  readonly hits: number
  readonly misses: number
  readonly joined: number
  readonly failures: number
  readonly running: number
  readonly waiting: number
  readonly keptFiles: number
  readonly keptBytes: number
  readonly maxBytes: number
  readonly lastFailure?: { readonly at: number; readonly text: string }
  readonly indexes: readonly IndexReport[]
}

/** Memory for what a full disk does not take, all together. */
const spareBytes = 128 * 1024 * 1024
const saveEveryMs = 600_000

export async function createPull(options: PullOptions): Promise<Pull> {
  const { root, upstreamUrl, upstream, keys, openStored, now, emit, maxBytes, openFile, isHeld = () => false } = options
  let isClosed = false
  const isNeeded = (path: string): Promise<boolean> => isInContents(root, path)
  const kept: Kept = await openKept({ root, file: join(options.state, 'pull.json'), maxBytes, now, isNeeded })
  const reach = createReach({ now })
  // What is cut because we are stopping is nobody's failure.
  const tell = createPullTeller({ emit: (event) => !isClosed && emit(event), now })
  const budget = createBudget(spareBytes)
  const common = { root, upstream, upstreamUrl, keys, reach, tell, now, budget, openStored, isHeld, ...(openFile && { openFile }) }
  const indexes = createPullIndexes({ ...common, indexMs: options.indexMinutes * 60_000, patienceMs: options.patienceMs ?? 3_000 })
  const limits = { transfers: options.transfers ?? 8, waiting: options.waiting ?? 512 }
  const desk = createPullDesk({ ...common, indexes, kept, maxBytes, ...limits })
  let hits = 0
  const timer = setInterval(() => void kept.save(), saveEveryMs).unref()

  function open(path: string): Maybe<Content> {
    const name = parsePullName(path)
    if (!name) return openStored(path)
    return name.kind === 'index' ? indexes.open(name) : openPackage(name)
  }

  function openPackage(name: PackageName): Maybe<Content> {
    const running = desk.follow(name)
    if (running) return running
    const found = openRight(name)
    if (found instanceof Promise) return found.then((content) => content ?? desk.pull(name))
    return found ?? desk.pull(name)
  }

  /** What the folder has, unless it has another size than the index says: then it was cut once, or put out anew. */
  function openRight(name: PackageName): Maybe<Content | undefined> {
    const take = (content: Content): Content | undefined => {
      const expected = indexes.expect(name.folder, name.file)
      if (expected && expected.sizeBytes !== content.sizeBytes) {
        content.close()
        return undefined
      }
      hits++
      kept.use(name.path)
      return content
    }
    const rescue = (error: unknown): undefined => {
      if (!(error instanceof MissingError)) throw error
      return undefined
    }
    try {
      const content = openStored(name.path)
      return content instanceof Promise ? content.then(take, rescue) : take(content)
    } catch (error) {
      return rescue(error)
    }
  }

  function describe(): PullReport {
    const { isReachable, error } = reach.state()
    const { files, bytes } = kept.figures()
    const lastFailure = tell.last()
    return {
      upstream: upstreamUrl,
      ...(isReachable !== undefined && { isReachable }),
      ...(error !== undefined && { problem: error }),
      hits,
      ...desk.figures(),
      keptFiles: files,
      keptBytes: bytes,
      maxBytes,
      ...(lastFailure && { lastFailure }),
      indexes: indexes.describe(),
    }
  }

  async function close(): Promise<void> {
    isClosed = true
    clearInterval(timer)
    await upstream.close()
    await desk.settle()
    await kept.save()
  }

  return { open, describe, close }
}

/** Does the list of a sync or an import name it? Where the list cannot be read, yes. */
async function isInContents(root: string, path: string): Promise<boolean> {
  try {
    return Object.hasOwn((await readContents(root, dirname(path)))?.files ?? {}, basename(path))
  } catch {
    return true
  }
}
