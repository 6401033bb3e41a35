// Where a release is imported from: `upstream`, a URL, an archive or a folder. Finds what it is, and fetches it when it is elsewhere. Called by import.
import { open, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { branchOf } from '../alpine/branch.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import { getBytes } from '../upstream/body.ts'
import type { Upstream } from '../upstream/client.ts'
import { download } from '../upstream/download.ts'
import { plainUrl } from '../upstream/url.ts'
import { type LatestRelease, readLatestReleases } from './latest.ts'
import { readArchiveName, readFolderName } from './name.ts'
import type { OnProgress } from './progress.ts'
import { digestFile, readChecksum } from './verify-archive.ts'

export type SourceAsk = {
  /** `upstream`, an http(s) URL, or a path. */
  readonly source: string
  readonly branch?: string
  readonly version?: string
  readonly arch?: string
}

export type SourceDeps = {
  /** Where downloads lie until they are unpacked. */
  readonly downloads: string
  readonly upstream: () => Upstream
  /** `mirror.upstream` of the configuration. */
  readonly mirror?: string
  readonly onProgress?: OnProgress
}

export type Digest = { readonly kind: 'sha256' | 'sha512'; readonly hex: string; readonly from: string }

/** What is known of a source before it is read. */
export type Source = {
  readonly kind: 'tarball' | 'iso' | 'folder'
  /** For people and the manifest; without secrets. */
  readonly label: string
  readonly name: string
  readonly version?: string
  readonly branch?: string
  readonly arch?: string
  /** What the archive must be, as far as somebody says it. */
  readonly digests: readonly Digest[]
  /** The detached signature beside it. */
  readonly signature: () => Promise<string | undefined>
  /** Its path on this machine; fetches it first when it is elsewhere. */
  readonly fetch: () => Promise<string>
  readonly isRemote: boolean
}

const maxListBytes = 1024 * 1024
const maxArchiveBytes = 8 * 1024 ** 3
const defaultArch = 'x86_64'

/** Throws InputError (`upstream-none`, `source-kind`, `release-branch`), MissingError (`source-missing`, `upstream-missing`), OutsideError of the network. */
export async function findSource(ask: SourceAsk, deps: SourceDeps): Promise<Source> {
  if (ask.source === 'upstream') return findUpstream(ask, deps)
  if (/^https?:\/\//i.test(ask.source)) return findUrl(ask.source, deps, [])
  return findLocal(ask.source)
}

async function findUpstream(ask: SourceAsk, deps: SourceDeps): Promise<Source> {
  const { mirror } = deps
  if (mirror === undefined)
    throw new InputError(
      'upstream-none',
      'no upstream is configured: set mirror.upstream (https://dl-cdn.alpinelinux.org/alpine), or give a URL, an archive or a folder',
    )
  const arch = ask.arch ?? defaultArch
  const branch = ask.branch ?? (ask.version ? branchOf(ask.version) : undefined) ?? 'latest-stable'
  if (!/^(latest-stable|edge|v[1-9][0-9]*\.[0-9]+)$/.test(branch))
    throw new InputError('release-branch', `"${branch.slice(0, 40)}" is no branch: v3.22, edge or latest-stable`)
  if (!/^[a-z0-9_]{2,16}$/.test(arch)) throw new InputError('release-arch', `"${arch.slice(0, 40)}" is no architecture, such as x86_64`)
  const folder = `${mirror}/${branch}/releases/${arch}`
  const latest = await readLatest(deps, `${folder}/latest-releases.yaml`)
  if (!ask.version && !latest)
    throw new MissingError('upstream-missing', `${plainUrl(folder)} names no netboot archive: give --branch and --version, such as --version 3.22.2`)
  const isLatest = latest && (!ask.version || latest.version === ask.version)
  const version = ask.version ?? latest?.version ?? ''
  // Pinned: what "latest-stable" means today is written out, for it moves under a running fleet.
  const pinned = branch === 'latest-stable' ? (isLatest ? latest.branch : (branchOf(version) ?? branch)) : branch
  const file = isLatest ? latest.file : `alpine-netboot-${version}-${arch}.tar.gz`
  const digests: Digest[] = isLatest ? digestsOf(latest) : []
  const source = await findUrl(`${mirror}/${pinned}/releases/${arch}/${file}`, deps, digests)
  return { ...source, version, branch: pinned, arch }
}

const digestsOf = ({ sha256, sha512 }: LatestRelease): Digest[] => [
  ...(sha256 ? [{ kind: 'sha256' as const, hex: sha256, from: 'latest-releases.yaml' }] : []),
  ...(sha512 ? [{ kind: 'sha512' as const, hex: sha512, from: 'latest-releases.yaml' }] : []),
]

async function readLatest(deps: SourceDeps, url: string): Promise<LatestRelease | undefined> {
  const text = await fetchText(deps, url)
  return text === undefined ? undefined : readLatestReleases(text)
}

/** A small text, or undefined where there is none. */
async function fetchText({ upstream }: SourceDeps, url: string): Promise<string | undefined> {
  try {
    return (await getBytes(upstream(), url, maxListBytes)).toString('utf8')
  } catch (error) {
    if (error instanceof MissingError) return undefined
    throw error
  }
}

async function findUrl(url: string, deps: SourceDeps, known: readonly Digest[]): Promise<Source> {
  const { pathname, search } = new URL(url)
  const name = decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1))
  const kind = kindOfName(name)
  if (!kind || !/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,200}$/.test(name))
    throw new InputError('source-kind', `${plainUrl(url)} is neither a .tar.gz nor an .iso`)
  const beside = (ending: string) => fetchText(deps, `${url.slice(0, url.length - search.length)}${ending}${search}`)
  const digests = known.length ? known : await readBeside(name, beside)
  const sha256 = digests.find((one) => one.kind === 'sha256')?.hex
  const sha512 = digests.find((one) => one.kind === 'sha512')?.hex
  const path = join(deps.downloads, name)
  return {
    kind,
    label: plainUrl(url),
    name,
    ...readArchiveName(name),
    digests,
    signature: () => beside('.asc'),
    isRemote: true,
    fetch: async () => {
      if (sha256 && (await digestFile(path).catch(() => undefined))?.sha256 === sha256) return path
      const onProgress = (done: { doneBytes: number; totalBytes?: number }) => deps.onProgress?.({ step: 'download', what: name, ...done })
      await download(deps.upstream(), url, path, { bytesMax: maxArchiveBytes, onProgress, ...(sha256 && { sha256 }), ...(sha512 && { sha512 }) })
      return path
    },
  }
}

const kindOfName = (name: string): 'tarball' | 'iso' | undefined =>
  /\.(tar\.gz|tgz)$/.test(name) ? 'tarball' : name.endsWith('.iso') ? 'iso' : undefined

async function readBeside(name: string, beside: (ending: string) => Promise<string | undefined>): Promise<Digest[]> {
  const found: Digest[] = []
  for (const kind of ['sha512', 'sha256'] as const) {
    const text = await beside(`.${kind}`)
    const hex = text === undefined ? undefined : readChecksum(text, name, kind)
    if (text !== undefined && !hex) throw new InputError('checksum-file', `${name}.${kind} names no ${kind} of ${name}`)
    if (hex) found.push({ kind, hex, from: `${name}.${kind}` })
  }
  return found
}

async function findLocal(given: string): Promise<Source> {
  const path = resolve(given)
  const found = await stat(path).catch((error: unknown) => {
    throw new MissingError('source-missing', `${given} is not there (${codeOf(error)}): give "upstream", a URL, an archive or a folder`)
  })
  const name = basename(path)
  const common = { label: path, name, isRemote: false, fetch: async () => path }
  if (found.isDirectory()) return { ...common, kind: 'folder', ...readFolderName(path), digests: [], signature: async () => undefined }
  const kind = found.isFile() ? (kindOfName(name) ?? (await kindOfBytes(path))) : undefined
  if (!kind) throw new InputError('source-kind', `${given} is neither a folder, a .tar.gz nor an .iso`)
  const beside = (ending: string): Promise<string | undefined> =>
    readFile(`${path}${ending}`, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    })
  return { ...common, kind, ...readArchiveName(name), digests: await readBeside(name, beside), signature: () => beside('.asc') }
}

async function kindOfBytes(path: string): Promise<'tarball' | 'iso' | undefined> {
  const file = await open(path)
  try {
    const bytes = Buffer.alloc(6)
    await file.read(bytes, 0, 2, 0)
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'tarball'
    await file.read(bytes, 0, 6, 16 * 2048)
    return bytes.toString('latin1', 1, 6) === 'CD001' ? 'iso' : undefined
  } finally {
    await file.close()
  }
}
