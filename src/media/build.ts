// An image from which one station boots without a network: its boot files, its overlay, its packages, and a loader. Called by the command.
// The overlay travels in a second initramfs, so that no other disk's overlay can come before it.
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { type CpioEntry, packCpio } from '../alpine/cpio.ts'
import { buildKernelLine } from '../alpine/cmdline.ts'
import { MissingError } from '../boot/error.ts'
import type { Run } from '../ipxe/run.ts'
import { entryOf, type MediaAsk, type MediaEntry } from './ask.ts'
import { totalBytes, writeImage } from './image.ts'
import { buildLoaders, checkLoaderTools, renderMenu } from './loader.ts'
import { gatherModules } from './module.ts'
import { gatherPackages } from './package.ts'

/** What an image would hold, before it is written. */
export type MediaPlan = {
  readonly label: string
  readonly line: string
  readonly epoch: number
  readonly entries: readonly MediaEntry[]
  readonly sizeBytes: number
  readonly packages: readonly { readonly name: string; readonly version: string }[]
  readonly notes: readonly string[]
}

export type MediaProgress = { readonly step: 'packages' | 'drivers' | 'loader' | 'image'; readonly done?: number; readonly of?: number }
export type MediaDeps = { readonly run: Run; readonly onProgress?: (progress: MediaProgress) => void; readonly signal?: AbortSignal }

/** Words that ask for a network, which there is none; `apkovl` is ours. */
const networkWord = /^(ip|BOOTIF|alpine_repo|nbd|aoe|wireguard|ssh_key|alpine_dev|apkovl)(=|$)/
/** FAT has no earlier year. */
const earliestEpoch = 315_532_800

/**
 * Gathers and checks everything. Throws MissingError for a file or package that is not there, OutsideError for a tool, InputError for the rest;
 * writes nothing but in folders for temporary files.
 */
export async function planMedia(ask: MediaAsk, { run, onProgress = () => {} }: MediaDeps): Promise<MediaPlan> {
  await checkLoaderTools(run)
  const { entries: packageEntries, packages, notes } = await gatherPackages(ask, (done, of) => onProgress({ step: 'packages', done, of }))
  onProgress({ step: 'drivers' })
  const modules = await gatherModules(ask.initramfs, ask.modloop, run)
  const overlayName = `${ask.name}.apkovl.tar.gz`
  const addition = packCpio([...(await describeStation(ask, overlayName)), ...modules.entries])
  const [kernel, initramfs, modloop] = ['vmlinuz', 'initramfs', 'modloop'].map((part) => `boot/${part}-${ask.flavour}`) as [string, string, string]
  const additions = await Promise.all((ask.additions ?? []).map(({ name, file }) => fileEntry(`boot/addition-${name}.cpio.gz`, file)))
  const line = lineOf(ask, overlayName, modloop)
  const epoch = Math.max(earliestEpoch, ...packages.map(({ builtSeconds }) => builtSeconds))
  const files = [
    await fileEntry(kernel, ask.kernel),
    await fileEntry(initramfs, ask.initramfs),
    ...(ask.modloop ? [await fileEntry(modloop, ask.modloop)] : []),
    entryOf(stationInitramfs, addition),
    ...additions,
    ...packageEntries,
  ]
  onProgress({ step: 'loader' })
  const mark = `boot/bivouac-${identify(files, line, packages)}`
  const menu = renderMenu(titleOf(ask), line, kernel, [initramfs, ...additions.map(({ path }) => path), stationInitramfs])
  const entries = [...files, entryOf(mark, ''), entryOf('boot/grub/grub.cfg', menu), ...(await buildLoaders(mark, epoch, run))]
  return {
    label: labelOf(ask.name),
    line,
    epoch,
    entries: entries.toSorted((one, other) => (one.path < other.path ? -1 : 1)),
    sizeBytes: totalBytes(entries),
    packages: packages.map(({ name, version }) => ({ name, version })),
    notes: [...notes, ...modules.notes, ...(ask.modloop ? [] : ['the release has no modloop: the station will lack drivers'])],
  }
}

/** Writes what was planned to `out`, as a whole or not at all. Throws OutsideError. */
export async function writeMedia(plan: MediaPlan, out: string, { run, onProgress, signal }: MediaDeps): Promise<void> {
  const tell = onProgress && ((percent: number) => onProgress({ step: 'image', done: percent, of: 100 }))
  await writeImage(plan.entries, out, { label: plan.label, epoch: plan.epoch, run, ...(tell && { onProgress: tell }), ...(signal && { signal }) })
}

const stationInitramfs = 'boot/station.cpio'

/** The overlay and the key of the image's own index, where Alpine's init looks before anything is mounted. */
async function describeStation({ overlay, signingKey }: MediaAsk, overlayName: string): Promise<CpioEntry[]> {
  const file = (path: string, mode: number, bytes: Uint8Array): CpioEntry => ({ kind: 'file', path, mode, bytes })
  return [
    file(overlayName, 0o600, await readWhole(overlay)),
    file(`etc/apk/keys/${signingKey.keyName}`, 0o644, new TextEncoder().encode(signingKey.publicPem)),
  ]
}

function lineOf({ modules, arguments: free, modloop }: MediaAsk, overlayName: string, modloopPath: string): string {
  const own = buildKernelLine({
    ...(modloop && { modloop: `/${modloopPath}` }),
    modules: [...new Set([...modules, 'isofs', 'sr-mod'])],
    omit: ['ip'],
    arguments: free.filter((word) => !networkWord.test(word)),
  })
  return `apkovl=/${overlayName} ${own}${/(^| )(no)?quiet( |$)/.test(own) ? '' : ' quiet'}`
}

const titleOf = ({ name, release }: MediaAsk): string =>
  `${name}${release?.version ? `, Alpine ${release.version}` : ''}`.replace(/[^A-Za-z0-9._ -]/g, '')
const labelOf = (name: string): string =>
  name
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, '_')
    .slice(0, 32) || 'BIVOUAC'

/** What tells this image from any other, and one from the same input not. */
function identify(files: readonly MediaEntry[], line: string, packages: readonly { readonly checksum: string }[]): string {
  const hash = createHash('sha256').update(line)
  for (const entry of files) hash.update(`${entry.path} ${entry.sizeBytes}\n`).update('bytes' in entry ? entry.bytes : '')
  for (const { checksum } of packages) hash.update(checksum)
  return hash.digest('hex').slice(0, 16)
}

async function fileEntry(path: string, file: string): Promise<MediaEntry> {
  const { size } = await stat(file).catch((cause: Error) => {
    throw new MissingError('media-file', `there is no ${file}`, { cause })
  })
  return { path, file, sizeBytes: size }
}

const readWhole = (path: string): Promise<Uint8Array> =>
  readFile(path).catch((cause: Error) => {
    throw new MissingError('media-file', `there is no overlay ${path}`, { cause })
  })
