// Reads everything that the mirror has and names what is wrong: a flipped byte, a missing file, one too many. Called by `bivouac mirror verify` and by
// import and snapshots on what they made. Changes nothing.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ApkIndex, indexFileName, packageFileName, readIndex } from '../apk/index-file.ts'
import { type TrustedKeys, verifySigned } from '../apk/signature.ts'
import { BivouacError } from '../boot/error.ts'
import { checkPackageFile } from './check.ts'
import { type Contents, readContents } from './contents.ts'
import { listPackages, type Place } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'

/**
 * `index`: unsigned, by a key that is not trusted, damaged. `contents`: the notes are damaged or of another index. `broken`: not what the index or the
 * notes say. `missing`: should be there. `extra`: no index names it and none did lately.
 */
export type Problem = {
  readonly folder: string
  readonly file: string
  readonly code: 'index' | 'contents' | 'broken' | 'missing' | 'extra'
  readonly message: string
}

export type VerifyReport = { readonly folders: number; readonly packages: number; readonly bytes: number; readonly problems: readonly Problem[] }

/** Verifies the folders. Throws only what the disk throws. */
export async function verifyPlaces(root: string, places: readonly Place[], keys: TrustedKeys, onProgress?: OnMirrorProgress): Promise<VerifyReport> {
  const problems: Problem[] = []
  const sizes = new Map<string, Map<string, number>>()
  for (const { folder } of places) sizes.set(folder, await listPackages(root, folder))
  const all = [...sizes.values()].map((one) => [...one.values()])
  const totalFiles = all.reduce((sum, { length }) => sum + length, 0)
  const totalBytes = all.flat().reduce((sum, size) => sum + size, 0)
  let [doneFiles, doneBytes] = [0, 0]
  const tell = (sizeBytes: number): void => {
    doneFiles++
    doneBytes += sizeBytes
    onProgress?.({ step: 'check', doneFiles, totalFiles, doneBytes, totalBytes })
  }
  for (const { folder } of places) problems.push(...(await verifyPlace(root, folder, sizes.get(folder) ?? new Map(), keys, tell)))
  return { folders: places.length, packages: totalFiles, bytes: totalBytes, problems }
}

async function verifyPlace(
  root: string,
  folder: string,
  sizes: ReadonlyMap<string, number>,
  keys: TrustedKeys,
  tell: (sizeBytes: number) => void,
): Promise<Problem[]> {
  const problem = (file: string, code: Problem['code'], message: string): Problem => ({ folder, file, code, message })
  const bytes = await readFile(join(root, folder, indexFileName))
  const problems: Problem[] = []
  let index: ApkIndex
  try {
    verifySigned(bytes, keys)
    index = readIndex(bytes)
  } catch (error) {
    if (!(error instanceof BivouacError)) throw error
    return [problem(indexFileName, 'index', error.message)]
  }
  const contents = await readContents(root, folder).catch((error) => {
    if (!(error instanceof BivouacError)) throw error
    problems.push(problem('.contents.json', 'contents', error.message))
    return undefined
  })
  if (contents && contents.indexSha256 !== createHash('sha256').update(bytes).digest('hex'))
    problems.push(problem(indexFileName, 'contents', 'is another index than the one that was switched in: sync or import again'))
  const entries = new Map(index.packages.map((one) => [packageFileName(one), one]))
  for (const [name, sizeBytes] of sizes) {
    const entry = entries.get(name)
    const known = contents?.files[name]
    if (entry) {
      const checked = await checkPackageFile(join(root, folder, name), entry)
      if ('problem' in checked) problems.push(problem(name, 'broken', checked.problem))
      else if (known && known[2] !== checked.sha256) problems.push(problem(name, 'broken', 'has other bytes than when it was taken in'))
    } else if (contents && !(name in contents.old)) problems.push(problem(name, 'extra', 'no index names it'))
    tell(sizeBytes)
  }
  for (const name of expected(contents, entries.keys())) if (!sizes.has(name)) problems.push(problem(name, 'missing', 'is not there'))
  return problems
}

/** Names that must be there. Of a folder that nobody keeps nothing must. */
function expected(contents: Contents | undefined, named: Iterable<string>): Set<string> {
  if (!contents) return new Set()
  return new Set([...Object.keys(contents.files), ...(contents.isWhole ? named : [])])
}
