// A dnsmasq.conf with its hosts, dhcphosts and pxelinux links → settings that keep the files in force, and records for hosts whose link says more. Used by
// `bivouac import dnsmasq`. It reads only. The files stay the truth: a line with a whole MAC is a station without a record.
import { dirname, join, resolve } from 'node:path'
import type { Mac } from '../boot/address.ts'
import { exactMacs, type Reservation } from '../boot/reservation.ts'
import { type Conf, parseConf } from '../dnsmasq/conf.ts'
import { parseDhcpHosts } from '../dnsmasq/dhcphosts.ts'
import { importConf, type OwnAddress } from '../dnsmasq/import.ts'
import { joinHostFiles } from '../dnsmasq/join.ts'
import { readHostFiles } from '../dnsmasq/source.ts'
import { createDraft, type Draft, type Places } from './draft.ts'
import { listTree, readText, type TreeEntry } from './read.ts'
import { addPxelinuxProfile, copyTree, linksOf } from './tree.ts'

export type DnsmasqOptions = { readonly own: readonly OwnAddress[]; readonly takesNetworks: boolean }

/** Everything that the file says and names. Throws MissingError, InputError. */
export async function readDnsmasq(path: string, places: Places, { own, takesNetworks }: DnsmasqOptions): Promise<Draft> {
  const file = resolve(path)
  const conf = placeConf(parseConf(await readText(file)), dirname(file))
  const draft = createDraft()
  const imported = importConf(conf, own)
  const inline = join(places.folder, 'dhcphosts')
  const dhcphosts = [...conf.dhcphosts, ...(imported.dhcphosts ? [inline] : [])]
  if (imported.dhcphosts) draft.files.push({ to: inline, text: imported.dhcphosts, mode: 0o644 })
  const dnsmasq = {
    ...(conf.hosts.length && { hosts: conf.hosts }),
    ...(dhcphosts.length && { dhcphosts }),
    ...(conf.servers.length && { servers: conf.servers }),
  }
  const networks = imported.networks.map((network) => ({ ...network }))
  draft.settings = { ...(Object.keys(dnsmasq).length && { dnsmasq }), ...(takesNetworks && networks.length && { networks }) }
  if (!takesNetworks && networks.length)
    draft.notes.push(
      `${networks.length} network${networks.length === 1 ? '' : 's'} (${networks.map(({ subnet }) => subnet).join(', ')}) not taken over: two servers would answer DHCP. Stop dnsmasq, then import once more with --with-networks`,
    )
  draft.notes.push(
    ...imported.notes.map((note) => `${file}: ${note}`),
    ...imported.settled.map(({ line, text, why }) => `${file}:${line}: ${text}: ${why}`),
  )
  draft.left.push(...imported.left.map((one) => ({ file, ...one })))
  const lines = await readLines(draft, conf, imported.dhcphosts, inline)
  if (conf.tftpRoot !== undefined) await addTree(draft, conf.tftpRoot, lines, places)
  return draft
}

/** Paths that are not absolute are meant from where dnsmasq was started, which mostly is the folder of its file. */
function placeConf(conf: Conf, folder: string): Conf {
  const place = (path: string) => resolve(folder, path)
  const root = conf.tftpRoot?.split(',', 1)[0]
  return { ...conf, hosts: conf.hosts.map(place), dhcphosts: conf.dhcphosts.map(place), ...(root !== undefined && { tftpRoot: place(root) }) }
}

async function readLines(draft: Draft, conf: Conf, inlineText: string, inline: string): Promise<readonly Reservation[]> {
  const { failures, ...files } = await readHostFiles(conf)
  const dhcphosts = [...files.dhcphosts, ...(inlineText ? [parseDhcpHosts(inlineText, inline)] : [])]
  const joined = joinHostFiles({ hosts: files.hosts, dhcphosts })
  for (const { file = '', line, code, message } of [...failures, ...joined.findings])
    draft.left.push({ file, ...(line !== undefined && { line }), text: code, why: message })
  return joined.reservations
}

/** Links of hosts in pxelinux.cfg are stations with a profile. */
async function addTree(draft: Draft, root: string, lines: readonly Reservation[], places: Places): Promise<void> {
  const entries = await (places.copies ? copyTree(draft, root, places) : listTree(root)).catch((error: Error): readonly TreeEntry[] => {
    draft.left.push({ file: root, text: 'tftp-root', why: error.message })
    return []
  })
  if (!places.copies && entries.length)
    draft.notes.push(`the tree ${root} stays where it is; --copy takes its files into the depot, which Bivouac serves by TFTP and HTTP`)
  const made = new Map<string, string | undefined>()
  const nameOf = (mac: Mac) => lines.find((line) => exactMacs(line).includes(mac))?.name
  for (const { mac, path, target } of linksOf(entries)) {
    if (target === undefined) {
      draft.left.push({ file: join(root, path), text: path, why: 'the link leads out of the tree or nowhere' })
      continue
    }
    if (!made.has(target)) made.set(target, await addPxelinuxProfile(draft, join(root, target), target.slice(target.lastIndexOf('/') + 1)))
    const profile = made.get(target)
    if (profile !== undefined)
      draft.stations.push({ name: nameOf(mac) ?? `pxe-${mac.replaceAll(':', '')}`, macs: [mac], value: { profile }, source: join(root, path) })
  }
}
