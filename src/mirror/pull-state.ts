// What is known of one index: when it was last seen to be right, and what it says of each package. Used by pull-index.
import type { IndexedPackage } from '../apk/index-file.ts'
import type { Content } from '../boot/content.ts'

/** What an index says of one file; no more is remembered, for an index has twenty thousand. */
export type Expected = Pick<IndexedPackage, 'name' | 'version' | 'sizeBytes' | 'checksum'>

/** Bytes of an index that are served from memory: just come, or not taken by the disk. */
export type IndexBytes = Pick<Content, 'etag' | 'modifiedAt'> & { readonly bytes: Uint8Array; readonly at: number; readonly isOnDisk: boolean }

export type IndexRecord = {
  readonly path: string
  /** When the upstream last said that this is the newest. */
  checkedAt?: number
  /** The last attempt failed, or took too long, and nothing better came since. */
  stale?: { readonly since: number; readonly reason: string }
  /** The last failure, which is not repeated at once for everybody who asks. */
  failed?: { readonly at: number; readonly error: Error }
  /** Headers by which the upstream sends it only if it is another one than ours. */
  condition?: Readonly<Record<string, string>>
  memory?: IndexBytes
  names?: ReadonlyMap<string, Expected>
  /** Tag of the content that `names` was read from. */
  namesTag?: string
  refreshing?: Promise<void>
  loading?: Promise<void>
}

export type IndexRecords = {
  readonly get: (path: string) => IndexRecord
  readonly find: (path: string) => IndexRecord | undefined
  readonly list: () => readonly IndexRecord[]
}

/** So many are remembered: a site has a few, and who asks for more makes us forget the longest unused. */
const recordsMax = 256

export function createIndexRecords(): IndexRecords {
  const records = new Map<string, IndexRecord>()
  return {
    get: (path) => {
      const known = records.get(path) ?? { path }
      records.delete(path)
      records.set(path, known)
      const oldest = records.size > recordsMax ? [...records.values()].find(({ names, refreshing }) => !names && !refreshing) : undefined
      if (oldest && oldest !== known) records.delete(oldest.path)
      return known
    },
    find: (path) => records.get(path),
    list: () => [...records.values()],
  }
}
