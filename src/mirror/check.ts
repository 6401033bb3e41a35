// Looks into one file on the disk: is it the package that the index names, to the last byte? Used by sync, verify, import and the private repositories.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { IndexedPackage } from '../apk/index-file.ts'
import { findMismatch, type ReadPackage, readPackage } from '../apk/package.ts'
import type { TrustedKeys } from '../apk/signature.ts'
import { DecodeError } from '../boot/error.ts'

export type CheckedPackage = ReadPackage & { readonly sha256: string }

/** Reads a package file to its end. Throws DecodeError for a bad one, and what the disk throws. */
export async function readPackageFile(path: string, keys?: TrustedKeys): Promise<CheckedPackage> {
  const hash = createHash('sha256')
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 })) {
      hash.update(piece as Uint8Array)
      yield piece as Uint8Array
    }
  }
  const read = await readPackage(pieces(), keys ? { keys } : {})
  return { ...read, sha256: hash.digest('hex') }
}

/** The SHA-256 of a file that is the package, or in words what is wrong with it. What the disk throws passes through, but for a file that is not there. */
export async function checkPackageFile(path: string, entry: IndexedPackage): Promise<{ readonly sha256: string } | { readonly problem: string }> {
  try {
    const read = await readPackageFile(path)
    const problem = findMismatch(entry, read)
    return problem === undefined ? { sha256: read.sha256 } : { problem }
  } catch (error) {
    if (error instanceof DecodeError) return { problem: `cannot be right: ${error.message}` }
    throw error
  }
}
