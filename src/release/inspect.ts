// Looks into the boot files of a draft: do kernel, initramfs and modloop belong together, and which keys does the initramfs trust? Called by import.
import { spawn } from 'node:child_process'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { readInitramfs } from '../alpine/initramfs.ts'
import { checkSquashfs, readKernelVersion } from '../alpine/kernel.ts'
import { InputError } from '../boot/error.ts'
import type { BootPart } from './name.ts'

export type Inspection = {
  readonly kernelVersion?: string
  readonly agreed: { readonly kernel: boolean; readonly initramfs: boolean; readonly modloop: boolean }
  /** Modules of the modloop, where it could be looked into. */
  readonly modules?: number
  /** Public keys of etc/apk/keys by file name. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  readonly warnings: readonly { readonly code: string; readonly text: string }[]
}

const maxImageBytes = 1024 ** 3
const maxKeyBytes = 64 * 1024
const maxKeys = 64

/**
 * Throws InputError `kernel-mix` when the three are not of one kernel version, DecodeError for an image that is damaged. `unsquashfs` of the host
 * looks into the modloop; without it (or with `tool` undefined) that part is not compared, and the answer says so.
 */
export async function inspectRelease(folder: string, set: Record<BootPart, string>, tool: string | undefined = 'unsquashfs'): Promise<Inspection> {
  const kernel = readKernelVersion(await readImage(join(folder, set.vmlinuz)))
  const initramfs = await lookIntoInitramfs(await readImage(join(folder, set.initramfs)))
  await checkModloop(join(folder, set.modloop))
  const modloop = tool === undefined ? undefined : await lookIntoModloop(join(folder, set.modloop), tool)
  const versions = new Map<string, readonly string[]>([
    [set.vmlinuz, kernel ? [kernel] : []],
    [set.initramfs, initramfs.versions],
    [set.modloop, modloop?.versions ?? []],
  ])
  const kernelVersion = agree(versions)
  const has = (name: string) => kernelVersion !== undefined && (versions.get(name)?.includes(kernelVersion) ?? false)
  const agreed = { kernel: has(set.vmlinuz), initramfs: has(set.initramfs), modloop: has(set.modloop) }
  return {
    ...(kernelVersion && { kernelVersion }),
    agreed,
    ...(modloop && { modules: modloop.modules }),
    keys: initramfs.keys,
    warnings: warn(initramfs, modloop !== undefined),
  }
}

async function readImage(path: string): Promise<Uint8Array> {
  const { size } = await stat(path)
  if (size > maxImageBytes) throw new InputError('image-big', `${path} has ${size} bytes: that is no kernel and no initramfs`)
  return readFile(path)
}

/** The version that all who tell have. */
function agree(versions: ReadonlyMap<string, readonly string[]>): string | undefined {
  const telling = [...versions].filter(([, list]) => list.length)
  const common = telling
    .map(([, list]) => list)
    .reduce<readonly string[] | undefined>((all, list) => all?.filter((one) => list.includes(one)) ?? list, undefined)
  if (common && !common.length) {
    const said = telling.map(([name, list]) => `${name} is for ${list.slice(0, 3).join(', ')}`).join('; ')
    throw new InputError('kernel-mix', `${said}: they are of different kernels, and no module would load; take all three of one netboot archive`)
  }
  return common?.[0]
}

type InitramfsFacts = {
  readonly versions: readonly string[]
  readonly keys: ReadonlyMap<string, Uint8Array>
  readonly hasNetwork: boolean
  readonly hasBundle: boolean
}

async function lookIntoInitramfs(image: Uint8Array): Promise<InitramfsFacts> {
  const versions = new Set<string>()
  const keys = new Map<string, Uint8Array>()
  let [hasNetwork, hasBundle] = [false, false]
  await readInitramfs(image, {
    keepBytes: ({ path, sizeBytes }) => (keyName(path) ? Math.min(sizeBytes, maxKeyBytes) : 0),
    onMember: ({ path, kind }, body) => {
      const name = keyName(path)
      if (name && kind === 'file' && body.length && keys.size < maxKeys) keys.set(name, body)
      const [, version, rest] = /^(?:usr\/)?lib\/modules\/([0-9][A-Za-z0-9._+-]{0,127})\/(.+)$/.exec(path) ?? []
      if (version && versions.size < 16) versions.add(version)
      if (rest?.startsWith('kernel/drivers/net/')) hasNetwork = true
      if (path === 'etc/ssl/certs/ca-certificates.crt') hasBundle = true
    },
  })
  return { versions: [...versions], keys, hasNetwork, hasBundle }
}

const keyName = (path: string): string | undefined => /^etc\/apk\/keys\/([A-Za-z0-9][A-Za-z0-9@._+-]{0,120}\.pub)$/.exec(path)?.[1]

async function checkModloop(path: string): Promise<void> {
  const file = await open(path)
  try {
    const head = new Uint8Array(96)
    const { bytesRead } = await file.read(head, 0, 96, 0)
    checkSquashfs(head.subarray(0, bytesRead), (await file.stat()).size)
  } finally {
    await file.close()
  }
}

/** Kernel versions and number of modules, or undefined where there is no such tool or it fails. */
function lookIntoModloop(path: string, tool: string): Promise<{ versions: string[]; modules: number } | undefined> {
  return new Promise((resolve) => {
    const versions = new Set<string>()
    let modules = 0
    const child = spawn(tool, ['-l', path], { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env.PATH, LC_ALL: 'C' } })
    child.on('error', () => resolve(undefined))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, version, rest] = /^squashfs-root\/modules\/([0-9][A-Za-z0-9._+-]{0,127})\/(.+)$/.exec(line) ?? []
      if (version && versions.size < 16) versions.add(version)
      if (rest && /\.ko(\.(gz|xz|zst))?$/.test(rest)) modules++
    })
    child.on('close', (code) => resolve(code === 0 && versions.size ? { versions: [...versions], modules } : undefined))
  })
}

function warn(initramfs: InitramfsFacts, hasLooked: boolean): { code: string; text: string }[] {
  return [
    ...(initramfs.hasNetwork
      ? []
      : [
          {
            code: 'initramfs-no-network',
            text: 'the initramfs has no network drivers: stations could fetch neither overlay nor packages; take the netboot archive',
          },
        ]),
    ...(initramfs.hasBundle
      ? []
      : [{ code: 'initramfs-no-bundle', text: 'the initramfs has no CA certificates: overlay and packages cannot come by https' }]),
    ...(initramfs.keys.size ? [] : [{ code: 'initramfs-no-keys', text: 'the initramfs trusts no apk keys: no package could be installed' }]),
    ...(hasLooked
      ? []
      : [{ code: 'modloop-unread', text: 'the modloop was not compared with the kernel: install squashfs-tools (unsquashfs) for that' }]),
  ]
}
