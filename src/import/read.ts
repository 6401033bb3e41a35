// Reading a foreign tree: every file and folder bounded, links told and never followed out of it. Used by the readers of this room.
import { constants } from 'node:fs'
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { InputError, MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'

const textBytesMax = 4 << 20
const entriesMax = 200_000
const depthMax = 32

/** The text of a file. Throws MissingError when it is not there, InputError when it is no plain file, too large or cannot be read. */
export async function readText(path: string, limitBytes = textBytesMax): Promise<string> {
  try {
    // A pipe would be waited for; so it is opened and then seen to be none of ours.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const { size } = await checkFile(handle, path)
      if (size > limitBytes) throw new InputError('import-size', `is larger than ${limitBytes} bytes`, { file: path })
      return await handle.readFile('utf8')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof InputError) throw error
    if (codeOf(error) === 'ENOENT') throw new MissingError('import-missing', `${path} is not there`)
    throw new InputError('import-unreadable', `cannot be read: ${(error as Error).message}`, { file: path }, { cause: error })
  }
}

type Stated = { isFile: () => boolean; size: number }

async function checkFile(handle: { stat: () => Promise<Stated> }, path: string): Promise<Stated> {
  const stat = await handle.stat()
  if (!stat.isFile()) throw new InputError('import-file', 'is no plain file', { file: path })
  return stat
}

/** The same, or undefined when it cannot be had. */
export const tryReadText = (path: string, limitBytes?: number): Promise<string | undefined> => readText(path, limitBytes).catch(() => undefined)

/** One entry of a tree. `path` is below its root; `target` of a link is below it too, undefined where it leads out or nowhere. */
export type TreeEntry = { readonly path: string } & (
  | { readonly kind: 'file'; readonly sizeBytes: number }
  | { readonly kind: 'link'; readonly text: string; readonly target: string | undefined }
  | { readonly kind: 'other' }
)

/** Everything in the tree but its folders, in the order of names. Throws MissingError without it, InputError beyond the limits. */
export async function listTree(root: string): Promise<TreeEntry[]> {
  const found: TreeEntry[] = []
  const home = await realpath(root).catch(() => {
    throw new MissingError('import-missing', `${root} is not there`)
  })
  const walk = async (folder: string, depth: number): Promise<void> => {
    if (depth > depthMax) throw new InputError('import-depth', `has more than ${depthMax} folders in one another`, { file: folder })
    for (const entry of (await readdir(folder, { withFileTypes: true })).sort((one, other) => (one.name < other.name ? -1 : 1))) {
      if (found.length > entriesMax) throw new InputError('import-size', `has more than ${entriesMax} files`, { file: root })
      const path = join(folder, entry.name)
      if (entry.isDirectory()) await walk(path, depth + 1)
      else found.push(await describeEntry(home, path))
    }
  }
  await walk(home, 0)
  return found
}

async function describeEntry(root: string, absolute: string): Promise<TreeEntry> {
  const path = relative(root, absolute)
  const stat = await lstat(absolute)
  if (stat.isFile()) return { path, kind: 'file', sizeBytes: stat.size }
  if (!stat.isSymbolicLink()) return { path, kind: 'other' }
  const text = await readlink(absolute)
  const real = await realpath(absolute).catch(() => undefined)
  const isInside = real?.startsWith(root + sep)
  // What the link itself names, one step, so that a link to a link stays one.
  const step = relative(root, resolve(absolute, '..', text))
  return { path, kind: 'link', text, target: isInside && !step.startsWith('..') ? step : undefined }
}
