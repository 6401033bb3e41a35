// iPXE's source, pinned and kept in the state folder: from git, a tarball or a directory. Used by input, forms and the command line.
// Nothing of it is ever part of Bivouac.
import { createHash } from 'node:crypto'
import { cp, lstat, mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as z from 'zod'
import { ConflictError, InputError, MissingError, OutsideError } from '../boot/error.ts'
import { isThere, listFiles } from './file.ts'
import { sha256 } from './fingerprint.ts'
import { type OptionBook, parseOptions } from './option.ts'
import { type Run, runWell } from './run.ts'

const recordShape = z.object({
  name: z.string(),
  kind: z.enum(['git', 'tarball', 'directory']),
  from: z.string(),
  revision: z.string().optional(),
  /** `commit:<40 hex>` or `sha256:<64 hex>`: what the content is pinned by. */
  pin: z.string(),
  /** The time that goes into binaries: seconds since 1970. */
  epoch: z.number(),
  addedAt: z.number(),
})

export type Source = z.infer<typeof recordShape>

/** What to add. `revision` is for git; `sha256` or `commit`, if given, must fit. */
export type SourceAsk = {
  readonly from: string
  readonly name?: string
  readonly revision?: string
  readonly sha256?: string
  readonly commit?: string
}

export type Sources = {
  /** Fetches, checks, keeps. The same pin under the same name is no error. */
  readonly add: (ask: SourceAsk, signal?: AbortSignal) => Promise<Source>
  readonly list: () => Promise<Source[]>
  /** The one of that name; without a name the pinned default, else the only one. Fetches the default when there is none at all. */
  readonly find: (name?: string) => Promise<Source>
  /** The folder that holds `src/`. Never write there. */
  readonly folderOf: (source: Source) => string
  readonly options: (source: Source) => Promise<OptionBook>
  /** Text of config/defaults/<platform>.h, '' if there is none. */
  readonly defaults: (source: Source, platform: string) => Promise<string>
}

export type SourcesOptions = {
  readonly folder: string
  readonly run: Run
  readonly now: () => number
  readonly standard?: SourceAsk & { readonly name: string }
}

const fixedEpoch = 1_577_836_800
const namePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/

export function createSources({ folder, run, now, standard }: SourcesOptions): Sources {
  const folderOf = ({ name }: Source): string => join(folder, name, 'tree')
  const read = async (name: string): Promise<Source | undefined> => {
    const text = await readFile(join(folder, name, 'source.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : recordShape.parse(JSON.parse(text))
  }

  const list = async (): Promise<Source[]> => {
    const names = (await readdir(folder).catch(() => [])).filter((name) => namePattern.test(name))
    return (await Promise.all(names.sort().map(read))).filter((one) => one !== undefined)
  }

  const add = async (ask: SourceAsk, signal?: AbortSignal): Promise<Source> => {
    const name = ask.name ?? defaultName(ask)
    if (!namePattern.test(name))
      throw new InputError('source-name', `${JSON.stringify(name)} is no name for a source: lower-case letters, digits, . _ -`, { path: 'name' })
    const temporary = join(folder, `.new-${process.pid}-${name}`)
    await rm(temporary, { recursive: true, force: true })
    await mkdir(join(temporary, 'tree'), { recursive: true })
    try {
      const got = await fetchSource(run, ask, temporary, signal)
      checkPin(ask, got.pin)
      if (!(await isThere(join(temporary, 'tree/src/Makefile'))))
        throw new InputError('source-bad', `${ask.from} holds no src/Makefile: this is not iPXE's source`)
      const record: Source = { name, from: ask.from, ...(ask.revision ? { revision: ask.revision } : {}), ...got, addedAt: now() }
      const known = await read(name)
      if (known && known.pin !== record.pin)
        throw new ConflictError('source-name-taken', `there is a source ${name} already, pinned at ${known.pin}; give this one another name`)
      if (known) return known
      await writeFile(join(temporary, 'source.json'), `${JSON.stringify(record, null, 2)}\n`)
      await rename(temporary, join(folder, name))
      return record
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }

  const find = async (name?: string): Promise<Source> => {
    const wanted = name ?? standard?.name
    const found = wanted === undefined ? undefined : await read(wanted)
    if (found) return found
    if (name !== undefined)
      throw new MissingError(
        'source-missing',
        `there is no iPXE source ${name}; add it with: bivouac ipxe source add <git url | tarball | directory> --name ${name}`,
      )
    const all = await list()
    const [only] = all
    if (only && all.length === 1) return only
    if (all.length > 1)
      throw new InputError('source-ambiguous', `several iPXE sources are here, say which: ${all.map((one) => one.name).join(' ')}`, {
        path: 'source',
      })
    if (!standard)
      throw new MissingError('source-missing', 'there is no iPXE source; add one with: bivouac ipxe source add <git url | tarball | directory>')
    return add(standard)
  }

  const options = async (source: Source): Promise<OptionBook> => {
    const config = join(folderOf(source), 'src/config')
    const names = (await readdir(config)).filter((file) => file.endsWith('.h'))
    return parseOptions(Object.fromEntries(await Promise.all(names.map(async (file) => [file, await readFile(join(config, file), 'utf8')]))))
  }

  const defaults = (source: Source, platform: string): Promise<string> =>
    readFile(join(folderOf(source), `src/config/defaults/${platform}.h`), 'utf8').catch(() => '')

  return { add, list, find, folderOf, options, defaults }
}

/** What a source is called that was given no name: from where it comes and its revision. */
export function defaultName({ from, revision }: SourceAsk): string {
  const base = basename(from.replace(/\/+$/, ''))
    .replace(/\.(git|tar(\.\w+)?|tgz)$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
  return revision
    ? `${base}-${revision
        .slice(0, 20)
        .toLowerCase()
        .replace(/[^a-z0-9._-]+/g, '-')}`
    : base
}

function checkPin({ commit, sha256: digest }: SourceAsk, pin: string): void {
  const wanted = commit !== undefined ? `commit:${commit}` : digest !== undefined ? `sha256:${digest}` : undefined
  if (wanted !== undefined && wanted !== pin)
    throw new OutsideError('source-changed', `the source is ${pin}, not ${wanted} as asked: nothing was kept`, false)
}

type Got = Pick<Source, 'kind' | 'pin' | 'epoch'>

async function fetchSource(run: Run, ask: SourceAsk, temporary: string, signal?: AbortSignal): Promise<Got> {
  const { from } = ask
  const local = await lstat(from).catch(() => undefined)
  if (/\.(tar(\.(gz|xz|bz2|zst))?|tgz)$/.test(from.replace(/[?#].*$/, ''))) return fetchTarball(run, from, temporary, local !== undefined, signal)
  if (local?.isDirectory() && !(await isGit(from))) return copyDirectory(from, temporary)
  if (local?.isDirectory() && ask.revision === undefined && (await isThere(join(from, 'src/Makefile')))) return copyDirectory(from, temporary)
  return fetchGit(run, ask, temporary, signal)
}

const isGit = async (folder: string): Promise<boolean> =>
  (await isThere(join(folder, '.git'))) || ((await isThere(join(folder, 'HEAD'))) && (await isThere(join(folder, 'objects'))))

async function fetchGit(run: Run, { from, revision = 'HEAD', commit }: SourceAsk, temporary: string, signal?: AbortSignal): Promise<Got> {
  if (!/^(https?|git|ssh|file):\/\/[\x21-\x7e]+$/.test(from) && !from.startsWith('/'))
    throw new InputError('source-url', 'a source is a git URL (https, ssh, git, file), a tarball or a directory', { path: 'from' })
  if (!/^[A-Za-z0-9][\w./-]{0,199}$/.test(revision))
    throw new InputError('source-revision', 'a revision is a branch, tag or commit', { path: 'revision' })
  const repository = join(temporary, 'git')
  const git = (...words: string[]): Promise<string> =>
    runWell(run, ['git', '--git-dir', repository, ...words], {
      env: { GIT_TERMINAL_PROMPT: '0', GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh' },
      timeoutMs: 900_000,
      ...(signal ? { signal } : {}),
    })
  await git('init', '--quiet', '--bare')
  // A server may refuse a bare commit: then its branches and tags are fetched whole.
  const isShallow = await git('fetch', '--quiet', '--depth', '1', '--', from, commit ?? revision).then(
    () => true,
    () => false,
  )
  try {
    if (!isShallow) await git('fetch', '--quiet', '--tags', '--', from, '+refs/heads/*:refs/heads/*')
  } catch (cause) {
    throw new OutsideError(
      'source-unreachable',
      `cannot fetch ${from}; without a network add a tarball or directory: bivouac ipxe source add <path>`,
      true,
      { cause },
    )
  }
  const tip = await git('rev-parse', '--verify', '--quiet', '--end-of-options', `${isShallow ? 'FETCH_HEAD' : (commit ?? revision)}^{commit}`).catch(
    (cause) => {
      throw new InputError('source-revision', `${from} has no revision ${commit ?? revision}`, { path: 'revision' }, { cause })
    },
  )
  const hash = tip.trim()
  const archive = join(temporary, 'source.tar')
  await git('archive', '--format=tar', '-o', archive, hash)
  await runWell(run, ['tar', '-x', '-o', '-f', archive, '-C', join(temporary, 'tree')], { timeoutMs: 300_000 })
  const epoch = Number((await git('log', '-1', '--format=%ct', hash)).trim())
  await Promise.all([rm(repository, { recursive: true }), rm(archive)])
  return { kind: 'git', pin: `commit:${hash}`, epoch }
}

async function fetchTarball(run: Run, from: string, temporary: string, isLocal: boolean, signal?: AbortSignal): Promise<Got> {
  const bytes = isLocal ? await readFile(from) : await download(from, signal)
  const path = join(temporary, 'source.tar')
  await writeFile(path, bytes)
  const tree = join(temporary, 'tree')
  await runWell(run, ['tar', '-x', '-o', '-f', path, '-C', tree], { timeoutMs: 300_000, ...(signal ? { signal } : {}) })
  await rm(path)
  await liftFolder(tree)
  const times = await Promise.all((await listFiles(tree)).map(async (file) => (await lstat(join(tree, file))).mtimeMs))
  return { kind: 'tarball', pin: `sha256:${sha256(bytes)}`, epoch: Math.floor(times.reduce((a, b) => Math.max(a, b), 0) / 1000) }
}

async function download(url: string, signal?: AbortSignal): Promise<Uint8Array> {
  if (!/^https?:\/\/[\x21-\x7e]+$/.test(url)) throw new InputError('source-url', `there is no ${url}`, { path: 'from' })
  try {
    const answer = await fetch(url, signal ? { signal } : {})
    if (answer.ok) return new Uint8Array(await answer.arrayBuffer())
    throw new Error(`status ${answer.status}`)
  } catch (cause) {
    throw new OutsideError('source-unreachable', `cannot fetch ${url}`, true, { cause })
  }
}

/** A tarball usually holds one folder: its content moves up. */
async function liftFolder(tree: string): Promise<void> {
  const names = await readdir(tree)
  const [only] = names
  if (names.length !== 1 || only === undefined || (await isThere(join(tree, 'src/Makefile')))) return
  const aside = `${tree}-inner`
  await rename(join(tree, only), aside)
  await rm(tree, { recursive: true })
  await rename(aside, tree)
}

/** Left behind: what is built, and git's own. */
const isLeftBehind = (path: string): boolean => /^\.git(\/|$)|^src\/bin(-[^/]*)?(\/|$)|^src\/config\/local\//.test(path)

async function copyDirectory(from: string, temporary: string): Promise<Got> {
  const tree = join(temporary, 'tree')
  const hash = createHash('sha256')
  for (const path of await listFiles(from, isLeftBehind)) {
    const info = await lstat(join(from, path))
    const body = info.isSymbolicLink() ? await readlink(join(from, path)) : sha256(await readFile(join(from, path)))
    hash.update(`${path}\0${info.mode & 0o111 ? 'x' : '-'}\0${body}\n`)
  }
  await cp(from, tree, { recursive: true, verbatimSymlinks: true, filter: (path) => !isLeftBehind(path.slice(from.replace(/\/+$/, '').length + 1)) })
  return { kind: 'directory', pin: `sha256:${hash.digest('hex')}`, epoch: fixedEpoch }
}
