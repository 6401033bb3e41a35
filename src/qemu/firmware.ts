// Where QEMU and the firmware of virtual PCs stand, on Debian, Alpine and Fedora. Used by machine.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MissingError } from '../boot/error.ts'
import { installHint, needTool } from './tool.ts'

/** The code of a UEFI firmware and the variables that it starts with; the variables are copied for each run. */
export type UefiFirmware = { readonly code: string; readonly variables: string }

// Both files of a pair must be of one size; the first pair that is whole is taken.
const uefiPairs: readonly UefiFirmware[] = [
  { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  { code: '/usr/share/OVMF/OVMF_CODE.fd', variables: '/usr/share/OVMF/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
  { code: '/usr/share/edk2-ovmf/x64/OVMF_CODE.fd', variables: '/usr/share/edk2-ovmf/x64/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd', variables: '/usr/share/edk2/x64/OVMF_VARS.4m.fd' },
]

/** The emulator of a 64-bit PC. Throws MissingError `tool-missing` that names the package. */
export const findQemu = (): string =>
  needTool('qemu-system-x86_64', { apt: 'qemu-system-x86', apk: 'qemu-system-x86_64', dnf: 'qemu-system-x86-core' })

/** Throws MissingError `firmware-missing` that names the package. */
export function findUefi(pairs: readonly UefiFirmware[] = uefiPairs): UefiFirmware {
  const found = pairs.find(({ code, variables }) => existsSync(code) && existsSync(variables))
  if (!found)
    throw new MissingError(
      'firmware-missing',
      `no UEFI firmware for QEMU. To install it: ${installHint({ apt: 'ovmf', apk: 'ovmf', dnf: 'edk2-ovmf' })}`,
    )
  return found
}

/** Does this QEMU have a boot ROM (iPXE) for the card? Without one a machine cannot boot from it. Throws MissingError `firmware-missing`. */
export function needBootRom(qemu: string, names: readonly string[]): void {
  const { stdout } = spawnSync(qemu, ['-L', 'help'], { encoding: 'utf8', timeout: 10_000 })
  const folders = (stdout ?? '').split('\n').filter(Boolean)
  if (!folders.length || folders.some((folder) => names.some((name) => existsSync(join(folder, name))))) return
  const hint = installHint({ apt: 'ipxe-qemu', apk: 'qemu-system-x86_64', dnf: 'ipxe-roms-qemu' })
  throw new MissingError('firmware-missing', `QEMU has no network boot ROM (${names[0]}). To install it: ${hint}`)
}
