// Downloads one file to its place: goes on where it stopped, tries again, checks, and renames only what is whole. Used by release and mirror.
// Whoever looks at the path sees the whole checked file or none.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BivouacError, OutsideError } from '../boot/error.ts'
import { diskError, syncFolder } from '../store/atomic.ts'
import { backoffMs, type Upstream, type UpstreamAnswer } from './client.ts'
import { explainNetwork, statusError } from './network.ts'
import { plainUrl } from './url.ts'

export type DownloadOptions = {
  /** Hex digests and size that the file must have. */
  readonly sha256?: string
  readonly sha512?: string
  readonly sizeBytes?: number
  /** No file bigger than this is taken. */
  readonly bytesMax?: number
  /** After each piece: bytes that are there, and all of them where that is known. */
  readonly onProgress?: (progress: { readonly doneBytes: number; readonly totalBytes?: number }) => void
  readonly signal?: AbortSignal
  /** Tries in a row that bring no byte before it is given up. */
  readonly attempts?: number
  readonly sleep?: (ms: number) => Promise<void>
}

/** `isResumed`: some of the bytes were there from an earlier try. */
export type Downloaded = { readonly sizeBytes: number; readonly isResumed: boolean }

/**
 * GET into `path` by way of `<path>.part` (its validator in `<path>.part.tag`). Rejects with MissingError `upstream-missing`, OutsideError
 * (`upstream-…`; `upstream-checksum` when what came is not what was announced: then nothing is left), or `write-failed` for the disk.
 */
export async function download(upstream: Upstream, url: string, path: string, options: DownloadOptions = {}): Promise<Downloaded> {
  const { attempts = 5, sleep = (ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)) } = options
  const part = `${path}.part`
  await mkdir(dirname(path), { recursive: true }).catch((error) => {
    throw diskError(path, error)
  })
  const before = await sizeOf(part)
  for (let failures = 0; ; ) {
    const startBytes = await sizeOf(part)
    try {
      const sizeBytes = await fetchRest(upstream, url, part, startBytes, options)
      await check(part, url, sizeBytes, options)
      await putInPlace(part, path)
      return { sizeBytes, isResumed: before > 0 && startBytes >= before }
    } catch (error) {
      const shown = error instanceof BivouacError ? error : explainNetwork(error, plainUrl(url))
      failures = (await sizeOf(part)) > startBytes ? 1 : failures + 1
      if (options.signal?.aborted || !(shown instanceof OutsideError && shown.mayRetry) || failures >= attempts || shown.code === 'write-failed')
        throw shown
      await sleep(backoffMs(failures - 1))
    }
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )

/** Gets what the part lacks and answers the whole size. */
async function fetchRest(upstream: Upstream, url: string, part: string, startBytes: number, options: DownloadOptions): Promise<number> {
  const tag = startBytes > 0 ? await readFile(`${part}.tag`, 'utf8').catch(() => '') : ''
  if (startBytes > 0 && options.sizeBytes === startBytes) return startBytes
  const canResume = startBytes > 0 && tag !== ''
  const headers = canResume ? { range: `bytes=${startBytes}-`, 'if-range': tag } : {}
  const answer = await upstream.get(url, { headers, retries: 0, ...(options.signal && { signal: options.signal }) })
  const from = answer.status === 206 ? startOf(answer) : 0
  if (answer.status !== 200 && !(answer.status === 206 && from === startBytes)) {
    answer.cancel()
    // Nothing behind what we have, or another part than was asked for: from the beginning, then.
    if (canResume && (answer.status === 416 || answer.status === 206)) await drop(part)
    throw answer.status === 416 || answer.status === 206
      ? new OutsideError('upstream-range', `${answer.url}: the server has no such part`, canResume)
      : statusError(answer.status, answer.url)
  }
  const totalBytes = answer.sizeBytes === undefined ? undefined : from + answer.sizeBytes
  const wrong = wrongSize(totalBytes, options)
  if (wrong) {
    answer.cancel()
    throw new OutsideError('upstream-size', `${answer.url} has ${totalBytes} bytes, ${wrong}`, false)
  }
  await writeFile(`${part}.tag`, validatorOf(answer)).catch((error) => {
    throw diskError(part, error)
  })
  return writeBody(answer, part, from, totalBytes, options)
}

const startOf = ({ headers }: UpstreamAnswer): number => Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? -1)

function wrongSize(totalBytes: number | undefined, { sizeBytes, bytesMax }: DownloadOptions): string | undefined {
  if (totalBytes === undefined) return undefined
  if (sizeBytes !== undefined && totalBytes !== sizeBytes) return `not ${sizeBytes}`
  return bytesMax !== undefined && totalBytes > bytesMax ? `more than ${bytesMax}` : undefined
}

/** A strong tag or the date; without either there is no going on. */
export const validatorOf = ({ headers }: Pick<UpstreamAnswer, 'headers'>): string => {
  const { etag } = headers
  return etag?.startsWith('"') ? etag : (headers['last-modified'] ?? '')
}

async function writeBody(
  answer: UpstreamAnswer,
  part: string,
  from: number,
  totalBytes: number | undefined,
  options: DownloadOptions,
): Promise<number> {
  const { bytesMax = Number.POSITIVE_INFINITY, onProgress } = options
  const file = await open(part, from ? 'r+' : 'w').catch((error) => {
    answer.cancel()
    throw diskError(part, error)
  })
  let at = from
  try {
    for await (const piece of answer.body) {
      if (at + piece.length > bytesMax) throw new OutsideError('upstream-size', `${answer.url} has more than ${bytesMax} bytes`, false)
      await writeAll(file, piece, at).catch((error) => {
        throw diskError(part, error)
      })
      at += piece.length
      onProgress?.({ doneBytes: at, ...(totalBytes !== undefined && { totalBytes }) })
    }
    if (totalBytes !== undefined && at !== totalBytes)
      throw new OutsideError('upstream-cut', `${answer.url} ended after ${at} of ${totalBytes} bytes`, true)
    await file.truncate(at)
    await file.sync()
    return at
  } finally {
    await file.close()
  }
}

/** Writes all of it: one call may take less, on a disk that is nearly full. */
export async function writeAll(file: Pick<FileHandle, 'write'>, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
}

async function check(part: string, url: string, sizeBytes: number, options: DownloadOptions): Promise<void> {
  const place = plainUrl(url)
  const problem =
    options.sizeBytes !== undefined && options.sizeBytes !== sizeBytes
      ? `has ${sizeBytes} bytes, not ${options.sizeBytes}`
      : ((await wrongDigest(part, 'sha256', options.sha256)) ?? (await wrongDigest(part, 'sha512', options.sha512)))
  if (problem === undefined) return
  await drop(part)
  throw new OutsideError('upstream-checksum', `${place} ${problem}: what came is thrown away`, false)
}

async function wrongDigest(path: string, algorithm: 'sha256' | 'sha512', wanted: string | undefined): Promise<string | undefined> {
  if (wanted === undefined) return undefined
  const hash = createHash(algorithm)
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(piece as Uint8Array)
  const found = hash.digest('hex')
  return found === wanted.toLowerCase() ? undefined : `has the ${algorithm} ${found}, not ${wanted.slice(0, 128)}`
}

async function putInPlace(part: string, path: string): Promise<void> {
  try {
    await rename(part, path)
    await rm(`${part}.tag`, { force: true })
    await syncFolder(dirname(path))
  } catch (error) {
    throw diskError(path, error)
  }
}

async function drop(part: string): Promise<void> {
  await rm(part, { force: true })
  await rm(`${part}.tag`, { force: true })
}
