// Kernel modules for a small initramfs: which files, in which order, unpacked. Reads what each module says of itself, so it needs
// neither depmod's tables nor root. Used by release.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { MissingError } from '../boot/error.ts'
import { findTool, runTool } from './tool.ts'

/** One module ready for insmod. */
export type Module = { readonly name: string; readonly bytes: Uint8Array }

/** The modules found, each after those that it depends on, and the names that are neither there nor built into the kernel. */
export type ModuleSet = { readonly modules: readonly Module[]; readonly missing: readonly string[] }

const ending = /\.ko(\.(xz|gz|zst))?$/
const nameOf = (path: string): string => basename(path).replace(ending, '').replaceAll('-', '_')

/** The wanted modules below `folder` (`lib/modules/<kernel>`) and all that they depend on. Throws OutsideError when one cannot be unpacked. */
export async function collectModules(folder: string, wanted: readonly string[]): Promise<ModuleSet> {
  const pathByName = new Map(listModules(folder).map((path) => [nameOf(path), path]))
  const builtIn = readBuiltIn(folder)
  const modules = new Map<string, Module>()
  const missing: string[] = []
  const take = async (name: string): Promise<void> => {
    if (modules.has(name) || missing.includes(name) || builtIn.has(name)) return
    const path = pathByName.get(name)
    if (!path) {
      missing.push(name)
      return
    }
    const bytes = await unpackModule(path)
    for (const other of readDepends(bytes)) await take(other)
    modules.set(name, { name, bytes })
  }
  for (const name of wanted) await take(name.replaceAll('-', '_'))
  return { modules: [...modules.values()], missing }
}

function listModules(folder: string): string[] {
  const kernel = join(folder, 'kernel')
  if (!existsSync(kernel)) return []
  return readdirSync(kernel, { recursive: true, encoding: 'utf8' })
    .filter((path) => ending.test(path))
    .map((path) => join(kernel, path))
}

function readBuiltIn(folder: string): Set<string> {
  const path = join(folder, 'modules.builtin')
  return new Set(existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean).map(nameOf) : [])
}

/** The names in the `depends=` entry of the module's `.modinfo` section: NUL-ended `key=value` texts (modinfo(8)). */
export function readDepends(bytes: Uint8Array): string[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const key = '\0depends='
  const at = view.indexOf(key, 0, 'latin1')
  if (at < 0) return []
  const from = at + key.length
  const text = view.toString('latin1', from, view.indexOf(0, from))
  return text
    .split(',')
    .filter(Boolean)
    .map((name) => name.replaceAll('-', '_'))
}

async function unpackModule(path: string): Promise<Uint8Array> {
  const bytes = () => readFileSync(path)
  if (path.endsWith('.gz')) return gunzipSync(bytes())
  if (path.endsWith('.zst')) return zstdDecompressSync(bytes())
  if (!path.endsWith('.xz')) return bytes()
  const xz = findTool('xz')
  if (xz) return runTool([xz, '-dc', path])
  const busybox = findTool('busybox')
  if (busybox) return runTool([busybox, 'xz', '-dc', path])
  throw new MissingError('tool-missing', `xz is not installed; the kernel's modules (${path}) cannot be unpacked without it`)
}
