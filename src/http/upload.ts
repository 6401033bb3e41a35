// Writes a request's body to a file, raw or from base64, within a limit. Used by the save routes. What did not arrive whole leaves no file.
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { DecodeError, InputError } from '../boot/error.ts'
import { diskError } from '../store/atomic.ts'

export type Upload = { readonly path: string; readonly sizeBytes: number; readonly remove: () => Promise<void> }

export type UploadAsk = {
  readonly body: ReadableStream<Uint8Array> | null
  /** The header as it came. */
  readonly contentLength: string | undefined
  readonly isBase64: boolean
  readonly maxBytes: number
  /** Made when it is not there. */
  readonly folder: string
}

/**
 * The body as a file that is complete; `remove` takes it away. Throws InputError `upload-too-big`, DecodeError `upload-cut` (the connection ended
 * early, or another length was said) or `upload-base64`, OutsideError when the disk refuses.
 */
export async function receiveUpload({ body, contentLength, isBase64, maxBytes, folder }: UploadAsk): Promise<Upload> {
  const limit = isBase64 ? Math.ceil(maxBytes * 1.4) + 1024 : maxBytes
  if (Number(contentLength ?? 0) > limit) throw tooBig(maxBytes)
  const path = join(folder, `.upload-${randomUUID()}.tmp`)
  const remove = (): Promise<void> => unlink(path).catch(() => undefined)
  const file = await openDraft(folder, path)
  let sizeBytes = 0
  try {
    const decode = isBase64 ? createBase64Decoder() : undefined
    let arrived = 0
    for await (const piece of piecesOf(body)) {
      arrived += piece.length
      const bytes = decode ? decode.push(piece) : piece
      sizeBytes += bytes.length
      if (arrived > limit || sizeBytes > maxBytes) throw tooBig(maxBytes)
      await write(file, bytes, path)
    }
    if (contentLength !== undefined && arrived !== Number(contentLength))
      throw new DecodeError('upload-cut', `${arrived} of ${contentLength} bytes arrived`)
    decode?.end()
    return { path, sizeBytes, remove }
  } catch (error) {
    await remove()
    throw error
  } finally {
    await file.close()
  }
}

async function openDraft(folder: string, path: string): Promise<FileHandle> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw diskError(path, error)
  }
}

async function write(file: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  try {
    await file.writeFile(bytes)
  } catch (error) {
    throw diskError(path, error)
  }
}

const tooBig = (maxBytes: number): InputError =>
  new InputError('upload-too-big', `more than ${Math.floor(maxBytes / 1048576)} MB (overlays.saveMegabytes of the configuration)`)

/** The pieces as they come; a connection that ends early is a DecodeError. */
async function* piecesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  try {
    for (;;) {
      const piece = await reader?.read().catch((error: unknown) => {
        throw new DecodeError('upload-cut', 'the connection ended before the whole of it had arrived', { cause: error })
      })
      if (!piece || piece.done) return
      yield piece.value
    }
  } finally {
    await reader?.cancel().catch(() => undefined)
  }
}

/** Base64 in lines of any length, with padding or without (RFC 4648). `push` answers what is complete. Throws DecodeError `upload-base64`. */
export function createBase64Decoder(): { readonly push: (piece: Uint8Array) => Uint8Array; readonly end: () => void } {
  let rest = ''
  let isPadded = false
  const refuse = (text: string): DecodeError => new DecodeError('upload-base64', `this is no base64: ${text}`)
  return {
    push: (piece) => {
      const text =
        rest +
        Buffer.from(piece.buffer, piece.byteOffset, piece.length)
          .toString('latin1')
          .replace(/[\r\n\t ]+/g, '')
      const groups = text.slice(0, text.length - (text.length % 4))
      rest = text.slice(groups.length)
      if (groups === '') return new Uint8Array()
      if (isPadded) throw refuse('something follows its end')
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(groups)) throw refuse('it has other characters')
      isPadded = groups.endsWith('=')
      return Buffer.from(groups, 'base64')
    },
    end: () => {
      if (rest !== '') throw refuse('its last group is not complete')
    },
  }
}
