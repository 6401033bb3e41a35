// Finds loaders by name: the depot's first, then those that the distribution's ipxe package brought. Asked by the gate and the door.
// It builds and downloads nothing. Answers are remembered for some seconds, so that DHCP's hot path touches no disk.
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isWithin } from '../boot/age.ts'
import { firmwareByArch, loaderAliases } from '../boot/firmware.ts'
import { depotPathSchema } from '../boot/field.ts'
import { type LoaderArtifact, readOrigin } from './origin.ts'

/** A loader that is there. `path` is absolute; `depotPath` is its name below the depot, absent for the distribution's; `artifact` for what was built here. */
export type Loader = {
  readonly path: string
  readonly source: 'depot' | 'distribution'
  readonly depotPath?: string
  readonly artifact?: LoaderArtifact
}

export type LoaderLibrary = {
  /** The loader of that name (`undionly.kpxe`, `x86_64-efi/snponly.efi`), or undefined. Never throws. */
  readonly find: (name: string) => Loader | undefined
  /** All names that have a loader now, sorted. */
  readonly list: () => readonly (Loader & { readonly name: string })[]
}

export type LibraryOptions = {
  readonly depot: string
  readonly distributionFolders?: readonly string[]
  readonly now?: () => number
  /** How long an answer is believed. */
  readonly rememberMs?: number
}

/** Debian and Ubuntu, Alpine and Fedora, Debian's copy for the boot loader; then pxelinux's: Debian and Ubuntu, Alpine and Fedora. */
export const distributionFolders: readonly string[] = [
  '/usr/lib/ipxe',
  '/usr/share/ipxe',
  '/boot',
  '/usr/lib/PXELINUX',
  '/usr/lib/SYSLINUX.EFI',
  '/usr/lib/syslinux/modules',
  '/usr/share/syslinux',
]

/** pxelinux's programs and modules, below those folders. */
const pxelinuxNames: readonly (readonly [string, readonly string[]])[] = [
  ['pxelinux.0', ['pxelinux.0']],
  ['lpxelinux.0', ['lpxelinux.0']],
  ['syslinux.efi', ['efi64/syslinux.efi']],
  ['ldlinux.e64', ['efi64/ldlinux.e64']],
  ['ldlinux.e32', ['efi32/ldlinux.e32']],
  ...['ldlinux', 'menu', 'vesamenu', 'libutil', 'libcom32', 'chain', 'mboot', 'reboot', 'poweroff'].map(
    (name): readonly [string, readonly string[]] => [`${name}.c32`, [`bios/${name}.c32`, `${name}.c32`]],
  ),
]

/**
 * Which files of a distribution a name may stand for, best first. EFI files are taken only when their own header names the architecture,
 * because one file name stands for different machines on different hosts. The all-driver ipxe.efi stands in where nobody ships snponly.
 */
const distributionNames: ReadonlyMap<string, readonly string[]> = new Map([
  ['undionly.kpxe', ['undionly.kpxe']],
  ['undionly.kkpxe', ['undionly.kkpxe']],
  ['ipxe.pxe', ['ipxe.pxe']],
  ['ipxe.lkrn', ['ipxe.lkrn']],
  ...pxelinuxNames,
  ...['x86_64', 'i386', 'arm64', 'arm32', 'riscv64', 'riscv32', 'loong64'].flatMap((arch): [string, string[]][] => {
    const all = [`${arch}-efi/ipxe.efi`, `ipxe-${arch}.efi`, 'ipxe.efi']
    const single = [`${arch}-efi/snponly.efi`, `ipxe-snponly-${arch}.efi`, `snponly-${arch}.efi`, 'snponly.efi']
    return [
      [`${arch}-efi/snponly.efi`, [...single, ...all]],
      [`${arch}-efi/ipxe.efi`, all],
    ]
  }),
])

const defaultRememberMs = 5000
const maxRemembered = 1000

export function createLoaderLibrary(options: LibraryOptions): LoaderLibrary {
  const { depot, now = Date.now, rememberMs = defaultRememberMs } = options
  const folders = options.distributionFolders ?? distributionFolders
  const known = new Map<string, { readonly loader: Loader | undefined; readonly at: number }>()

  function find(name: string): Loader | undefined {
    const at = now()
    const remembered = known.get(name)
    if (remembered && isWithin(rememberMs, remembered.at, at)) return remembered.loader
    if (!depotPathSchema.safeParse(name).success) return undefined
    // Names come from strangers too: when the table is full it begins anew.
    if (known.size >= maxRemembered) known.clear()
    const loader = lookUp(name, depot, folders)
    known.set(name, { loader, at })
    return loader
  }

  function list(): (Loader & { name: string })[] {
    const names = new Set([...[...firmwareByArch.values()].flatMap(({ loader }) => loader ?? []), ...loaderAliases.keys(), ...loaderAliases.values()])
    for (const name of [...distributionNames.keys(), ...depotLoaders(depot)]) names.add(name)
    return [...names].sort().flatMap((name) => {
      const loader = find(name)
      return loader ? [{ name, ...loader }] : []
    })
  }

  return { find, list }
}

/** The name itself, what it is an alias of, and its aliases: `gpxe.kpxe` finds undionly.kpxe and the other way round. */
function namesFor(name: string): string[] {
  const target = loaderAliases.get(name)
  const aliases = [...loaderAliases].filter(([, other]) => other === (target ?? name)).map(([alias]) => alias)
  return [...new Set([name, ...(target ? [target] : []), ...aliases])]
}

function lookUp(name: string, depot: string, folders: readonly string[]): Loader | undefined {
  const names = namesFor(name)
  for (const depotPath of names.flatMap((one) => [`ipxe/${one}`, one])) {
    const path = join(depot, depotPath)
    if (!isFile(path)) continue
    const artifact = readOrigin(depot, path)
    return { path, source: 'depot', depotPath, ...(artifact && { artifact }) }
  }
  for (const one of names) {
    for (const fileName of distributionNames.get(one) ?? []) {
      const path = folders.map((folder) => join(folder, fileName)).find((candidate) => isFile(candidate) && fitsArch(candidate, one))
      if (path) return { path, source: 'distribution' }
    }
  }
  return undefined
}

function isFile(path: string): boolean {
  try {
    const stat = statSync(path)
    return stat.isFile() && stat.size > 0
  } catch {
    return false
  }
}

/** Machine field of a PE header (Microsoft PE format, "Machine Types"). */
const archByMachine: ReadonlyMap<number, string> = new Map([
  [0x8664, 'x86_64'],
  [0x14c, 'i386'],
  [0xaa64, 'arm64'],
  [0x1c2, 'arm32'],
  [0x5064, 'riscv64'],
  [0x5032, 'riscv32'],
  [0x6264, 'loong64'],
])

const fitsArch = (path: string, name: string): boolean => !name.includes('-efi/') || name.startsWith(`${readEfiArch(path)}-efi/`)

/** The architecture that an EFI program is for, or undefined when it is none. */
export function readEfiArch(path: string): string | undefined {
  const header = Buffer.alloc(1024)
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const length = readSync(file, header, 0, header.length, 0)
    const start = length >= 64 && header.toString('latin1', 0, 2) === 'MZ' ? header.readUInt32LE(60) : length
    if (start + 6 > length || header.toString('latin1', start, start + 4) !== 'PE\0\0') return undefined
    return archByMachine.get(header.readUInt16LE(start + 4))
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Everything below the depot's ipxe/, one folder deep. */
function depotLoaders(depot: string): string[] {
  const read = (folder: string): string[] => {
    try {
      return readdirSync(join(depot, 'ipxe', folder), { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() && !folder ? read(entry.name) : entry.isDirectory() || entry.name.startsWith('.') ? [] : [join(folder, entry.name)],
      )
    } catch {
      return []
    }
  }
  return read('').slice(0, maxRemembered / 2)
}
