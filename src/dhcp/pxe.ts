// What PXE and UEFI firmware tell of themselves (RFC 4578) and the vendor options (43) that they understand. Used by client, reply and proxy.
import { type Option, type Options, option, readOption } from './option.ts'
import { readUuidText } from './text.ts'

/** The two vendor classes (option 60) that boot firmware begins with, and that answers to it carry. */
export const pxeVendorClass = 'PXEClient'
export const httpVendorClass = 'HTTPClient'

/** PXE's sub-options of option 43 (PXE specification 2.1, table 2-1). */
export const pxeOption = {
  discoveryControl: { code: 6, shape: 'u8' },
  bootItem: { code: 71, shape: 'bytes' },
} as const satisfies Record<string, Option>

/** Discovery control 8: no discovery, boot the file that this packet names. As the whole of option 43. */
export const bootThisFile: Uint8Array = Uint8Array.of(6, 1, 8, 255)

/** Option 93 as sent, empty when absent. Lore: the vendor class names an architecture too, but iPXE echoes it from earlier replies cut short. */
export const readArchs = (options: Options): readonly number[] => (readOption(options, option.clientArch) ?? []).slice(0, archsMax)

/** Firmware names one, seldom two; the list goes into events. */
const archsMax = 16

/**
 * Option 97 as people print it: lower case with dashes, the first three fields swapped, as SMBIOS stores them little-endian
 * (RFC 4578 section 2.3). Undefined when absent, of another type, or all zeros or ones: boards whose maker forgot it.
 */
export function readUuid(options: Options): string | undefined {
  const bytes = options.get(option.clientUuid.code)
  if (bytes?.length !== 17 || bytes[0] !== 0 || isUniform(bytes)) return undefined
  return readUuidText(bytes, 1, smbiosOrder)
}

const smbiosOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]

function isUniform(bytes: Uint8Array): boolean {
  const first = bytes[1]
  if (first !== 0 && first !== 255) return false
  for (let at = 2; at < bytes.length; at++) if (bytes[at] !== first) return false
  return true
}
