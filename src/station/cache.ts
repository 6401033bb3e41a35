// A cache with a limit in bytes: what was used longest ago goes first. Used by file for whole small files and pieces of big ones.

export type ByteCache = {
  readonly get: (key: string) => Uint8Array | undefined
  /** Keeps the bytes, unless they alone are more than a quarter of the limit. */
  readonly put: (key: string, bytes: Uint8Array) => void
  readonly sizeBytes: () => number
}

export function createByteCache(maxBytes: number): ByteCache {
  // A Map remembers the order of insertion: the first key is the one that was used longest ago.
  const kept = new Map<string, Uint8Array>()
  let total = 0

  function get(key: string): Uint8Array | undefined {
    const bytes = kept.get(key)
    if (bytes) {
      kept.delete(key)
      kept.set(key, bytes)
    }
    return bytes
  }

  function drop(key: string, bytes: Uint8Array): void {
    kept.delete(key)
    total -= bytes.length
  }

  function put(key: string, bytes: Uint8Array): void {
    const before = kept.get(key)
    if (before) drop(key, before)
    if (bytes.length > maxBytes / 4) return
    kept.set(key, bytes)
    total += bytes.length
    for (const [oldKey, old] of kept) {
      if (total <= maxBytes) break
      drop(oldKey, old)
    }
  }

  return { get, put, sizeBytes: () => total }
}
