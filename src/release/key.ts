// Signing keys that a release's initramfs trusts, put among those that the mirror trusts. Called by import. It never replaces a key.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, writeAtomic } from '../store/atomic.ts'

export type KeyOutcome = { readonly name: string; readonly outcome: 'added' | 'there' | 'differs' }

/** Writes what is missing into `<root>/keys/`. A key of that name with another content is left and told as `differs`. */
export async function trustKeys(root: string, keys: ReadonlyMap<string, Uint8Array>): Promise<KeyOutcome[]> {
  const folder = join(root, 'keys')
  const outcomes: KeyOutcome[] = []
  if (keys.size) await mkdir(folder, { recursive: true })
  for (const [name, bytes] of keys) {
    const before = await readFile(join(folder, name)).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    })
    if (!before) await writeAtomic(join(folder, name), bytes, 0o644)
    outcomes.push({ name, outcome: !before ? 'added' : before.equals(bytes) ? 'there' : 'differs' })
  }
  return outcomes
}
