// Small answers whole: indexes, checksums, lists. Used by whoever asks an upstream for something that is not stored as it comes.
import { OutsideError } from '../boot/error.ts'
import type { Upstream, UpstreamAnswer, UpstreamAsk } from './client.ts'
import { statusError } from './network.ts'

/** The whole body, at most so many bytes. Rejects with OutsideError `upstream-size` for more, or when fewer than promised come. */
export async function readBody(answer: UpstreamAnswer, bytesMax: number): Promise<Buffer> {
  const { sizeBytes, url } = answer
  const tooBig = () => new OutsideError('upstream-size', `${url} is bigger than ${bytesMax} bytes`, false)
  if ((sizeBytes ?? 0) > bytesMax) {
    answer.cancel()
    throw tooBig()
  }
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of answer.body) {
    length += piece.length
    if (length > bytesMax) throw tooBig()
    pieces.push(piece)
  }
  if (sizeBytes !== undefined && length !== sizeBytes)
    throw new OutsideError('upstream-size', `${url} ended after ${length} of ${sizeBytes} bytes`, true)
  return Buffer.concat(pieces, length)
}

/** GET of something small. Rejects as `Upstream.get`, `statusError` for anything but 200, and `readBody`. */
export async function getBytes(upstream: Upstream, url: string, bytesMax: number, ask?: UpstreamAsk): Promise<Buffer> {
  const answer = await upstream.get(url, ask)
  if (answer.status !== 200) {
    answer.cancel()
    throw statusError(answer.status, answer.url)
  }
  return readBody(answer, bytesMax)
}
