// A netboot tree with menu.ipxe → the menu kept as it is (a template and its profile), and a profile for each item that boots something we know.
// Used by `bivouac import netboot`. It reads only.
import { join, resolve } from 'node:path'
import { InputError } from '../boot/error.ts'
import type { Patch } from '../store/yaml-edit.ts'
import { createDraft, type Draft, makeName, type Places } from './draft.ts'
import { type MenuAction, parseMenu } from './menu.ts'
import { pathOf } from './profile.ts'
import { listTree, readText } from './read.ts'
import { copyTree, linksOf } from './tree.ts'

const menuName = 'netboot-menu'

/** Everything in the tree. Throws MissingError without menu.ipxe, InputError when the files are neither in the depot nor to be copied there. */
export async function readNetboot(path: string, places: Places): Promise<Draft> {
  const root = resolve(path)
  const file = join(root, 'menu.ipxe')
  const text = await readText(file, 1 << 20)
  const draft = createDraft()
  if (root !== places.depot && !places.copies)
    throw new InputError(
      'import-place',
      `${root} is not the depot (${places.depot}): add --copy to copy its files there, or --depot ${root} to make it the depot itself`,
    )
  const entries = root === places.depot ? await listTree(root) : await copyTree(draft, root, places)
  const paths = new Set(entries.map((entry) => entry.path))
  draft.files.push({ to: join(places.depot, 'templates', `${menuName}.ejs`), text: text.replaceAll('<%', '<%%'), mode: 0o644 })
  draft.profiles.push({ name: menuName, value: { kind: 'script', template: menuName }, source: file })
  draft.notes.push(`the menu is profile ${menuName}, word for word; "unknown: ${menuName}" shows it to every station without a record`)
  addItems(draft, text, file, paths)
  for (const { mac, path: link } of linksOf(entries))
    draft.notes.push(`${link}: the file of ${mac} is served to pxelinux as it is; "bivouac import dnsmasq" makes records of such links`)
  return draft
}

function addItems(draft: Draft, text: string, file: string, paths: ReadonlySet<string>): void {
  const menu = parseMenu(text)
  for (const { line, text: said, why } of menu.wrong) draft.left.push({ file, line, text: said, why })
  const taken = new Set<string>()
  for (const item of menu.items) {
    const label = menu.labels.get(item.label)
    if (!label) continue
    for (const { line, text: said } of label.unknown)
      draft.left.push({ file, line, text: said, why: `of item ${item.label}: stays in the menu, no profile says it` })
    const value = label.action && profileOf(label.action, paths)
    if (!value) {
      draft.left.push({
        file,
        line: label.line,
        text: `:${item.label}`,
        why: 'boots nothing that a profile could say: stays in the menu',
      })
      continue
    }
    const name = makeName(item.label, (one) => taken.has(one), 'item')
    taken.add(name)
    draft.profiles.push({ name, value, source: file, line: label.line })
  }
}

function profileOf(action: MenuAction, paths: ReadonlySet<string>): Patch {
  if (action.kind === 'local' || action.kind === 'shell') return { kind: action.kind }
  if (action.kind === 'chain') return { kind: 'chain', target: placeOf(action.url, paths) }
  const { kernel, initrd, modules, arguments: words } = action
  return {
    kind: 'linux',
    kernel: placeOf(kernel, paths),
    ...(initrd.length && { initrds: initrd.map((one) => placeOf(one, paths)) }),
    ...(modules.length && {
      modules: modules.map(({ file, arguments: more }) => ({ file: placeOf(file, paths), ...(more.length && { arguments: [...more] }) })),
    }),
    ...(words.length && { arguments: words.filter((word) => !word.startsWith('initrd=')) }),
  }
}

/** The path in the tree where the tree has it, whichever server the menu names; else the URL. */
function placeOf(text: string, paths: ReadonlySet<string>): string {
  const path = pathOf(text.replace(/^https?:\/\/[^/]*\//i, '/'))
  return paths.has(path) ? path : text
}
