// The indexes of a pull-through mirror: asked for anew after minutes, switched in only when their signature is good, and yesterday's when the
// upstream is away. Used by pull. One request upstream, however many stations ask.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isWithin } from '../boot/age.ts'
import type { Content } from '../boot/content.ts'
import { MissingError } from '../boot/error.ts'
import { createIndexFetch, type IndexFetchOptions, namesOf } from './pull-index-fetch.ts'
import type { PullName } from './pull-name.ts'
import { createIndexRecords, type Expected, type IndexRecord } from './pull-state.ts'

type IndexName = PullName & { readonly kind: 'index' }

export type PullIndexes = {
  /** The index: at once when it is fresh enough, else after the upstream was asked, which is waited for a few seconds when there is an older one. */
  readonly open: (name: IndexName) => Content | Promise<Content>
  /** What the index of the folder says of a file; undefined when it does not name it, or was not read yet. */
  readonly expect: (folder: string, file: string) => Expected | undefined
  /** Sees to it that the index of the folder is there and read. Rejects when there is none to be had. */
  readonly load: (folder: string) => Promise<void>
  /** Asks the upstream again unless it was asked in the last half minute. Never rejects. */
  readonly renew: (folder: string) => Promise<void>
  readonly describe: () => readonly IndexReport[]
}

/** `ageSeconds`: since the upstream last said that it is the newest. */
export type IndexReport = { readonly path: string; readonly ageSeconds?: number; readonly packages?: number; readonly stale?: string }

export type PullIndexOptions = IndexFetchOptions & {
  readonly indexMs: number
  readonly patienceMs: number
  readonly openStored: (path: string) => Content | Promise<Content>
}

/** After a failure of its own an index is left alone for so long. */
const restMs = 15_000
/** Whoever looks for the file may have seen so long that it is not there. */
const settleMs = 2_000

export function createPullIndexes(options: PullIndexOptions): PullIndexes {
  const { root, indexMs, patienceMs, reach, tell, now, openStored, isHeld } = options
  const records = createIndexRecords()
  const fetch = createIndexFetch(options)

  function open(name: IndexName): Content | Promise<Content> {
    const record = records.get(name.path)
    if (isHeld(name.folder)) return openHeld(record)
    if (record.checkedAt === undefined || !isWithin(indexMs, record.checkedAt, now())) return openRenewed(record)
    return openOwn(record)
  }

  /** The one that was switched in by others, whatever we knew before. */
  function openHeld(record: IndexRecord): Content | Promise<Content> {
    delete record.memory
    delete record.stale
    return openOwn(record)
  }

  /** What we have. The names are read again when the file is another one than they were read from. */
  function openOwn(record: IndexRecord): Content | Promise<Content> {
    const { memory } = record
    if (memory && (!memory.isOnDisk || isWithin(settleMs, memory.at, now()))) return memoryContent(record.path, memory)
    delete record.memory
    const seen = (content: Content): Content => {
      if (record.namesTag !== content.etag) loadNames(record, content.etag).catch(() => undefined)
      return content
    }
    const content = openStored(record.path)
    return content instanceof Promise ? content.then(seen) : seen(content)
  }

  async function openRenewed(record: IndexRecord): Promise<Content> {
    const hasOld = await isThere(record)
    if (!hasOld) {
      await refresh(record)
      return openOwn(record)
    }
    const asked = refresh(record).catch((error: Error) => markStale(record, error.message))
    // Known to be away or slow: nobody waits for it again.
    if (!record.stale && !reach.isDown()) {
      const isDone = await within(patienceMs, asked)
      if (!isDone) markStale(record, `no answer within ${Math.round(patienceMs / 1000)} s`)
    }
    return openOwn(record)
  }

  const isThere = async (record: IndexRecord): Promise<boolean> =>
    record.memory !== undefined ||
    stat(join(root, record.path)).then(
      (found) => found.isFile(),
      () => false,
    )

  function refresh(record: IndexRecord): Promise<void> {
    record.refreshing ??= refreshNow(record).finally(() => {
      delete record.refreshing
    })
    return record.refreshing
  }

  async function refreshNow(record: IndexRecord): Promise<void> {
    if (record.failed && isWithin(restMs, record.failed.at, now())) throw record.failed.error
    try {
      reach.check()
      await fetch(record, await isThere(record))
      record.checkedAt = now()
      delete record.failed
      markFresh(record)
    } catch (error) {
      record.failed = { at: now(), error: error as Error }
      throw error
    }
  }

  function markStale(record: IndexRecord, reason: string): void {
    if (record.stale) return
    record.stale = { since: now(), reason }
    tell.stale(record.path, reason, record.checkedAt)
  }

  function markFresh(record: IndexRecord): void {
    if (!record.stale) return
    tell.freshAgain(record.path, record.stale.since)
    delete record.stale
  }

  function loadNames(record: IndexRecord, tag?: string): Promise<void> {
    const before = record.namesTag
    record.loading ??= readFile(join(root, record.path))
      .then(async (bytes) => {
        const names = record.path.endsWith('.adb') ? undefined : await namesOf(bytes)
        // A newer one came from the upstream meanwhile.
        if (record.namesTag !== before) return
        if (names) record.names = names
        if (tag !== undefined) record.namesTag = tag
      })
      .finally(() => {
        delete record.loading
      })
    return record.loading
  }

  async function load(folder: string): Promise<void> {
    const record = records.get(`${folder}/APKINDEX.tar.gz`)
    if (record.names) return
    if (await isThere(record)) await loadNames(record)
    else if (!isHeld(folder)) await refresh(record)
    else throw new MissingError('file-missing', `there is no index in ${folder} yet`)
  }

  async function renew(folder: string): Promise<void> {
    const record = records.get(`${folder}/APKINDEX.tar.gz`)
    if (isHeld(folder) || isWithin(2 * restMs, record.checkedAt ?? Number.NEGATIVE_INFINITY, now())) return
    await refresh(record).catch(() => undefined)
  }

  return {
    open,
    expect: (folder, file) => records.find(`${folder}/APKINDEX.tar.gz`)?.names?.get(file),
    load,
    renew,
    describe: () =>
      records
        .list()
        .filter(({ checkedAt, names, stale }) => checkedAt !== undefined || names || stale)
        .map(({ path, checkedAt, names, stale }) => ({
          path,
          ...(checkedAt !== undefined && { ageSeconds: Math.max(0, Math.round((now() - checkedAt) / 1000)) }),
          ...(names && { packages: names.size }),
          ...(stale && { stale: stale.reason }),
        })),
  }
}

const memoryContent = (path: string, { bytes, etag, modifiedAt }: NonNullable<IndexRecord['memory']>): Content => ({
  sizeBytes: bytes.length,
  etag,
  type: path.endsWith('.gz') ? 'application/gzip' : 'application/octet-stream',
  ...(modifiedAt !== undefined && { modifiedAt }),
  whole: bytes,
  read: (offset, length) => bytes.subarray(offset, offset + length),
  close: () => undefined,
})

/** Did it end in time? */
async function within(limitMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs)
  })
  return Promise.race([work.then(() => true), late]).finally(() => clearTimeout(timer))
}
