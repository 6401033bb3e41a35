// Every version of every station's overlay: who, when, what; going back to one. `state/overlays/history/<mac>.jsonl` beside the blobs.
// Used by the gate (what it served), accept (what was saved), the API and the commands. It never loses the version in force or the last booted.
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import { MissingError } from '../boot/error.ts'
import { diskError, writeAtomic } from '../store/atomic.ts'
import type { Blob, Blobs } from './blob.ts'
import {
  applyLine,
  chooseKept,
  type HistoryLine,
  type HistoryState,
  linesOf,
  type OverlayVersion,
  readHistory,
  type VersionKind,
} from './history-entry.ts'
import { appendHistory, emptyIfMissing, encodeHistory } from './history-file.ts'
import { placeArchive } from './place-archive.ts'

export type AppendAsk = {
  readonly mac: Mac
  readonly kind: VersionKind
  readonly who: string
  /** A file to keep a copy of, absolute; or the digest of a blob that is there. */
  readonly source: { readonly file: string } | { readonly digest: string }
  readonly note?: string
  readonly isSecret?: boolean
  readonly secretPaths?: readonly string[]
}

export type RollbackOutcome = {
  readonly version: OverlayVersion
  /** `archive`: put back into `configs/`. `pin`: the composed version stays in force until it is released. `none`: it is in force already. */
  readonly by: 'archive' | 'pin' | 'none'
  /** Where the archive stands now, below the depot. */
  readonly path?: string
}

export type History = {
  /** Keeps a version, unless the last one of its sort (archives, compositions) has the same bytes. Answers the version that stands for it. */
  readonly append: (ask: AppendAsk) => Promise<OverlayVersion>
  /** The station came up with these bytes. */
  readonly noteBooted: (mac: Mac, digest: string) => Promise<void>
  /** All that is kept of this MAC, oldest first, with what it last booted and what is pinned. */
  readonly list: (mac: Mac) => Promise<HistoryState>
  /** The blob of a digest. Throws MissingError `version-missing`. */
  readonly read: (digest: string) => Promise<Blob>
  /** Goes back to a version (absent: the one before the one in force). Throws MissingError `version-missing`. */
  readonly rollback: (mac: Mac, to: number | undefined, who: string, isDryRun?: boolean) => Promise<RollbackOutcome>
  /** Lets a pinned composition go: the layers are in force again. Answers whether there was one. */
  readonly release: (mac: Mac, who: string) => Promise<boolean>
  /** The pinned composition, for the composer; from memory once it was asked for. */
  readonly pinOf: (mac: Mac) => Promise<{ readonly version: OverlayVersion; readonly at: number; readonly who: string } | undefined>
  /** Removes blobs that nobody names; `alsoNeeded` are the composer's. */
  readonly prune: (alsoNeeded?: ReadonlySet<string>) => Promise<number>
}

export type HistoryOptions = {
  readonly depot: string
  readonly state: string
  readonly blobs: Blobs
  /** Versions kept of each overlay. */
  readonly keep: number
  readonly now: () => number
  /** How many MACs that nobody ordered to be kept. */
  readonly maxJournals?: number
}

const maxInMemory = 4096
const defaultMaxJournals = 20_000

/** Kept without anybody's order. */
const isByItself = (kind: VersionKind): boolean => kind === 'found' || kind === 'composed'

export function createHistory({ depot, state, blobs, keep, now, maxJournals = defaultMaxJournals }: HistoryOptions): History {
  let journals: number | undefined
  const folder = join(state, 'overlays', 'history')
  const pathOf = (mac: Mac): string => join(folder, `${formatMacHyphen(mac)}.jsonl`)
  const known = new Map<Mac, HistoryState>()
  /** One change of a MAC's journal after the other. */
  const queues = new Map<Mac, Promise<unknown>>()

  async function list(mac: Mac): Promise<HistoryState> {
    const before = known.get(mac)
    if (before) return before
    const read = readHistory(await readFile(pathOf(mac), 'utf8').catch(emptyIfMissing))
    if (known.size >= maxInMemory) known.clear()
    known.set(mac, read)
    return read
  }

  function inTurn<T>(mac: Mac, work: () => Promise<T>): Promise<T> {
    const running = (queues.get(mac) ?? Promise.resolve()).then(work, work)
    const settled = running.catch(() => undefined)
    queues.set(mac, settled)
    void settled.then(() => {
      if (queues.get(mac) === settled) queues.delete(mac)
    })
    return running
  }

  /** The line is on the disk before it counts; the journal is written anew when it holds more than is kept. */
  async function add(mac: Mac, line: HistoryLine): Promise<void> {
    const path = pathOf(mac)
    const next = applyLine(await list(mac), line)
    const kept = chooseKept(next, keep)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      if (kept.length < next.versions.length) {
        const trimmed = { ...next, versions: kept }
        await writeAtomic(path, encodeHistory(linesOf(trimmed)))
        known.set(mac, trimmed)
      } else {
        await appendHistory(path, line)
        known.set(mac, next)
      }
    } catch (error) {
      known.delete(mac)
      throw diskError(path, error)
    }
  }

  async function append(ask: AppendAsk): Promise<OverlayVersion> {
    const blob = 'file' in ask.source ? await blobs.putFile(ask.source.file) : await read(ask.source.digest)
    return inTurn(ask.mac, async () => {
      const { versions } = await list(ask.mac)
      const last = versions.findLast(({ kind }) => (kind === 'composed') === (ask.kind === 'composed'))
      if (last?.digest === blob.digest) return last
      const { kind, who, note, isSecret, secretPaths } = ask
      const entry: OverlayVersion = {
        version: 1 + Math.max(0, ...versions.map(({ version }) => version)),
        at: now(),
        kind,
        digest: blob.digest,
        sizeBytes: blob.sizeBytes,
        who,
        ...(note !== undefined && { note }),
        ...(isSecret && { isSecret }),
        ...(secretPaths?.length && { secretPaths: [...secretPaths] }),
      }
      // Whoever asks with many MACs fills no disk: of those that nobody knows only so many are kept.
      if (!versions.length && isByItself(kind) && !(await hasRoom())) return entry
      await add(ask.mac, entry)
      return entry
    })
  }

  async function hasRoom(): Promise<boolean> {
    journals ??= (await readdir(folder).catch(() => [])).length
    return journals++ < maxJournals
  }

  async function read(digest: string): Promise<Blob> {
    const found = await blobs.find(digest)
    if (!found) throw new MissingError('version-missing', `the bytes of ${digest.slice(0, 12)} are not kept any more`)
    return found
  }

  const noteBooted = (mac: Mac, digest: string): Promise<void> =>
    inTurn(mac, async () => {
      if ((await list(mac)).booted?.digest !== digest) await add(mac, { booted: digest, at: now() })
    })

  function rollback(mac: Mac, to: number | undefined, who: string, isDryRun = false): Promise<RollbackOutcome> {
    return inTurn(mac, async () => {
      const { versions, pin } = await list(mac)
      const version = chooseTarget(versions, to, pin?.version)
      await read(version.digest)
      if (version.kind === 'composed') {
        if (pin?.version === version.version) return { version, by: 'none' }
        if (!isDryRun) await add(mac, { pin: version.version, at: now(), who })
        return { version, by: 'pin' }
      }
      if (isDryRun) return { version, by: 'archive' }
      const path = await placeArchive(depot, mac, blobs.pathOf(version.digest))
      if (pin) await add(mac, { pin: 0, at: now(), who })
      await add(mac, {
        ...version,
        version: 1 + Math.max(...versions.map((one) => one.version)),
        at: now(),
        kind: 'rollback',
        who,
        note: `to version ${version.version}`,
      })
      return { version, by: 'archive', path }
    })
  }

  const release = (mac: Mac, who: string): Promise<boolean> =>
    inTurn(mac, async () => {
      if (!(await list(mac)).pin) return false
      await add(mac, { pin: 0, at: now(), who })
      return true
    })

  async function pinOf(mac: Mac) {
    const { versions, pin } = await list(mac)
    const version = versions.find((one) => one.version === pin?.version)
    return pin && version ? { version, at: pin.at, who: pin.who } : undefined
  }

  async function prune(alsoNeeded: ReadonlySet<string> = new Set()): Promise<number> {
    const needed = new Set(alsoNeeded)
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith('.jsonl')) continue
      const { versions, booted } = readHistory(await readFile(join(folder, name), 'utf8').catch(emptyIfMissing))
      for (const { digest } of versions) needed.add(digest)
      if (booted) needed.add(booted.digest)
    }
    return blobs.prune(needed)
  }

  return { append, noteBooted, list, read, rollback, release, pinOf, prune }
}

function chooseTarget(versions: readonly OverlayVersion[], to: number | undefined, pinned: number | undefined): OverlayVersion {
  const inForce = versions.find(({ version }) => version === pinned) ?? versions.at(-1)
  const before = versions.findLast(
    (one) => one.version < (inForce?.version ?? 0) && one.digest !== inForce?.digest && one.kind === kindLike(one, inForce),
  )
  const found = to === undefined ? before : versions.find(({ version }) => version === to)
  if (found) return found
  const list = versions.map(({ version }) => version).join(', ') || 'none'
  if (to !== undefined) throw new MissingError('version-missing', `there is no version ${to} (kept: ${list})`)
  const kind = inForce?.kind === 'composed' ? 'composition' : 'archive'
  const hint = versions.length > 1 ? '; name another one by its number' : ''
  throw new MissingError('version-missing', `there is no ${inForce ? kind : 'version'} before the one in force (kept: ${list})${hint}`)
}

/** Archives go back to archives, compositions to compositions. */
const kindLike = (one: OverlayVersion, other: OverlayVersion | undefined): VersionKind | undefined =>
  (one.kind === 'composed') === (other?.kind === 'composed') ? one.kind : undefined
