// What stands in a layer or in a composed overlay, one path at a time, and how one tree is laid over another. Pure.
import type { OverlayWarning } from '../alpine/overlay-warning.ts'
import type { Template } from '../store/template.ts'

/** A file's bytes: here, or in a file that is read when the archive is written. */
export type Body = Uint8Array | { readonly file: string; readonly identity: string; readonly sizeBytes: number }

/** `mode` absent: 0644 for files, 0755 for folders. Owner absent: root. */
type Facts = { readonly mode?: number; readonly uid?: number; readonly gid?: number; readonly isSecret?: true }

/** A member of the overlay. Links are as the station sees them; nothing of ours ever follows one. */
export type Member = Facts &
  ({ readonly kind: 'file'; readonly body: Body } | { readonly kind: 'directory' } | { readonly kind: 'link'; readonly target: string })

/** A file of a layer that is rendered for each station. */
export type TemplateMember = Facts & { readonly kind: 'template'; readonly template: Template }

/** Members by path (relative, no `./`). */
export type Tree<M = Member> = Map<string, M & { readonly origin: string }>

/** Said of what was left out: code, text and what to do. */
export type Note = OverlayWarning

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const sizeOf = (body: Body): number => (body instanceof Uint8Array ? body.length : body.sizeBytes)

const parentsOf = (path: string): string[] => {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

/**
 * Puts a member over what is there, with the folders above it: a file in place of a folder takes away all below it, and a folder takes the place of
 * a link or file, so that nothing is ever written through a link. A folder keeps what it was told before.
 */
export function put(tree: Tree, path: string, member: Member & { readonly origin: string }): void {
  for (const parent of parentsOf(path)) {
    if (tree.get(parent)?.kind !== 'directory') tree.set(parent, { kind: 'directory', origin: member.origin })
  }
  const before = tree.get(path)
  if (before?.kind === 'directory' && member.kind === 'directory') return void tree.set(path, { ...before, ...member })
  if (before?.kind === 'directory') removeBelow(tree, path)
  tree.set(path, member)
}

/** Takes away the path and everything below it. Answers whether there was anything. */
export function remove(tree: Tree, path: string): boolean {
  const isThere = tree.delete(path)
  return removeBelow(tree, path) || isThere
}

function removeBelow(tree: Tree, path: string): boolean {
  const below = [...tree.keys()].filter((other) => other.startsWith(`${path}/`))
  for (const other of below) tree.delete(other)
  return below.length > 0
}
