// What an addition must know of the stock initramfs that it goes beside: its CA bundle, its etc/modules, its kernel. Called by addition.
// Read once for each version of the file; the last few are kept.
import { readFile, stat } from 'node:fs/promises'
import { readInitramfs } from '../alpine/initramfs.ts'

/** Where Alpine's busybox and apk look for authorities. */
export const bundlePath = 'etc/ssl/certs/ca-certificates.crt'

export type StockFacts = { readonly bundle?: string; readonly modules?: string; readonly kernels: readonly string[] }

const keptBytes = 4 * 1024 * 1024
const maxKept = 8

/** Reads stock initramfs images by path. Rejects with DecodeError for a damaged one, and with what the disk throws. */
export function createStockReader(): (path: string) => Promise<{ readonly identity: string; readonly facts: StockFacts }> {
  const known = new Map<string, Promise<StockFacts>>()
  return async (path) => {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true })
    const identity = [path, ino, size, mtimeNs].join('-')
    let facts = known.get(identity)
    if (!facts) {
      facts = readStock(path)
      known.set(identity, facts)
      facts.catch(() => known.delete(identity))
      const oldest = known.size > maxKept ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
    }
    return { identity, facts: await facts }
  }
}

async function readStock(path: string): Promise<StockFacts> {
  const kernels = new Set<string>()
  let facts: { bundle?: string; modules?: string } = {}
  await readInitramfs(await readFile(path), {
    keepBytes: ({ path: member, sizeBytes }) => (member === bundlePath || member === 'etc/modules' ? Math.min(sizeBytes, keptBytes) : 0),
    onMember: ({ path: member, kind }, body) => {
      const [, kernel] = /^(?:usr\/)?lib\/modules\/([0-9][A-Za-z0-9._+-]{0,127})\//.exec(member) ?? []
      if (kernel && kernels.size < 16) kernels.add(kernel)
      if (kind !== 'file') return
      if (member === bundlePath) facts = { ...facts, bundle: Buffer.from(body).toString('latin1') }
      if (member === 'etc/modules') facts = { ...facts, modules: Buffer.from(body).toString('utf8') }
    },
  })
  return { ...facts, kernels: [...kernels] }
}
