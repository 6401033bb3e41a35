// Which artifact is announced under which name. All names change together by one rename of one link, and go back the same way. Used by the faces.
//   ipxe/published/000007/undionly.kpxe → ../../artifacts/<fingerprint>/undionly.kpxe      a set; never changes
//   ipxe/current → published/000007                                                        the one step
//   ipxe/undionly.kpxe → current/undionly.kpxe                                             what doors open
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import type { Artifacts, Manifest } from './artifact.ts'
import type { Fingerprint } from './fingerprint.ts'

/** name in the loader library → fingerprint. */
export type NameSet = Readonly<Record<string, Fingerprint>>

export type Published = { readonly number: number; readonly names: NameSet; readonly at: number }

/** A dry run makes every check, changes nothing, and answers the set that there would be. */
export type Publisher = {
  /** Announces the artifact under the names (its own usual ones if none are given), beside what is announced already. */
  readonly publish: (manifest: Manifest, names?: readonly string[], dryRun?: boolean) => Promise<Published>
  /** Takes names away again. */
  readonly unpublish: (names: readonly string[], dryRun?: boolean) => Promise<Published>
  /** Back to the set before the current one. @throws MissingError when there is none. */
  readonly rollback: (dryRun?: boolean) => Promise<Published>
  readonly current: () => Promise<Published | undefined>
  readonly history: () => Promise<Published[]>
  /** Fingerprints of the sets that `rollback` can reach. */
  readonly inUse: () => Promise<Set<Fingerprint>>
}

const keptSets = 20
const namePattern = /^(?:[a-z0-9][a-z0-9_-]{0,40}\/)?[a-zA-Z0-9][a-zA-Z0-9._-]{0,80}$/
const reserved = new Set(['artifacts', 'published', 'current'])

export function createPublisher({
  depot,
  artifacts,
  now,
}: {
  readonly depot: string
  readonly artifacts: Artifacts
  readonly now: () => number
}): Publisher {
  const root = join(depot, 'ipxe')
  let last: Promise<unknown> = Promise.resolve()
  /** One change at a time in this process. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }

  const readSet = async (folder: string): Promise<Published | undefined> => {
    const text = await readFile(join(root, 'published', folder, 'set.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as Published)
  }
  const current = async (): Promise<Published | undefined> => {
    const link = await readlink(join(root, 'current')).catch(() => undefined)
    return link === undefined ? undefined : readSet(link.replace(/^published\//, ''))
  }
  const history = async (): Promise<Published[]> => {
    const folders = (await readdir(join(root, 'published')).catch(() => [])).filter((name) => /^\d{6}$/.test(name))
    return (await Promise.all(folders.sort().map(readSet))).filter((one) => one !== undefined)
  }

  const swap = async (number: number): Promise<void> => {
    const link = join(root, `.current-${randomBytes(4).toString('hex')}`)
    await symlink(`published/${format(number)}`, link)
    await rename(link, join(root, 'current'))
  }

  const apply = async (names: NameSet, dryRun = false): Promise<Published> => {
    for (const name of Object.keys(names)) await requireFree(root, name)
    const sets = await history()
    const number = (sets.at(-1)?.number ?? 0) + 1
    const published: Published = { number, names, at: now() }
    if (dryRun) return published
    const folder = join(root, 'published', format(number))
    await rm(folder, { recursive: true, force: true })
    for (const [name, fingerprint] of Object.entries(names)) {
      const manifest = await artifacts.find(fingerprint)
      if (!manifest) throw new MissingError('artifact-missing', `artifact ${fingerprint.slice(0, 12)}, announced as ${name}, is gone`)
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await symlink(relative(dirname(join(folder, name)), artifacts.pathOf(manifest)), join(folder, name))
    }
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'set.json'), `${JSON.stringify(published, null, 2)}\n`)
    await swap(number)
    for (const name of Object.keys(names)) await linkName(root, name)
    for (const old of sets.slice(0, -keptSets)) await rm(join(root, 'published', format(old.number)), { recursive: true, force: true })
    return published
  }

  const publish: Publisher['publish'] = (manifest, names = manifest.announce, dryRun = false) =>
    inTurn(async () => {
      if (names.length === 0)
        throw new InputError('name-missing', `${manifest.file} has no usual name: say under which to announce it`, { path: 'names' })
      for (const name of names)
        if (!namePattern.test(name) || reserved.has(name.split('/')[0] ?? ''))
          throw new InputError('name-bad', `${JSON.stringify(name.slice(0, 80))} is no name for a loader`, { path: 'names' })
      return apply({ ...(await current())?.names, ...Object.fromEntries(names.map((name) => [name, manifest.fingerprint])) }, dryRun)
    })

  const unpublish: Publisher['unpublish'] = (names, dryRun = false) =>
    inTurn(async () => {
      const before = (await current())?.names ?? {}
      const unknown = names.find((name) => !(name in before))
      if (unknown !== undefined) throw new MissingError('name-missing', `nothing is announced as ${unknown}`)
      return apply(Object.fromEntries(Object.entries(before).filter(([name]) => !names.includes(name))), dryRun)
    })

  const rollback: Publisher['rollback'] = (dryRun = false) =>
    inTurn(async () => {
      const now = await current()
      const before = (await history()).findLast((one) => one.number < (now?.number ?? 0))
      if (!before) throw new MissingError('rollback-missing', 'nothing was announced before this')
      if (!dryRun) await swap(before.number)
      return before
    })

  const inUse = async (): Promise<Set<Fingerprint>> => new Set((await history()).flatMap((one) => Object.values(one.names)))

  return { publish, unpublish, rollback, current, history, inUse }
}

const format = (number: number): string => String(number).padStart(6, '0')

/** The fixed link that doors open; it leads through `current`. */
async function linkName(root: string, name: string): Promise<void> {
  const path = join(root, name)
  const goal = relative(dirname(path), join(root, 'current', name))
  if ((await readlink(path).catch(() => undefined)) === goal) return
  await mkdir(dirname(path), { recursive: true })
  const temporary = join(dirname(path), `.link-${randomBytes(4).toString('hex')}`)
  await symlink(goal, temporary)
  await rename(temporary, path)
}

/** A file that the operator put there by hand is not replaced. */
async function requireFree(root: string, name: string): Promise<void> {
  const info = await lstat(join(root, name)).catch(() => undefined)
  if (info && !info.isSymbolicLink()) throw new ConflictError('name-taken', `ipxe/${name} in the depot is a file of your own: move it away first`)
}
