// Content that is in memory as a whole: rendered text, and small files that were read. Used by file and the door.
import { hash } from 'node:crypto'
import type { Content } from '../boot/content.ts'

/** Content of bytes that do not change any more. */
export function wholeContent(bytes: Uint8Array, { etag, type, modifiedAt }: Pick<Content, 'etag' | 'type' | 'modifiedAt'>): Content {
  return {
    etag,
    type,
    ...(modifiedAt !== undefined && { modifiedAt }),
    sizeBytes: bytes.length,
    whole: bytes,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    close: () => undefined,
  }
}

/** Content of rendered text; its tag is the text's hash, so the same text has the same tag after a restart. */
export function textContent(text: string, type = 'text/plain'): Content {
  const bytes = Buffer.from(text)
  return wholeContent(bytes, { etag: hash('sha1', bytes, 'base64url'), type })
}
