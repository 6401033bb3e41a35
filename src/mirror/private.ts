// The site's own repositories below `private/<repository>/<arch>/`: packages are checked as they come in, the index is signed with the site's key.
// Called by `bivouac apk`. A package that no trusted key has signed gets the site's signature, or is refused: stations take no other.
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type IndexedPackage, packageFileName, writeIndex } from '../apk/index-file.ts'
import { makeSignature, type SigningKey, signFile, type TrustedKeys } from '../apk/signature.ts'
import { ConflictError, DecodeError, InputError, MissingError } from '../boot/error.ts'
import { diskError, draftPath } from '../store/atomic.ts'
import { type CheckedPackage, readPackageFile } from './check.ts'
import { writeAll } from '../upstream/download.ts'
import { isPart, listPackages, listPlaces, placeOf, privateFolder } from './place.ts'
import { switchPlaces } from './switch.ts'
import type { KnownFile } from './contents.ts'

export type PrivateOptions = {
  readonly root: string
  readonly repository: string
  readonly key: SigningKey
  readonly now: () => number
}

export type AddOptions = PrivateOptions & {
  readonly keys: TrustedKeys
  /** Takes packages that no trusted key has signed, and signs them with the site's. */
  readonly allowUntrusted?: boolean
  /** Where packages for every architecture (`noarch`) go. */
  readonly archs: readonly string[]
  readonly dryRun?: boolean
}

/** `signedBy` is the key that it came with, or the site's when `isResigned`. */
export type Added = {
  readonly file: string
  readonly folder: string
  readonly signedBy: string
  readonly isResigned: boolean
  readonly isNew: boolean
}

/** The folder's repository for people and for `/etc/apk/repositories`: `private/site`. Throws InputError `repository-name`. */
export function privateRepository(name: string): string {
  if (!isPart(name)) throw new InputError('repository-name', `"${name.slice(0, 80)}" is no name of a repository: letters, digits and . _ + -`)
  return `${privateFolder}/${name}`
}

/**
 * Adds packages and writes the indexes anew. All are looked into before the first one is taken. Throws DecodeError with the file's name for a bad or
 * untrusted one, ConflictError `package-exists` for another package under a name that is taken.
 */
export async function addPackages(files: readonly string[], options: AddOptions): Promise<Added[]> {
  const repository = privateRepository(options.repository)
  const looked = await Promise.all(files.map((path) => lookInto(path, options)))
  const added: Added[] = []
  const folders = new Set<string>()
  for (const one of looked) {
    const { entry } = one.read
    for (const arch of entry.arch === 'noarch' ? options.archs : [entry.arch]) {
      const { folder } = placeOf(repository, arch)
      added.push(await addOne(one, folder, options))
      folders.add(folder)
    }
  }
  if (!options.dryRun) for (const folder of folders) await writePrivateIndex(folder, options)
  return added
}

type Looked = { readonly path: string; readonly read: CheckedPackage; readonly signedBy: string | undefined }

async function lookInto(path: string, { keys, allowUntrusted }: AddOptions): Promise<Looked> {
  try {
    const read = await readPackageFile(path)
    // The digests are good. Is it signed by somebody whom stations trust?
    const signedBy = await readPackageFile(path, keys).then(
      ({ signedBy: by }) => by,
      (error) => {
        if (!(error instanceof DecodeError) || !error.code.startsWith('signature-')) throw error
        if (allowUntrusted) return undefined
        throw new DecodeError(error.code, `${error.message}. With --allow-untrusted it is signed with the site's key`)
      },
    )
    return { path, read, signedBy }
  } catch (error) {
    if (error instanceof DecodeError) throw new DecodeError(error.code, `${path}: ${error.message}`, { cause: error })
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new MissingError('file-missing', `there is no file ${path}`)
    throw error
  }
}

async function addOne({ path, read, signedBy }: Looked, folder: string, { root, key, dryRun }: AddOptions): Promise<Added> {
  const file = packageFileName(read.entry)
  const target = join(root, folder, file)
  const before = (await stat(target).catch(() => undefined)) ? await readPackageFile(target) : undefined
  if (before && before.entry.checksum !== read.entry.checksum)
    throw new ConflictError(
      'package-exists',
      `${folder}/${file} is there with other content: raise the release (-rN), for stations and caches keep packages by name`,
    )
  const isResigned = signedBy === undefined
  if (!before && !dryRun)
    await copyPackage(path, target, isResigned ? { controlFrom: read.controlFrom, signature: makeSignature([read.control], key) } : undefined)
  return { file, folder, signedBy: signedBy ?? key.keyName, isResigned, isNew: !before }
}

/** Copies the file, with another signature in front of its control stream where one is given. The data is never held in memory. */
async function copyPackage(path: string, target: string, instead: { controlFrom: number; signature: Uint8Array } | undefined): Promise<void> {
  const draft = draftPath(target)
  try {
    await mkdir(dirname(target), { recursive: true })
    const file = await open(draft, 'wx', 0o644)
    try {
      let at = instead?.signature.length ?? 0
      if (instead) await writeAll(file, instead.signature, 0)
      for await (const piece of createReadStream(path, { start: instead?.controlFrom ?? 0 })) {
        await writeAll(file, piece as Uint8Array, at)
        at += (piece as Uint8Array).length
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { force: true })
    throw diskError(target, error)
  }
}

/** Reads every package of the folder (but those `without`) and writes its signed index, by one rename. Answers the packages. */
export async function writePrivateIndex(
  folder: string,
  { root, key, now }: Omit<PrivateOptions, 'repository'>,
  without: ReadonlySet<string> = new Set(),
): Promise<IndexedPackage[]> {
  const arch = folder.slice(folder.lastIndexOf('/') + 1)
  const kept = new Map<string, KnownFile>()
  const packages: IndexedPackage[] = []
  for (const name of [...(await listPackages(root, folder)).keys()].sort()) {
    if (without.has(name)) continue
    const { entry, sha256 } = await readPackageFile(join(root, folder, name)).catch((error) => {
      if (error instanceof DecodeError) throw new DecodeError(error.code, `${folder}/${name}: ${error.message}`, { cause: error })
      throw error
    })
    if (packageFileName(entry) !== name)
      throw new InputError('package-name', `is the package ${packageFileName(entry)}: rename or remove it`, { file: `${folder}/${name}` })
    // apk looks for a package in the folder of the architecture that the index says.
    packages.push({ ...entry, arch })
    kept.set(name, [entry.checksum, entry.sizeBytes, sha256])
  }
  const bytes = signFile(writeIndex({ description: folder.split('/').slice(0, -1).join('/'), packages }), key)
  await switchPlaces([{ folder, kind: 'private', bytes, index: { packages }, isWhole: true, staged: [], kept }], { root, now, graceMs: 0 })
  return packages
}

/** Removes packages by name (every version) or `name-version`, and writes the indexes anew. Throws MissingError `package-unknown`. */
export async function removePackages(names: readonly string[], options: PrivateOptions & { readonly dryRun?: boolean }): Promise<string[]> {
  const { root, dryRun } = options
  const removed: string[] = []
  const places = await listPlaces(root, privateRepository(options.repository))
  const found = new Map<string, string[]>()
  for (const { folder } of places) {
    for (const file of (await listPackages(root, folder)).keys()) {
      const { entry } = await readPackageFile(join(root, folder, file))
      if (names.some((name) => name === entry.name || `${name}.apk` === file || name === file))
        found.set(folder, [...(found.get(folder) ?? []), file])
    }
  }
  if (!found.size) throw new MissingError('package-unknown', `${privateFolder}/${options.repository} has no ${names.join(', ')}`)
  for (const [folder, files] of found) {
    removed.push(...files.map((file) => `${folder}/${file}`))
    if (dryRun) continue
    // The index first, so that it never names what is not there.
    await writePrivateIndex(folder, options, new Set(files))
    for (const file of files) await rm(join(root, folder, file), { force: true })
  }
  return removed
}
