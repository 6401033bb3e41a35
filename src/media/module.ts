// Drivers for the image's own medium. Alpine's netboot initramfs has none for CDs and disks, for it boots from the network; they lie in the
// modloop, which is of the same kernel. Called by build. Unpacks with squashfs-tools into a folder of ours, never as root's tree.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { readInitramfs } from '../alpine/initramfs.ts'
import type { CpioEntry } from '../alpine/cpio.ts'
import { InputError, OutsideError } from '../boot/error.ts'
import type { Run } from '../ipxe/run.ts'

/** Without the first no image is found; the others are what a stick or a CD drive needs. */
const needed = ['isofs', 'sd_mod', 'sr_mod', 'usb_storage'] as const

/** As Alpine's own media have them (mkinitfs, features base ata cdrom mmc nvme scsi squashfs usb virtio). Paths below `modules/<kernel>/`. */
const wanted = [
  /^kernel\/drivers\/ata\/[^/]+$/,
  /^kernel\/drivers\/block\/(loop|virtio)/,
  /^kernel\/drivers\/(cdrom|mmc|nvme|virtio)\//,
  /^kernel\/drivers\/(usb\/(host|storage)|hid\/usbhid|message\/fusion)\//,
  /^kernel\/drivers\/hid\/hid-generic/,
  /^kernel\/drivers\/scsi\/[^/]+$/,
  /^kernel\/fs\/(fat|isofs|nls|overlayfs|squashfs)\//,
]
const tables = /^modules\.(alias|builtin|builtin\.modinfo|dep|order|softdep|symbols|devname)(\.bin)?$/

export type ModuleOutcome = { readonly entries: readonly CpioEntry[]; readonly notes: readonly string[] }

/**
 * What the initramfs lacks, as members of another initramfs. Nothing when it lacks nothing. Throws OutsideError `media-tool` when it lacks something
 * and `unsquashfs` is not here, InputError `media-driver` when there is no driver for the image's file system at all.
 */
export async function gatherModules(initramfs: string, modloop: string | undefined, run: Run): Promise<ModuleOutcome> {
  const there = await listDrivers(initramfs)
  const lacking = needed.filter((name) => !there.has(name))
  if (!lacking.length) return { entries: [], notes: [] }
  const found = modloop === undefined ? [] : await unpackDrivers(modloop, run)
  const brought = new Set(found.map(({ path }) => nameOf(path)))
  const none = lacking.filter((name) => !brought.has(name))
  if (none.includes('isofs')) {
    throw new InputError(
      'media-driver',
      'neither the initramfs nor the modloop has the driver isofs: the station would not find its own medium (import the release from an ISO image of Alpine)',
    )
  }
  return {
    entries: found,
    notes: none.length ? [`no driver ${none.join(', ')} in initramfs or modloop: built into the kernel, or such media do not work`] : [],
  }
}

const nameOf = (path: string): string => (path.split('/').at(-1) ?? '').replace(/\.ko(\.(gz|xz|zst))?$/, '').replaceAll('-', '_')

/** Modules of the initramfs, and those that its kernel has built in, by name. */
async function listDrivers(path: string): Promise<Set<string>> {
  const names = new Set<string>()
  await readInitramfs(await readFile(path), {
    keepBytes: ({ path: member, sizeBytes }) => (member.endsWith('/modules.builtin') ? Math.min(sizeBytes, 1 << 20) : 0),
    onMember: (member, body) => {
      if (/(^|\/)lib\/modules\/.*\.ko(\.(gz|xz|zst))?$/.test(member.path)) names.add(nameOf(member.path))
      if (member.path.endsWith('/modules.builtin')) for (const line of Buffer.from(body).toString('utf8').split('\n')) names.add(nameOf(line))
    },
  })
  return names
}

async function unpackDrivers(modloop: string, run: Run): Promise<CpioEntry[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-media-'))
  try {
    const all: string[] = []
    // Line by line: with the firmware the list is longer than what is kept of a tool's output.
    await unsquash(run, ['-l', modloop], (line) => all.push(...(/^squashfs-root\/(modules\/.+)$/.exec(line)?.slice(1, 2) ?? [])))
    const [, version] = /^modules\/([0-9][A-Za-z0-9._+-]*)\//.exec(all.find((path) => path.includes('/kernel/')) ?? '') ?? []
    if (!version) return []
    const home = `modules/${version}/`
    const inside = all.filter((path) => path.startsWith(home)).map((path) => path.slice(home.length))
    const depends = inside.includes('modules.dep')
      ? parseDepends(await unsquash(run, ['-cat', modloop, `${home}modules.dep`]))
      : new Map<string, string[]>()
    const modules = closeOver(
      inside.filter((path) => path.includes('.ko') && wanted.some((one) => one.test(path))),
      depends,
    )
    if (!modules.length) return []
    const paths = [...modules, ...inside.filter((path) => tables.test(path))].map((path) => home + path)
    await unsquash(run, ['-n', '-no-xattrs', '-d', join(folder, 'root'), modloop, ...paths])
    return await readTree(join(folder, 'root/modules'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** `kernel/fs/isofs/isofs.ko.gz: kernel/drivers/cdrom/cdrom.ko.gz` (modules.dep(5)). */
const parseDepends = (text: string): Map<string, string[]> =>
  new Map(
    text.split('\n').flatMap((line): [string, string[]][] => {
      const at = line.indexOf(':')
      return at < 0
        ? []
        : [
            [
              line.slice(0, at),
              line
                .slice(at + 1)
                .split(' ')
                .filter(Boolean),
            ],
          ]
    }),
  )

function closeOver(modules: readonly string[], depends: ReadonlyMap<string, readonly string[]>): string[] {
  const all = new Set(modules)
  // A set that grows while it is walked is walked to its new end.
  for (const path of all) for (const other of depends.get(path) ?? []) all.add(other)
  return [...all].sort()
}

async function unsquash(run: Run, words: readonly string[], onLine?: (line: string) => void): Promise<string> {
  try {
    const { code, stdout, tail } = await run(['unsquashfs', ...words], { timeoutMs: 300_000, ...(onLine && { onLine }) })
    if (code === 0) return stdout
    throw new OutsideError('media-modloop', `unsquashfs cannot read the modloop: ${tail.slice(-2).join(' | ')}`, false)
  } catch (error) {
    if (error instanceof OutsideError && error.code === 'tool-missing')
      throw new OutsideError(
        'media-tool',
        'the initramfs has no drivers for CDs and sticks; they are in the modloop, and squashfs-tools is needed to take them out (apt install squashfs-tools; apk add squashfs-tools)',
        false,
        { cause: error },
      )
    throw error
  }
}

async function readTree(folder: string): Promise<CpioEntry[]> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
  const paths = names.map((one) => relative(folder, join(one.parentPath, one.name))).sort()
  return Promise.all(
    paths.map(
      async (path): Promise<CpioEntry> => ({ kind: 'file', path: `lib/modules/${path}`, mode: 0o644, bytes: await readFile(join(folder, path)) }),
    ),
  )
}
