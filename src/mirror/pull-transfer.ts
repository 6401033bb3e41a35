// One package on its way from the upstream: into a growing file that its readers follow, resumed once, checked, then kept. Used by pull.
// Nothing that was not found good is kept, and no reader gets the last byte of it.
import { createHash } from 'node:crypto'
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import type { Upstream, UpstreamAnswer } from '../upstream/client.ts'
import { validatorOf } from '../upstream/download.ts'
import { statusError } from '../upstream/network.ts'
import { createGrowing, type Growing } from './pull-growing.ts'
import type { Spool } from './pull-spool.ts'
import type { Expected } from './pull-state.ts'

export type Transfer = {
  /** A reader's view of the file; resolves as soon as the upstream has answered. Rejects with what went wrong before. */
  readonly open: () => Promise<Content>
  /** Resolves when nothing is left to do, however it ended. */
  readonly ended: Promise<void>
}

export type TransferOptions = {
  readonly url: string
  readonly upstream: Upstream
  /** What the index says of it now; asked for again after `renew`. */
  readonly expected: () => Expected | undefined
  /** The index may be older than the file: asks for a new one. */
  readonly renew: () => Promise<void>
  readonly makeSpool: (sizeBytes: number) => Spool
  /** Looks through the whole file. Rejects when it is not good; answers whether it may be kept. */
  readonly check: (pieces: AsyncIterable<Uint8Array>, sizeBytes: number) => Promise<boolean>
  readonly kept: () => Promise<void>
  readonly failed: (error: Error) => void
  /** Counts as an answer or a failure of the upstream. */
  readonly through: <T>(run: () => Promise<T>) => Promise<T>
}

const packageBytesMax = 4 * 1024 ** 3

export function startTransfer(options: TransferOptions): Transfer {
  const { promise, resolve, reject } = Promise.withResolvers<Growing>()
  promise.catch(() => undefined)
  const ended = run(options, resolve).catch((error: Error) => {
    reject(error)
    options.failed(error)
  })
  return { open: () => promise.then((growing) => growing.open()), ended }
}

async function run(options: TransferOptions, show: (growing: Growing) => void): Promise<void> {
  const answer = await ask(options)
  const sizeBytes = await sizeOf(options, answer).catch((error) => {
    answer.cancel()
    throw error
  })
  const spool = options.makeSpool(sizeBytes)
  const growing = createGrowing({ spool, sizeBytes, ...aboutOf(answer, options.expected()) })
  show(growing)
  try {
    await fill(options, growing, answer)
    const mayKeep = await options.check(growing.pieces(), sizeBytes)
    growing.finish()
    if (!mayKeep) return
    const date = Date.parse(answer.headers['last-modified'] ?? '')
    await spool.keep(Number.isNaN(date) ? undefined : date)
    await options.kept()
  } catch (error) {
    growing.fail(error as Error)
    throw error
  } finally {
    growing.release()
  }
}

async function ask({ upstream, url, through }: TransferOptions): Promise<UpstreamAnswer> {
  const answer = await through(() => upstream.get(url, { retries: 1 }))
  if (answer.status === 200) return answer
  answer.cancel()
  throw statusError(answer.status, answer.url)
}

/** What the upstream says, which must be what the index says: a newer index is looked for before it is refused. */
async function sizeOf({ expected, renew }: TransferOptions, { sizeBytes, url }: UpstreamAnswer): Promise<number> {
  if (sizeBytes !== undefined && expected() !== undefined && expected()?.sizeBytes !== sizeBytes) await renew()
  const promised = expected()?.sizeBytes
  const size = sizeBytes ?? promised
  if (size === undefined) throw new OutsideError('upstream-size', `${url}: neither the server nor the index says how long it is`, true)
  if (promised !== undefined && promised !== size)
    throw new OutsideError('upstream-size', `${url} has ${size} bytes, the index says ${promised}`, true)
  if (size < 1 || size > packageBytesMax) throw new OutsideError('upstream-size', `${url} has ${size} bytes, which no package has`, false)
  return size
}

function aboutOf({ headers, url }: UpstreamAnswer, expected: Expected | undefined): Pick<Content, 'etag' | 'type' | 'modifiedAt'> {
  const date = Date.parse(headers['last-modified'] ?? '')
  const about = expected ? `${expected.checksum} ${expected.sizeBytes}` : `${headers.etag} ${headers['last-modified']} ${headers['content-length']}`
  const etag = createHash('sha1').update(`${url} ${about}`).digest('base64url')
  return { etag, type: 'application/octet-stream', ...(!Number.isNaN(date) && { modifiedAt: date }) }
}

/** All bytes. A connection that ends early is taken up again once, where it ended. */
async function fill(options: TransferOptions, growing: Growing, first: UpstreamAnswer): Promise<void> {
  try {
    await pour(growing, first, 0)
  } catch (error) {
    if (!(error instanceof OutsideError && error.mayRetry) || error.code === 'disk-full') throw error
    await resume(options, growing, first)
  }
}

async function resume({ upstream, url, through }: TransferOptions, growing: Growing, first: UpstreamAnswer): Promise<void> {
  const from = growing.doneBytes()
  const tag = validatorOf(first)
  const headers = from && tag ? { range: `bytes=${from}-`, 'if-range': tag } : {}
  const answer = await through(() => upstream.get(url, { headers, retries: 1 }))
  const isPart = answer.status === 206 && answer.headers['content-range'] === `bytes ${from}-${growing.sizeBytes - 1}/${growing.sizeBytes}`
  const isWhole = answer.status === 200 && (answer.sizeBytes ?? growing.sizeBytes) === growing.sizeBytes
  if (isPart || isWhole) return pour(growing, answer, isPart ? 0 : from)
  answer.cancel()
  throw answer.status < 300
    ? new OutsideError('upstream-changed', `${url} became another file on its way`, true)
    : statusError(answer.status, answer.url)
}

/** Appends the body but for its first `skip` bytes, which are there already. */
async function pour(growing: Growing, answer: UpstreamAnswer, skip: number): Promise<void> {
  let toSkip = skip
  for await (const piece of answer.body) {
    const rest = piece.subarray(Math.min(toSkip, piece.length))
    toSkip -= piece.length - rest.length
    if (rest.length) await growing.append(rest)
  }
  if (growing.doneBytes() !== growing.sizeBytes)
    throw new OutsideError('upstream-cut', `${answer.url} ended after ${growing.doneBytes()} of ${growing.sizeBytes} bytes`, true)
}
