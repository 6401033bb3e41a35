// One version of a file: what tells it from every other, before and after. Used by station and overlay. Pure.
import type { BigIntStats } from 'node:fs'

/** `key` names its bytes in the cache and is the entity tag; `identity` is the file as the disk tells it. */
export type Version = {
  readonly path: string
  readonly identity: string
  readonly key: string
  readonly sizeBytes: number
  readonly etag: string
  readonly type: string
  readonly modifiedAt: number
}

export type FileStat = Pick<BigIntStats, 'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs' | 'mtimeMs'>

/** Device, inode, size and both times: changes whenever the bytes may have. */
export const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: FileStat): string =>
  [dev, ino, size, mtimeNs, ctimeNs].map((number) => number.toString(36)).join('-')

export const sameFile = (stats: FileStat, version: Version): boolean => identityOf(stats) === version.identity

/** Does an open file still have the bytes of this version? Being renamed over or deleted changes the third time only, and no byte. */
export function sameBytes({ dev, ino, size, mtimeNs }: FileStat, version: Version): boolean {
  const [isDev, isIno, isSize, isMtime] = version.identity.split('-')
  return dev.toString(36) === isDev && ino.toString(36) === isIno && size.toString(36) === isSize && mtimeNs.toString(36) === isMtime
}

/** Kernels stamp files by a clock that ticks every 4 ms or slower: within one tick two contents have one identity. */
const tickNs = 20_000_000n

/** How far the clock of a file server may be ahead of ours. A time beyond that was set by hand (rsync, tar, touch) or by a clock that was wrong. */
const aheadNs = 60_000_000_000n

/** Was the last change long enough ago that another one would show? `atMs` is when the stat was taken. */
export function isSettled({ mtimeNs, ctimeNs }: FileStat, atMs: number): boolean {
  const now = BigInt(Math.floor(atMs)) * 1_000_000n
  return [mtimeNs, ctimeNs].every((changed) => now - changed > tickNs || changed - now > aheadNs)
}
