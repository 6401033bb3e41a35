// What dnsmasq takes in silence and nobody can have meant, in one line of dhcphosts. Used by join. Pure.
import { formatHardware } from '../boot/reservation.ts'
import type { Finding } from '../store/mistake.ts'
import type { HostItem } from './dhcphosts.ts'

export type ItemLint = Pick<Finding, 'severity' | 'code' | 'message'>

const dashesOnly = /^[0-9a-f]{2}(-[0-9a-f]{2}){4,}$/i

/** Each mistake has a code of its own. */
export function lintHostItems(items: readonly HostItem[]): ItemLint[] {
  const found = items.flatMap(lintItem)
  const of = (kind: HostItem['kind']) => items.filter((item) => item.kind === kind)
  const twice = (kind: HostItem['kind'], code: string, what: string) => {
    const all = of(kind)
    if (all.length > 1)
      found.push(
        warning(
          code,
          `two ${what} on one line (${all.map(({ text }) => text).join(', ')}): dnsmasq 2.90 takes the last one, later ones refuse the line`,
        ),
      )
  }
  twice('name', 'name-two', 'names')
  twice('ipv4', 'address-two', 'IPv4 addresses')
  twice('lease', 'lease-two', 'lease times')
  twice('client-id', 'client-id-two', 'client identifiers')
  if (!items.some(({ kind }) => kind === 'hardware' || kind === 'client-id' || kind === 'name'))
    found.push(warning('nobody', 'neither hardware address nor client identifier nor name: the line holds for nobody'))
  if (of('any-client-id').length && !of('hardware').length) found.push(warning('client-id-any', 'id:* without a hardware address says nothing'))
  return found
}

function lintItem(item: HostItem): ItemLint[] {
  switch (item.kind) {
    case 'hardware':
      return lintHardware(item)
    case 'name':
      if (dashesOnly.test(item.text))
        return [warning('mac-dashes', `${item.text} is taken for a host name: write a MAC with colons, ${item.text.replaceAll('-', ':')}`)]
      if (/^[0-9a-f]{12}$|^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i.test(item.text))
        return [warning('mac-plain', `${item.text} is taken for a host name: write a MAC with colons`)]
      if (/^[0-9.]+$/.test(item.text)) return [warning('address-name', `${item.text} is no IPv4 address and is taken for a host name`)]
      if (/^(infinite|ignore)$/i.test(item.text)) return [warning('word-case', `${item.text} is taken for a host name: write it in small letters`)]
      return []
    case 'lease':
      return item.isRaised ? [warning('lease-short', `${item.text} is less than 120 seconds and is raised to that`)] : []
    case 'set':
    case 'tag':
      return item.tag === '' || /[\s,]/.test(item.tag)
        ? [{ ...warning('tag-empty', `"${item.text}" names no tag; dnsmasq 2.90 crashes when the line is used`), severity: 'error' }]
        : []
    default:
      return []
  }
}

function lintHardware({ text, pattern: { type, octets } }: Extract<HostItem, { kind: 'hardware' }>): ItemLint[] {
  if (/::|^[0-9a-f]{3,4}:/i.test(text))
    return [warning('ipv6-brackets', `${text} is taken for a hardware address: write an IPv6 address in brackets, [${text}]`)]
  if (octets.length !== 6 && type <= 1)
    return [warning('mac-length', `${formatHardware({ type, octets })} has ${octets.length} bytes, an Ethernet address has 6`)]
  if (octets.every((octet) => octet === undefined))
    return [warning('mac-all-wild', `${text} has no byte to go by and holds for everybody who has no line`)]
  return []
}

const warning = (code: string, message: string): ItemLint => ({ severity: 'warning', code, message })
