// Loaders that are not iPXE, for test/qemu: Debian's pxelinux and GRUB, and what they ask for, as it goes over the wire.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Lab, Running } from './netns.ts'

export const pxelinuxFiles = ['/usr/lib/PXELINUX/pxelinux.0', '/usr/lib/syslinux/modules/bios/ldlinux.c32']

const grubModules = 'normal net tftp linux echo test boot chain configfile sleep minicmd ls'.split(' ')

/** A GRUB that looks for its configuration in `grub/` of the server that it came from. */
export function makeGrub(file: string, firmware: 'bios' | 'uefi'): void {
  mkdirSync(dirname(file), { recursive: true })
  const [format, own] = firmware === 'bios' ? ['i386-pc-pxe', ['pxe', 'linux16']] : ['x86_64-efi', ['efinet']]
  execFileSync('grub-mkimage', ['-O', format as string, '-p', '/grub', '-o', file, ...grubModules, ...(own as string[])])
}

/** Copies files into a folder of their own. */
export function copyInto(folder: string, files: readonly string[]): void {
  mkdirSync(folder, { recursive: true })
  for (const file of files) copyFileSync(file, join(folder, file.slice(file.lastIndexOf('/') + 1)))
}

/** Watches TFTP requests on an interface; `names` are those that came so far, in order, each once. */
export async function watchTftp(lab: Lab, namespace: string, interfaceName: string): Promise<{ names: () => string[]; running: Running }> {
  const running = lab.spawn(namespace, ['tcpdump', '-l', '-n', '-s', '512', '-i', interfaceName, 'udp', 'dst', 'port', '69'])
  await running.waitFor(/listening on/, 15_000)
  const names = () => [...new Set([...running.output().matchAll(/RRQ "([^"]*)"/g)].map((found) => found[1] as string))]
  return { names, running }
}

/** Resolves when `is` holds. */
export async function until(is: () => boolean | Promise<boolean>, timeoutMs: number, told: () => string): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error(`it did not come to that:\n${told()}`)
    await new Promise((done) => setTimeout(done, 200))
  }
}
