// hosts files as dnsmasq reads them (addn-hosts): text → lines, and back without loss. Used by the reader of files, the editor and the importer.
import { type Ipv4, parseIpv4 } from '../boot/address.ts'
import { expandIpv6 } from './dhcphosts.ts'
import { joinLines, splitLines, type TextLine } from './text.ts'

export type HostsLine = TextLine &
  (
    | { readonly kind: 'blank' }
    | {
        readonly kind: 'host'
        readonly family: 4 | 6
        readonly address: string
        readonly names: readonly string[]
        readonly badNames: readonly string[]
      }
    | { readonly kind: 'bad'; readonly code: string; readonly wrong: string }
  )

export type HostsFile = { readonly file: string; readonly lines: readonly HostsLine[] }

/** Reads any text. Never throws. */
export function parseHosts(text: string, file: string): HostsFile {
  return { file, lines: splitLines(text).map(readLine) }
}

/** The text again; lines that nobody changed are the same bytes. */
export const formatHosts = ({ lines }: HostsFile): string => joinLines(lines)

function readLine(line: TextLine): HostsLine {
  const [address, ...names] = line.text.replace(/#.*$/s, '').split(/\s+/).filter(Boolean)
  if (address === undefined) return { ...line, kind: 'blank' }
  const family = familyOf(address)
  if (!family) return { ...line, kind: 'bad', code: 'hosts-address', wrong: `"${address.slice(0, 60)}" is no IPv4 or IPv6 address` }
  if (!names.length) return { ...line, kind: 'bad', code: 'hosts-no-name', wrong: `${address} has no name` }
  return { ...line, kind: 'host', family, address, names: names.filter(isHostName), badNames: names.filter((name) => !isHostName(name)) }
}

function familyOf(text: string): 4 | 6 | undefined {
  if (expandIpv6(text) !== undefined) return 6
  try {
    parseIpv4(text)
    return 4
  } catch {
    return undefined
  }
}

const isHostName = (name: string): boolean =>
  name.length <= 1024 && name.split('.').every((label) => label.length <= 63) && /^[a-z0-9_]([a-z0-9_.-]*)$/i.test(name)

/** What a name has: every address in the order of the files, IPv4 only. Names are in small letters. */
export function addressesByName(
  files: readonly HostsFile[],
): Map<string, { readonly address: Ipv4; readonly file: string; readonly line: number }[]> {
  const found = new Map<string, { address: Ipv4; file: string; line: number }[]>()
  for (const { file, lines } of files) {
    for (const line of lines) {
      if (line.kind !== 'host' || line.family !== 4) continue
      for (const name of new Set(line.names.map((one) => one.toLowerCase().replace(/\.$/, '')))) {
        const known = found.get(name) ?? []
        if (!known.some(({ address }) => address === line.address))
          found.set(name, [...known, { address: line.address as Ipv4, file, line: line.number }])
      }
    }
  }
  return found
}
