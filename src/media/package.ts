// The packages of an image: what the station's world needs, taken from the mirror's folders, each checked to the last byte. Called by build.
// A package that is missing or damaged ends it: a station without a network can fetch nothing later.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Chosen } from '../apk/catalog.ts'
import { resolveWorld } from '../apk/closure.ts'
import { type IndexedPackage, indexFileName, packageFileName, readIndex, writeIndex } from '../apk/index-file.ts'
import { type SigningKey, signFile, type TrustedKeys, verifySigned } from '../apk/signature.ts'
import { BivouacError, InputError, MissingError } from '../boot/error.ts'
import { checkPackageFile } from '../mirror/check.ts'
import { needTrustedKeys } from '../mirror/key.ts'
import { codeOf } from '../store/atomic.ts'
import { entryOf, type MediaAsk, type MediaEntry } from './ask.ts'

export type MediaPackages = {
  readonly entries: readonly MediaEntry[]
  readonly packages: readonly IndexedPackage[]
  readonly notes: readonly string[]
}

/** Alpine's init adds it by itself; without it nothing boots. */
const base = 'alpine-base'
/** It adds this too where the initramfs has a signature of the modloop; without it the modloop is mounted unchecked. */
const checker = 'openssl'
const maxTold = 12

/**
 * Packages and the index that is signed with the site's key, below `apks/`. Throws MissingError `media-packages` that names what the mirror lacks,
 * InputError for an index that nobody signed, and what the disk throws.
 */
export async function gatherPackages(ask: MediaAsk, onProgress: (done: number, of: number) => void = () => {}): Promise<MediaPackages> {
  const { arch, world, repositories, signingKey } = ask
  if (!repositories.length)
    throw new InputError('media-repositories', 'the station has no repository on this machine: name one of the mirror in its profile or release')
  const keys = await needTrustedKeys(ask.packagesRoot)
  const indexes = await Promise.all(
    repositories.map(async (folder) => ({ place: folder, packages: await readSignedIndex(join(folder, arch), keys) })),
  )
  const has = (name: string): boolean => indexes.some(({ packages }) => packages.some((one) => one.name === name || one.provides.includes(name)))
  const asked = [...world, ...(has(base) ? [base] : [])]
  const { packages: needed, missing } = resolveWorld(asked, indexes)
  if (missing.length)
    throw new MissingError(
      'media-packages',
      tellMissing(
        missing.map(({ dependency, requiredBy }) => `${dependency} (${requiredBy.join(', ')})`),
        repositories,
      ),
    )
  const fileOf = ({ package: entry, place }: Chosen): string => join(place, arch, packageFileName(entry))
  const wished = has(checker) ? resolveWorld([...asked, checker], indexes).packages : needed
  const hasChecker = has(checker) && (await areThere(wished.map(fileOf).filter((file) => !needed.some((one) => fileOf(one) === file))))
  const chosen = hasChecker ? wished : needed
  const files = chosen.map((one) => ({ entry: one.package, file: fileOf(one) }))
  const problems: string[] = []
  for (const [at, { entry, file }] of files.entries()) {
    const problem = await findProblem(file, entry)
    if (problem) problems.push(`${packageFileName(entry)}: ${problem}`)
    onProgress(at + 1, files.length)
  }
  if (problems.length) throw new MissingError('media-packages', tellMissing(problems, repositories))
  const packages = chosen.map((one) => one.package)
  return {
    packages,
    notes: [
      ...(has(base) ? [] : ['no repository has alpine-base: Alpine installs it in every boot, and could not']),
      ...(hasChecker ? [] : ['openssl is not in the mirror: the station mounts its modloop without checking the signature, as Alpine does then']),
    ],
    entries: [
      entryOf('apks/.boot_repository', ''),
      entryOf(`apks/${arch}/${indexFileName}`, signIndex(packages, signingKey)),
      ...files.map(({ entry, file }) => ({ path: `apks/${arch}/${packageFileName(entry)}`, file, sizeBytes: entry.sizeBytes })),
    ],
  }
}

const areThere = async (files: readonly string[]): Promise<boolean> =>
  (
    await Promise.all(
      files.map((file) =>
        stat(file).then(
          () => true,
          () => false,
        ),
      ),
    )
  ).every(Boolean)

const signIndex = (packages: readonly IndexedPackage[], key: SigningKey): Uint8Array =>
  signFile(writeIndex({ description: 'bivouac media', packages: packages.toSorted((one, other) => (one.name < other.name ? -1 : 1)) }), key)

async function readSignedIndex(folder: string, keys: TrustedKeys): Promise<readonly IndexedPackage[]> {
  const path = join(folder, indexFileName)
  try {
    const bytes = await readFile(path)
    verifySigned(bytes, keys)
    return readIndex(bytes).packages
  } catch (error) {
    if (error instanceof BivouacError) throw new InputError('media-index', error.message, { file: path }, { cause: error })
    if (codeOf(error) !== 'ENOENT') throw error
    throw new MissingError('media-index', `there is no ${path}: bring it with "bivouac mirror sync" or "bivouac mirror import"`, { cause: error })
  }
}

async function findProblem(file: string, entry: IndexedPackage): Promise<string | undefined> {
  try {
    const checked = await checkPackageFile(file, entry)
    return 'problem' in checked ? checked.problem : undefined
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'is not in the mirror' : (error as Error).message
  }
}

function tellMissing(problems: readonly string[], repositories: readonly string[]): string {
  const rest = problems.length > maxTold ? [`and ${problems.length - maxTold} more`] : []
  return [
    `an image without these would be a station that lacks them for ever:`,
    ...[...problems.slice(0, maxTold), ...rest].map((one) => `  ${one}`),
    `looked in ${repositories.join(', ')}; "bivouac mirror sync" brings what is missing`,
  ].join('\n')
}
