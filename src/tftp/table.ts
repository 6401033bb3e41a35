// Prepared bytes that several transfers share, bounded by size: least recently used ones go first, those in use never. Called by block.ts.

/** A loan: `bytes` stay in memory until `release()`, which must be called once. */
export type Loan = { readonly bytes: Buffer; readonly release: () => void }

export type Tables = {
  /**
   * The bytes of the key, made by `make` when they are not there; simultaneous borrowers share one making. `sizeBytes` is at least what
   * will be made. Undefined when there is no room, as everything is in use. Rejects or throws with what `make` says.
   */
  readonly borrow: (key: string, sizeBytes: number, make: () => Buffer | Promise<Buffer>) => Loan | Promise<Loan> | undefined
  /** Bytes counted at this moment, in use or not. */
  readonly sizeBytes: () => number
}

type Entry = { readonly sizeBytes: number; users: number; bytes: Buffer | Promise<Buffer> }

export function createTables(bytesMax: number): Tables {
  const entries = new Map<string, Entry>()
  let total = 0

  const drop = (key: string, entry: Entry) => {
    if (entries.get(key) !== entry) return
    entries.delete(key)
    total -= entry.sizeBytes
  }
  const makeRoom = (sizeBytes: number): boolean => {
    for (const [key, entry] of entries) {
      if (total + sizeBytes <= bytesMax) break
      if (entry.users === 0) drop(key, entry)
    }
    return total + sizeBytes <= bytesMax
  }
  const lend = (entry: Entry, bytes: Buffer): Loan => {
    let isOut = true
    const release = () => {
      if (isOut) entry.users--
      isOut = false
    }
    return { bytes, release }
  }
  const settle = async (key: string, entry: Entry, making: Promise<Buffer>): Promise<Loan> => {
    try {
      entry.bytes = await making
      return lend(entry, entry.bytes)
    } catch (error) {
      entry.users--
      drop(key, entry)
      throw error
    }
  }
  const take = (key: string, entry: Entry): Loan | Promise<Loan> => {
    entry.users++
    entries.delete(key)
    entries.set(key, entry)
    return entry.bytes instanceof Promise ? settle(key, entry, entry.bytes) : lend(entry, entry.bytes)
  }
  const borrow = (key: string, sizeBytes: number, make: () => Buffer | Promise<Buffer>) => {
    const known = entries.get(key)
    if (known) return take(key, known)
    if (!makeRoom(sizeBytes)) return undefined
    const entry = { sizeBytes, users: 0, bytes: make() }
    total += sizeBytes
    return take(key, entry)
  }
  return { borrow, sizeBytes: () => total }
}
