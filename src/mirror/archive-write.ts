// One tar archive of a part of the mirror, for networks that are cut off: first a list of every file with size and SHA-256, then the files. The same
// bytes for the same content, whoever makes it and when. Called by `bivouac mirror export`; archive-read takes it in.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeHead, tarEnd, tarPadding } from '../alpine/tar-write.ts'
import { indexFileName } from '../apk/index-file.ts'
import { ConflictError } from '../boot/error.ts'
import { type Contents, readContents } from './contents.ts'
import { keyFolder } from './key.ts'
import { listPackages, type Place } from './place.ts'
import type { OnMirrorProgress } from './progress.ts'

/** The list's name in the archive; it comes first. */
export const listName = 'bivouac-mirror.json'

/** One file of the archive, as its list has it. */
export type ArchivedFile = { readonly path: string; readonly sizeBytes: number; readonly sha256: string }
/** `folders` with whether all packages of their index are there. */
export type ArchiveList = {
  readonly format: 1
  readonly folders: readonly { readonly folder: string; readonly isWhole: boolean }[]
  readonly files: readonly ArchivedFile[]
}

/**
 * The archive in pieces, never whole in memory. Every file is read twice: for the list, and for its bytes. Throws ConflictError `mirror-changed` when
 * one changes in between: then what came is no archive.
 */
export async function* writeArchive(
  root: string,
  places: readonly Place[],
  keys: Iterable<string>,
  onProgress?: OnMirrorProgress,
): AsyncGenerator<Uint8Array> {
  const list = await listFiles(root, places, keys)
  const totalBytes = list.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const text = new TextEncoder().encode(`${JSON.stringify(list, null, 1)}\n`)
  yield encodeHead({ kind: 'file', path: listName }, text.length)
  yield text
  yield tarPadding(text.length)
  let [doneFiles, doneBytes] = [0, 0]
  for (const file of list.files) {
    yield encodeHead({ kind: 'file', path: file.path }, file.sizeBytes)
    yield* readWhole(root, file)
    yield tarPadding(file.sizeBytes)
    doneBytes += file.sizeBytes
    onProgress?.({ step: 'copy', doneFiles: ++doneFiles, totalFiles: list.files.length, doneBytes, totalBytes })
  }
  yield tarEnd
}

/** Indexes, their packages (of a kept folder those that it keeps), and keys, by name. */
async function listFiles(root: string, places: readonly Place[], keys: Iterable<string>): Promise<ArchiveList> {
  const paths: string[] = [...keys].map((name) => `${keyFolder}/${name}`)
  const folders: { folder: string; isWhole: boolean }[] = []
  for (const { folder } of places) {
    const contents = await readContents(root, folder)
    folders.push({ folder, isWhole: contents?.isWhole ?? false })
    paths.push(`${folder}/${indexFileName}`, ...(await packagesOf(root, folder, contents)).map((name) => `${folder}/${name}`))
  }
  const files: ArchivedFile[] = []
  for (const path of paths.sort()) files.push(await describeFile(root, path))
  return { format: 1, folders: folders.sort((one, other) => (one.folder < other.folder ? -1 : 1)), files }
}

const packagesOf = async (root: string, folder: string, contents: Contents | undefined): Promise<string[]> =>
  contents ? Object.keys(contents.files) : [...(await listPackages(root, folder)).keys()]

async function describeFile(root: string, path: string): Promise<ArchivedFile> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(join(root, path))) hash.update(piece as Uint8Array)
  return { path, sizeBytes: (await stat(join(root, path))).size, sha256: hash.digest('hex') }
}

async function* readWhole(root: string, { path, sizeBytes, sha256 }: ArchivedFile): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let left = sizeBytes
  for await (const piece of createReadStream(join(root, path), { highWaterMark: 256 * 1024 })) {
    left -= (piece as Uint8Array).length
    hash.update(piece as Uint8Array)
    yield piece as Uint8Array
  }
  if (left !== 0 || hash.digest('hex') !== sha256)
    throw new ConflictError('mirror-changed', `${path} changed while it was exported: the archive is no good, run the command again`)
}
