// Writes a laid tree as the archive that a station unpacks: the same bytes for the same tree. Called by composer.
// Names without `./`, sorted by their bytes; numbers for owners; one time for all; nothing at the top but folders.
import { createHash, type Hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { encodeHead, tarEnd, tarPadding } from '../alpine/tar-write.ts'
import { openSame } from './folder.ts'
import { bytesOf, type Body, type Member, sizeOf, type Tree } from './member.ts'

/** The file in which a station finds what it booted. */
export const selfPath = 'etc/bivouac/overlay'

export type Packed = {
  /** The compressed archive. Errors of files that changed meanwhile come out of it. */
  readonly stream: Readable
  /** SHA-256 over all members but the last, which tells it; there when the stream has ended. */
  readonly contentId: () => string
}

const sliceBytes = 64 * 1024

/** Packs the tree. `facts` are more lines of `etc/bivouac/overlay`, below its own id. */
export function packTree(tree: Tree, facts: Readonly<Record<string, string>>): Packed {
  let contentId = ''
  const hash = createHash('sha256')
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (const [path, member] of sorted(tree)) yield* encode(path, member, hash)
    contentId = hash.digest('hex')
    const lines = Object.entries({ overlay: contentId, ...facts }).map(([key, value]) => `${key}=${value}\n`)
    yield* encode(selfPath, { kind: 'file', body: bytesOf(lines.join('')) })
    yield tarEnd
  }
  // Node writes neither time nor name into the header; level and memory are told, so that a default that changes changes nothing.
  const gzip = createGzip({ level: 6, memLevel: 8, chunkSize: sliceBytes })
  const source = Readable.from(inSlices(pieces()), { objectMode: false, highWaterMark: sliceBytes })
  source.on('error', (error) => gzip.destroy(error))
  return { stream: source.pipe(gzip), contentId: () => contentId }
}

/** The folder of our own file stands before it, among the others. */
function sorted(tree: Tree): [string, Member][] {
  const all = new Map<string, Member>(tree)
  for (const folder of ['etc', 'etc/bivouac']) if (!all.has(folder)) all.set(folder, { kind: 'directory' })
  all.delete(selfPath)
  return [...all]
    .map((entry) => ({ entry, key: Buffer.from(entry[0]) }))
    .sort((one, other) => Buffer.compare(one.key, other.key))
    .map(({ entry }) => entry)
}

async function* encode(path: string, member: Member, hash?: Hash): AsyncGenerator<Uint8Array> {
  const { mode, uid, gid } = member
  const sizeBytes = member.kind === 'file' ? sizeOf(member.body) : 0
  const owner = { ...(mode !== undefined && { mode }), ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }
  const head = encodeHead({ path, kind: member.kind, ...owner, ...(member.kind === 'link' && { target: member.target }) }, sizeBytes)
  yield tell(head)
  if (member.kind === 'file') for await (const chunk of bytesOfBody(member.body)) yield tell(chunk)
  yield tell(tarPadding(sizeBytes))

  function tell(bytes: Uint8Array): Uint8Array {
    hash?.update(bytes)
    return bytes
  }
}

/** Throws OutsideError `layer-changed` when the file is another one by now. */
async function* bytesOfBody(body: Body): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) return yield* [body]
  const handle = await openSame(body.file, body.identity, body.file)
  let sizeBytes = 0
  for await (const chunk of handle.createReadStream({ highWaterMark: sliceBytes, end: body.sizeBytes - 1 })) {
    sizeBytes += (chunk as Uint8Array).length
    yield chunk as Uint8Array
  }
  // Cut short meanwhile: the head has told another size.
  if (sizeBytes !== body.sizeBytes) await openSame(body.file, '', body.file)
}

/** Many small pieces as few bigger ones: a stream costs a turn for each. */
async function* inSlices(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let sizeBytes = 0
  for await (const piece of pieces) {
    waiting.push(piece)
    sizeBytes += piece.length
    if (sizeBytes < sliceBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    sizeBytes = 0
  }
  if (sizeBytes) yield Buffer.concat(waiting)
}
