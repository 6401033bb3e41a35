// Takes an archive of archive-write apart into a folder aside: only files that its list names, each checked by size and SHA-256. Called by import.
// Throws DecodeError for whatever is not such an archive, and then nothing of it is used.
import { createHash, type Hash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { createTarReader, type TarEntry } from '../alpine/tar.ts'
import { DecodeError } from '../boot/error.ts'
import { diskError } from '../store/atomic.ts'
import { type ArchivedFile, type ArchiveList, listName } from './archive-write.ts'

const part = /^[A-Za-z0-9_][A-Za-z0-9._~+@-]{0,190}$/
const pathSchema = z
  .string()
  .refine((path) => path.length < 400 && path.split('/').length <= 8 && path.split('/').every((one) => part.test(one)), 'a path')
const listSchema = z.strictObject({
  format: z.literal(1),
  folders: z
    .array(z.strictObject({ folder: pathSchema, isWhole: z.boolean() }))
    .min(1)
    .max(1000),
  files: z
    .array(
      z.strictObject({
        path: pathSchema,
        sizeBytes: z
          .number()
          .int()
          .nonnegative()
          .max(8 * 1024 ** 3),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .max(500_000),
})

const listBytesMax = 256 * 1024 * 1024

export type ReadArchiveOptions = { readonly onFile?: (done: { readonly files: number; readonly bytes: number; readonly list: ArchiveList }) => void }

/**
 * Writes the archive's files below `target` (an empty folder). Answers the list. Throws DecodeError `archive-…` or `tar-…`, OutsideError
 * `write-failed`; what the stream throws passes through.
 */
export async function readArchive(chunks: AsyncIterable<Uint8Array>, target: string, { onFile }: ReadArchiveOptions = {}): Promise<ArchiveList> {
  let list: ArchiveList | undefined
  let awaited = new Map<string, ArchivedFile>()
  let open: Writing | undefined
  let done = 0
  let bytes = 0

  const start = (entry: TarEntry): Writing => {
    const file = awaited.get(entry.path)
    if (!list || !file)
      throw new DecodeError('archive-stranger', `${JSON.stringify(entry.path.slice(0, 120))} is not in the archive's list, or comes twice`)
    if (entry.kind !== 'file' || entry.sizeBytes !== file.sizeBytes)
      throw new DecodeError('archive-file', `${file.path} is a ${entry.kind} of ${entry.sizeBytes} bytes; the list says a file of ${file.sizeBytes}`)
    awaited.delete(entry.path)
    return openWriting(join(target, file.path), file)
  }
  const reader = createTarReader({
    limits: { entries: 600_000 },
    keepBytes: ({ path, sizeBytes }) => {
      if (list || path !== listName) return 0
      if (sizeBytes > listBytesMax) throw new DecodeError('archive-list', `a list of ${sizeBytes} bytes`)
      return sizeBytes
    },
    onBody: (entry, piece) => {
      if (!list) return
      open ??= start(entry)
      open.write(piece)
    },
    onEntry: (entry, body) => {
      if (!list) {
        list = parseList(entry, body)
        awaited = new Map(list.files.map((file) => [file.path, file]))
        return
      }
      const written = open ?? start(entry)
      open = undefined
      written.finish()
      bytes += entry.sizeBytes
      onFile?.({ files: ++done, bytes, list })
    },
  })
  try {
    for await (const chunk of chunks) reader.push(chunk)
    reader.end()
  } finally {
    open?.abandon()
  }
  const [lacking] = awaited.keys()
  if (!list) throw new DecodeError('archive-list', `no ${listName} in it: not an archive of "bivouac mirror export"`)
  if (lacking !== undefined)
    throw new DecodeError('archive-cut', `${lacking} is in the archive's list and not in the archive (${awaited.size} of ${list.files.length} files)`)
  return list
}

function parseList(entry: TarEntry, body: Uint8Array): ArchiveList {
  if (entry.path !== listName || entry.kind !== 'file')
    throw new DecodeError(
      'archive-list',
      `begins with ${JSON.stringify(entry.path.slice(0, 80))}, not with ${listName}: not an archive of "bivouac mirror export"`,
    )
  try {
    return listSchema.parse(JSON.parse(new TextDecoder().decode(body)))
  } catch (error) {
    throw new DecodeError('archive-list', `its ${listName} cannot be read`, { cause: error })
  }
}

type Writing = { readonly write: (piece: Uint8Array) => void; readonly finish: () => void; readonly abandon: () => void }

/** Synchronous, for the reader is; the pieces are those of the stream, so the loop turns between them. */
function openWriting(path: string, { path: name, sha256 }: ArchivedFile): Writing {
  const guard = <T>(run: () => T): T => {
    try {
      return run()
    } catch (error) {
      throw diskError(path, error)
    }
  }
  const handle = guard(() => {
    mkdirSync(dirname(path), { recursive: true })
    return openSync(path, 'wx', 0o644)
  })
  const hash: Hash = createHash('sha256')
  return {
    write: (piece) => {
      hash.update(piece)
      guard(() => {
        for (let at = 0; at < piece.length; ) at += writeSync(handle, piece, at)
      })
    },
    finish: () => {
      guard(() => {
        fsyncSync(handle)
        closeSync(handle)
      })
      if (hash.digest('hex') !== sha256)
        throw new DecodeError('archive-sha256', `${name} is not what the archive's list says: it was damaged on the way`)
    },
    abandon: () => closeSync(handle),
  }
}
