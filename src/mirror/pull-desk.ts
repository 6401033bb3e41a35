// Packages that the folder lacks: each is fetched once, however many ask, a few at a time, and what the upstream does not have is remembered for a
// moment. Used by pull.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { TrustedKeys } from '../apk/signature.ts'
import { isWithin } from '../boot/age.ts'
import type { Content } from '../boot/content.ts'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { Upstream } from '../upstream/client.ts'
import { checkPulled } from './pull-check.ts'
import type { PullIndexes } from './pull-index.ts'
import type { Kept } from './pull-kept.ts'
import type { PullName } from './pull-name.ts'
import { createQueue } from './pull-queue.ts'
import type { Reach } from './pull-reach.ts'
import { openWhole } from './pull-read.ts'
import { type Budget, createSpool, type OpenFile } from './pull-spool.ts'
import type { Expected } from './pull-state.ts'
import type { PullTeller } from './pull-tell.ts'
import { startTransfer, type Transfer } from './pull-transfer.ts'

export type PackageName = PullName & { readonly kind: 'package' }

export type PullDesk = {
  /** A reader's view of one that is under way; undefined when it is not. */
  readonly follow: (name: PackageName) => Promise<Content> | undefined
  /** The same of one that is fetched from now on, unless it is in the folder all the same. Rejects with MissingError, OutsideError. */
  readonly pull: (name: PackageName) => Promise<Content>
  readonly figures: () => {
    readonly misses: number
    readonly joined: number
    readonly failures: number
    readonly running: number
    readonly waiting: number
  }
  /** Resolves when nothing is under way. */
  readonly settle: () => Promise<void>
}

export type PullDeskOptions = {
  readonly root: string
  readonly upstream: Upstream
  readonly upstreamUrl: string
  readonly keys: () => Promise<TrustedKeys>
  readonly indexes: PullIndexes
  readonly kept: Kept
  readonly reach: Reach
  readonly tell: PullTeller
  readonly budget: Budget
  readonly now: () => number
  /** Nothing bigger is kept. */
  readonly maxBytes: number
  readonly transfers: number
  readonly waiting: number
  readonly openFile?: OpenFile
}

/** A name that the upstream does not have is not asked for again at once. */
const absentMs = 10_000
const absentMax = 4096

export function createPullDesk(options: PullDeskOptions): PullDesk {
  const { root, upstream, upstreamUrl, keys, indexes, kept, reach, tell, budget, now, maxBytes, openFile } = options
  const queue = createQueue({ running: options.transfers, waiting: options.waiting })
  const transfers = new Map<string, Transfer>()
  const absent = new Map<string, number>()
  const counts = { misses: 0, joined: 0, failures: 0 }

  /** One that is under way; when it ends in this very moment, what came of it. */
  function follow(name: PackageName): Promise<Content> | undefined {
    const running = transfers.get(name.path)
    if (!running) return undefined
    counts.joined++
    return running.open().catch(async (error: unknown) => {
      if (!(error instanceof OutsideError && error.code === 'transfer-ended')) throw error
      await running.ended
      return pull(name)
    })
  }

  /** Everybody who asks for it meanwhile follows the same transfer. */
  function pull(name: PackageName): Promise<Content> {
    const running = follow(name)
    if (running) return running
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

  return {
    follow,
    pull,
    figures: () => ({ ...counts, ...queue.figures() }),
    settle: async () => {
      await Promise.all([...transfers.values()].map(({ ended }) => ended))
    },
  }
}

const absentError = ({ path }: PackageName): MissingError => new MissingError('upstream-missing', `the upstream has no ${path}`)
