// An existing dnsmasq.conf → our networks and settings, and what was not understood. Used by `dnsmasq import` and `dnsmasq check`. Pure.
// Everything that a line says is taken over, told as settled otherwise, or listed as left: nothing is lost in silence.
import { isIP } from 'node:net'
import { type Ipv4, ipv4ToNumber, numberToIpv4 } from '../boot/address.ts'
import { splitItems, splitLines, stripLine, unhide } from './text.ts'

export type ConfRange = {
  readonly line: number
  readonly tag?: string
  readonly needs: readonly string[]
  readonly start: Ipv4
  /** Absent: static or proxy. */
  readonly end?: Ipv4
  readonly mode: 'pool' | 'static' | 'proxy'
  readonly netmask?: Ipv4
  readonly leaseSeconds?: number
}
export type ConfOption = { readonly line: number; readonly tags: readonly string[]; readonly code: number; readonly values: readonly string[] }

/** One line of the file that became nothing of ours, and why. */
export type Left = { readonly line: number; readonly text: string; readonly why: string }

export type Conf = {
  readonly ranges: readonly ConfRange[]
  readonly options: readonly ConfOption[]
  readonly interfaces: readonly string[]
  readonly domain?: string
  readonly hosts: readonly string[]
  readonly dhcphosts: readonly string[]
  /** `dhcp-host=` lines: they belong into a file of dhcphosts. */
  readonly inlineHosts: readonly { readonly line: number; readonly text: string }[]
  readonly servers: readonly string[]
  readonly leaseFile?: string
  readonly tftpRoot?: string
  readonly bootFile?: string
  readonly port?: number
  /** Understood, and of no matter to us or done by us in our own way. */
  readonly settled: readonly Left[]
  readonly left: readonly Left[]
}

const optionCodes: Record<string, number> = {
  netmask: 1,
  router: 3,
  'dns-server': 6,
  'domain-name': 15,
  broadcast: 28,
  'ntp-server': 42,
  'tftp-server': 66,
  'bootfile-name': 67,
  mtu: 26,
}

/** Flags and settings that need nothing of us, with the reason. */
const settledKeys: Record<string, string> = {
  ...Object.fromEntries(
    [
      'bind-interfaces',
      'bind-dynamic',
      'keep-in-foreground',
      'no-daemon',
      'user',
      'group',
      'pid-file',
      'log-dhcp',
      'log-queries',
      'log-facility',
      'log-async',
    ].map((key) => [key, 'how the program runs']),
  ),
  ...Object.fromEntries(
    ['domain-needed', 'bogus-priv', 'expand-hosts', 'local', 'no-resolv', 'no-poll', 'no-hosts', 'cache-size', 'no-negcache'].map((key) => [
      key,
      'DNS, which stays dnsmasq’s (dnsmasq.engine)',
    ]),
  ),
  'dhcp-authoritative': 'ours is authoritative always',
  'dhcp-sequential-ip': 'ours gives addresses in order',
  'enable-tftp': 'Bivouac serves TFTP itself',
  'tftp-secure': 'Bivouac serves nothing but its depot',
  'dhcp-match': 'Bivouac tells firmware apart by itself',
  'pxe-service': 'Bivouac tells firmware apart by itself',
  'dhcp-lease-max': 'ours has no such limit',
}

type Building = { -readonly [K in keyof Conf]: Conf[K] extends readonly (infer T)[] ? T[] : Conf[K] }

/** Reads any text. Never throws. */
export function parseConf(text: string): Conf {
  const conf: Building = { ranges: [], options: [], interfaces: [], hosts: [], dhcphosts: [], inlineHosts: [], servers: [], settled: [], left: [] }
  for (const { number: line, text: written } of splitLines(text)) {
    const stripped = stripLine(written)
    if ('wrong' in stripped) conf.left.push({ line, text: written, why: stripped.wrong })
    else if (stripped.text) readConfLine(conf, stripped.text, line)
  }
  return conf
}

function readConfLine(conf: Building, text: string, line: number): void {
  const at = text.indexOf('=')
  const key = (at < 0 ? text : text.slice(0, at)).trim()
  const value = at < 0 ? '' : text.slice(at + 1).trim()
  const plain = unhide(value)
  const leave = (why: string) => void conf.left.push({ line, text: unhide(text), why })
  const settle = (why: string) => void conf.settled.push({ line, text: unhide(text), why })
  switch (key) {
    case 'interface':
      return void conf.interfaces.push(plain)
    case 'domain':
      if (conf.domain !== undefined || plain.includes(',')) return leave('a second domain, or one for some addresses: give it to the network by hand')
      conf.domain = plain
      return
    case 'addn-hosts':
    case 'hostsdir':
      return void conf.hosts.push(plain)
    case 'dhcp-hostsfile':
    case 'dhcp-hostsdir':
      return void conf.dhcphosts.push(plain)
    case 'dhcp-host':
      return void conf.inlineHosts.push({ line, text: plain })
    case 'server':
      return isIP(plain) === 4 ? void conf.servers.push(plain) : leave('a name server for some domains or with a port: dnsmasq’s own matter')
    case 'dhcp-leasefile':
      conf.leaseFile = plain
      return settle('Bivouac keeps its leases in its state folder; a station that had one gets a new one, or its reserved address')
    case 'tftp-root':
      conf.tftpRoot = plain
      return settle('files of the TFTP folder belong into the depot')
    case 'dhcp-boot':
      conf.bootFile = plain
      return settle('Bivouac chooses the loader by the firmware; a fixed one is a quirk or loaders:')
    case 'port':
      conf.port = Number(plain)
      return settle(plain === '0' ? 'DNS is off, so names of dhcphosts take no address from hosts' : 'DNS, which stays dnsmasq’s')
    case 'dhcp-range':
      return addRange(conf, value, line, leave)
    case 'dhcp-option':
    case 'dhcp-option-force':
      return addOption(conf, value, line, leave)
    default:
      return Object.hasOwn(settledKeys, key) ? settle(settledKeys[key] as string) : leave(`Bivouac has nothing for ${key}`)
  }
}

const findIpv4 = (text: string | undefined): Ipv4 | undefined => (text !== undefined && isIP(text) === 4 ? (text as Ipv4) : undefined)

/** `dhcp-range=[tag:a,][set:b,]start,end|static|proxy[,netmask[,broadcast]][,time]`; a bare first word is the old form of `set:`. */
function addRange(conf: Building, value: string, line: number, leave: (why: string) => void): void {
  const items = splitItems(value).map(unhide)
  const words = items.slice(
    0,
    Math.max(
      0,
      items.findIndex((item) => isIP(item) !== 0),
    ),
  )
  const [start, second, ...rest] = items.slice(words.length)
  const needs = words.filter((word) => word.startsWith('tag:')).map((word) => word.slice(4))
  const [tag, ...more] = words.filter((word) => !word.startsWith('tag:')).map((word) => word.replace(/^(set|net):/, ''))
  const first = findIpv4(start)
  if (!first || more.length)
    return leave(isIP(start ?? '') === 6 || value.includes('::') ? 'IPv6 ranges are not served' : 'not a range that we understand')
  const mode = second === 'static' ? 'static' : second === 'proxy' ? 'proxy' : 'pool'
  const end = mode === 'pool' ? (findIpv4(second) ?? first) : undefined
  const tail = mode === 'pool' && second !== undefined && !findIpv4(second) ? [second, ...rest] : rest
  const netmask = findIpv4(tail[0])
  const time = tail.map(parseTime).find((seconds) => seconds !== undefined)
  const unknown = tail.find((item) => !findIpv4(item) && parseTime(item) === undefined && item !== '')
  if (unknown !== undefined) return leave(`"${unknown}" in a range is not understood`)
  conf.ranges.push({
    line,
    ...(tag !== undefined && { tag }),
    needs,
    start: first,
    ...(end && { end }),
    mode,
    ...(netmask && { netmask }),
    ...(time !== undefined && { leaseSeconds: Math.max(120, time) }),
  })
}

const units: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

function parseTime(text: string): number | undefined {
  if (text === 'infinite') return 0xffffffff
  const [, digits, unit = ''] = /^(\d{1,10})([smhdw]?)$/i.exec(text) ?? []
  return digits === undefined ? undefined : Math.min(Number(digits) * (units[unit.toLowerCase()] as number), 0xffffffff)
}

/** `dhcp-option=[tag:a,|a,]3,10.9.0.1`: number, `option:router`, or the old bare tag before it. */
function addOption(conf: Building, value: string, line: number, leave: (why: string) => void): void {
  const items = splitItems(value).map(unhide)
  const at = items.findIndex((item) => /^\d{1,3}$/.test(item) || item.startsWith('option:') || item.startsWith('option6:'))
  const name = items[at] ?? ''
  const code = /^\d+$/.test(name) ? Number(name) : optionCodes[name.replace(/^option:/, '')]
  const tags = items.slice(0, Math.max(0, at)).map((word) => word.replace(/^(tag|net):/, ''))
  if (at < 0 || code === undefined || code < 1 || code > 254) return leave('an option that is not understood; write it into options: of the network')
  if (tags.some((tag) => /^(vendor|encap|vi-encap|!)/.test(tag))) return leave('an option for some clients only')
  const text = `dhcp-option=${unhide(value)}`
  if (code === 60 && items.at(-1) === 'HTTPClient')
    return void conf.settled.push({ line, text, why: 'Bivouac says so itself to firmware that boots by HTTP' })
  conf.options.push({ line, tags, code, values: items.slice(at + 1) })
}

/** The prefix length of a netmask, or undefined where its bits have holes. */
export function prefixOf(netmask: Ipv4): number | undefined {
  const bits = ipv4ToNumber(netmask).toString(2).padStart(32, '0')
  return /^1+0*$/.test(bits) ? bits.replace(/0/g, '').length : undefined
}

export const networkOf = (address: Ipv4, prefix: number): Ipv4 => numberToIpv4((ipv4ToNumber(address) & (0xffffffff << (32 - prefix))) >>> 0)
