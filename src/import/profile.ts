// From an entry of an old loader's file to the keys of a profile. Used by the readers; whether the schema takes them is seen in plan.
import type { Patch } from '../store/yaml-edit.ts'
import type { PxelinuxEntry } from './pxelinux-file.ts'

/** The profile that boots the same; undefined for an entry that is neither a local boot nor a kernel. `base`: the folder of the loader's file below the tree's root. */
export function profileOfEntry(
  { kernel, initrd, arguments: words, isLocal }: Pick<PxelinuxEntry, 'kernel' | 'initrd' | 'arguments' | 'isLocal'>,
  base = '',
): Patch | undefined {
  if (isLocal) return { kind: 'local' }
  if (kernel === undefined) return undefined
  // A module of syslinux is no kernel, but for the one that boots the next disk.
  if (/(^|\/)chain\.c32$/.test(kernel)) return { kind: 'local' }
  if (/\.(c32|0|bin|bs|bss|kpxe|pxe|efi|lkrn|com|cbt)$/i.test(kernel) || /(^|\/)memdisk$/.test(kernel)) return undefined
  return {
    kind: 'linux',
    kernel: pathOf(kernel, base),
    ...(initrd.length && { initrds: initrd.map((one) => pathOf(one, base)) }),
    ...(words.length && { arguments: [...words] }),
  }
}

/** `/vmlinuz`, `::vmlinuz`, `./vmlinuz` → below the tree; a URL as it is. */
export function pathOf(text: string, base = ''): string {
  if (/^[a-z]+:\/\//i.test(text)) return text
  const isRooted = /^(::)?\//.test(text)
  const plain = text.replace(/^(::)?\/*/, '').replace(/^(\.\/)+/, '')
  return isRooted || base === '' || base === '.' ? plain : `${base}/${plain}`
}
