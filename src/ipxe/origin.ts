// Which artifact a loader's file is: published loaders are links into <depot>/ipxe/artifacts. Used by library, for `explain`.
import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

/** What a manifest says of a loader that was built here. */
export type LoaderArtifact = {
  /** The first 12 digits. */
  readonly fingerprint: string
  readonly kind: string
  readonly target: string
  /** The recipe's name, where it has one. */
  readonly recipe?: string
  /** Milliseconds since 1970. */
  readonly builtAt: number
}

/** Undefined for a file that an operator put there, or whose manifest is gone or strange. Never throws. */
export function readOrigin(depot: string, path: string): LoaderArtifact | undefined {
  try {
    const real = realpathSync(path)
    const folder = dirname(real)
    const fingerprint = basename(folder)
    if (!/^[0-9a-f]{64}$/.test(fingerprint) || relative(join(realpathSync(depot), 'ipxe/artifacts'), folder) !== fingerprint) return undefined
    const { kind, target, name, builtAt } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as Record<string, unknown>
    if (typeof kind !== 'string' || typeof target !== 'string' || typeof builtAt !== 'number') return undefined
    return { fingerprint: fingerprint.slice(0, 12), kind, target, ...(typeof name === 'string' && { recipe: name }), builtAt }
  } catch {
    return undefined
  }
}
