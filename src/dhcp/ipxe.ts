// How an iPXE shows itself: its user class (77) and its own option 175, both ways. Used by client and reply.
import { endCode, type Options, option, padCode } from './option.ts'
import { readText } from './text.ts'

/** Sub-options of 175 (iPXE's dhcp.h). A feature is one byte, its version. */
export const ipxeOption = { http: 0x13, noProxyDhcp: 0xb0 } as const

/** Option 175 for every iPXE. Lore: without 176 = 1 it waits four seconds for offers of a proxy (QEMU's ROM: 4.07 s against 0.00 s). */
export const noProxyDhcp: Uint8Array = Uint8Array.of(ipxeOption.noProxyDhcp, 1, 1)

/** Does option 175 hold this sub-option? */
export function hasIpxeOption(options: Options, wanted: number): boolean {
  const bytes = options.get(option.ipxe.code)
  if (!bytes) return false
  for (let at = 0; at < bytes.length && bytes[at] !== endCode; ) {
    if (bytes[at] === wanted) return true
    at += bytes[at] === padCode ? 1 : 2 + (bytes[at + 1] ?? 0)
  }
  return false
}

/** The user classes: length-prefixed as RFC 3004 wants, or one bare name as iPXE and most ROMs send it. */
export function readUserClasses(options: Options): readonly string[] {
  const bytes = options.get(option.userClass.code)
  if (!bytes?.length) return []
  const classes: string[] = []
  let at = 0
  while (at < bytes.length) {
    const end = at + 1 + (bytes[at] as number)
    if (end > bytes.length || end === at + 1) return [readText(bytes)]
    classes.push(readText(bytes, at + 1, end))
    at = end
  }
  return classes
}
