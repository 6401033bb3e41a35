// Is everything here that a build of this target needs? What is missing is named with its package before anything starts. Used by input and forms.
import { OutsideError } from '../boot/error.ts'
import { sha256 } from './fingerprint.ts'
import type { Run } from './run.ts'
import type { Arch, Target } from './target.ts'

export type Need = { readonly what: string; readonly debian: string; readonly alpine: string }

/** The tools of one target. `id` changes when another compiler, linker or LZMA library would make other bytes. */
export type Toolchain = { readonly id: string; readonly versions: readonly string[]; readonly crossPrefix: string; readonly missing: readonly Need[] }

export type ToolchainAsk = { readonly target: Target; readonly cross?: string; readonly certificates: boolean }

const hostArchs: Record<string, readonly Arch[]> = {
  x64: ['i386', 'x86_64'],
  ia32: ['i386'],
  arm64: ['arm64'],
  riscv64: ['riscv64'],
  loong64: ['loong64'],
}

const crossPackages: Partial<Record<Arch, readonly [debian: string, alpine: string]>> = {
  i386: ['gcc-x86-64-linux-gnu', 'none: build on an x86 machine'],
  x86_64: ['gcc-x86-64-linux-gnu', 'none: build on an x86 machine'],
  arm32: ['gcc-arm-linux-gnueabi', 'gcc-arm-none-eabi, with cross: arm-none-eabi-'],
  arm64: ['gcc-aarch64-linux-gnu', 'gcc-aarch64-none-elf, with cross: aarch64-none-elf-'],
  riscv32: ['gcc-riscv64-linux-gnu', 'gcc-riscv-none-elf, with cross: riscv-none-elf-'],
  riscv64: ['gcc-riscv64-linux-gnu', 'gcc-riscv-none-elf, with cross: riscv-none-elf-'],
  loong64: ['gcc-loongarch64-linux-gnu (Debian 13)', 'none: build on a LoongArch machine'],
}

const need = (what: string, debian: string, alpine: string): Need => ({ what, debian, alpine })

/** The prefix of the tools for a target on this host: '' where the host's own compiler will do. */
export function crossPrefixOf({ binDir }: Target, cross: string | undefined, host: string = process.arch): string {
  if (cross !== undefined) return cross
  if (hostArchs[host]?.includes(binDir.arch)) return ''
  return binDir.crossPrefix ?? 'x86_64-linux-gnu-'
}

type Check = { readonly need: Need; readonly argv: readonly string[]; readonly input?: string; readonly names?: boolean }

/** What must be there, as commands that end with 0; those with `names` tell their version for the id. */
export function listChecks({ target, cross, certificates }: ToolchainAsk, host: string = process.arch): Check[] {
  const prefix = crossPrefixOf(target, cross, host)
  const [debian, alpine] = prefix === '' ? ['gcc', 'gcc musl-dev'] : (crossPackages[target.binDir.arch] ?? ['gcc', 'gcc'])
  const tool = (name: string, on: string, by: string, flag = '--version', names = false): Check => ({
    need: need(name, on, by),
    argv: [name, flag],
    names,
  })
  const checks = [
    tool('make', 'make', 'make', '--version'),
    tool('gcc', 'gcc', 'gcc musl-dev', '--version', true),
    tool('perl', 'perl', 'perl', '-v'),
    ...(prefix === '' ? [] : [tool(`${prefix}gcc`, debian, alpine, '--version', true)]),
    tool(`${prefix}ld`, prefix === '' ? 'binutils' : debian, prefix === '' ? 'binutils' : alpine, '--version', true),
    tool(`${prefix}objcopy`, prefix === '' ? 'binutils' : debian, prefix === '' ? 'binutils' : alpine),
    // The headers of the C library are a package of their own on both, and so is LZMA's.
    { need: need('stdio.h', 'libc6-dev', 'musl-dev'), argv: ['gcc', '-E', '-x', 'c', '-'], input: '#include <stdio.h>\n' },
    {
      need: need('lzma.h', 'liblzma-dev', 'xz-dev'),
      argv: ['gcc', '-E', '-x', 'c', '-P', '-'],
      input: '#include <lzma.h>\nlzma LZMA_VERSION_MAJOR LZMA_VERSION_MINOR LZMA_VERSION_PATCH\n',
      names: true,
    },
  ]
  if (certificates) checks.push(tool('openssl', 'openssl', 'openssl', 'version'))
  if (target.media === 'iso') checks.push(tool('xorriso', 'xorriso', 'xorriso'))
  if (target.media === 'iso' && target.binDir.platform === 'pcbios')
    checks.push({
      need: need('isolinux.bin', 'isolinux syslinux-common', 'syslinux'),
      argv: ['find', '/usr/lib/ISOLINUX/isolinux.bin', '/usr/share/syslinux/isolinux.bin', '-quit'],
    })
  if (['usb', 'iso'].includes(target.media) && target.binDir.platform === 'efi') checks.push(tool('mtools', 'mtools', 'mtools'))
  // Lore: iPXE's script for sticks calls syslinux for UEFI too.
  if (target.media === 'usb' && target.binDir.platform === 'efi') checks.push(tool('syslinux', 'syslinux', 'syslinux'))
  if (target.media === 'sdsk') checks.push(tool('mtools', 'mtools', 'mtools'), tool('syslinux', 'syslinux', 'syslinux'))
  if (target.media === 'vhd') checks.push(tool('qemu-img', 'qemu-utils', 'qemu-img'))
  return checks
}

/** Tries every tool, a few milliseconds each. Never throws for a missing one. */
export async function probeToolchain(run: Run, ask: ToolchainAsk): Promise<Toolchain> {
  const versions: string[] = []
  const missing: Need[] = []
  for (const { need: wanted, argv, input, names } of listChecks(ask)) {
    const outcome = await run(argv, { timeoutMs: 20_000, ...(input === undefined ? {} : { input }) }).catch(() => undefined)
    // find ends badly when one of the two places is absent; a line of output says that the other is there.
    const isThere = outcome !== undefined && (outcome.code === 0 || (argv[0] === 'find' && outcome.stdout.trim() !== ''))
    if (!isThere) missing.push(wanted)
    else if (names) versions.push(readVersion(wanted.what, outcome.stdout))
  }
  return { id: sha256(versions.join('\n')).slice(0, 16), versions, crossPrefix: crossPrefixOf(ask.target, ask.cross), missing }
}

const readVersion = (what: string, stdout: string): string => {
  const lines = stdout.trim().split('\n')
  return what === 'lzma.h' ? (lines.findLast((line) => line.startsWith('lzma ')) ?? '') : `${what}: ${lines[0]}`
}

/** @throws OutsideError `toolchain-missing` that names every missing piece and its package on Debian and Alpine. */
export function requireToolchain({ missing }: Toolchain): void {
  if (missing.length === 0) return
  const list = (of: 'debian' | 'alpine'): string => [...new Set(missing.map((one) => one[of]))].join(' ')
  throw new OutsideError(
    'toolchain-missing',
    `missing for this build: ${missing.map(({ what }) => what).join(', ')}. Debian: apt install ${list('debian')}. Alpine: apk add ${list('alpine')}.`,
    false,
  )
}
