// What a rescue site's work directory lacks, each with the way to get it. Called by `bivouac workdir init`; reads only.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'

export type Lacking = { readonly path: string; readonly hint: string }

/** The first of `paths` is where it belongs; the others do as well. */
const wanted: readonly { readonly paths: readonly string[]; readonly hint: string }[] = [
  { paths: ['conf/dnsmasq.conf'], hint: 'bivouac dnsmasq render --out conf writes one' },
  { paths: ['conf/hosts', 'hosts'], hint: 'one line "address fqdn name" a host: bivouac host add' },
  { paths: ['conf/dhcphosts', 'dhcphosts'], hint: 'one line "mac,name,infinite" a host: bivouac host add' },
  { paths: ['tftpboot/pxelinux.0'], hint: 'Debian: package pxelinux, /usr/lib/PXELINUX/pxelinux.0' },
  {
    paths: ['tftpboot/ldlinux.c32'],
    hint: 'Debian: package syslinux-common, /usr/lib/syslinux/modules/bios/ldlinux.c32, of the same version as pxelinux.0',
  },
  { paths: ['tftpboot/pxelinux.cfg/default'], hint: 'write "DEFAULT 1", "LABEL 1", "LOCALBOOT 0": hosts without a link boot from disk' },
  { paths: ['tftpboot/pxelinux.cfg/911boot'], hint: 'the rescue entry: bivouac dnsmasq inventory writes one, docs/dnsmasq.md has one' },
  { paths: ['tftpboot/vmlinuz-4', 'images/vmlinuz-4'], hint: 'the rescue image’s kernel' },
  { paths: ['tftpboot/initrd.gz', 'images/initrd.gz'], hint: 'the rescue image’s initrd' },
  { paths: ['images/root.sqfs'], hint: 'the rescue image’s root file system (unless its initrd has it)' },
  { paths: ['images/Install'], hint: 'the script that the rescue image puts at /root/tools/Install' },
  { paths: ['images/pubkey'], hint: 'the operators’ SSH keys: cat ~/.ssh/id_*.pub > images/pubkey' },
]

/** In the order of the boot. An empty file is as good as none. */
export async function checkWorkdir(folder: string, coming: readonly string[] = []): Promise<Lacking[]> {
  const lacking: Lacking[] = []
  for (const { paths, hint } of wanted) {
    const sizes = await Promise.all(
      paths.map((path) =>
        stat(join(folder, path)).then(
          (one) => (one.isFile() ? one.size : 0),
          () => 0,
        ),
      ),
    )
    if (!sizes.some(Boolean) && !paths.some((path) => coming.includes(path))) lacking.push({ path: paths[0] as string, hint })
  }
  return lacking
}
