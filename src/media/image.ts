// The image itself: an ISO 9660 file system that also starts as a disk, written by xorriso straight from where the files lie. Called by build.
import { mkdir, mkdtemp, open, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import type { Run } from '../ipxe/run.ts'
import { draftPath, syncFolder } from '../store/atomic.ts'
import type { MediaEntry } from './ask.ts'
import { biosImage, efiPartition, hybridStart } from './loader.ts'

export type ImageOptions = {
  readonly label: string
  /** Seconds since 1970 of every date in it. */
  readonly epoch: number
  readonly run: Run
  readonly onProgress?: (percent: number) => void
  readonly signal?: AbortSignal
}

/** Writes it beside `out` and renames it; mode 0600, for it holds the station's overlay. Throws OutsideError; then `out` is what it was. */
export async function writeImage(entries: readonly MediaEntry[], out: string, options: ImageOptions): Promise<void> {
  const { label, epoch, run, onProgress, signal } = options
  const path = resolve(out)
  const folder = await mkdtemp(join(tmpdir(), 'bivouac-media-'))
  const draft = draftPath(path)
  try {
    await mkdir(dirname(path), { recursive: true })
    await checkSpace(dirname(path), totalBytes(entries))
    await (await open(draft, 'wx', 0o600)).close()
    const list = join(folder, 'list')
    await writeFile(list, (await Promise.all(entries.map((entry, at) => graft(entry, join(folder, String(at)))))).join(''))
    const { code, tail } = await run(['xorriso', ...imageWords(draft, label, list, epoch)], {
      env: { SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC' },
      ...(signal && { signal }),
      onLine: (line) => {
        const [, percent] = /([0-9]+(?:\.[0-9]+)?)% done/.exec(line) ?? []
        if (percent) onProgress?.(Number(percent))
      },
    })
    if (code !== 0) throw new OutsideError('media-image', `xorriso ended with ${code}: ${tail.slice(-4).join(' | ')}`, false)
    const file = await open(draft, 'r+')
    await file.sync()
    await file.close()
    await rename(draft, path)
    await syncFolder(dirname(path))
  } finally {
    await rm(draft, { force: true })
    await rm(folder, { recursive: true, force: true })
  }
}

export const totalBytes = (entries: readonly MediaEntry[]): number =>
  entries.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / 2048) * 2048, 0)

/** As grub-mkrescue does it: El Torito for CDs in BIOS and UEFI, GRUB's start in front and an EFI partition for sticks. (xorrisofs(1)) */
const imageWords = (out: string, label: string, list: string, epoch: number): string[] => [
  ...['-as', 'mkisofs', '-o', out, '-iso-level', '3', '-R', '-J', '-joliet-long', '-volid', label],
  ...['-uid', '0', '-gid', '0', '-file-mode', '0444', '-dir-mode', '0555'],
  // Folders that are only named in paths would have the time of the call.
  ...['--set_all_file_dates', `=${epoch}`],
  ...['-b', biosImage, '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', '--grub2-boot-info', '--grub2-mbr', hybridStart],
  ...['--efi-boot', efiPartition, '-efi-boot-part', '--efi-boot-image', '--protective-msdos-label'],
  ...['-graft-points', '-path-list', list],
]

/** `boot/vmlinuz-lts=/srv/depot/…`; bytes of ours are put into a file first. */
async function graft(entry: MediaEntry, own: string): Promise<string> {
  if ('bytes' in entry) await writeFile(own, entry.bytes, { mode: 0o600 })
  const quote = (text: string): string => text.replace(/[\\=]/g, '\\$&')
  return `${quote(entry.path)}=${quote('bytes' in entry ? own : entry.file)}\n`
}

async function checkSpace(folder: string, sizeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= sizeBytes) return
  const [needed, free] = [sizeBytes, bavail * bsize].map((bytes) => Math.ceil(bytes / 1e6))
  throw new OutsideError('media-space', `the image takes ${needed} MB, and ${folder} has ${free} MB`, true)
}
