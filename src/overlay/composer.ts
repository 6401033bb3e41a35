// Makes a station's overlay from its layers, on demand; kept by what it was made from. Asked by the gate, the API and the commands.
// Concurrent asks share one run; a few runs at a time; nothing half made is ever answered.
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { inspectOverlay } from '../alpine/overlay.ts'
import { isWithin } from '../boot/age.ts'
import type { Mac } from '../boot/address.ts'
import { BivouacError, MissingError, OutsideError } from '../boot/error.ts'
import { identityOf } from '../store/version.ts'
import type { Blobs } from './blob.ts'
import type { ComposeAsk, Composed, Composer } from './composition.ts'
import { type Given, givenBefore, nothingGiven } from './given.ts'
import type { History } from './history.ts'
import { createKept, type KeptComposition } from './kept.ts'
import { type Laid, layArchive, layLayer, startLaying } from './lay.ts'
import type { Member } from './member.ts'
import { packTree } from './pack.ts'
import { renderMember } from './render.ts'
import { openSecrets } from './secret.ts'
import { createSourceReader, namesOf, type Sources } from './source.ts'
import { addStandard } from './standard.ts'
import { createTurns } from './turn.ts'

export type ComposerOptions = {
  readonly depot: string
  readonly state: string
  /** `packages.root` of the configuration: its `keys/` has the public keys of private repositories. */
  readonly packagesRoot: string
  readonly settings: { readonly archive: 'first' | 'last'; readonly report: boolean }
  readonly blobs: Blobs
  /** For pinned versions, and for what a station was given before; without it there is none. */
  readonly history?: Pick<History, 'pinOf' | 'list'>
  readonly now: () => number
  /** How long a look at the layers is believed, at least; of layers that take long to look at, up to a second. */
  readonly revalidateMs?: number
  /** Called after each new composition. */
  readonly onComposed?: (composed: Composed) => void
}

/** Raised when the same input gives other bytes than before. */
const format = 'bivouac overlay 1'
const maxRecent = 4096
const answeredMs = 3_600_000
const maxTries = 3
/** Each run may hold a layer's bytes in memory. */
const maxRuns = 4

type Recent = { readonly ask: string; readonly at: number; readonly outcome: Promise<Composed>; value?: Composed }

export function createComposer(options: ComposerOptions): Composer & { readonly digests: () => Promise<Set<string>> } {
  const { depot, state, settings, blobs, history, now, revalidateMs = 100, onComposed } = options
  const sources = createSourceReader({ depot, state, packagesRoot: options.packagesRoot, now, revalidateMs })
  const kept = createKept(state)
  const turns = createTurns(maxRuns)
  const recents = new Map<string, Recent>()
  const answered = new Map<string, number>()
  const inMemory = new Map<string, KeptComposition>()

  function compose(asked: ComposeAsk): Composed | undefined | Promise<Composed | undefined> {
    if (!namesOf(asked).length) return undefined
    const ask = normalize(asked)
    const key = keyOf(ask)
    const facts = factsOf(ask)
    const known = recents.get(key)
    // A run that has not ended is shared, however long it takes: it checks at its end that nothing changed.
    if (known?.ask === facts && (!known.value || isWithin(revalidateMs, known.at, now()))) return known.value ?? known.outcome
    return begin(key, facts, ask)
  }

  function begin(key: string, facts: string, ask: ComposeAsk): Promise<Composed> {
    const recent: Recent = { ask: facts, at: now(), outcome: turns(() => find(key, facts, ask)).catch(explain) }
    recents.delete(key)
    recents.set(key, recent)
    if (recents.size > maxRecent) recents.delete(recents.keys().next().value as string)
    const forget = (): void => {
      if (recents.get(key) === recent) recents.delete(key)
    }
    recent.outcome.then((value) => {
      recent.value = value
      answered.delete(value.digest)
      answered.set(value.digest, now())
      if (answered.size > maxRecent) answered.delete(answered.keys().next().value as string)
    }, forget)
    return recent.outcome
  }

  async function find(key: string, facts: string, ask: ComposeAsk): Promise<Composed> {
    const pinned = await findPinned(ask)
    if (pinned) return pinned
    for (let tries = 0; tries < maxTries; tries++) {
      const found = await findOrMake(key, facts, ask).catch(undefinedIfChanged)
      if (found) return found
    }
    throw new OutsideError('layer-changed', `the layers ${namesOf(ask).join(', ')} change all the time`, true)
  }

  /** What was looked at is what is read, or `layer-changed` is thrown: so the fingerprint of the look is that of the outcome. */
  async function findOrMake(key: string, facts: string, ask: ComposeAsk): Promise<Composed | undefined> {
    const read = await sources.read(ask)
    const given = ask.archive && history ? await givenBefore(history, ownMacs(ask.mac, ask.station)) : nothingGiven
    const fingerprint = fingerprintOf(facts, read, given)
    const before = inMemory.get(key) ?? (await kept.read(key))
    const found = before?.fingerprint === fingerprint && read.isSettled ? await locate(before) : undefined
    if (found) return found
    const made = { ...(await make(ask, read, given)), fingerprint }
    if (read.isSettled) await remember(key, made)
    const composed = await locate(made)
    if (composed) onComposed?.(composed)
    return composed
  }

  async function remember(key: string, whole: KeptComposition): Promise<void> {
    await kept.write(key, whole)
    inMemory.delete(key)
    inMemory.set(key, whole)
    if (inMemory.size > maxRecent) inMemory.delete(inMemory.keys().next().value as string)
  }

  async function make(ask: ComposeAsk, read: Sources, given: Given): Promise<Omit<KeptComposition, 'fingerprint'>> {
    const { laid, layers } = await lay(ask, read)
    const { station, release } = ask
    const packed = packTree(laid.tree, {
      ...(release && { release: release.id }),
      ...(station && { station: station.name }),
      profile: ask.profile.name,
    })
    const { digest, path, sizeBytes } = await blobs.put(packed.stream)
    // The archive brings back what the station was once given, also where no layer brings that any more.
    const isSecretFile = (file: string, { kind, isSecret }: Member): boolean => isSecret === true || (kind === 'file' && given.paths.has(file))
    const secretPaths = [...laid.tree].flatMap(([file, member]) => (isSecretFile(file, member) ? file : [])).sort()
    const isSecret = secretPaths.length > 0 || given.isSecret
    const report = await inspectOverlay(path)
    await blobs.describe(digest, { contentId: packed.contentId(), layers, origins: originsOf(laid) })
    return { digest, contentId: packed.contentId(), sizeBytes, report, layers, isSecret, secretPaths, notes: laid.notes }
  }

  async function lay(ask: ComposeAsk, read: Sources): Promise<{ laid: Laid; layers: readonly string[] }> {
    const secrets = openSecrets(depot, ask.station?.name)
    const laid = startLaying()
    const archive = await sources.readOwnArchive(ask)
    if (archive && settings.archive === 'first') layArchive(laid, archive)
    for (const layer of read.layers) layLayer(laid, layer, { secretOf: secrets.bytes, render: (template) => renderMember(template, ask, secrets) })
    if (archive && settings.archive === 'last') layArchive(laid, archive)
    addStandard(laid, {
      ...(ask.station && { station: ask.station }),
      sshKeys: read.sshKeys,
      keys: read.keys,
      hasReport: settings.report,
      secretOf: secrets.bytes,
    })
    const names = read.layers.map(({ name }) => name)
    return { laid, layers: !archive ? names : settings.archive === 'first' ? ['archive', ...names] : [...names, 'archive'] }
  }

  async function locate({ fingerprint: _, ...known }: KeptComposition): Promise<Composed | undefined> {
    const path = blobs.pathOf(known.digest)
    const stats = await stat(path, { bigint: true }).catch(() => undefined)
    return stats && Number(stats.size) === known.sizeBytes ? { ...known, path, identity: identityOf(stats) } : undefined
  }

  async function findPinned({ mac, station, archive: _, ...rest }: ComposeAsk): Promise<Composed | undefined> {
    for (const own of ownMacs(mac, station)) {
      const pin = await history?.pinOf(own)
      if (!pin) continue
      const { digest, sizeBytes, version, isSecret = false, secretPaths = [] } = pin.version
      const report = await inspectOverlay(blobs.pathOf(digest)).catch((error: Error) => {
        throw new MissingError('pinned-missing', `version ${version}, to which this station was rolled back, cannot be read: ${error.message}`)
      })
      const { at, who } = pin
      const { contentId = '', layers = namesOf({ ...rest, ...(station && { station }) }) } = (await blobs.readNote(digest)) ?? {}
      const found = await locate({ digest, contentId, sizeBytes, report, layers, isSecret, secretPaths, notes: [], fingerprint: '' })
      if (found) return { ...found, pinned: { version, at, who } }
    }
    return undefined
  }

  const fingerprintOf = (facts: string, { fingerprint }: Sources, { isSecret, paths }: Given): string =>
    createHash('sha256')
      .update(JSON.stringify([format, settings, facts, fingerprint, ...(isSecret ? [[...paths].sort()] : [])]))
      .digest('hex')

  /** What was answered a while ago may still be on its way to a station. */
  async function digests(): Promise<Set<string>> {
    const needed = await kept.digests()
    for (const [digest, at] of answered) if (isWithin(answeredMs, at, now())) needed.add(digest)
    return needed
  }

  return { compose, digests }
}

/** Tried again; other errors go on. */
function undefinedIfChanged(error: unknown): undefined {
  if (!(error instanceof OutsideError) || error.code !== 'layer-changed') throw error
}

/** The disk's own errors as one that the other rooms know. */
function explain(error: unknown): never {
  if (error instanceof BivouacError) throw error
  const { code, message } = error as NodeJS.ErrnoException
  throw typeof code === 'string' ? new OutsideError('layer-read', `the layers cannot be read: ${message}`, true, { cause: error }) : error
}

/** A station is one, by whichever of its cards it asks: its overlay is made for the first. */
function normalize({ mac, station, ...rest }: ComposeAsk): ComposeAsk {
  const own = station?.macs[0] ?? mac
  return { ...rest, ...(own && { mac: own }), ...(station && { station }) }
}

const ownMacs = (mac: Mac | undefined, station: ComposeAsk['station']): ReadonlySet<Mac> => new Set([...(mac ? [mac] : []), ...(station?.macs ?? [])])

const keyOf = ({ mac, station, profile }: ComposeAsk): string => `${station ? `station ${station.name}` : `mac ${mac ?? ''}`} ${profile.name}`

/** All of the records that may stand in an overlay, and the archive that is meant. */
const factsOf = ({ mac, station, profile, release, archive }: ComposeAsk): string =>
  JSON.stringify([
    mac,
    station && [station.name, station.macs, station.hostname, station.group, station.labels, station.layers, station.variables],
    [profile.name, profile.layers, profile.variables, profile.sshKeys, profile.repositories],
    release && [release.id, release.version, release.branch, release.arch, release.flavour, release.repositories],
    archive && [archive.path, archive.identity],
  ])

const originsOf = ({ tree }: Laid): Record<string, string> => Object.fromEntries([...tree].map(([path, { origin }]) => [path, origin]))
