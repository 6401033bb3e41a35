// The grammar of dnsmasq's dhcp-hostsfile and hosts file; what a real dnsmasq 2.90 made of the same lines is in test/interop/dnsmasq.test.ts.
import { describe, expect, it } from 'vitest'
import { formatHardware } from '../../src/boot/reservation.ts'
import { type DhcpHostLine, formatDhcpHosts, formatHostDraft, type HostItem, parseDhcpHosts, parseHardware } from '../../src/dnsmasq/dhcphosts.ts'
import { formatHosts, parseHosts } from '../../src/dnsmasq/hosts.ts'
import { seededRandom } from '../support/random.ts'

const lineOf = (text: string): DhcpHostLine => parseDhcpHosts(text, 'dhcphosts').lines[0] as DhcpHostLine
const sayItem = (item: HostItem): string => {
  switch (item.kind) {
    case 'hardware':
      return `hw ${formatHardware(item.pattern)}`
    case 'client-id':
      return `id ${item.hex}`
    case 'ipv4':
      return `ip ${item.address}`
    case 'ipv6':
      return `ip6 ${item.address}${item.prefix === undefined ? '' : `/${item.prefix}`}`
    case 'lease':
      return `lease ${item.seconds}`
    case 'set':
      return `set ${item.tag}`
    case 'tag':
      return `tag ${item.isNegated ? 'not ' : ''}${item.tag}`
    case 'name':
      return `name ${item.name}${item.domain === undefined ? '' : ` in ${item.domain}`}`
    default:
      return item.kind
  }
}
const readItems = (text: string): string[] | string => {
  const line = lineOf(text)
  return line.kind === 'host' ? line.items.map(sayItem) : line.kind === 'bad' ? line.code : 'blank'
}

describe('a line of dhcphosts', () => {
  it.each<[string, string[] | string]>([
    ['80:ee:73:a9:19:05,kiosk,infinite', ['hw 80:ee:73:a9:19:05', 'name kiosk', 'lease 4294967295']],
    [' kiosk , 10.9.0.7 ,80:EE:73:A9:19:05 ', ['name kiosk', 'ip 10.9.0.7', 'hw 80:ee:73:a9:19:05']],
    ['52:54:00:00:00:01,52:54:00:00:00:02,10.9.0.7', ['hw 52:54:00:00:00:01', 'hw 52:54:00:00:00:02', 'ip 10.9.0.7']],
    ['52:54:*:*:*:01,ignore', ['hw 52:54:*:*:*:01', 'ignore']],
    ['06-52:54:00:00:00:01', ['hw 06-52:54:00:00:00:01']],
    ['525400:000209', ['hw 52:54:00:00:02:09']],
    ['id:01:02:03,10.9.0.7', ['id 010203', 'ip 10.9.0.7']],
    ['ID:text,a', ['id 74657874', 'name a']],
    ['id:*,52:54:00:00:00:01', ['any-client-id', 'hw 52:54:00:00:00:01']],
    ['set:red,net:old,tag:lan,tag:!blue,a', ['set red', 'set old', 'tag lan', 'tag not blue', 'name a']],
    ['a,[::56],[2001:db8::50/126]', ['name a', 'ip6 ::56', 'ip6 2001:db8::50/126']],
    ['a,[2001:db8::51/126]', 'ipv6-block'],
    ['a,[nonsense:]', 'ipv6'],
    ['a,5', ['name a', 'lease 120']],
    ['a,45m', ['name a', 'lease 2700']],
    ['a,2D', ['name a', 'lease 172800']],
    ['a,1w', ['name a', 'lease 604800']],
    ['a,Infinite', ['name a', 'name infinite']],
    ['kiosk.lab.example,,10.9.0.7', ['name kiosk in lab.example', 'ip 10.9.0.7']],
    ['café', ['name xn--caf-dma']],
    ['"10",52:54:00:00:00:01', ['name 10', 'hw 52:54:00:00:00:01']],
    ['"infinite"', ['name infinite']],
    ['"80:ee:73:a9:19:05"', 'host-name'],
    ['a_b,3com', ['name a_b', 'name 3com']],
    ['80-ee-73-a9-19-05', ['name 80-ee-73-a9-19-05']],
    ['-a', 'host-name'],
    ['a/b', 'host-name'],
    ['ma:ca:dd:re-ss,a', 'hex'],
    ['52:54:00:00:00:1*,a', 'hex'],
    ['"open,a', 'quote'],
    ['10.9.0.064', ['name 10 in 9.0.064']],
    ['a#b', 'host-name'],
    ['a #b', ['name a']],
    ['# only a comment', 'blank'],
    ['   ', 'blank'],
    [`a,${'b'.repeat(1100)}`, 'line-long'],
  ])('%j', (text, expected) => expect(readItems(text)).toEqual(expected))

  it('has its number, also after a bad one', () => {
    const { lines } = parseDhcpHosts('# head\n\nx:y,a\r\n52:54:00:00:00:01,b', 'dhcphosts')
    expect(lines.map(({ number, kind }) => [number, kind])).toEqual([
      [1, 'blank'],
      [2, 'blank'],
      [3, 'bad'],
      [4, 'host'],
    ])
  })

  it('is written in the order of the man page', () => {
    const draft = { hardware: [parseHardware('52:54:00:00:00:01')], sets: ['red'], name: 'kiosk', lease: 'infinite' } as const
    expect(formatHostDraft(draft)).toBe('52:54:00:00:00:01,set:red,kiosk,infinite')
  })
})

describe('a line of hosts', () => {
  const read = (text: string) => {
    const [line] = parseHosts(text, 'hosts').lines
    return line?.kind === 'host' ? [line.family, line.address, ...line.names] : line?.kind === 'bad' ? line.code : 'blank'
  }
  it.each<[string, unknown]>([
    ['10.9.0.7 kiosk.lab kiosk', [4, '10.9.0.7', 'kiosk.lab', 'kiosk']],
    ['\t2001:db8::7\tkiosk # why', [6, '2001:db8::7', 'kiosk']],
    ['192.168.0.133 box', [4, '192.168.0.133', 'box']],
    ['10.9.0.7 a#b c', [4, '10.9.0.7', 'a']],
    ['10.9.0.300 kiosk', 'hosts-address'],
    ['10.9.0.7', 'hosts-no-name'],
    ['#', 'blank'],
  ])('%j', (text, expected) => expect(read(text)).toEqual(expected))
})

const pieces = [
  '52:54:00:00:00:01',
  '06-52:*:00',
  'id:01:02',
  'id:*',
  'id:x',
  'set:a',
  'tag:!b',
  '10.9.0.7',
  '[::5]',
  'kiosk',
  'a.b.c',
  '"q,:.#\\"\\\\"',
  'infinite',
  '5m',
  'ignore',
  ' ',
  '\t',
  ',',
  '#',
  ' # c',
  '"',
  '\n',
  '\r\n',
  '\\',
  'é',
  '\0',
]

describe('any text at all', () => {
  const random = seededRandom(20261121)
  const makeText = () =>
    Array.from({ length: Math.floor(random() * 40) }, () => pieces[Math.floor(random() * pieces.length)]).join(random() < 0.5 ? ',' : '')

  it('is the same again when it is written back, and no reading throws', () => {
    for (let round = 0; round < 3000; round++) {
      const text = makeText()
      expect(formatDhcpHosts(parseDhcpHosts(text, 'x'))).toBe(text)
      expect(formatHosts(parseHosts(text, 'x'))).toBe(text)
    }
  })

  it('keeps every other line when one is taken out', () => {
    for (let round = 0; round < 300; round++) {
      const file = parseDhcpHosts(makeText(), 'x')
      const gone = Math.floor(random() * file.lines.length)
      const lines = file.lines.filter((_, at) => at !== gone)
      const again = parseDhcpHosts(formatDhcpHosts({ ...file, lines }), 'x')
      expect(again.lines.map(({ text, kind }) => [text, kind])).toEqual(lines.map(({ text, kind }) => [text, kind]))
    }
  })
})
