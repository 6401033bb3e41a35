// Which step of a boot a served file is. Used by the door for its events. Pure.
import type { BootStep } from '../boot/event.ts'
import type { Records } from '../boot/record.ts'

const kinds: readonly (readonly [pattern: RegExp, step: BootStep])[] = [
  [/(^|\/)vmlinuz[^/]*$/, 'kernel'],
  [/(^|\/)initramfs[^/]*$/, 'initramfs'],
  [/(^|\/)modloop[^/]*$/, 'modloop'],
  [/(^|\/)sshkeys\.pub$/, 'ssh-keys'],
  [/(^|\/)(APKINDEX\.tar\.gz|[^/]*\.adb)$/, 'index'],
  [/\.apk$/, 'package'],
]

const byRecords = new WeakMap<Records, ReadonlyMap<string, BootStep>>()

/** The step: by what the records call the file, else by its name. Undefined for files that are no step. */
export function stepOf(path: string, records: Records): BootStep | undefined {
  let named = byRecords.get(records)
  if (!named) {
    named = nameFiles(records)
    byRecords.set(records, named)
  }
  return named.get(path) ?? kinds.find(([pattern]) => pattern.test(path))?.[1]
}

function nameFiles({ profiles, releases }: Records): ReadonlyMap<string, BootStep> {
  const alpine = [...profiles.values()].filter((profile) => profile.kind === 'alpine')
  const named = new Map<string, BootStep>()
  for (const { kernel, initramfs, modloop } of [...releases, ...alpine]) {
    if (kernel !== undefined) named.set(kernel, 'kernel')
    if (initramfs !== undefined) named.set(initramfs, 'initramfs')
    if (modloop !== undefined) named.set(modloop, 'modloop')
  }
  for (const profile of profiles.values()) {
    if (profile.kind !== 'linux' && profile.kind !== 'rescue') continue
    for (const place of profile.kind === 'linux' ? profile.initrds : [profile.initrd]) if (!named.has(place)) named.set(place, 'initramfs')
    if (!named.has(profile.kernel)) named.set(profile.kernel, 'kernel')
  }
  return named
}

/** Endings of what firmware can start. Everything below `ipxe/` is a loader too. */
export const isLoaderName = (path: string): boolean => path.startsWith('ipxe/') || /\.(k{0,3}pxe|efi|lkrn|0|c32|e32|e64)$/.test(path)
