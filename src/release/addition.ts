// Additions to the stock initramfs: a folder below additions/ as one more initrd, packed when it is asked for, kept under a name that its content
// decides. Used by the gate, so that no script names what cannot be served, by the door for the bytes, and by the command.
import { createHash } from 'node:crypto'
import { mkdir, readdir, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { packCpio } from '../alpine/cpio.ts'
import { BivouacError, type DecodeError, MissingError } from '../boot/error.ts'
import { diskError, writeAtomic } from '../store/atomic.ts'
import { buildMembers, listTree, needsStock, type Tree } from './addition-tree.ts'
import { createStockReader, type StockFacts } from './stock.ts'

/** One packed addition. `path` is what it is served as; `file` lies in the state. */
export type Addition = {
  readonly name: string
  readonly path: string
  readonly file: string
  readonly digest: string
  readonly sizeBytes: number
  readonly members: readonly string[]
  readonly warnings: readonly { readonly code: string; readonly text: string }[]
}

export type AdditionSearch = { readonly found: readonly Addition[] } | { readonly missing: string }

export type Additions = {
  /** All of these names, packed for this initramfs (a path below the depot), or why one cannot be had. At once when they were looked at just now. */
  readonly find: (names: readonly string[], initramfs: string) => AdditionSearch | Promise<AdditionSearch>
  /** One by its name; rejects with what is wrong with it. */
  readonly pack: (name: string, initramfs: string | undefined) => Promise<Addition>
  /** The file behind a served path, or undefined for a path that is none of an addition. */
  readonly locate: (path: string) => string | undefined
}

export type AdditionOptions = {
  readonly depot: string
  readonly state: string
  readonly now: () => number /** How long a look is believed. */
  readonly revalidateMs?: number
}

type Known = { readonly fingerprint: string; readonly addition: Addition }
type Recent = { readonly checkedAt: number; readonly search: AdditionSearch }

const gzipAsync = promisify(gzip)
const servedName = /^additions\/([A-Za-z0-9][A-Za-z0-9_.-]{0,62}-[0-9a-f]{12}\.cpio\.gz)$/
const maxRecent = 256
const keepMs = 86_400_000

export function createAdditions({ depot, state, now, revalidateMs = 1000 }: AdditionOptions): Additions {
  const folder = join(state, 'additions')
  const readStock = createStockReader()
  const known = new Map<string, Known>()
  const recent = new Map<string, Recent>()
  const running = new Map<string, Promise<AdditionSearch>>()
  const usedAt = new Map<string, number>()

  function find(names: readonly string[], initramfs: string): AdditionSearch | Promise<AdditionSearch> {
    if (!names.length) return { found: [] }
    const key = `${initramfs} ${names.join(' ')}`
    const before = recent.get(key)
    const age = before ? now() - before.checkedAt : Number.NaN
    if (before && age >= 0 && age < revalidateMs) return before.search
    let search = running.get(key)
    if (!search) {
      search = findNow(names, initramfs)
        .then((found) => remember(key, found))
        .finally(() => running.delete(key))
      running.set(key, search)
    }
    return search
  }

  function remember(key: string, search: AdditionSearch): AdditionSearch {
    recent.delete(key)
    recent.set(key, { checkedAt: now(), search })
    const oldest = recent.size > maxRecent ? recent.keys().next().value : undefined
    if (oldest !== undefined) recent.delete(oldest)
    return search
  }

  async function findNow(names: readonly string[], initramfs: string): Promise<AdditionSearch> {
    const found: Addition[] = []
    for (const name of names) {
      try {
        found.push(await pack(name, initramfs))
      } catch (error) {
        const text = error instanceof BivouacError ? error.message : `the disk fails: ${(error as Error).message}`
        return { missing: `addition ${name}: ${text}` }
      }
    }
    return { found }
  }

  async function pack(name: string, initramfs: string | undefined): Promise<Addition> {
    const tree = await listTree(depot, name)
    const stock = initramfs === undefined ? undefined : await openStock(initramfs, needsStock(tree))
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([tree.entries, stock?.identity]))
      .digest('hex')
    const key = `${name} ${stock?.identity ?? ''}`
    const before = known.get(key)
    const addition = before?.fingerprint === fingerprint && (await isThere(before.addition)) ? before.addition : await make(tree, stock?.facts)
    known.set(key, { fingerprint, addition })
    const oldest = known.size > maxRecent ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
    usedAt.set(addition.file, now())
    return addition
  }

  async function openStock(initramfs: string, isNeeded: boolean): Promise<{ identity?: string; facts?: StockFacts }> {
    if (!isNeeded) return {}
    return readStock(join(depot, initramfs)).catch((error: NodeJS.ErrnoException | DecodeError) => {
      if (error instanceof BivouacError) throw error
      throw new MissingError('initramfs-missing', `the stock initramfs ${initramfs} cannot be read (${error.code})`)
    })
  }

  async function make(tree: Tree, stock: StockFacts | undefined): Promise<Addition> {
    const entries = await buildMembers(tree, stock)
    const bytes = await gzipAsync(packCpio(entries), { level: 9 })
    const digest = createHash('sha256').update(bytes).digest('hex')
    const base = `${tree.name}-${digest.slice(0, 12)}.cpio.gz`
    const file = join(folder, base)
    const members = entries.map(({ path }) => path)
    const addition = { name: tree.name, path: `additions/${base}`, file, digest, sizeBytes: bytes.length, members, warnings: warn(members, stock) }
    if (await isThere(addition)) await utimes(file, now() / 1000, now() / 1000).catch(() => undefined)
    else await write(file, bytes)
    await sweep(tree.name, file)
    return addition
  }

  async function write(file: string, bytes: Uint8Array): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
      throw diskError(folder, error)
    })
    await writeAtomic(file, bytes, 0o600)
  }

  /** Earlier versions go a day after a script last named them. */
  async function sweep(name: string, current: string): Promise<void> {
    for (const one of await readdir(folder).catch(() => [])) {
      const file = join(folder, one)
      if (file === current || one.slice(0, -'-123456789abc.cpio.gz'.length) !== name) continue
      const modifiedAt = await stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => now(),
      )
      if (now() - Math.max(modifiedAt, usedAt.get(file) ?? 0) > keepMs) await unlink(file).catch(() => undefined)
    }
  }

  const locate = (path: string): string | undefined => {
    const name = servedName.exec(path)?.[1]
    return name === undefined ? undefined : join(folder, name)
  }
  return { find, pack, locate }
}

const isThere = ({ file, sizeBytes }: Pick<Addition, 'file' | 'sizeBytes'>): Promise<boolean> =>
  stat(file).then(
    (found) => found.size === sizeBytes,
    () => false,
  )

function warn(members: readonly string[], stock: StockFacts | undefined): { code: string; text: string }[] {
  const kernels = [...new Set(members.flatMap((path) => /^lib\/modules\/([^/]+)\/.+\.ko(\.[a-z]+)?$/.exec(path)?.[1] ?? []))]
  const without = kernels.filter((kernel) => !members.includes(`lib/modules/${kernel}/modules.dep.bin`))
  const foreign = stock?.kernels.length ? kernels.filter((kernel) => !stock.kernels.includes(kernel)) : []
  return [
    ...without.map((kernel) => ({
      code: 'addition-depmod',
      text: `modules for ${kernel} come without modules.dep.bin, so nothing finds them: run depmod -b over the stock's modules and these together`,
    })),
    ...foreign.map((kernel) => ({
      code: 'addition-kernel',
      text: `modules for ${kernel} beside an initramfs of ${stock?.kernels.join(', ')}: they are not loaded`,
    })),
  ]
}
