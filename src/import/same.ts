// Are two files the same bytes? Used by plan, for files that an import would copy. It reads in pieces and stops at the first difference.
import { open } from 'node:fs/promises'

const pieceBytes = 1 << 20

/** Throws what the disk throws. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const [first, second] = [await open(one, 'r'), await open(other, 'r').catch(() => undefined)]
  try {
    if (!second || (await first.stat()).size !== (await second.stat()).size) return false
    const [a, b] = [Buffer.alloc(pieceBytes), Buffer.alloc(pieceBytes)]
    for (let offset = 0; ; offset += pieceBytes) {
      const [{ bytesRead }, read] = await Promise.all([first.read(a, 0, pieceBytes, offset), second.read(b, 0, pieceBytes, offset)])
      if (bytesRead !== read.bytesRead || !a.subarray(0, bytesRead).equals(b.subarray(0, bytesRead))) return false
      if (bytesRead < pieceBytes) return true
    }
  } finally {
    await first.close()
    await second?.close()
  }
}
