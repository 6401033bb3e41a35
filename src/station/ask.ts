// How a script is asked for: in which loader's form, by whom, under which address. Types only.
import type { Mac } from '../boot/address.ts'

/**
 * `ipxe`: boot/<mac>.ipxe. `gpxe`: the owner's gpxe-script, whose MAC the station's iPXE fills in. `pxelinux`: a pxelinux configuration;
 * its paths are TFTP names that begin with `root`. `grub`: a GRUB configuration, whose paths are below its own root device.
 */
export type ScriptForm = 'ipxe' | 'gpxe' | 'pxelinux' | 'grub'

export type ScriptAsk = {
  readonly httpBase: string
  readonly form: ScriptForm
  readonly mac?: Mac
  readonly root?: string
  /** Stands in the overlay's URL; only where we know whose script it is. */
  readonly ticket?: string
}
