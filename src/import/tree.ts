// A foreign tree of files → wishes for our depot: its files copied, its links made anew, its pxelinux entries as profiles. Used by the readers of this room.
import { dirname, join, relative } from 'node:path'
import type { Mac } from '../boot/address.ts'
import { type Draft, macOfName, type Places } from './draft.ts'
import { profileOfEntry } from './profile.ts'
import { defaultEntry, parsePxelinux } from './pxelinux-file.ts'
import { listTree, type TreeEntry, tryReadText } from './read.ts'

/** Folders of a depot that mean something to Bivouac: a foreign tree must not fill them. */
const ours = /^(stations|profiles|overlays|templates|secrets|additions|releases|apk|ipxe|keys)(\/|$)/

/** Wishes for every file of the tree. `skip`: paths that something else takes care of. */
export async function copyTree(
  draft: Draft,
  root: string,
  { depot }: Places,
  skip: (path: string) => boolean = () => false,
): Promise<readonly TreeEntry[]> {
  const entries = await listTree(root)
  for (const entry of entries) {
    const { path } = entry
    const leave = (why: string) => void draft.left.push({ file: join(root, path), text: path, why })
    if (skip(path)) continue
    if (ours.test(path)) leave('its place means something to Bivouac in a depot; copy it by hand under another name')
    else if (entry.kind === 'other') leave('is neither file nor link')
    else if (entry.kind === 'file') draft.files.push({ from: join(root, path), to: join(depot, path) })
    else if (entry.target === undefined) leave(`the link leads out of the tree or nowhere: ${entry.text.slice(0, 200)}`)
    else draft.files.push({ to: join(depot, path), target: relative(dirname(path), entry.target) || '.' })
  }
  return entries
}

/** The profile that a configuration of pxelinux comes to, added to the draft under this name; undefined where it is nothing that we know. */
export async function addPxelinuxProfile(draft: Draft, path: string, name: string, base = ''): Promise<string | undefined> {
  const text = await tryReadText(path, 1 << 20)
  if (text === undefined) return undefined
  const file = parsePxelinux(text)
  const entry = defaultEntry(file)
  const value = entry && profileOfEntry(entry, base)
  if (!entry || !value) {
    const why = entry ? `boots ${entry.kernel ?? 'nothing'}, which is no Linux kernel` : 'holds no entry of pxelinux'
    draft.left.push({ file: path, text: name, why: `${why}: the file is served to pxelinux as it is, and no profile is made of it` })
    return undefined
  }
  for (const { line, text: said } of file.left)
    draft.left.push({ file: path, line, text: said, why: 'not understood in a configuration of pxelinux' })
  if (file.entries.length > 1)
    draft.notes.push(`${path}: the profile boots its default entry "${entry.label}"; the others (${file.entries.length - 1}) stay in the file`)
  draft.profiles.push({ name, value, source: path, line: entry.line })
  return name
}

/** Which configuration each MAC's link in `pxelinux.cfg/` leads to, one step; a plain file is itself. */
export function linksOf(
  entries: readonly TreeEntry[],
  folder = 'pxelinux.cfg',
): { readonly mac: Mac; readonly path: string; readonly target: string | undefined }[] {
  return entries.flatMap((entry) => {
    const name = entry.path.startsWith(`${folder}/`) ? entry.path.slice(folder.length + 1) : ''
    const mac = /^01(-[0-9a-f]{2}){6}$/i.test(name) ? macOfName(name) : undefined
    if (!mac) return []
    return [{ mac, path: entry.path, target: entry.kind === 'link' ? entry.target : entry.path }]
  })
}
