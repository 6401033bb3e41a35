// Takes boot files out of an archive or a folder into a draft: a tarball as a stream, a folder by copying. ISO images are iso's. Called by import.
// Hostile archives are refused as a whole: paths that leave, devices, links in place of files, more than the bounds.
import { constants, createReadStream } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { createTarReader, type TarEntry } from '../alpine/tar.ts'
import { BivouacError, DecodeError, InputError, MissingError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import type { Draft, FileSink, ReleaseFile } from './draft.ts'
import { readBootName } from './name.ts'
import type { OnProgress } from './progress.ts'

/** `names` are all boot files that the source has, of every flavour; `files` those that were taken. */
export type Unpacked = { readonly names: readonly string[]; readonly files: readonly ReleaseFile[] }

export type UnpackAsk = {
  readonly flavour: string
  /** Absent: nothing is written, the source is only read through. */
  readonly draft?: Draft
  readonly onProgress?: OnProgress
}

/** No Alpine archive has a tenth of it. */
export const unpackLimits = { inflatedBytes: 8 * 1024 ** 3, entries: 50_000, fileBytes: 2 * 1024 ** 3 }

/** A tarball, gzip-packed. Throws DecodeError for one that is damaged or over the bounds, InputError `archive-hostile`. */
export async function unpackTarball(path: string, { flavour, draft, onProgress }: UnpackAsk, limits = unpackLimits): Promise<Unpacked> {
  const what = basename(path)
  const { size: totalBytes } = await stat(path)
  const names: string[] = []
  const sinks: FileSink[] = []
  const wanted: { name: string; pieces: Uint8Array[]; sizeBytes: number }[] = []
  const reader = createTarReader({
    limits: { entries: limits.entries },
    sinkFor: (entry) => {
      const name = checkMember(entry, flavour, names, limits.fileBytes)
      if (!name || !draft) return undefined
      const file = { name, pieces: [] as Uint8Array[], sizeBytes: entry.sizeBytes }
      wanted.push(file)
      return (piece) => void file.pieces.push(piece)
    },
    onEntry: (entry) => void (entry.kind === 'file' || checkMember(entry, flavour, names, limits.fileBytes)),
  })
  let inflatedBytes = 0
  const source = createReadStream(path, { highWaterMark: 512 * 1024 })
  const gunzip = createGunzip({ chunkSize: 512 * 1024 })
  source.on('error', (error) => gunzip.destroy(error))
  try {
    for await (const chunk of source.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      inflatedBytes += chunk.length
      if (inflatedBytes > limits.inflatedBytes) throw new DecodeError('archive-big', `${what} unpacks to more than ${limits.inflatedBytes} bytes`)
      reader.push(chunk)
      for (const [index, file] of wanted.entries()) {
        if (!draft || (!file.pieces.length && sinks[index])) continue
        sinks[index] ??= await draft.create(file.name)
        for (const piece of file.pieces.splice(0)) sinks[index].push(piece)
        await sinks[index].flush()
      }
      onProgress?.({ step: 'unpack', what, doneBytes: source.bytesRead, totalBytes })
    }
    reader.end()
  } catch (error) {
    if (error instanceof BivouacError) throw error
    throw new DecodeError('archive-damaged', `${what} cannot be unpacked: ${(error as Error).message}`, { cause: error })
  } finally {
    source.destroy()
    gunzip.destroy()
  }
  const files: ReleaseFile[] = []
  for (const sink of sinks) files.push(await sink.close())
  return { names, files }
}

/** The name of a member that is to be taken. Notes every boot file in `names`. */
function checkMember(entry: TarEntry, flavour: string, names: string[], maxBytes: number): string | undefined {
  const { path, kind, sizeBytes } = entry
  const refuse = (what: string): InputError =>
    new InputError('archive-hostile', `the archive has ${JSON.stringify(path.slice(0, 120))}, ${what}: it is none of Alpine's, nothing was imported`)
  const parts = path.replace(/^\.\//, '').split('/')
  if (path.startsWith('/') || parts.includes('..')) throw refuse('which leads out of its folder')
  if (['character-device', 'block-device', 'fifo'].includes(kind)) throw refuse(`which is a ${kind}`)
  const name = parts.at(-1) ?? ''
  const boot = readBootName(name)
  if (!boot || parts.length > 2) return undefined
  if (kind === 'directory') return undefined
  if (kind !== 'file') throw refuse('which is a link in place of a file')
  if (names.includes(name)) throw refuse('which comes twice')
  if (sizeBytes > maxBytes) throw refuse(`which has ${sizeBytes} bytes`)
  names.push(name)
  return boot.flavour === flavour ? name : undefined
}

/** A folder that holds the boot files, or has them in its `boot/`. Links in it are not followed. Throws MissingError `source-missing`. */
export async function unpackFolder(path: string, { flavour, draft, onProgress }: UnpackAsk): Promise<Unpacked> {
  const list = async (folder: string) => (await readdir(folder)).filter((name) => readBootName(name)).map((name) => join(folder, name))
  const found = await list(path).catch((error: unknown) => {
    throw new MissingError('source-missing', `${path} cannot be read: ${codeOf(error) || (error as Error).message}`)
  })
  const paths = found.length ? found : await list(join(path, 'boot')).catch(() => [])
  const names = paths.map((one) => basename(one))
  const files: ReleaseFile[] = []
  for (const one of paths.filter((file) => readBootName(basename(file))?.flavour === flavour)) {
    if (draft) files.push(await copyFile(one, await draft.create(basename(one)), onProgress))
  }
  return { names, files }
}

async function copyFile(path: string, sink: FileSink, onProgress: OnProgress | undefined): Promise<ReleaseFile> {
  const name = basename(path)
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    if (codeOf(error) === 'ELOOP') throw new InputError('source-link', `${path} is a link: give the folder that the files are in`)
    throw new MissingError('source-missing', `${path} cannot be read: ${codeOf(error)}`)
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new InputError('source-kind', `${path} is no file`)
    let doneBytes = 0
    for await (const piece of handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>) {
      sink.push(piece)
      await sink.flush()
      doneBytes += piece.length
      onProgress?.({ step: 'copy', what: name, doneBytes, totalBytes: stats.size })
    }
  } finally {
    await handle.close()
  }
  return sink.close()
}
