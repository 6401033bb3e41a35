// What the mirror knows of one folder that it keeps: `.contents.json` beside the index. Written by sync, import and snapshot; read by verify, prune
// and whoever wants to know whether the folder is kept. A folder without it is nobody's: pulled on request, or laid there by hand.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { InputError } from '../boot/error.ts'
import { codeOf, writeAtomic } from '../store/atomic.ts'

export const contentsName = '.contents.json'

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/)
const schema = z.strictObject({
  format: z.literal(1),
  kind: z.enum(['sync', 'import', 'snapshot', 'private']),
  /** Of the index that all of this belongs to. */
  indexSha256: digestSchema,
  /** Milliseconds since 1970 when it was switched in. */
  switchedAt: z.number(),
  /** Every package of the index is here. */
  isWhole: z.boolean(),
  /** The packages that must be here, by file name: apk's checksum, size, and the SHA-256 of the whole file. */
  files: z.record(z.string(), z.tuple([z.string(), z.number().int().nonnegative(), digestSchema])),
  /** Packages that no index names any more, and since when. */
  old: z.record(z.string(), z.number()).default({}),
})
export type Contents = z.output<typeof schema>
export type KnownFile = Contents['files'][string]

/** Undefined when the folder has none. Throws InputError `contents-bad` for one that is damaged. */
export async function readContents(root: string, folder: string): Promise<Contents | undefined> {
  const file = join(root, folder, contentsName)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined
    throw error
  }
  const found = parseContents(text)
  if (!found) throw new InputError('contents-bad', 'is damaged: remove it and run "bivouac mirror sync" again', { file })
  return found
}

/** Undefined for text that is not such a file. */
export function parseContents(text: string): Contents | undefined {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

export const writeContents = (root: string, folder: string, contents: Contents): Promise<void> =>
  writeAtomic(join(root, folder, contentsName), `${JSON.stringify(contents)}\n`, 0o644)
