// The pull-through mirror: what stations ask for comes from the folder, and what the folder lacks from the upstream, to station and disk at once.
// Called by the door and the packages server. Only names of Alpine's shape are ever asked of the upstream.
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { TrustedKeys } from '../apk/signature.ts'
import { isWithin } from '../boot/age.ts'
import type { Content } from '../boot/content.ts'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { Emit } from '../boot/event.ts'
import type { Upstream } from '../upstream/client.ts'
import { readContents } from './contents.ts'
import { checkPulled } from './pull-check.ts'
import { createPullIndexes, type IndexReport } from './pull-index.ts'
import { type Kept, openKept } from './pull-kept.ts'
import { parsePullName, type PullName } from './pull-name.ts'
import { createQueue } from './pull-queue.ts'
import { createReach } from './pull-reach.ts'
import { openWhole } from './pull-read.ts'
import { createBudget, createSpool, type OpenFile } from './pull-spool.ts'
import type { Expected } from './pull-state.ts'
import { createPullTeller } from './pull-tell.ts'
import { startTransfer, type Transfer } from './pull-transfer.ts'

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
/** A name that the upstream does not have is not asked for again at once. */
const absentMs = 10_000
const absentMax = 4096
const saveEveryMs = 60_000

type PackageName = PullName & { readonly kind: 'package' }

export async function createPull(options: PullOptions): Promise<Pull> {
  const { root, upstreamUrl, upstream, keys, openStored, now, emit, maxBytes, openFile, isHeld = () => false } = options
  const isNeeded = (path: string): Promise<boolean> => isInContents(root, path)
  const kept: Kept = await openKept({ root, file: join(options.state, 'pull.json'), maxBytes, now, isNeeded })
  const reach = createReach({ now })
  const tell = createPullTeller({ emit, now })
  const budget = createBudget(spareBytes)
  const queue = createQueue({ running: options.transfers ?? 8, waiting: options.waiting ?? 512 })
  const common = { root, upstream, upstreamUrl, keys, reach, tell, now, budget, openStored, isHeld, ...(openFile && { openFile }) }
  const indexes = createPullIndexes({ ...common, indexMs: options.indexMinutes * 60_000, patienceMs: options.patienceMs ?? 3_000 })
  const transfers = new Map<string, Transfer>()
  const absent = new Map<string, number>()
  const counts = { hits: 0, misses: 0, joined: 0, failures: 0 }
  const timer = setInterval(() => void kept.save(), saveEveryMs).unref()
  let isClosed = false

  function open(path: string): Maybe<Content> {
    const name = parsePullName(path)
    if (!name) return openStored(path)
    return name.kind === 'index' ? indexes.open(name) : openPackage(name)
  }

  function openPackage(name: PackageName): Maybe<Content> {
    const running = transfers.get(name.path)
    if (running) return follow(name, running)
    const found = openRight(name)
    if (found instanceof Promise) return found.then((content) => content ?? pull(name))
    return found ?? pull(name)
  }

  /** One that is under way; when it ends in this very moment, what came of it. */
  function follow(name: PackageName, running: Transfer): Promise<Content> {
    counts.joined++
    return running.open().catch(async (error: unknown) => {
      if (!(error instanceof OutsideError && error.code === 'transfer-ended')) throw error
      await running.ended
      return pull(name)
    })
  }

  /** What the folder has, unless it has another size than the index says: then it was cut once, or put out anew. */
  function openRight(name: PackageName): Maybe<Content | undefined> {
    const take = (content: Content): Content | undefined => {
      const expected = indexes.expect(name.folder, name.file)
      if (expected && expected.sizeBytes !== content.sizeBytes) {
        content.close()
        return undefined
      }
      counts.hits++
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

  /** Everybody who asks for it meanwhile follows the same transfer. */
  function pull(name: PackageName): Promise<Content> {
    const running = transfers.get(name.path)
    if (running) return follow(name, running)
    const missedAt = absent.get(name.path)
    if (missedAt !== undefined && isWithin(absentMs, missedAt, now())) return Promise.reject(absentError(name))
    const first = prepare(name)
    const ended = first.then(
      (transfer) => ('ended' in transfer ? transfer.ended : undefined),
      () => undefined,
    )
    const transfer: Transfer = { open: () => first.then((one) => one.open()), ended }
    transfers.set(name.path, transfer)
    ended.finally(() => transfers.delete(name.path))
    return transfer.open()
  }

  /** The transfer, as soon as its turn has come; or what lay in the folder all the same, too young for whoever looked. */
  async function prepare(name: PackageName): Promise<{ readonly open: () => Promise<Content>; readonly ended?: Promise<void> }> {
    const there = await findThere(name)
    if (there) return there
    reach.check()
    if (!indexes.expect(name.folder, name.file)) await learn(name)
    const { promise, resolve, reject } = Promise.withResolvers<Transfer>()
    const ended = queue
      .run(async () => {
        reach.check()
        const transfer = start(name)
        resolve(transfer)
        await transfer.ended
      })
      .catch(reject)
    const transfer = await promise
    return { open: transfer.open, ended }
  }

  async function findThere({ path, folder, file }: PackageName): Promise<{ open: () => Promise<Content> } | undefined> {
    const found = await stat(join(root, path)).catch(() => undefined)
    const expected = indexes.expect(folder, file)
    if (!found?.isFile() || (expected && expected.sizeBytes !== found.size)) return undefined
    return { open: () => openWhole(join(root, path)) }
  }

  /** The index may not have been read yet, or be older than who asks. Without an index we go on: what then comes is passed on and not kept. */
  async function learn({ folder, file }: PackageName): Promise<void> {
    await indexes.load(folder).catch((error: unknown) => {
      if (error instanceof MissingError) throw error
    })
    if (!indexes.expect(folder, file)) await indexes.renew(folder)
  }

  function start(name: PackageName): Transfer {
    counts.misses++
    const expected = (): Expected | undefined => indexes.expect(name.folder, name.file)
    const path = join(root, name.path)
    return startTransfer({
      url: `${upstreamUrl}/${name.path}`,
      upstream,
      expected,
      renew: () => indexes.renew(name.folder),
      makeSpool: (sizeBytes) =>
        createSpool({ path, sizeBytes, budget, onRefused: (error) => tell.diskRefuses(name.path, error), ...(openFile && { openFile }) }),
      check: async (pieces, sizeBytes) => {
        const isGood = await checkPulled(pieces, { path: name.path, keys, expected, renew: () => indexes.renew(name.folder) })
        return isGood && sizeBytes <= maxBytes
      },
      kept: () => kept.add(name.path),
      failed: (error) => fail(name, error),
      through: reach.through,
    })
  }

  function fail(name: PackageName, error: Error): void {
    if (isClosed) return
    counts.failures++
    if (error instanceof MissingError) noteAbsent(name)
    else if ('code' in error && error.code === 'write-failed') tell.diskRefuses(name.path, error)
    else tell.failed(name.path, error)
  }

  function noteAbsent(name: PackageName): void {
    if (absent.size >= absentMax) absent.clear()
    absent.set(name.path, now())
    // Named by the index and not there: the index is an older one.
    if (indexes.expect(name.folder, name.file)) void indexes.renew(name.folder)
  }

  function describe(): PullReport {
    const { isReachable, error } = reach.state()
    const { files, bytes } = kept.figures()
    const lastFailure = tell.last()
    return {
      upstream: upstreamUrl,
      ...(isReachable !== undefined && { isReachable }),
      ...(error !== undefined && { problem: error }),
      ...counts,
      ...queue.figures(),
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
    await Promise.all([...transfers.values()].map(({ ended }) => ended))
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

const absentError = ({ path }: PackageName): MissingError => new MissingError('upstream-missing', `the upstream has no ${path}`)
