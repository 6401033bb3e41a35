// What people ask about a station's overlay: what stands in it, what is wrong with it, what changed, going back. The same for the API and for
// commands without a server. It shows no secret: what only root may read in the station is told, not shown.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type OverlayReport, scanOverlay } from '../alpine/overlay.ts'
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import { formatMacHyphen, type Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import type { StationBoot } from './boot-of.ts'
import type { createKnownPackages } from './known-package.ts'
import { diffOverlays, type DiffSide, formatMode, type OverlayDiff } from './diff.ts'
import { givenBefore } from './given.ts'
import type { RollbackOutcome } from './history.ts'
import type { HistoryState, OverlayVersion } from './history-entry.ts'
import { lintOverlay } from './lint.ts'
import type { Overlays } from './open.ts'

/** What the gate found for a station; the parts of it that are used here. */
export type CurrentOverlay = {
  readonly path: string
  readonly from: string
  /** Absolute; absent: `path` below the depot. */
  readonly file?: string
  readonly digest?: string
  readonly contentId?: string
  readonly layers?: readonly string[]
  readonly isSecret?: boolean
  readonly secretPaths?: readonly string[]
  readonly report: OverlayReport
}

export type DeskOptions = {
  readonly depot: string
  readonly overlays: Pick<Overlays, 'blobs' | 'history'>
  readonly findOverlay: (mac: Mac) => CurrentOverlay | { readonly missing: string } | Promise<CurrentOverlay | { readonly missing: string }>
  /** The release that the station boots, and whether its profile wants the site's ssh keys. */
  readonly findBoot: (mac: Mac) => StationBoot
  /** The packages that a station's repositories have, where that is known here. */
  readonly knownPackages?: ReturnType<typeof createKnownPackages>
}

/** A file of an overlay. `mode` as `ls -l` shows it; `origin` is the layer that it came from, where that is known. */
export type FileView = {
  readonly path: string
  readonly mode: string
  readonly owner: string
  readonly sizeBytes: number
  readonly origin?: string
  readonly target?: string
  readonly isSecret?: true
}

export type OverlayView = {
  readonly mac: Mac
  readonly path: string
  readonly from: string
  readonly digest: string
  readonly contentId: string | null
  readonly sizeBytes: number
  readonly inflatedBytes: number
  readonly isSecret: boolean
  readonly layers: readonly string[]
  readonly hostname: string | null
  readonly packages: readonly string[]
  readonly services: readonly string[]
  readonly repositories: readonly string[]
  readonly warnings: readonly OverlayWarning[]
  readonly files: readonly FileView[]
  /** The version that a rollback holds in force. */
  readonly pinned: HistoryState['pin'] | null
  readonly booted: HistoryState['booted'] | null
}

/** `current`, `booted`, or a version's number. */
export type VersionName = 'current' | 'booted' | number

export type Desk = {
  /** All that stands in the overlay that the station would get now. Throws MissingError `overlay-missing` when there is none. */
  readonly show: (mac: Mac) => Promise<OverlayView>
  readonly lint: (mac: Mac) => Promise<readonly OverlayWarning[]>
  /** The file itself. Throws InputError `overlay-secret` for one with secrets, unless they are wanted. */
  readonly render: (
    mac: Mac,
    withSecrets: boolean,
  ) => Promise<{ readonly file: string; readonly digest: string; readonly sizeBytes: number; readonly isSecret: boolean }>
  readonly diff: (mac: Mac, from: VersionName, to: VersionName) => Promise<OverlayDiff & { readonly from: string; readonly to: string }>
  readonly history: (mac: Mac) => Promise<HistoryState>
  readonly rollback: (mac: Mac, to: number | undefined, who: string, isDryRun: boolean) => Promise<RollbackOutcome>
  readonly release: (mac: Mac, who: string) => Promise<boolean>
}

export function createDesk({ depot, overlays, findOverlay, findBoot, knownPackages }: DeskOptions): Desk {
  const { blobs, history } = overlays

  async function current(mac: Mac): Promise<CurrentOverlay & { readonly file: string; readonly digest: string; readonly sizeBytes: number }> {
    const found = await findOverlay(mac)
    if ('missing' in found) throw new MissingError('overlay-missing', found.missing)
    const file = found.file ?? join(depot, found.path)
    const { size } = await stat(file).catch(() => gone(found.path))
    return { ...found, file, sizeBytes: size, digest: found.digest ?? (await hashFile(file)) }
  }

  async function show(mac: Mac): Promise<OverlayView> {
    const found = await current(mac)
    const { report, layers = [], isSecret = false, secretPaths = [], digest } = found
    const note = await blobs.readNote(digest)
    const { pin, booted } = await history.list(mac)
    return {
      mac,
      path: found.path,
      from: found.from,
      digest,
      contentId: found.contentId ?? null,
      sizeBytes: found.sizeBytes,
      inflatedBytes: report.inflatedBytes,
      isSecret,
      layers,
      hostname: report.hostname ?? null,
      packages: report.world,
      services: report.services,
      repositories: report.repositories,
      warnings: await lintFound(mac, report),
      files: await listFiles(found.file, new Set(secretPaths), layers.length ? (note?.origins ?? {}) : {}),
      pinned: layers.length ? (pin ?? null) : null,
      booted: booted ?? null,
    }
  }

  async function lintFound(mac: Mac, report: OverlayReport): Promise<OverlayWarning[]> {
    const boot = findBoot(mac)
    const { release, sshKeys } = boot
    const known = await knownPackages?.(boot)
    const hasSiteKeys = sshKeys && /^\s*[^#\s]/m.test(await readFile(join(depot, 'sshkeys.pub'), 'utf8').catch(() => ''))
    return lintOverlay(report, { ...(release && { release }), hasSiteKeys, ...(known && { hasPackage: known }) })
  }

  async function render(mac: Mac, withSecrets: boolean) {
    const { file, digest, sizeBytes, isSecret = false } = await current(mac)
    if (isSecret && !withSecrets) throw new InputError('overlay-secret', 'this overlay holds secrets: say --with-secrets to have them in a file')
    return { file, digest, sizeBytes, isSecret }
  }

  async function sideOf(mac: Mac, name: VersionName): Promise<DiffSide & { readonly label: string }> {
    if (name === 'current') {
      const { file, secretPaths = [] } = await current(mac)
      return { path: file, secretPaths, label: 'what it would get now' }
    }
    const { versions, booted } = await history.list(mac)
    if (name === 'booted') {
      if (!booted)
        throw new MissingError('never-booted', 'nothing is known of what this station last booted: it has not come up since its overlay is kept')
      const version = versions.find(({ digest }) => digest === booted.digest)
      return { ...(await sideOfVersion(booted.digest, version)), label: 'what it last booted' }
    }
    const version = versions.find((one) => one.version === name)
    if (!version)
      throw new MissingError('version-missing', `there is no version ${name} (kept: ${versions.map((one) => one.version).join(', ') || 'none'})`)
    return { ...(await sideOfVersion(version.digest, version)), label: `version ${name}` }
  }

  async function sideOfVersion(digest: string, version: OverlayVersion | undefined): Promise<DiffSide> {
    return { path: (await history.read(digest)).path, secretPaths: version?.secretPaths ?? [] }
  }

  async function diff(mac: Mac, from: VersionName, to: VersionName) {
    const [before, after] = [await sideOf(mac, from), await sideOf(mac, to)]
    // What a station saved has the secrets that it was given, whatever their mode.
    const { paths } = await givenBefore(history, [mac])
    const [old, young] = [before, after].map(({ path, secretPaths = [] }) => ({ path, secretPaths: [...secretPaths, ...paths] }))
    return { from: before.label, to: after.label, ...(await diffOverlays(old, young)) }
  }

  return {
    show,
    lint: async (mac) => lintFound(mac, (await current(mac)).report),
    render,
    diff,
    history: history.list,
    rollback: history.rollback,
    release: history.release,
  }
}

const gone = (path: string): never => {
  throw new MissingError('overlay-missing', `${path} is gone`)
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** All members but folders that nobody told anything of. */
async function listFiles(file: string, secrets: ReadonlySet<string>, origins: Readonly<Record<string, string>>): Promise<FileView[]> {
  const files: FileView[] = []
  await scanOverlay(file, {
    keepBytes: () => 0,
    onEntry: ({ kind, mode, uid, gid, sizeBytes, target }, path) => {
      const origin = origins[path]
      files.push({
        path,
        mode: formatMode(kind, mode),
        owner: `${uid}:${gid}`,
        sizeBytes,
        ...(origin !== undefined && { origin }),
        ...(target && { target }),
        ...(secrets.has(path) && { isSecret: true as const }),
      })
    },
  })
  return files
}

/** The MAC under which a station of several is kept: the one that is asked for, else the first that has versions, else the first. */
export async function chooseMac(macs: readonly Mac[], asked: Mac | undefined, list: Desk['history']): Promise<Mac> {
  if (asked) return asked
  for (const mac of macs) if ((await list(mac)).versions.length) return mac
  return macs[0] as Mac
}

/** `52-54-00-12-34-56.apkovl.tar.gz`: a name that Alpine takes from a medium too. */
export const archiveName = (mac: Mac): string => `${formatMacHyphen(mac)}.apkovl.tar.gz`
