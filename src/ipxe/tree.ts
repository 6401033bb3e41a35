// Built trees: source with every object of one bin directory compiled, one per (source, bin directory, tool chain, headers). Used by job, which works on copies.
// A tree that is not finished is never seen: it is made aside and renamed. Bounded by bytes, least recently used go first.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConflictError, OutsideError } from '../boot/error.ts'
import { isThere, sizeOf } from './file.ts'
import { fingerprintOf } from './fingerprint.ts'
import { createProgressReader, failureOf, type Progress, treeArguments } from './make.ts'
import { type Run, runWell } from './run.ts'
import type { Source } from './source.ts'
import type { BinDir } from './target.ts'

export type TreeAsk = {
  readonly source: Source
  readonly sourceFolder: string
  readonly binDir: BinDir
  readonly toolchainId: string
  readonly crossPrefix: string
  readonly config?: string
  /** Every config/local header of the tree, empty ones too. */
  readonly headers: Readonly<Record<string, string>>
}

export type TreeWatch = {
  readonly onLine?: (line: string) => void
  readonly onProgress?: (progress: Progress & { total?: number }) => void
  readonly signal?: AbortSignal
}

export type Trees = {
  /** Copies the built tree of `ask` to `folder` (which must not exist), building it first where needed. Callers of one tree share one build. */
  readonly copyTo: (ask: TreeAsk, folder: string, watch?: TreeWatch) => Promise<void>
  /** Longest unused first. */
  readonly list: () => Promise<BuiltTree[]>
  readonly clear: () => Promise<void>
  /** Waits until what was under way is over and cleaned up. */
  readonly settle: () => Promise<void>
}

export type TreesOptions = {
  readonly folder: string
  readonly run: Run
  readonly jobs: number
  readonly limitBytes: number
  readonly timeoutMs: number
  readonly now: () => number
}

type TreeRecord = { readonly family: string; readonly sizeBytes: number; readonly steps: number; readonly isCold: boolean }

/** `usedAt`: milliseconds since 1970. */
export type BuiltTree = TreeRecord & { readonly key: string; readonly usedAt: number }

const keyOf = ({ source, binDir, toolchainId, crossPrefix, config, headers }: TreeAsk): string =>
  fingerprintOf({ pin: source.pin, binDir: binDir.name, toolchainId, crossPrefix, config, headers }).slice(0, 32)

/** Trees of one family differ only in their local headers, so that make can go from one to the other. */
const familyOf = ({ source, binDir, toolchainId, crossPrefix, config }: TreeAsk): string =>
  fingerprintOf({ pin: source.pin, binDir: binDir.name, toolchainId, crossPrefix, config })

export function createTrees({ folder, run, jobs, limitBytes, timeoutMs, now }: TreesOptions): Trees {
  const building = new Map<string, { done: Promise<void>; watches: Set<TreeWatch>; abort: AbortController }>()
  const inUse = new Map<string, number>()
  const ongoing = new Set<Promise<void>>()
  const pathOf = (key: string): string => join(folder, key)

  const readRecord = async (key: string): Promise<TreeRecord | undefined> => {
    const text = await readFile(join(pathOf(key), 'tree.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as TreeRecord)
  }

  const list: Trees['list'] = async () => {
    const found: BuiltTree[] = []
    for (const key of (await readdir(folder).catch(() => [])).filter((name) => /^[0-9a-f]{32}$/.test(name))) {
      const record = await readRecord(key)
      if (record) found.push({ ...record, key, usedAt: (await stat(join(pathOf(key), 'tree.json'))).mtimeMs })
    }
    return found.sort((a, b) => a.usedAt - b.usedAt)
  }

  const hold = async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    inUse.set(key, (inUse.get(key) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = (inUse.get(key) ?? 1) - 1
      if (left > 0) inUse.set(key, left)
      else inUse.delete(key)
    }
  }

  const evict = async (): Promise<void> => {
    const all = await list()
    let sum = all.reduce((total, one) => total + one.sizeBytes, 0)
    for (const { key, sizeBytes } of all) {
      if (sum <= limitBytes) return
      if (inUse.has(key)) continue
      await rm(pathOf(key), { recursive: true, force: true })
      sum -= sizeBytes
    }
  }

  const build = async (ask: TreeAsk, key: string, watches: ReadonlySet<TreeWatch>, signal: AbortSignal): Promise<void> => {
    const base = (await list()).findLast((one) => one.family === familyOf(ask))
    const temporary = join(folder, `.new-${key}-${randomBytes(4).toString('hex')}-${process.pid}`)
    await mkdir(temporary, { recursive: true })
    try {
      const copy = (from: string): Promise<string> => runWell(run, ['cp', '-a', from, join(temporary, 'tree')], { signal, timeoutMs })
      await (base ? hold(base.key, () => copy(join(pathOf(base.key), 'tree'))) : copy(ask.sourceFolder))
      await writeHeaders(join(temporary, 'tree/src/config/local'), ask.headers)
      const reader = createProgressReader()
      let steps = 0
      const onLine = (line: string): void => {
        const progress = reader.read(line)
        if (progress) steps = progress.done
        for (const watch of watches) {
          watch.onLine?.(line)
          if (progress) watch.onProgress?.(base ? progress : { ...progress, total: expectedSteps[ask.binDir.platform] ?? 3000 })
        }
      }
      const argv = ['nice', '-n', '5', 'make', `-j${jobs}`, ...treeArguments(ask), `${ask.binDir.name}/blib.a`]
      const { code, tail } = await run(argv, { cwd: join(temporary, 'tree/src'), signal, timeoutMs, onLine })
      if (code !== 0) throw new OutsideError('build-failed', `make failed:\n${failureOf(tail).join('\n')}`, false)
      const record: TreeRecord = { family: familyOf(ask), sizeBytes: await sizeOf(temporary), steps, isCold: base === undefined }
      await writeFile(join(temporary, 'tree.json'), JSON.stringify(record))
      // Another process may have been quicker with the same tree: then that one stays.
      await rename(temporary, pathOf(key)).catch(async (error) => {
        if (!(await isThere(join(pathOf(key), 'tree.json')))) throw error
      })
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }

  const ensure = async (ask: TreeAsk, key: string, watch: TreeWatch): Promise<void> => {
    if (await isThere(join(pathOf(key), 'tree.json'))) return
    // A signal that fired before this would never be heard below.
    if (watch.signal?.aborted) throw new ConflictError('cancelled', 'cancelled')
    const known = building.get(key)
    const job = known ?? startBuild(ask, key)
    job.watches.add(watch)
    // One that gives up leaves; the last one to leave stops the build.
    const leave = (): void => {
      job.watches.delete(watch)
      if (job.watches.size > 0) return
      job.abort.abort()
      if (building.get(key) === job) building.delete(key)
    }
    watch.signal?.addEventListener('abort', leave, { once: true })
    try {
      await job.done
    } finally {
      watch.signal?.removeEventListener('abort', leave)
    }
  }

  const startBuild = (ask: TreeAsk, key: string) => {
    const watches = new Set<TreeWatch>()
    const abort = new AbortController()
    const done = build(ask, key, watches, abort.signal).finally(() => {
      if (building.get(key)?.abort === abort) building.delete(key)
    })
    ongoing.add(done)
    done.catch(() => {}).finally(() => ongoing.delete(done))
    const job = { done, watches, abort }
    building.set(key, job)
    return job
  }

  const copyTo: Trees['copyTo'] = (ask, target, watch = {}) => {
    const key = keyOf(ask)
    return hold(key, async () => {
      await ensure(ask, key, watch)
      const usedAt = new Date(now())
      await utimes(join(pathOf(key), 'tree.json'), usedAt, usedAt)
      await runWell(run, ['cp', '-a', join(pathOf(key), 'tree'), target], { timeoutMs, ...(watch.signal ? { signal: watch.signal } : {}) })
      await evict()
    })
  }

  const clear = (): Promise<void> => rm(folder, { recursive: true, force: true })

  const settle = async (): Promise<void> => {
    await Promise.allSettled(ongoing)
  }

  return { copyTo, list, clear, settle }
}

/** Steps of a cold build, seen with iPXE 2.0: for the percentage only. */
const expectedSteps: Record<string, number> = { pcbios: 2900, efi: 2900, sbi: 2400 }

/** Writes what differs (fresh times, so that make sees it) and empties what the ask does not name. */
async function writeHeaders(folder: string, headers: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true })
  const there = (await readdir(folder)).filter((name) => name.endsWith('.h'))
  for (const name of new Set([...there, ...Object.keys(headers)])) {
    const text = headers[name] ?? ''
    const old = await readFile(join(folder, name), 'utf8').catch(() => undefined)
    if (old !== text) await writeFile(join(folder, name), text)
  }
}
