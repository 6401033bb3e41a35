// Finding releases in the depot: folders below `releases/` that hold one kernel and its initramfs. Used by store/record.
import type { Dirent } from 'node:fs'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { depotPathSchema } from '../boot/field.ts'
import type { Release } from '../boot/record.ts'
import { codeOf } from './atomic.ts'
import { manifestName, maxManifestBytes, type ReleaseManifest, readManifestText } from './manifest.ts'
import type { Mistake } from './mistake.ts'

/** `folders` are all folders that were looked into, `releases/` itself included, as paths below the depot. */
export type ReleaseScan = { readonly releases: readonly Release[]; readonly mistakes: readonly Mistake[]; readonly folders: readonly string[] }

/** Alpine's names of architectures, as its mirrors use them for folders. */
export const alpineArchs: readonly string[] = ['x86_64', 'x86', 'aarch64', 'armv7', 'armhf', 'riscv64', 'loongarch64', 'ppc64le', 's390x']

const maxDepth = 8
const maxFolders = 2_000
const bootFile = /^(vmlinuz|initramfs|modloop)-([A-Za-z0-9_-]+)$/

/** All releases, in the order of their ids. No `releases/` folder is no release. Throws what the disk throws, except for folders that vanish meanwhile. */
export async function scanReleases(depot: string): Promise<ReleaseScan> {
  const [releases, mistakes, folders]: [Release[], Mistake[], string[]] = [[], [], []]
  const waiting: string[] = ['releases']
  for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) {
    if (folders.length >= maxFolders) {
      mistakes.push({ code: 'too-many-folders', message: `more than ${maxFolders} folders; the rest is passed over`, file: 'releases' })
      break
    }
    const entries = await listFolder(join(depot, folder))
    if (!entries) continue
    folders.push(folder)
    const outside = await listOutside(depot, folder, entries)
    mistakes.push(...outside)
    const inside = entries.filter(({ name }) => !outside.some(({ file }) => file === `${folder}/${name}`))
    const found = readFolder(
      folder,
      inside.map(({ name }) => name),
    )
    const settled = found && 'id' in found ? await addManifest(depot, folder, found, inside) : found && { mistake: found }
    if (settled?.release) releases.push(settled.release)
    if (settled?.mistake) mistakes.push(settled.mistake)
    if (folder.split('/').length <= maxDepth) waiting.push(...(await subfolders(depot, folder, inside)))
  }
  return { releases: releases.sort((one, other) => (one.id < other.id ? -1 : 1)), mistakes, folders }
}

async function listFolder(path: string): Promise<Dirent[] | undefined> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return undefined
    throw error
  }
}

/** Folders below, links to folders of the depot too. A loop of links ends at the depth limit. */
async function subfolders(depot: string, folder: string, entries: readonly Dirent[]): Promise<string[]> {
  const found: string[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    const path = `${folder}/${entry.name}`
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await stat(join(depot, path)).catch(() => undefined))?.isDirectory() === true)
    if (isFolder) found.push(path)
  }
  return found.sort()
}

/** Links out of the depot are not served, so what they lead to cannot be booted either. */
async function leadsOutside(depot: string, path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false
  const [home, target] = await Promise.all([realpath(depot), realpath(join(depot, path)).catch(() => '')])
  return target !== home && !target.startsWith(home + sep)
}

async function listOutside(depot: string, folder: string, entries: readonly Dirent[]): Promise<Mistake[]> {
  const found: Mistake[] = []
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`
    if (!entry.name.startsWith('.') && (await leadsOutside(depot, path, entry))) {
      found.push({
        code: 'link-outside',
        message: 'is a link that leads out of the depot or nowhere; such files are not served: copy them, or mount the other place here',
        file: path,
      })
    }
  }
  return found
}

/** What one folder is: a release, a mistake, or neither. */
function readFolder(folder: string, names: readonly string[]): Release | Mistake | undefined {
  const files = names.flatMap((name) => {
    const [, part = '', flavour = ''] = bootFile.exec(name) ?? []
    return part ? [{ name, part, flavour }] : []
  })
  const kernel = files.find(({ part }) => part === 'vmlinuz')
  const initramfs = files.find(({ part }) => part === 'initramfs')
  if (!kernel && !initramfs) return undefined
  const refuse = (code: string, message: string): Mistake => ({ code, message, file: folder })
  const flavours = [...new Set(files.map(({ flavour }) => flavour))].sort()
  if (flavours.length > 1) {
    const list = files
      .map(({ name }) => name)
      .sort()
      .join(', ')
    return refuse(
      'flavour-mix',
      `${list}: flavours ${flavours.join(' and ')} are mixed; kernel, initramfs and modloop must be of one flavour and version: one folder for each, such as ${folder}/${flavours[0]}/`,
    )
  }
  if (!kernel || !initramfs)
    return refuse(
      'release-incomplete',
      `${(kernel ?? initramfs)?.name} is there without ${kernel ? `initramfs-${kernel.flavour}` : `vmlinuz-${initramfs?.flavour}`}`,
    )
  if (folder === 'releases')
    return refuse(
      'release-place',
      'boot files lie in releases/ itself: put them in a folder of their own, such as releases/alpine/3.22.2/x86_64/lts/',
    )
  if (!depotPathSchema.safeParse(folder).success)
    return refuse('release-name', 'the folder has characters that no URL of ours may hold: use letters, digits and . _ + @ -')
  return releaseOf(
    folder,
    kernel.flavour,
    files.some(({ part }) => part === 'modloop'),
  )
}

/**
 * What the manifest adds to a release, if the folder has one. A wrong manifest is a mistake and its release goes on as one laid by hand; boot
 * files whose size is not the manifest's are damaged, and such a release is not booted.
 */
async function addManifest(
  depot: string,
  folder: string,
  release: Release,
  entries: readonly Dirent[],
): Promise<{ readonly release?: Release; readonly mistake?: Mistake }> {
  if (!entries.some(({ name }) => name === manifestName)) return { release }
  const file = `${folder}/${manifestName}`
  const outcome = await loadManifest(join(depot, file), file)
  if (!outcome) return { release }
  if ('mistakes' in outcome) return { release, ...(outcome.mistakes[0] && { mistake: outcome.mistakes[0] }) }
  const { value: manifest } = outcome
  if (manifest.id !== release.id || manifest.flavour !== release.flavour) {
    const message = `speaks of ${manifest.id}, flavour ${manifest.flavour}: the folder was moved or copied; import the release again under its own name`
    return { release, mistake: { code: 'manifest-id', message, file } }
  }
  const damage = await findDamage(join(depot, folder), manifest)
  if (damage) return { mistake: { code: 'release-damaged', message: `${damage}; remove the folder and import the release again`, file: folder } }
  const { version, branch, arch, repositories } = manifest
  return { release: { ...release, version, branch, arch, ...(repositories.length && { repositories }) } }
}

async function loadManifest(path: string, file: string): Promise<ReturnType<typeof readManifestText> | undefined> {
  try {
    const { size } = await stat(path)
    return readManifestText(size > maxManifestBytes ? ' '.repeat(maxManifestBytes + 1) : await readFile(path, 'utf8'), file)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    return { mistakes: [{ code: 'file-unreadable', message: `cannot be read: ${(error as Error).message}`, file }] }
  }
}

/** Sizes alone: digests are `release verify`'s. */
async function findDamage(folder: string, { files }: ReleaseManifest): Promise<string | undefined> {
  for (const { name, sizeBytes } of files) {
    const found = await stat(join(folder, name)).catch(() => undefined)
    if (!found) return `${name} is gone`
    if (found.size !== sizeBytes) return `${name} has ${found.size} bytes, and had ${sizeBytes} when it was imported`
  }
  return undefined
}

function releaseOf(folder: string, flavour: string, hasModloop: boolean): Release {
  const id = folder.slice('releases/'.length)
  const arch = id.split('/').find((part) => alpineArchs.includes(part))
  return {
    id,
    kernel: `${folder}/vmlinuz-${flavour}`,
    initramfs: `${folder}/initramfs-${flavour}`,
    ...(hasModloop && { modloop: `${folder}/modloop-${flavour}` }),
    flavour,
    ...(arch && { arch }),
  }
}
