// Builds as others see them: asked for, queued, running with a log, done or failed. One fingerprint is built once at a time, however many ask;
// different ones run side by side up to the limit. Used by the API, the command line, and the doors (isBeingBuilt).
import { randomBytes } from 'node:crypto'
import { BivouacError, ConflictError, MissingError } from '../boot/error.ts'
import type { Artifacts, Manifest } from './artifact.ts'
import { type Fingerprint, fingerprintOf } from './fingerprint.ts'
import { type Input, type PrepareOptions, prepare } from './input.ts'
import { type JobOptions, makeArtifact } from './job.ts'
import type { Progress } from './make.ts'
import { assembleImage, imageName } from './media.ts'
import type { Publisher } from './publish.ts'
import { describeRecipe, type Recipe, targetsOf } from './recipe.ts'
import { announcedNames, formatTarget } from './target.ts'

export type BuildState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled'

/** A snapshot. Times are milliseconds since 1970. */
export type Build = {
  readonly id: string
  readonly state: BuildState
  readonly what: string
  /** Of the artifact that will come out; known when the inputs are. */
  readonly fingerprint?: Fingerprint
  /** Announced under these names when done. */
  readonly publishAs?: readonly string[]
  readonly progress?: Progress & { readonly total?: number; readonly part?: string }
  readonly askedAt: number
  readonly endedAt?: number
  /** Whether it was there already. */
  readonly wasKnown?: boolean
  readonly error?: { readonly code: string; readonly message: string }
}

export type BuildEvent = { readonly kind: 'line'; readonly line: string } | { readonly kind: 'state'; readonly build: Build }

export type Builds = {
  /** Checks the recipe's inputs and queues; answers at once, also when the artifact is there already. `publish`: true for its usual names. */
  readonly start: (recipe: Recipe, publish?: boolean | readonly string[]) => Build
  readonly find: (id: string) => Build
  readonly list: () => Build[]
  /** The last lines so far (bounded), then what comes, up to the end. Answers the way to stop listening. */
  readonly listen: (id: string, listener: (event: BuildEvent) => void) => () => void
  /** Takes back this request; make is stopped when nobody else waits for the same artifact. */
  readonly cancel: (id: string) => Build
  /** @throws what made it fail. */
  readonly wait: (id: string) => Promise<Manifest>
  /** Whether a loader of this name will be announced by a build that is under way: the door answers 503 with Retry-After. */
  readonly isBeingBuilt: (name: string) => boolean
  /** Cancels everything and waits for it. */
  readonly close: () => Promise<void>
}

export type BuildsOptions = PrepareOptions &
  JobOptions & { readonly publisher: Publisher /** Makes at the same time. */; readonly concurrency: number; readonly artifacts: Artifacts }

const keptBuilds = 100
const keptLines = 400
const queueLimit = 64

type Entry = {
  build: Build
  recipe: Recipe
  lines: string[]
  listeners: Set<(event: BuildEvent) => void>
  abort: AbortController
  done: Promise<Manifest>
  announce: readonly string[]
}
type Shared = { done: Promise<Manifest>; followers: Set<Entry>; abort: AbortController; isRunning: boolean }

export function createBuilds(options: BuildsOptions): Builds {
  const { publisher, now, concurrency, artifacts } = options
  const entries = new Map<string, Entry>()
  const making = new Map<Fingerprint, Shared>()
  const turns = createTurns(concurrency)
  /** Also those that nobody waits for any more: they clean up behind themselves. */
  const ongoing = new Set<Promise<unknown>>()

  const update = (entry: Entry, change: Partial<Build>): void => {
    entry.build = { ...entry.build, ...change }
    tell(entry, { kind: 'state', build: entry.build })
  }
  const tell = (entry: Entry, event: BuildEvent): void => {
    if (event.kind === 'line') {
      entry.lines.push(event.line)
      if (entry.lines.length > keptLines) entry.lines.shift()
    }
    for (const listener of entry.listeners) {
      try {
        listener(event)
      } catch {
        entry.listeners.delete(listener)
      }
    }
  }

  const makeShared = (entry: Entry, input: Input, part: string | undefined): Promise<Manifest> => {
    let shared = making.get(input.fingerprint)
    if (!shared) {
      const followers = new Set<Entry>()
      const abort = new AbortController()
      const watch = {
        signal: abort.signal,
        onLine: (line: string) => {
          for (const one of followers) tell(one, { kind: 'line', line })
        },
        onProgress: (progress: Progress & { total?: number }) => {
          for (const one of followers) update(one, { progress: { ...progress, ...(part ? { part } : {}) } })
        },
      }
      const run = async (): Promise<Manifest> => {
        mine.isRunning = true
        for (const one of followers) update(one, { state: 'running' })
        return makeArtifact(input, entry.recipe.name, options, watch)
      }
      // In the set before the turn begins, which may be at once.
      const mine: Shared = { done: Promise.resolve(undefined as never), followers, abort, isRunning: false }
      followers.add(entry)
      mine.done = turns.take(run, abort.signal).finally(() => {
        if (making.get(input.fingerprint)?.abort === abort) making.delete(input.fingerprint)
      })
      const { done } = mine
      ongoing.add(done)
      done.catch(() => {}).finally(() => ongoing.delete(done))
      shared = mine
      making.set(input.fingerprint, mine)
    }
    return follow(entry, shared, input.fingerprint)
  }

  /** Waits with the others; the last one that leaves stops the make. */
  const follow = async (entry: Entry, shared: Shared, fingerprint: Fingerprint): Promise<Manifest> => {
    shared.followers.add(entry)
    if (shared.isRunning) update(entry, { state: 'running' })
    const left = new Promise<never>((_, reject) => {
      const leave = (): void => {
        shared.followers.delete(entry)
        if (shared.followers.size === 0) {
          shared.abort.abort()
          if (making.get(fingerprint) === shared) making.delete(fingerprint)
        }
        reject(new ConflictError('cancelled', 'cancelled'))
      }
      if (entry.abort.signal.aborted) leave()
      else entry.abort.signal.addEventListener('abort', leave, { once: true })
    })
    left.catch(() => {})
    try {
      return await Promise.race([shared.done, left])
    } finally {
      shared.followers.delete(entry)
    }
  }

  const makeOne = async (entry: Entry): Promise<{ manifest: Manifest; wasKnown: boolean }> => {
    const inputs = await prepare(entry.recipe, options)
    const form = entry.recipe.image?.form
    const fingerprint =
      form === undefined ? (inputs[0]?.fingerprint ?? '') : fingerprintOf({ form: 1, image: form, of: inputs.map((one) => one.fingerprint) })
    update(entry, { fingerprint })
    const known = await artifacts.find(fingerprint)
    if (known) return { manifest: known, wasKnown: true }
    const startedAt = now()
    const parts: Manifest[] = []
    for (const input of inputs) parts.push(await makeShared(entry, input, inputs.length > 1 ? formatTarget(input.target) : undefined))
    const [only] = parts
    if (form === undefined && only) return { manifest: only, wasKnown: false }
    return {
      manifest: await assembleImage(artifacts, {
        form: form ?? 'usb',
        fingerprint,
        parts,
        epoch: inputs[0]?.source.epoch ?? 0,
        startedAt,
        now,
        ...(entry.recipe.name ? { name: entry.recipe.name } : {}),
      }),
      wasKnown: false,
    }
  }

  const run = async (entry: Entry): Promise<Manifest> => {
    try {
      const { manifest, wasKnown } = await makeOne(entry)
      if (entry.announce.length > 0) await publisher.publish(manifest, entry.announce)
      update(entry, { state: 'done', endedAt: now(), wasKnown })
      return manifest
    } catch (error) {
      const isCancelled = error instanceof BivouacError && error.code === 'cancelled'
      const code = error instanceof BivouacError ? error.code : 'bug'
      update(entry, {
        state: isCancelled ? 'cancelled' : 'failed',
        endedAt: now(),
        error: { code, message: error instanceof Error ? error.message : String(error) },
      })
      throw error
    }
  }

  const start: Builds['start'] = (recipe, publish = false) => {
    if ([...entries.values()].filter(isOpen).length >= queueLimit) throw new ConflictError('queue-full', `${queueLimit} builds are waiting already`)
    const announce = publish === true ? usualNames(recipe) : publish === false ? [] : publish
    const id = randomBytes(8).toString('hex')
    const build: Build = {
      id,
      state: 'queued',
      what: describeRecipe(recipe),
      askedAt: now(),
      ...(announce.length > 0 ? { publishAs: announce } : {}),
    }
    const entry: Entry = {
      build,
      recipe,
      lines: [],
      listeners: new Set(),
      abort: new AbortController(),
      done: Promise.resolve(undefined as never),
      announce,
    }
    entries.set(id, entry)
    entry.done = run(entry)
    entry.done.catch(() => {})
    forget()
    return entry.build
  }

  const forget = (): void => {
    for (const [id, entry] of entries) {
      if (entries.size <= keptBuilds) return
      if (!isOpen(entry)) entries.delete(id)
    }
  }
  const get = (id: string): Entry => {
    const entry = entries.get(id)
    if (!entry) throw new MissingError('build-missing', `there is no build ${id.slice(0, 40)}`)
    return entry
  }

  const listen: Builds['listen'] = (id, listener) => {
    const entry = get(id)
    for (const line of entry.lines) listener({ kind: 'line', line })
    listener({ kind: 'state', build: entry.build })
    entry.listeners.add(listener)
    return () => entry.listeners.delete(listener)
  }

  return {
    start,
    find: (id) => get(id).build,
    list: () => [...entries.values()].map((entry) => entry.build).reverse(),
    listen,
    cancel: (id) => {
      const entry = get(id)
      entry.abort.abort()
      return entry.build
    },
    wait: (id) => get(id).done,
    isBeingBuilt: (name) => [...entries.values()].some((entry) => isOpen(entry) && entry.announce.includes(name)),
    close: async () => {
      for (const entry of entries.values()) entry.abort.abort()
      await Promise.allSettled([...[...entries.values()].map((entry) => entry.done), ...ongoing])
    },
  }
}

const isOpen = ({ build: { state } }: Entry): boolean => state === 'queued' || state === 'running'

function usualNames(recipe: Recipe): string[] {
  if (recipe.image) return [imageName(recipe.image.form, recipe.name)]
  return targetsOf(recipe).flatMap(announcedNames)
}

/** At most `limit` at once, in the order of asking. One whose signal fires before its turn never begins. */
function createTurns(limit: number): { take: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T> } {
  let running = 0
  const waiting: (() => void)[] = []
  const next = (): void => {
    running--
    waiting.shift()?.()
  }
  const take = async <T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    running++
    try {
      if (signal.aborted) throw new ConflictError('cancelled', 'cancelled')
      return await work()
    } finally {
      next()
    }
  }
  return { take }
}
