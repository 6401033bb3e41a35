// Gets one index from the upstream if it is another one than ours, looks at its signature and puts it in place. Used by pull-index.
// What is not signed by a trusted key, or cannot be read, never takes the place of what is there.
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { packageFileName, readIndexPieces } from '../apk/index-file.ts'
import { type TrustedKeys, verifySigned } from '../apk/signature.ts'
import { DecodeError, OutsideError } from '../boot/error.ts'
import { readBody } from '../upstream/body.ts'
import type { Upstream, UpstreamAnswer } from '../upstream/client.ts'
import { statusError } from '../upstream/network.ts'
import type { Reach } from './pull-reach.ts'
import { type Budget, createSpool, type OpenFile } from './pull-spool.ts'
import type { Expected, IndexRecord } from './pull-state.ts'
import type { PullTeller } from './pull-tell.ts'

export type IndexFetchOptions = {
  readonly root: string
  readonly upstream: Upstream
  readonly upstreamUrl: string
  readonly keys: () => Promise<TrustedKeys>
  readonly reach: Reach
  readonly tell: PullTeller
  readonly now: () => number
  readonly budget: Budget
  /** Is this folder kept by somebody else (a sync)? Then its index is not ours to replace. */
  readonly isHeld: (folder: string) => boolean
  readonly openFile?: OpenFile
}

/** Notes in the record what came. Rejects with MissingError, OutsideError `upstream-…` or `mirror-untrusted`; then nothing has changed. */
export type IndexFetch = (record: IndexRecord, hasOld: boolean) => Promise<void>

const indexBytesMax = 64 * 1024 * 1024

export function createIndexFetch({ root, upstream, upstreamUrl, keys, reach, tell, now, budget, isHeld, openFile }: IndexFetchOptions): IndexFetch {
  async function fetch(record: IndexRecord, hasOld: boolean): Promise<void> {
    // Conditions only for what we have and had from there: a date of the disk's may be that of a copy.
    const headers = hasOld ? { ...record.condition } : {}
    const answer = await reach.through(() => upstream.get(`${upstreamUrl}/${record.path}`, { headers, retries: 1 }))
    if (answer.status === 200) return take(record, answer)
    answer.cancel()
    if (answer.status !== 304 || !Object.keys(headers).length) throw statusError(answer.status, answer.url)
  }

  async function take(record: IndexRecord, answer: UpstreamAnswer): Promise<void> {
    const bytes = await reach.through(() => readBody(answer, indexBytesMax))
    const names = record.path.endsWith('.adb') ? checkAdb(bytes, answer.url) : await check(bytes, answer.url)
    // A sync that came in between has its own index, with all its packages.
    if (isHeld(dirname(record.path))) return
    const date = Date.parse(answer.headers['last-modified'] ?? '')
    const modifiedAt = Number.isNaN(date) ? now() : date
    const etag = createHash('sha1').update(bytes).digest('base64url')
    const isOnDisk = await store(record.path, bytes, modifiedAt)
    record.memory = { bytes, etag, modifiedAt, at: now(), isOnDisk }
    record.names = names
    record.namesTag = etag
    record.condition = conditionFor(answer)
  }

  async function check(bytes: Uint8Array, url: string): Promise<ReadonlyMap<string, Expected>> {
    const trusted = await keys()
    try {
      if (trusted.size) verifySigned(bytes, trusted)
      else tell.withoutKeys()
      return await namesOf(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      throw new OutsideError('mirror-untrusted', `${url}: ${error.message}; it is not taken`, true, { cause: error })
    }
  }

  /** Answers whether the disk took it; if not, it is served from memory and said. */
  async function store(path: string, bytes: Uint8Array, modifiedAt: number): Promise<boolean> {
    const refused = (error: OutsideError): void => tell.diskRefuses(path, error)
    const spool = createSpool({ path: join(root, path), sizeBytes: bytes.length, budget, onRefused: refused, ...(openFile && { openFile }) })
    try {
      await spool.write(bytes)
      await spool.keep(modifiedAt)
      return true
    } catch (error) {
      refused(error as OutsideError)
      return false
    } finally {
      spool.close()
    }
  }

  return fetch
}

/** What an index says of its packages, by file name. A big one takes half a second, in which stations have their turns. Rejects with DecodeError. */
export async function namesOf(bytes: Uint8Array): Promise<ReadonlyMap<string, Expected>> {
  const names = new Map<string, Expected>()
  for (const piece of readIndexPieces(bytes)) {
    for (const { name, version, sizeBytes, checksum } of piece)
      names.set(own(packageFileName({ name, version })), { name: own(name), version: own(version), sizeBytes, checksum: own(checksum) })
    await othersTurn()
  }
  return names
}

/** Copies: what is cut out of a text keeps the whole of it in memory, here ten megabytes. */
const own = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

/** What asks for the index only if it is another one than this. */
function conditionFor({ headers }: UpstreamAnswer): Record<string, string> {
  if (headers.etag !== undefined) return { 'if-none-match': headers.etag }
  return headers['last-modified'] === undefined ? {} : { 'if-modified-since': headers['last-modified'] }
}

const noNames: ReadonlyMap<string, Expected> = new Map()

/** Lore: apk v3 begins every file with ADB and a letter for the compression (apk-tools, src/adb.h). */
function checkAdb(bytes: Uint8Array, url: string): ReadonlyMap<string, Expected> {
  if (Buffer.from(bytes.subarray(0, 3)).toString('latin1') !== 'ADB') throw new OutsideError('mirror-untrusted', `${url} is no file of apk v3`, true)
  return noNames
}
