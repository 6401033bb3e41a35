// Takes an overlay that a station saved or an operator uploaded: looked through, kept as a version, and put in force whole or not at all.
// Called by the save route and the API with a file that has arrived. What is cut, broken or hostile changes nothing.
import { stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectOverlay, type OverlayReport } from '../alpine/overlay.ts'
import type { Mac } from '../boot/address.ts'
import { InputError, OutsideError } from '../boot/error.ts'
import { checkArchive } from './archive.ts'
import type { Blob, Blobs } from './blob.ts'
import { diffOverlays, type OverlayDiff } from './diff.ts'
import { givenBefore } from './given.ts'
import type { History } from './history.ts'
import { layerLimits } from './layer.ts'
import type { OverlayVersion } from './history-entry.ts'
import { findArchive, placeArchive } from './place-archive.ts'

export type AcceptAsk = {
  readonly mac: Mac
  /** Where the upload was written, complete. It is left there. */
  readonly file: string
  /** An operator, or the station's address. */
  readonly who: string
  readonly kind?: 'saved' | 'uploaded'
  readonly note?: string
  /** With true everything is checked and compared, and nothing is changed. */
  readonly isDryRun?: boolean
}

export type Accepted = {
  readonly digest: string
  readonly sizeBytes: number
  readonly report: OverlayReport
  /** Against the archive that was in force before; absent: there was none. */
  readonly diff?: OverlayDiff
  /** Below the depot. */
  readonly path?: string
  readonly version?: OverlayVersion
}

export type AcceptOptions = {
  readonly depot: string
  readonly blobs: Blobs
  readonly history: Pick<History, 'append' | 'release' | 'list'>
  readonly maxBytes: number
}

/** The smallest gzip of an empty tar has more. Lore: busybox wget sends a binary body up to its first NUL, which of a .gz are 3 bytes. */
const minBytes = 40

/** Answers a function that takes one overlay at a time for each MAC. It throws InputError or DecodeError for what cannot be served, OutsideError for the disk. */
export function createAccept({ depot, blobs, history, maxBytes }: AcceptOptions): (ask: AcceptAsk) => Promise<Accepted> {
  const queues = new Map<Mac, Promise<unknown>>()

  async function accept({ mac, file, who, kind = 'saved', note, isDryRun }: AcceptAsk): Promise<Accepted> {
    await checkSize(file, maxBytes)
    // Looked through is the copy that will be served: the upload may change under our hands.
    const blob = await blobs.putFile(file)
    const before = await findArchive(depot, mac)
    const { versions } = await history.list(mac)
    const isComposed = versions.some(({ kind: sort }) => sort === 'composed')
    const { report, diff } = await check(blob, before && join(depot, before), isComposed).catch(async (error: unknown) => {
      // Bytes that are no overlay are no version of anybody's; a disk that fails says nothing of them.
      if (!(error instanceof OutsideError)) await unlink(blob.path).catch(() => undefined)
      throw error
    })
    const said = { digest: blob.digest, sizeBytes: blob.sizeBytes, report, ...(diff && { diff }) }
    if (isDryRun) return said
    // A station sends back the secrets that it was given.
    const { isSecret, paths } = await givenBefore(history, [mac])
    const secrets = { ...(isSecret && { isSecret }), ...(paths.size && { secretPaths: [...paths].sort() }) }
    const found = before && (await history.append({ mac, kind: 'found', who: 'bivouac', source: { file: join(depot, before) }, ...secrets }))
    const path = await placeArchive(depot, mac, blob.path)
    const source = { digest: blob.digest }
    const version = await history
      .append({ mac, kind, who, source, ...secrets, ...(note !== undefined && { note }) })
      .catch(async (error: unknown) => {
        // Who is told that it was not taken must not boot it.
        await (found ? placeArchive(depot, mac, blobs.pathOf(found.digest)) : unlink(join(depot, path))).catch(() => undefined)
        throw error
      })
    await history.release(mac, who)
    return { ...said, path, version }
  }

  return (ask) => {
    const running = (queues.get(ask.mac) ?? Promise.resolve()).then(() => accept(ask))
    const settled = running.catch(() => undefined)
    queues.set(ask.mac, settled)
    void settled.then(() => {
      if (queues.get(ask.mac) === settled) queues.delete(ask.mac)
    })
    return running
  }
}

async function checkSize(file: string, maxBytes: number): Promise<void> {
  const { size } = await stat(file)
  if (size < minBytes)
    throw new InputError('overlay-cut', `only ${size} bytes arrived, which is no overlay: busybox wget cuts a binary body, send it as base64`)
  if (size > maxBytes) throw new InputError('overlay-too-big', `${size} bytes arrived, more than the ${maxBytes} of overlays.saveMegabytes`)
}

async function check(blob: Blob, before: string | undefined, isComposed: boolean): Promise<{ report: OverlayReport; diff?: OverlayDiff }> {
  const report = await inspectOverlay(blob.path)
  const hostile = report.warnings.find(({ code }) => code === 'through-link')
  if (hostile) throw new InputError('overlay-link', hostile.text)
  if (!report.entries) throw new InputError('overlay-empty', 'the archive holds nothing')
  // A station of layers would be left without any overlay by what cannot be laid over them.
  if (isComposed) await checkArchive(blob.path, 'the archive', layerLimits)
  // What was there before may be broken: that is no reason to refuse what is good.
  const diff = before === undefined ? undefined : await diffOverlays({ path: before }, { path: blob.path }).catch(() => undefined)
  return { report, ...(diff && { diff }) }
}
