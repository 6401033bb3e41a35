// The stand-in release: kernel, small initramfs and modloop that behave towards a boot server as Alpine does, made from what the
// host has. For `bivouac try` and tests where no Alpine is at hand. The one thing it will never be is a usable system.
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type CpioEntry, packCpio } from '../alpine/cpio.ts'
import { findBusybox, findKernel, type Kernel } from './kernel.ts'
import { collectModules, type Module, type ModuleSet } from './module.ts'
import { findTool, runTool } from './tool.ts'

/** The three files, absolute paths. `modloop` is absent where mksquashfs is not installed. */
export type StandIn = {
  readonly version: string
  readonly from: string
  readonly kernel: string
  readonly initramfs: string
  readonly modloop?: string
}

/** `cache` keeps the unpacked packages; `tell` hears of what takes long. */
export type StandInOptions = { readonly folder: string; readonly cache: string; readonly tell?: (line: string) => void }

const assets = join(import.meta.dirname, '../../assets/stand-in')
const inInitramfs = ['virtio_pci', 'virtio_net', 'e1000', 'virtio_rng', 'af_packet', 'loop', 'squashfs', 'virtio_blk', 'ata_piix', 'sr_mod', 'isofs']
const inModloop = ['overlay', 'loop', 'squashfs']
// `init` is the kernel's to start; the others lie beside it, and later in the station's root.
const scripts = readdirSync(assets).filter((name) => name !== 'init')

/**
 * Builds the stand-in release into `folder`, or takes the one that is there if kernel, busybox and our own files are still the same.
 * Throws MissingError with what to install.
 */
export async function buildStandIn(options: StandInOptions): Promise<StandIn> {
  const kernel = await findKernel(join(options.cache, 'kernel'), options.tell)
  const busybox = await findBusybox(join(options.cache, 'busybox'))
  const fingerprint = fingerprintOf(kernel, busybox)
  const stamp = join(options.folder, '.fingerprint')
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== fingerprint) {
    await replaceFolder(options.folder, async (work) => {
      await buildInto(work, kernel, busybox)
      writeFileSync(join(work, '.fingerprint'), fingerprint)
    })
  }
  return describeRelease(options.folder, kernel)
}

function describeRelease(folder: string, { version, from }: Kernel): StandIn {
  const [image, initramfs, modloop] = ['vmlinuz', 'initramfs', 'modloop'].map((part) => join(folder, `${part}-virt`)) as [string, string, string]
  return { version, from, kernel: image, initramfs, ...(existsSync(modloop) && { modloop }) }
}

/** The work is done beside the folder and put in its place at the end, so that a half release is never seen. */
async function replaceFolder(folder: string, make: (work: string) => Promise<void>): Promise<void> {
  const work = `${folder}.${process.pid}.part`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    await make(work)
    rmSync(folder, { recursive: true, force: true })
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function buildInto(folder: string, kernel: Kernel, busybox: string): Promise<void> {
  copyFileSync(kernel.image, join(folder, 'vmlinuz-virt'))
  const modules = await collectModules(kernel.modules, inInitramfs)
  writeFileSync(join(folder, 'initramfs-virt'), packInitramfs(readFileSync(busybox), modules))
  const mksquashfs = findTool('mksquashfs')
  if (mksquashfs) await buildModloop(mksquashfs, folder, kernel)
}

/** busybox, our init, the modules in their order, and the folders that it mounts on: a gzip-packed cpio archive. */
export function packInitramfs(busybox: Uint8Array, { modules }: ModuleSet): Uint8Array {
  const folders = ['proc', 'sys', 'dev', 'tmp', 'etc', 'sysroot'].map((path): CpioEntry => ({ kind: 'directory', path, mode: 0o755 }))
  const file = (path: string, mode: number, bytes: Uint8Array): CpioEntry => ({ kind: 'file', path, mode, bytes })
  const pathOf = ({ name }: Module) => `lib/modules/${name}.ko`
  const order = modules.map((one) => `/${pathOf(one)}\n`).join('')
  const entries: CpioEntry[] = [
    ...folders,
    { kind: 'device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    file('bin/busybox', 0o755, renameWget(busybox)),
    { kind: 'link', path: 'bin/sh', target: 'busybox' },
    file('init', 0o755, readFileSync(join(assets, 'init'))),
    ...scripts.map((name) => file(`lib/stand-in/${name}`, 0o755, readFileSync(join(assets, name)))),
    ...modules.map((one) => file(pathOf(one), 0o644, one.bytes)),
    file('lib/modules/order', 0o644, Buffer.from(order)),
  ]
  return gzipSync(packCpio(entries), { level: 6 })
}

// Lore: wget of Debian's busybox 1.35 dies of `-T`, which Alpine's takes, and its shell prefers applets over files of the same name. The table of
// names is searched by their order, which `wgex` keeps.
function renameWget(busybox: Uint8Array): Uint8Array {
  const bytes = Buffer.from(busybox)
  const at = bytes.indexOf('\0wget\0which\0', 0, 'latin1')
  if (at >= 0) bytes.write('wgex', at + 1, 'latin1')
  return bytes
}

/** Laid out as Alpine's: `modules/<kernel>/…`, so that the init can check that it is the right one. */
async function buildModloop(mksquashfs: string, folder: string, kernel: Kernel): Promise<void> {
  const tree = join(folder, 'tree')
  const modules = join(tree, 'modules', kernel.version, 'kernel')
  mkdirSync(modules, { recursive: true })
  const found = await collectModules(kernel.modules, inModloop)
  for (const { name, bytes } of found.modules) writeFileSync(join(modules, `${name}.ko`), bytes)
  await runTool([mksquashfs, tree, join(folder, 'modloop-virt'), '-noappend', '-all-root', '-no-progress', '-quiet', '-comp', 'gzip'])
  rmSync(tree, { recursive: true })
}

function fingerprintOf(kernel: Kernel, busybox: string): string {
  const hash = createHash('sha256').update(`${kernel.version} ${kernel.image} ${findTool('mksquashfs') ?? 'no modloop'}`)
  const own = ['init', ...scripts].map((name) => join(assets, name))
  for (const path of [busybox, ...own, import.meta.filename]) hash.update(readFileSync(path))
  return hash.digest('hex')
}
