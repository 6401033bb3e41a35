// dnsmasq's dhcp-hostsfile: text → lines with typed items, and back without loss. Used by the reader of files, the editor and the importer.
// Grammar: dnsmasq's option.c (dhcp-host) and its man page. A bad line is told and lost, the others are used.
import { domainToASCII } from 'node:url'
import { type Ipv4, parseIpv4 } from '../boot/address.ts'
import { DecodeError } from '../boot/error.ts'
import { formatHardware, type HardwarePattern } from '../boot/reservation.ts'
import { hasHidden, joinLines, lineBytesMax, splitItems, splitLines, stripLine, type TextLine, unhide } from './text.ts'

/** One item of a line; `text` is as it was written. `isQuoted`: some of it stood in quotes, which hides colons and dots. */
export type HostItem = { readonly text: string; readonly isQuoted: boolean } & (
  | { readonly kind: 'client-id'; readonly hex: string }
  | { readonly kind: 'any-client-id' }
  | { readonly kind: 'set'; readonly tag: string }
  | { readonly kind: 'tag'; readonly tag: string; readonly isNegated: boolean }
  | { readonly kind: 'ipv6'; readonly address: string; readonly prefix?: number }
  | { readonly kind: 'hardware'; readonly pattern: HardwarePattern }
  | { readonly kind: 'ipv4'; readonly address: Ipv4 }
  | { readonly kind: 'lease'; readonly seconds: number; readonly isRaised: boolean }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'name'; readonly name: string; readonly domain?: string }
)

export type DhcpHostLine = TextLine &
  (
    | { readonly kind: 'blank' }
    | { readonly kind: 'host'; readonly items: readonly HostItem[] }
    | { readonly kind: 'bad'; readonly code: string; readonly wrong: string }
  )

export type DhcpHostsFile = { readonly file: string; readonly lines: readonly DhcpHostLine[] }

/** A lease without end. */
export const infiniteSeconds = 0xffffffff
const leastSeconds = 120

/** Reads any text. `file` is how messages name it. Never throws. */
export function parseDhcpHosts(text: string, file: string): DhcpHostsFile {
  return { file, lines: splitLines(text).map(readLine) }
}

/** The text again; lines that nobody changed are the same bytes. */
export const formatDhcpHosts = ({ lines }: DhcpHostsFile): string => joinLines(lines)

function readLine(line: TextLine): DhcpHostLine {
  if (Buffer.byteLength(line.text) > lineBytesMax)
    return { ...line, kind: 'bad', code: 'line-long', wrong: `more than ${lineBytesMax} bytes, which dnsmasq would take for two lines` }
  const stripped = stripLine(line.text)
  if ('wrong' in stripped) return { ...line, kind: 'bad', code: 'quote', wrong: stripped.wrong }
  if (stripped.text === '') return { ...line, kind: 'blank' }
  try {
    return { ...line, kind: 'host', items: parseHostItems(stripped.text) }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { ...line, kind: 'bad', code: error.code, wrong: error.message }
  }
}

/** The items of one line that is stripped of comment and quotes. Empty ones are dropped, as in dnsmasq. Throws DecodeError. */
export const parseHostItems = (text: string): HostItem[] => splitItems(text).flatMap((item) => (item === '' ? [] : [parseItem(item)]))

function parseItem(raw: string): HostItem {
  const base = { text: unhide(raw), isQuoted: hasHidden(raw) }
  if (!raw.includes(':')) return { ...base, ...parsePlain(raw) }
  if (/^id:/i.test(raw)) return { ...base, ...parseClientId(raw.slice(3)) }
  if (/^(set|net):/.test(raw)) return { ...base, kind: 'set', tag: unhide(raw.slice(4)) }
  if (raw.startsWith('tag:')) return { ...base, ...parseTag(unhide(raw.slice(4))) }
  if (raw.startsWith('[') && raw.endsWith(']')) return { ...base, ...parseIpv6(raw.slice(1, -1)) }
  return { ...base, kind: 'hardware', pattern: parseHardware(raw) }
}

const parseTag = (text: string) => {
  const isNegated = /^[!#]/.test(text)
  return { kind: 'tag', tag: isNegated ? text.slice(1) : text, isNegated } as const
}

function parseClientId(text: string) {
  if (text.startsWith('*')) return { kind: 'any-client-id' } as const
  if (!text.includes(':')) return { kind: 'client-id', hex: Buffer.from(unhide(text), 'utf8').toString('hex') } as const
  const bytes = readHex(text).flatMap((group) => group.octets)
  if (bytes.includes(undefined)) throw new DecodeError('hex', `"${unhide(text)}" is no client identifier: bytes in hex, such as 01:02:03`)
  return { kind: 'client-id', hex: Buffer.from(bytes as number[]).toString('hex') } as const
}

type HexGroup = { readonly octets: readonly (number | undefined)[]; readonly separator: string; readonly text: string }

/** Groups of hex digits between colons and dashes; a group of several digits is several bytes, `*` one that is not looked at. */
function readHex(text: string): HexGroup[] {
  return [...text.matchAll(/([^:-]*)([:-]|$)/g)].flatMap(([, group = '', separator = '']): HexGroup[] => {
    if (group === '') return []
    if (group === '*') return [{ octets: [undefined], separator, text: group }]
    if (!/^[0-9a-f]+$/i.test(group))
      throw new DecodeError(
        'hex',
        `"${unhide(group).slice(0, 40)}" in "${unhide(text).slice(0, 60)}" is not hex (digits, a to f, or * for a whole byte)`,
      )
    return [
      {
        octets: (group.match(/..?/g) ?? []).map((pair) => Number.parseInt(pair, 16)),
        separator,
        text: group,
      },
    ]
  })
}

const octetsMax = 16

/** `52:54:*:00:00:01`, `06-52:54:…` with the hex ARP type in front. Throws DecodeError `hex`. */
export function parseHardware(text: string): HardwarePattern {
  const [first, ...rest] = readHex(text)
  if (first?.separator === '-' && rest.length)
    return { type: Number.parseInt(first.text, 16) || 0, octets: rest.flatMap(({ octets }) => octets).slice(0, octetsMax) }
  return { type: 0, octets: [...(first?.octets ?? []), ...rest.flatMap(({ octets }) => octets)].slice(0, octetsMax) }
}

function parseIpv6(text: string) {
  const [address = '', prefixText, ...rest] = text.split('/')
  const value = expandIpv6(address)
  const prefix = prefixText === undefined ? undefined : Number(prefixText)
  const isPrefix = prefix === undefined || (/^[0-9]{1,3}$/.test(prefixText as string) && prefix <= 128)
  if (value === undefined || rest.length || !isPrefix)
    throw new DecodeError('ipv6', `"${text.slice(0, 60)}" is not an IPv6 address such as [::56] or [2001:db8::50/126]`)
  if (prefix !== undefined && value & ((1n << BigInt(128 - prefix)) - 1n))
    throw new DecodeError('ipv6-block', `"${text}" has bits set behind its prefix: a block begins at its first address`)
  return { kind: 'ipv6', address, ...(prefix !== undefined && { prefix }) } as const
}

/** The address as a number; undefined when the text is none. */
export function expandIpv6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2 || !/^[0-9a-f:]+$/i.test(text)) return undefined
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const gap = 8 - head.length - tail.length
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined
  const groups = [...head, ...Array<string>(Math.max(0, gap)).fill('0'), ...tail]
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(Number.parseInt(group, 16)), 0n)
}

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** An item without a colon: address, time, `infinite`, `ignore`, or a name. */
function parsePlain(raw: string) {
  const address = raw.includes('.') ? findIpv4(raw) : undefined
  if (address) return { kind: 'ipv4', address } as const
  const [, digits, unit = 's'] = /^([0-9 ]*[0-9][0-9 ]*)([smhdw]?)$/i.exec(raw) ?? []
  if (digits !== undefined) {
    const said = Math.min(Number.parseInt(digits, 10) * (unitSeconds[(unit || 's').toLowerCase()] as number), infiniteSeconds)
    return { kind: 'lease', seconds: Math.max(said, leastSeconds), isRaised: said < leastSeconds } as const
  }
  if (raw === 'infinite') return { kind: 'lease', seconds: infiniteSeconds, isRaised: false } as const
  if (raw === 'ignore') return { kind: 'ignore' } as const
  return { kind: 'name', ...parseHostName(unhide(raw)) } as const
}

function findIpv4(text: string): Ipv4 | undefined {
  try {
    return parseIpv4(text)
  } catch {
    return undefined
  }
}

/** The first label as host name, the rest as domain. Throws DecodeError `host-name` for what dnsmasq refuses. */
export function parseHostName(text: string): { name: string; domain?: string } {
  const plain = text.replace(/\.$/, '')
  // Lore: dnsmasq with libidn2 takes names of other alphabets in their ASCII form, and capitals as small letters (seen, 2.90).
  const whole = /[^\x20-\x7e]/.test(plain) ? domainToASCII(plain) : plain.toLowerCase()
  const dot = whole.indexOf('.')
  const [name, domain] = dot < 0 ? [whole, undefined] : [whole.slice(0, dot), whole.slice(dot + 1)]
  const isGood = /^[a-z0-9][a-z0-9_-]*$/i.test(name) && whole.length <= 1024 && whole.split('.').every((label) => label.length <= 63)
  if (!isGood) throw new DecodeError('host-name', `"${text.slice(0, 60)}" is not a host name`)
  return { name, ...(domain !== undefined && { domain }) }
}

/** What is to stand in a line that we write. */
export type HostDraft = {
  readonly hardware?: readonly HardwarePattern[]
  readonly clientId?: string
  readonly sets?: readonly string[]
  readonly address?: Ipv4
  readonly name?: string
  readonly lease?: 'infinite' | number
  readonly ignore?: boolean
}

/** `mac,set:tag,address,name,infinite`: the order of dnsmasq's own man page. */
export function formatHostDraft({ hardware = [], clientId, sets = [], address, name, lease, ignore }: HostDraft): string {
  return [
    ...hardware.map(formatHardware),
    ...(clientId === undefined ? [] : [`id:${clientId.match(/../g)?.join(':') ?? ''}${clientId.length === 2 ? ':' : ''}`]),
    ...sets.map((tag) => `set:${tag}`),
    ...(address === undefined ? [] : [address]),
    ...(name === undefined ? [] : [name]),
    ...(lease === undefined ? [] : [String(lease)]),
    ...(ignore ? ['ignore'] : []),
  ].join(',')
}
