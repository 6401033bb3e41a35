// A file of the mirror read by itself, for the moment in which whoever caches files has not seen it yet. Used by pull.
import { type FileHandle, open } from 'node:fs/promises'
import type { Content } from '../boot/content.ts'
import { OutsideError } from '../boot/error.ts'
import { identityOf } from '../store/version.ts'

/** Rejects with Node's error when it cannot be opened. */
export async function openWhole(path: string): Promise<Content> {
  const file = await open(path, 'r')
  const stats = await file.stat({ bigint: true })
  return {
    sizeBytes: Number(stats.size),
    etag: identityOf(stats),
    type: 'application/octet-stream',
    modifiedAt: Number(stats.mtimeMs),
    read: (offset, length) => readPart(file, path, offset, Math.min(length, Number(stats.size) - offset)),
    close: () => void file.close().catch(() => undefined),
  }
}

async function readPart(file: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(Math.max(0, length))
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, offset + at)
    if (!bytesRead) throw new OutsideError('file-changed', `${path} became shorter while it was read`, true)
    at += bytesRead
  }
  return bytes
}
