// GRUB for an image: one core for BIOS, one for UEFI, each with all that it needs inside, and the menu. Called by build.
// Deterministic: the same tools give the same bytes.
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InputError, OutsideError } from '../boot/error.ts'
import { renderFat } from '../ipxe/fat.ts'
import { type Run, runWell } from '../ipxe/run.ts'
import { entryOf, type MediaEntry } from './ask.ts'

const common = [
  'iso9660',
  'part_msdos',
  'part_gpt',
  'search',
  'search_fs_file',
  'normal',
  'configfile',
  'linux',
  'echo',
  'test',
  'serial',
  'terminal',
]
const forms = [
  {
    format: 'i386-pc-eltorito',
    file: 'boot/grub/bios.img',
    modules: [...common, 'biosdisk'],
    folder: '/usr/lib/grub/i386-pc',
    deb: 'grub-pc-bin',
    apk: 'grub-bios',
  },
  {
    format: 'x86_64-efi',
    file: 'EFI/BOOT/BOOTX64.EFI',
    modules: [...common, 'fat', 'efi_gop', 'efi_uga', 'all_video'],
    folder: '/usr/lib/grub/x86_64-efi',
    deb: 'grub-efi-amd64-bin',
    apk: 'grub-efi',
  },
] as const

/** What makes a stick start in a BIOS: it goes in front of the image. */
export const hybridStart = '/usr/lib/grub/i386-pc/boot_hybrid.img'

/** Throws OutsideError `media-tool` with what to install. */
export async function checkLoaderTools(run: Run): Promise<void> {
  const isThere = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    )
  const hasTool = async (name: string): Promise<boolean> =>
    run([name, '--version'], { timeoutMs: 20_000 }).then(
      ({ code }) => code === 0,
      () => false,
    )
  const lacking = [
    ...((await hasTool('grub-mkimage')) ? [] : [{ what: 'grub-mkimage', deb: 'grub-common', apk: 'grub' }]),
    ...((await hasTool('xorriso')) ? [] : [{ what: 'xorriso', deb: 'xorriso', apk: 'xorriso' }]),
    ...(
      await Promise.all(forms.map(async (form) => ((await isThere(join(form.folder, 'kernel.img'))) ? [] : [{ what: form.folder, ...form }])))
    ).flat(),
  ]
  if (!lacking.length) return
  const [deb, apk] = [lacking.map((one) => one.deb).join(' '), lacking.map((one) => one.apk).join(' ')]
  throw new OutsideError('media-tool', `missing: ${lacking.map(({ what }) => what).join(', ')} (apt install ${deb}; apk add ${apk})`, false)
}

/** The cores. `mark` is a file that only this image has: by it GRUB finds its own medium among all that are there. */
export async function buildLoaders(mark: string, epoch: number, run: Run): Promise<MediaEntry[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-media-'))
  try {
    const early = join(folder, 'early.cfg')
    await writeFile(early, `search --no-floppy --file --set=root /${mark}\nset prefix=($root)/boot/grub\nconfigfile ($root)/boot/grub/grub.cfg\n`)
    const cores = new Map<string, Uint8Array>()
    for (const { format, file, modules } of forms) {
      const core = join(folder, format)
      await runWell(run, ['grub-mkimage', '-O', format, '-o', core, '-p', '/boot/grub', '-c', early, ...modules], { timeoutMs: 120_000 })
      cores.set(file, await readFile(core))
    }
    const [bios, uefi] = forms.map(({ file }) => cores.get(file) as Uint8Array) as [Uint8Array, Uint8Array]
    // The partition is what firmware starts from a stick or a CD; the plain file is for who copies the image's content to a FAT stick.
    const partition = renderFat([{ path: forms[1].file, bytes: uefi }], { epoch, serial: 0x4249564f, label: 'BIVOUAC' })
    return [entryOf(forms[0].file, bios), entryOf(efiPartition, partition), entryOf(forms[1].file, uefi)]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const biosImage = forms[0].file
export const efiPartition = 'boot/grub/efi.img'

/** The menu: one entry, started at once. The serial console is used where the kernel is told to use it. Throws InputError for a word that GRUB would read. */
export function renderMenu(title: string, line: string, kernel: string, initrds: readonly string[]): string {
  const wrong = line.split(' ').find((word) => !/^[A-Za-z0-9._~:/?=%@,+{}-]*$/.test(word))
  if (wrong !== undefined || !/^[A-Za-z0-9._ -]+$/.test(title))
    throw new InputError('kernel-word', `${wrong ?? title} cannot stand in the menu of an image`)
  const serial = /(?:^| )console=ttyS([0-3])(?:,([0-9]+))?/.exec(line)
  const quoted = line
    .split(' ')
    .map((word) => (/[{}?~]/.test(word) ? `'${word}'` : word))
    .join(' ')
  return [
    ...(serial
      ? [`serial --unit=${serial[1]} --speed=${serial[2] ?? '115200'}`, 'terminal_input console serial', 'terminal_output console serial']
      : []),
    'set timeout=0',
    'set gfxpayload=keep',
    `menuentry '${title}' {`,
    `  linux /${kernel} ${quoted}`,
    `  initrd ${initrds.map((path) => `/${path}`).join(' ')}`,
    '}',
    '',
  ].join('\n')
}
