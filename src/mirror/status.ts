// What the mirror has, folder by folder. Called by `bivouac mirror status`. Reads indexes and notes, never a package.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { indexFileName, packageFileName, readIndex } from '../apk/index-file.ts'
import { BivouacError } from '../boot/error.ts'
import { type Contents, readContents } from './contents.ts'
import { listPackages, listPlaces } from './place.ts'

/** `kind`: who keeps it; `pulled` for folders that nobody does. `named`: packages of the index, `here`: those of them on the disk. */
export type PlaceStatus = {
  readonly folder: string
  readonly kind: Contents['kind'] | 'pulled'
  readonly named: number
  readonly here: number
  readonly bytes: number
  readonly isWhole: boolean
  /** Milliseconds since 1970 when the index was put in place. */
  readonly indexAt: number
  readonly problem?: string
}

/** All folders with an index. */
export async function describeMirror(root: string): Promise<PlaceStatus[]> {
  return Promise.all((await listPlaces(root)).map(({ folder }) => describePlace(root, folder)))
}

async function describePlace(root: string, folder: string): Promise<PlaceStatus> {
  const path = join(root, folder, indexFileName)
  const [bytes, { mtimeMs }, sizes] = await Promise.all([readFile(path), stat(path), listPackages(root, folder)])
  const all = { folder, bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0), indexAt: Math.floor(mtimeMs) }
  try {
    const contents = await readContents(root, folder)
    const names = readIndex(bytes).packages.map(packageFileName)
    const here = names.filter((name) => sizes.has(name)).length
    return { ...all, kind: contents?.kind ?? 'pulled', named: names.length, here, isWhole: here === names.length }
  } catch (error) {
    if (!(error instanceof BivouacError)) throw error
    return { ...all, kind: 'pulled', named: 0, here: sizes.size, isWhole: false, problem: error.message }
  }
}
