// Which package names a station's repositories have, as far as they lie in the mirror here: for the linter, since apk drops an unknown name without
// a word. Asks no network. A big index takes a moment to read, so it is kept while its file is the same.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { indexFileName, readIndexPieces } from '../apk/index-file.ts'
import type { Release } from '../boot/record.ts'
import { identityOf } from '../store/version.ts'

/** Where a station's packages come from, as its profile or release says. */
export type PackageSources = { readonly repositories: readonly string[]; readonly release?: Pick<Release, 'arch'> }

const maxKept = 16
const maxIndexBytes = 16 * 1024 * 1024

/**
 * Answers a function: is there a package, or something that is provided, of this name? It answers undefined when one of the repositories is not in
 * the mirror: then nobody can tell.
 */
export function createKnownPackages(packagesRoot: string): (sources: PackageSources) => Promise<((name: string) => boolean) | undefined> {
  const kept = new Map<string, { readonly identity: string; readonly names: ReadonlySet<string> }>()

  async function namesIn(path: string): Promise<ReadonlySet<string> | undefined> {
    try {
      const stats = await stat(path, { bigint: true })
      const identity = identityOf(stats)
      const known = kept.get(path)
      if (known?.identity === identity) return known.names
      if (stats.size > maxIndexBytes) return undefined
      const names = new Set<string>()
      for (const piece of readIndexPieces(await readFile(path))) {
        for (const { name, provides } of piece) for (const one of [name, ...provides]) names.add(one.replace(/[<>=~].*$/, ''))
        await othersTurn()
      }
      if (kept.size >= maxKept) kept.clear()
      kept.set(path, { identity, names })
      return names
    } catch {
      return undefined
    }
  }

  return async ({ repositories, release }) => {
    const arch = release?.arch
    if (!arch || !repositories.length || !repositories.every((one) => /^apk\/[A-Za-z0-9._/-]+$/.test(one))) return undefined
    const all = await Promise.all(repositories.map((one) => namesIn(join(packagesRoot, one.slice('apk/'.length), arch, indexFileName))))
    if (all.some((names) => !names)) return undefined
    return (name) => all.some((names) => names?.has(name))
  }
}
