// The mirror as stations see it: files of packages.root, and what it lacks from the upstream; with its own listener where one is configured.
// Made by server.ts, and alone by `bivouac packages serve`.
import { join, relative } from 'node:path'
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Content } from '../boot/content.ts'
import { MissingError } from '../boot/error.ts'
import type { BootStep, Emit, EventKind } from '../boot/event.ts'
import type { Config } from '../config.ts'
import { openAccessLog } from '../http/access-log.ts'
import { startHttp } from '../http/listen.ts'
import { createPackagesApp, type PackageVisit } from '../http/packages.ts'
import { createHeld } from '../mirror/held.ts'
import { readTrustedKeys } from '../mirror/key.ts'
import { createPull, type PullReport } from '../mirror/pull.ts'
import { isMirrorName } from '../mirror/pull-name.ts'
import { createFiles, type Files } from '../station/file.ts'
import type { Maybe } from '../station/maybe.ts'
import { createQuiet } from '../station/quiet.ts'
import { createUpstream, type Upstream, type UpstreamOptions } from '../upstream/client.ts'
import { readCredentials } from '../upstream/credentials.ts'

export type PackageService = {
  /** A path below the mirror's root, as `v3.22/main/x86_64/APKINDEX.tar.gz`. Throws or rejects with MissingError, OutsideError. */
  readonly open: (path: string) => Maybe<Content>
  /** What the pull-through did; undefined when no upstream is configured. */
  readonly describe: () => PullReport | undefined
  readonly close: () => Promise<void>
}

type Parts = { readonly emit: Emit; readonly now: () => number; readonly files?: Files }

/** The client for `mirror.upstream`, with its proxy and credentials. Throws InputError for credentials that cannot be used. */
export function createMirrorUpstream({ mirror }: Config, limits: UpstreamOptions = {}): Upstream {
  const { upstream = '', proxy, credentials } = mirror
  return createUpstream({
    ...(proxy !== undefined && { proxy }),
    ...(credentials !== undefined && { credentials: readCredentials(credentials, upstream) }),
    connections: 12,
    ...limits,
  })
}

/** Lore: apk gives up after 60 s without progress; what stalls must have been taken up again before (apk-tools, libfetch). */
const stationLimits = { headersMs: 20_000, stallMs: 20_000 }

/** `files` are the depot's, used where the mirror lies in the depot, so that one cache serves both. */
export async function openPackages(config: Config, { emit, now, files }: Parts): Promise<PackageService> {
  const { root } = config.packages
  const { upstream: upstreamUrl, indexMinutes, maxGigabytes } = config.mirror
  const openStored = createOpenStored(config, now, files)
  if (upstreamUrl === undefined) return { open: openStored, describe: () => undefined, close: async () => undefined }
  const pull = await createPull({
    root,
    upstreamUrl,
    upstream: createMirrorUpstream(config, stationLimits),
    keys: () => readTrustedKeys(root),
    openStored,
    state: join(config.state, 'mirror'),
    indexMinutes,
    maxBytes: maxGigabytes * 1024 ** 3,
    isHeld: createHeld(root, now),
    now,
    emit,
  })
  return pull
}

function createOpenStored({ depot, packages: { root }, cacheMegabytes }: Config, now: () => number, files: Files | undefined) {
  const below = relative(depot, root)
  if (files && below === 'apk') return (path: string): Maybe<Content> => files.open(`apk/${path}`)
  const check = (path: string): void => {
    if (!isMirrorName(path)) throw new MissingError('file-missing', `there is no ${JSON.stringify(path.slice(0, 120))}`)
  }
  return createFiles({ depot: root, cacheBytes: cacheMegabytes * 1024 * 1024, now, check }).open
}

type ListenParts = {
  readonly service: PackageService
  readonly emit: Emit
  readonly now: () => number
  /** Who has this address, where that is known. */
  readonly findMac: (ip: string) => Mac | undefined
  /** Keeps one peer from filling the event log. */
  readonly mayTell?: (kind: EventKind, peer: string) => boolean
  readonly onFault: (error: unknown) => void
}

export type PackagesServer = { readonly port: number; readonly stop: () => Promise<void> }

/** Listens on `packages.address` and `packages.port`. Rejects as startHttp, and with OutsideError when the access log cannot be written. */
export async function startPackages(config: Config, { service, emit, now, findMac, mayTell, onFault }: ListenParts): Promise<PackagesServer> {
  const log = await openAccessLog({ path: join(config.state, 'packages/access.log') })
  const tell = createTell({ emit, now, findMac, ...(mayTell && { mayTell }) })
  const app = createPackagesApp({ open: service.open, log: log.append, tell, now, onFault })
  const { address, port = 0 } = config.packages
  try {
    const server = await startHttp({ app, address, port, section: 'packages' })
    return {
      port: server.port,
      stop: async () => {
        await server.stop()
        await log.close()
      },
    }
  } catch (error) {
    await log.close()
    throw error
  }
}

/** The station's own steps, as the door tells them for the one-server layout. */
function createTell({
  emit,
  now,
  findMac,
  mayTell = () => true,
}: Pick<ListenParts, 'emit' | 'now' | 'findMac' | 'mayTell'>): (visit: PackageVisit) => void {
  const quiet = createQuiet({ now })
  return ({ peer, name, outcome, sizeBytes, durationMs, reason = 'the connection ended early' }) => {
    const step: BootStep | undefined = name.endsWith('.apk') ? 'package' : name.endsWith('.pub') ? undefined : 'index'
    const kind = outcome === 'sent' ? step : outcome === 'cut' ? 'transfer-failed' : 'file-missing'
    if (kind === undefined || (outcome !== 'sent' && !quiet.mayTell(`${kind} ${peer} ${name}`, peer))) return
    if (!mayTell(kind, peer)) return
    const mac = findMac(peer)
    const who = { ...(mac && { mac }), ...(/^[0-9.]{7,15}$/.test(peer) && { ip: peer as Ipv4 }) }
    const detail = { ...(outcome === 'missing' ? {} : { sizeBytes, durationMs }), ...(outcome !== 'sent' && { reason }) }
    emit({ at: now(), kind, ...who, detail: { file: name, via: 'packages', ...detail } })
  }
}

/** For the API and `bivouac mirror status`: where the mirror is, and what was fetched through it. */
export const describePackages = ({ packages, mirror }: Config, service: PackageService): MirrorDescription => ({
  root: packages.root,
  ...(packages.url !== undefined && { url: packages.url }),
  ...(packages.port !== undefined && { port: packages.port }),
  upstream: mirror.upstream ?? null,
  pull: service.describe() ?? null,
})

export type MirrorDescription = {
  readonly root: string
  readonly url?: string
  readonly port?: number
  readonly upstream: string | null
  readonly pull: PullReport | null
}

/** What of it an operator should see in status. */
export function listMirrorProblems(report: PullReport | undefined): { readonly message: string }[] {
  const old = (report?.indexes ?? []).filter(({ stale }) => stale !== undefined)
  const messages = old.map(({ path, stale, ageSeconds }) => {
    const age = ageSeconds === undefined ? 'an older index' : `the index of ${Math.round(ageSeconds / 60)} minutes ago`
    return `mirror: ${age} is served for ${path}: ${stale}`
  })
  return messages.map((message) => ({ message }))
}

/** What URLs of repositories begin with: what is configured, the second server on the same host, or `apk/` of the first. `listening`: its port. */
export function packagesBaseOf({ packages: { url, port } }: Config, listening: () => number | undefined): (httpBase: string) => string {
  if (url !== undefined) return () => url
  if (port === undefined) return (httpBase) => `${httpBase}/apk`
  return (httpBase) => `http://${new URL(httpBase).hostname}:${listening() ?? port}`
}
