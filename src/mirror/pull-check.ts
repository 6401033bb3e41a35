// Is a file that was pulled the package that it should be? Used by pull before the last byte goes out and before anything is kept.
import { findMismatch, readPackage } from '../apk/package.ts'
import type { TrustedKeys } from '../apk/signature.ts'
import { DecodeError, OutsideError } from '../boot/error.ts'
import type { Expected } from './pull-state.ts'

export type PullCheck = {
  readonly path: string
  readonly keys: () => Promise<TrustedKeys>
  /** What the index says of it; undefined when it does not name it. */
  readonly expected: () => Expected | undefined
  /** Asks for a newer index, in case that the file is newer than ours. */
  readonly renew: () => Promise<void>
}

/**
 * Reads the whole file. Answers whether it may be kept: the index names it, or it bears the signature of a trusted key. What nothing vouches for (no
 * index, no keys; a package of apk v3) may be passed on only. Rejects with OutsideError `mirror-broken` for what is no whole package or another one.
 */
export async function checkPulled(pieces: AsyncIterable<Uint8Array>, { path, keys, expected, renew }: PullCheck): Promise<boolean> {
  const broken = (what: string, cause?: unknown) => new OutsideError('mirror-broken', `${path} ${what}; it is not taken`, true, { cause })
  try {
    const isNamed = expected() !== undefined
    const trusted = isNamed ? undefined : await keys()
    const found = await readPackage(pieces, trusted?.size ? { keys: trusted } : {})
    if (!isNamed) return found.signedBy !== undefined
    const mismatch = (): string | undefined => {
      const entry = expected()
      return entry && findMismatch(entry, found)
    }
    if (mismatch() !== undefined) await renew()
    const wrong = mismatch()
    if (wrong !== undefined) throw broken(wrong)
    return expected() !== undefined
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    if (error.code === 'package-v3' && expected() === undefined) return false
    throw broken(`cannot be right: ${error.message}`, error)
  }
}
