// What stands in a folder of additions/, and the members of the second initrd that come of it. Called by addition. Links are carried as links and
// never followed; owners are root, modes are those of the folder in round numbers.
import { constants } from 'node:fs'
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { CpioEntry } from '../alpine/cpio.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import { bundlePath, type StockFacts } from './stock.ts'

/** One thing in the folder. `path` is relative; `state` changes when its content may have changed. */
export type TreeEntry = {
  readonly path: string
  readonly kind: 'file' | 'directory' | 'link'
  readonly mode: number
  readonly sizeBytes: number
  readonly state: string
}

export type Tree = { readonly folder: string; readonly name: string; readonly entries: readonly TreeEntry[] }

const limits = { entries: 20_000, depth: 24, bytes: 256 * 1024 * 1024 }

/**
 * Lists `additions/<name>/`, sorted. Throws MissingError `addition-missing` when there is no such folder, InputError `addition-bounds` or `addition-kind`
 * (a device, a pipe, a folder that lies outside of the depot).
 */
export async function listTree(depot: string, name: string): Promise<Tree> {
  const folder = join(depot, 'additions', name)
  await checkInside(depot, folder, name)
  const entries: TreeEntry[] = []
  const waiting: string[] = ['']
  let bytes = 0
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    for (const one of (await readdir(join(folder, at))).sort()) {
      const path = at ? `${at}/${one}` : one
      const entry = await look(folder, path, name)
      if (!entry || one === '.gitkeep') continue
      bytes += entry.sizeBytes
      if (entries.push(entry) > limits.entries || bytes > limits.bytes || path.split('/').length > limits.depth)
        throw new InputError(
          'addition-bounds',
          `has more than ${limits.entries} entries, ${limits.bytes} bytes or ${limits.depth} levels: that is no addition to an initramfs`,
          { file: `additions/${name}` },
        )
      if (entry.kind === 'directory') waiting.push(path)
    }
  }
  return { folder, name, entries: entries.sort((one, other) => (one.path < other.path ? -1 : 1)) }
}

async function checkInside(depot: string, folder: string, name: string): Promise<void> {
  const [home, real] = await Promise.all([realpath(depot), realpath(folder)]).catch((error: unknown) => {
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error
    throw new MissingError('addition-missing', `there is no folder additions/${name} in the depot`)
  })
  if (!real.startsWith(`${home}/`)) throw new InputError('addition-kind', 'lies outside of the depot', { file: `additions/${name}` })
}

async function look(folder: string, path: string, name: string): Promise<TreeEntry | undefined> {
  const stats = await lstat(join(folder, path), { bigint: true }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (!stats) return undefined
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'link' : undefined
  if (!kind) throw new InputError('addition-kind', 'is a device, pipe or socket: take it away', { file: `additions/${name}/${path}` })
  const state = kind === 'directory' ? '' : [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join('-')
  return { path, kind, mode: roundMode(Number(stats.mode)), sizeBytes: kind === 'file' ? Number(stats.size) : 0, state }
}

/** What an umask makes of it does not count: private stays private, the rest is readable, and executable where its owner may. */
const roundMode = (mode: number): number => (mode & 0o077 ? (mode & 0o100 ? 0o755 : 0o644) : mode & 0o700)

/** Does anything of it rest on the stock initramfs? */
export const needsStock = ({ entries }: Tree): boolean => entries.some(({ path }) => path === 'modules' || path.startsWith('ca/'))

/**
 * The members: `ca/*.pem` behind the stock's CA bundle, `keys/*.pub` in etc/apk/keys, `modules` behind the stock's etc/modules, all else where it stands.
 * Throws InputError `addition-ca`, `addition-key`, `addition-twice`.
 */
export async function buildMembers(tree: Tree, stock: StockFacts | undefined): Promise<CpioEntry[]> {
  const members = new Map<string, CpioEntry>()
  const put = (entry: CpioEntry, from: string): void => {
    if (members.has(entry.path) && entry.kind !== 'directory')
      throw new InputError('addition-twice', `${entry.path} comes twice`, { file: placeOf(tree, from) })
    members.set(entry.path, entry)
  }
  let bundle = ''
  for (const entry of tree.entries) {
    const { path, kind } = entry
    if (kind === 'directory') {
      if (path !== 'ca' && path !== 'keys') put({ kind, path, mode: entry.mode || 0o755 }, path)
    } else if (kind === 'link' && /^(ca|keys)\//.test(path))
      throw new InputError('addition-kind', 'is a link: put the file itself here', { file: placeOf(tree, path) })
    else if (kind === 'link') put({ kind, path, target: await readlink(join(tree.folder, path)) }, path)
    else if (path.startsWith('ca/')) bundle += await readAuthority(tree, path)
    else if (path.startsWith('keys/')) put(await readKey(tree, path), path)
    else if (path === 'modules') put({ kind, path: 'etc/modules', mode: 0o644, bytes: appendModules(stock, await readEntry(tree, path)) }, path)
    else put({ kind, path, mode: entry.mode, bytes: await readEntry(tree, path) }, path)
  }
  if (bundle) put({ kind: 'file', path: bundlePath, mode: 0o644, bytes: Buffer.from(endLine(stock?.bundle ?? '') + bundle) }, 'ca')
  return [...members.values()].sort((one, other) => (one.path < other.path ? -1 : 1))
}

const placeOf = ({ name }: Tree, path: string): string => `additions/${name}/${path}`
const endLine = (text: string): string => (text && !text.endsWith('\n') ? `${text}\n` : text)

async function readAuthority(tree: Tree, path: string): Promise<string> {
  const text = Buffer.from(await readEntry(tree, path)).toString('latin1')
  if (/PRIVATE KEY/.test(text))
    throw new InputError('addition-ca', 'holds a private key, and everybody on the network may fetch an addition: take the certificate alone', {
      file: placeOf(tree, path),
    })
  if (!/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(text))
    throw new InputError('addition-ca', 'is no certificate in PEM form', { file: placeOf(tree, path) })
  return endLine(text)
}

async function readKey(tree: Tree, path: string): Promise<CpioEntry> {
  const name = path.slice('keys/'.length)
  const bytes = await readEntry(tree, path)
  const isPublic = /^[A-Za-z0-9][A-Za-z0-9@._+-]*\.pub$/.test(name) && /-----BEGIN (RSA )?PUBLIC KEY-----/.test(Buffer.from(bytes).toString('latin1'))
  if (!isPublic)
    throw new InputError('addition-key', 'is no public key of apk: a PEM file whose name ends in .rsa.pub', { file: placeOf(tree, path) })
  return { kind: 'file', path: `etc/apk/keys/${name}`, mode: 0o644, bytes }
}

function appendModules(stock: StockFacts | undefined, added: Uint8Array): Uint8Array {
  const before = endLine(stock?.modules ?? '')
  const known = new Set(before.split('\n').map((line) => line.trim()))
  const lines = Buffer.from(added)
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
  return Buffer.from(
    before +
      lines
        .filter((line) => line && !known.has(line))
        .map((line) => `${line}\n`)
        .join(''),
  )
}

async function readEntry(tree: Tree, path: string): Promise<Uint8Array> {
  const file = await open(join(tree.folder, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { size } = await file.stat()
    if (size > limits.bytes) throw new InputError('addition-bounds', `has ${size} bytes`, { file: placeOf(tree, path) })
    return await file.readFile()
  } finally {
    await file.close()
  }
}
