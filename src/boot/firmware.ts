// What firmware is there and which loader it can run: the architecture table and the quirk rules, as data.
// Used by decide; the codes are IANA's "Processor Architecture Types" (DHCPv6 registry, RFC 5970 and 4578).
import type { Mac } from './address.ts'

/** How a loader travels: firmware of the HTTP kinds takes a URL, all others take a TFTP name. */
export type Transport = 'tftp' | 'http'

/** One kind of firmware. `loader` is a name in the loader library; undefined where nobody builds one. */
export type Firmware = { readonly name: string; readonly buildArch: string; readonly via: Transport; readonly loader?: string }

/** Option 93 code → firmware. The site may replace the loader of each (`loaders:` in the configuration). */
export const firmwareByArch: ReadonlyMap<number, Firmware> = new Map<number, Firmware>([
  [0, { name: 'x86 BIOS', buildArch: 'i386', via: 'tftp', loader: 'undionly.kpxe' }],
  [6, { name: 'x86 UEFI', buildArch: 'i386', via: 'tftp', loader: 'i386-efi/snponly.efi' }],
  [7, { name: 'x86-64 UEFI', buildArch: 'x86_64', via: 'tftp', loader: 'x86_64-efi/snponly.efi' }],
  // Lore: 9 is EBC by the register, but x64 UEFI of about 2010 to 2014 sends it for itself; no EBC loader exists.
  [9, { name: 'x86-64 UEFI (as EBC)', buildArch: 'x86_64', via: 'tftp', loader: 'x86_64-efi/snponly.efi' }],
  [10, { name: 'ARM 32-bit UEFI', buildArch: 'arm32', via: 'tftp', loader: 'arm32-efi/snponly.efi' }],
  [11, { name: 'ARM 64-bit UEFI', buildArch: 'arm64', via: 'tftp', loader: 'arm64-efi/snponly.efi' }],
  [15, { name: 'x86 UEFI HTTP', buildArch: 'i386', via: 'http', loader: 'i386-efi/snponly.efi' }],
  [16, { name: 'x86-64 UEFI HTTP', buildArch: 'x86_64', via: 'http', loader: 'x86_64-efi/snponly.efi' }],
  [17, { name: 'EBC UEFI HTTP', buildArch: 'x86_64', via: 'http', loader: 'x86_64-efi/snponly.efi' }],
  [18, { name: 'ARM 32-bit UEFI HTTP', buildArch: 'arm32', via: 'http', loader: 'arm32-efi/snponly.efi' }],
  [19, { name: 'ARM 64-bit UEFI HTTP', buildArch: 'arm64', via: 'http', loader: 'arm64-efi/snponly.efi' }],
  [20, { name: 'x86 BIOS HTTP', buildArch: 'i386', via: 'http', loader: 'undionly.kpxe' }],
  [25, { name: 'RISC-V 32-bit UEFI', buildArch: 'riscv32', via: 'tftp', loader: 'riscv32-efi/snponly.efi' }],
  [26, { name: 'RISC-V 32-bit UEFI HTTP', buildArch: 'riscv32', via: 'http', loader: 'riscv32-efi/snponly.efi' }],
  [27, { name: 'RISC-V 64-bit UEFI', buildArch: 'riscv64', via: 'tftp', loader: 'riscv64-efi/snponly.efi' }],
  [28, { name: 'RISC-V 64-bit UEFI HTTP', buildArch: 'riscv64', via: 'http', loader: 'riscv64-efi/snponly.efi' }],
  [39, { name: 'LoongArch 64-bit UEFI', buildArch: 'loong64', via: 'tftp', loader: 'loong64-efi/snponly.efi' }],
  [40, { name: 'LoongArch 64-bit UEFI HTTP', buildArch: 'loong64', via: 'http', loader: 'loong64-efi/snponly.efi' }],
])

/** Names that several places use for one loader: the source document announces `gpxe.kpxe`. */
export const loaderAliases: ReadonlyMap<string, string> = new Map([
  ['gpxe.kpxe', 'undionly.kpxe'],
  ['snponly.efi', 'x86_64-efi/snponly.efi'],
  ['ipxe.efi', 'x86_64-efi/ipxe.efi'],
])

/**
 * How an offer names the loader. `complete`: header fields and options 66 and 67, what every firmware reads.
 * `bypass`: a proxy offer with discovery control 8 (option 43.6), for BIOS ROMs. `ask4011`: a proxy offer that says
 * "PXE server here", the name follows on port 4011, for UEFI.
 */
export type OfferForm = 'complete' | 'bypass' | 'ask4011'

/** A rule for firmware that needs its own way. All given conditions must hold; the first rule that holds wins. */
export type Quirk = {
  readonly name: string
  readonly when: { readonly oui?: string; readonly vendorClass?: string; readonly arch?: number }
  readonly offer?: OfferForm
  readonly loader?: string
}

/** Which quirk applies to this client, if any. `oui` is `52:54:00`, `vendorClass` a prefix of option 60. */
export function findQuirk(quirks: readonly Quirk[], mac: Mac, vendorClass: string | undefined, arch: number | undefined): Quirk | undefined {
  return quirks.find(({ when }) => findQuirkMiss(when, mac, vendorClass, arch) === undefined)
}

/** The first condition that does not hold, for people; undefined when all do. */
export function findQuirkMiss(when: Quirk['when'], mac: Mac, vendorClass: string | undefined, arch: number | undefined): string | undefined {
  if (when.oui !== undefined && !mac.startsWith(when.oui)) return `is for MACs of ${when.oui}`
  if (when.vendorClass !== undefined && !vendorClass?.startsWith(when.vendorClass)) return `is for the vendor class ${when.vendorClass}`
  return when.arch !== undefined && when.arch !== arch ? `is for architecture ${when.arch}` : undefined
}
