// A classic store (/srv/pxe: gpxe-script, boot files at the top, configs/<mac>.tar.gz, sshkeys.pub) → one profile and a station for each overlay.
// Used by `bivouac import srv-pxe`. It reads only; the store becomes the depot, or its files are copied into ours.
import { join, resolve } from 'node:path'
import { inspectOverlay } from '../alpine/overlay.ts'
import { InputError } from '../boot/error.ts'
import type { Patch } from '../store/yaml-edit.ts'
import { createDraft, type Draft, macOfName, type Places } from './draft.ts'
import { pathOf } from './profile.ts'
import { listTree, tryReadText } from './read.ts'
import { copyTree } from './tree.ts'

const profileName = 'srv-pxe'
const understood =
  /^(gpxe-script|boot\.ipxe|sshkeys\.pub|default\.ipxe|(vmlinuz|initramfs|modloop|config|System\.map)-[A-Za-z0-9._-]+|configs\/.+|data\/.+|scripts\/.+|.+\.(kpxe|efi|pxe|0|c32))$/

/** Everything in the store. Throws MissingError, and InputError when the files are neither in the depot nor to be copied there. */
export async function readSrvPxe(path: string, places: Places): Promise<Draft> {
  const root = resolve(path)
  const draft = createDraft()
  const entries = await listTree(root)
  if (root !== places.depot && !places.copies)
    throw new InputError(
      'import-place',
      `${root} is not the depot (${places.depot}): add --copy to copy its files there, or --depot ${root} to make it the depot itself`,
    )
  if (root !== places.depot) await copyTree(draft, root, places)
  else draft.settings = { depot: root }
  const files = new Set(entries.map((entry) => entry.path))
  for (const entry of entries)
    if (!understood.test(entry.path) && root !== places.depot) draft.notes.push(`${entry.path}: copied and served as it is; nothing of ours names it`)
  const profile = await readScript(draft, root, files)
  if (profile) draft.profiles.push({ name: profileName, value: profile, source: join(root, 'gpxe-script') })
  for (const entry of entries) {
    if (entry.kind === 'other' || (entry.kind === 'link' && entry.target === undefined)) continue
    const { path: file } = entry
    const name = /^configs\/([^/]+\.tar\.gz)$/i.exec(file)?.[1]
    if (name === undefined) continue
    const mac = macOfName(name)
    if (mac)
      draft.stations.push({
        name: (await readHostname(join(root, file))) ?? `pxe-${mac.replaceAll(':', '')}`,
        macs: [mac],
        value: profile ? { profile: profileName } : {},
        source: join(root, file),
      })
    else if (/^default\.tar\.gz$/i.test(name))
      draft.notes.push(
        `configs/default.tar.gz is every station's that has none of its own; for stations without a record set "unknown: ${profileName}"`,
      )
    else draft.left.push({ file: join(root, file), text: name, why: 'neither a MAC address nor "default": the file is kept, and no station has it' })
  }
  return draft
}

/** The host name within an overlay; undefined for one without, or an archive that is none. */
async function readHostname(path: string): Promise<string | undefined> {
  const report = await inspectOverlay(path, { inflatedBytes: 256 << 20, entries: 100_000 }).catch(() => undefined)
  return report?.hostname
}

/** `kernel vmlinuz-virt ip=dhcp …`, `initrd …` → an Alpine profile. */
async function readScript(draft: Draft, root: string, files: ReadonlySet<string>): Promise<Patch | undefined> {
  const text = await tryReadText(join(root, 'gpxe-script'), 1 << 20)
  if (text === undefined) {
    draft.left.push({
      file: join(root, 'gpxe-script'),
      text: 'gpxe-script',
      why: 'is not there: no profile is made, stations boot the setting "default"',
    })
    return undefined
  }
  const found: { kernel?: string; initramfs?: string; words: string[] } = { words: [] }
  for (const [at, line] of text.split(/\r?\n/, 2000).entries()) {
    const [verb = '', ...words] = line.trim().split(/\s+/)
    const plain = words.filter((word) => !/^--?[a-z]/.test(word))
    if (verb === '' || verb.startsWith('#') || verb === 'boot' || verb === 'dhcp' || verb === 'imgfree') continue
    if (verb === 'kernel' && !found.kernel && plain[0] !== undefined) {
      found.kernel = pathIn(plain[0], files)
      found.words = plain.slice(1, 257)
    } else if ((verb === 'initrd' || verb === 'imgfetch') && !found.initramfs && plain[0] !== undefined) found.initramfs = pathIn(plain[0], files)
    else
      draft.left.push({
        file: join(root, 'gpxe-script'),
        line: at + 1,
        text: line.trim().slice(0, 200),
        why: 'not a kernel, initrd or boot line: look whether a profile needs it',
      })
  }
  if (found.kernel === undefined || found.initramfs === undefined) {
    draft.left.push({ file: join(root, 'gpxe-script'), text: 'gpxe-script', why: 'names no kernel and initrd: no profile is made' })
    return undefined
  }
  return { kind: 'alpine', kernel: found.kernel, initramfs: found.initramfs, ...readWords(draft, root, found.words, files) }
}

/** A URL of the old server → the file's path in the store, where it has it. */
function pathIn(text: string, files: ReadonlySet<string>): string {
  const path = pathOf(text.replace(/^(?:https?|tftp):\/\/[^/]*\//i, '/'))
  return files.has(path) ? path : (path.split('/').findLast((part) => files.has(part)) ?? path)
}

const ownWords = ['ip', 'ssh_key', 'modloop', 'modules', 'alpine_dev', 'alpine_repo', 'BOOTIF', 'initrd'] as const

function readWords(draft: Draft, root: string, words: readonly string[], files: ReadonlySet<string>): Patch {
  const value = new Map(words.map((word) => [word.split('=', 1)[0] as string, word.slice(word.indexOf('=') + 1)]))
  const others = words.filter((word) => ![...ownWords, 'apkovl'].includes((word.split('=', 1)[0] ?? '') as 'apkovl'))
  const modloop = value.get('modloop')
  const repositories = value.get('alpine_repo')?.split(',').filter(Boolean)
  const device = value.get('alpine_dev')
  if (device !== undefined) draft.notes.push('alpine_dev is kept, though every Alpine since 3.3 ignores it')
  if (!value.has('apkovl'))
    draft.notes.push(`${join(root, 'gpxe-script')} names no apkovl: the profile asks for an overlay all the same; "overlay: none" boots without`)
  return {
    ...(modloop !== undefined && { modloop: pathIn(modloop, files) }),
    ...(value.has('modules') && { modules: (value.get('modules') ?? '').split(',').filter(Boolean) }),
    ...(device !== undefined && { alpineDev: device }),
    ...(repositories?.length && { repositories }),
    ...(!value.has('ssh_key') && { sshKeys: false }),
    ...(others.length && { arguments: others }),
  }
}
