// dhcphosts and hosts together: the join, each lint by its own code, and which line holds for whom.
import { describe, expect, it } from 'vitest'
import type { Mac } from '../../src/boot/address.ts'
import { createReservations } from '../../src/boot/reservation.ts'
import { parseDhcpHosts } from '../../src/dnsmasq/dhcphosts.ts'
import { parseHosts } from '../../src/dnsmasq/hosts.ts'
import { joinHostFiles } from '../../src/dnsmasq/join.ts'
import { makeNetwork } from '../support/site.ts'

const lab = makeNetwork({ interface: 'eth0', subnet: '10.9.0.0/24', pool: ['10.9.0.100-10.9.0.109'], domain: 'lab.example' })
const join = (dhcphosts: string, hosts?: string) =>
  joinHostFiles({ dhcphosts: [parseDhcpHosts(dhcphosts, 'conf/dhcphosts')], hosts: hosts === undefined ? [] : [parseHosts(hosts, 'conf/hosts')] }, [
    lab,
  ])
const codes = (dhcphosts: string, hosts?: string) => join(dhcphosts, hosts).findings.map(({ code }) => code)

describe('joining with hosts', () => {
  it('a name without an address takes that of the equal name, whatever the case', () => {
    const { reservations, findings } = join('52:54:00:00:00:01,Kiosk,infinite\n', '10.9.0.7 kiosk.lab kiosk\n')
    expect(reservations[0]).toMatchObject({ source: 'dhcphosts:1', address: '10.9.0.7', isByName: true, leaseSeconds: 0xffffffff })
    expect(findings).toEqual([])
  })
  it('an address that a line says is not another name’s too', () => {
    const { reservations } = join('52:54:00:00:00:01,10.9.0.7\n52:54:00:00:00:02,kiosk\n', '10.9.0.7 kiosk\n')
    expect(reservations.map(({ address }) => address)).toEqual(['10.9.0.7', undefined])
  })
  it('a second line with an address is lost, a bad one too, and the others are used', () => {
    const { reservations, findings } = join('a:b:zz,x\n52:54:00:00:00:01,10.9.0.7\n52:54:00:00:00:02,10.9.0.7\n52:54:00:00:00:03,10.9.0.8\n')
    expect(reservations.map(({ line }) => line)).toEqual([2, 4])
    expect(findings.map(({ code, line, severity }) => [code, line, severity])).toEqual([
      ['hex', 1, 'error'],
      ['address-twice', 3, 'error'],
    ])
  })
})

describe('lints', () => {
  it.each<[string, string, string, string?]>([
    ['a MAC with dashes only', 'mac-dashes', '80-ee-73-a9-19-05,10.9.0.7'],
    ['a MAC without separators', 'mac-plain', '80ee73a91905,10.9.0.7'],
    ['a MAC of five bytes', 'mac-length', '80:ee:73:a9:19,10.9.0.7'],
    ['a MAC of sixteen bytes', 'mac-length', '80:ee:73:a9:19:05:06:07:08:09:0a:0b:0c:0d:0e:0f,10.9.0.7'],
    ['an IPv6 address without brackets', 'ipv6-brackets', '80:ee:73:a9:19:05,2001:db8::1'],
    ['a quoted MAC', 'host-name', '"80:ee:73:a9:19:05",10.9.0.7'],
    ['a name that no hosts file has', 'name-not-in-hosts', '80:ee:73:a9:19:05,ractivity', '10.9.0.7 racktivity'],
    ['two lines with one address', 'address-twice', '80:ee:73:a9:19:05,10.9.0.7\n80:ee:73:a9:19:06,10.9.0.7'],
    ['a name with two addresses', 'hosts-name-twice', '80:ee:73:a9:19:05,a', '10.9.0.7 a\n10.9.0.8 a'],
    ['an address that another line has', 'address-owned', '80:ee:73:a9:19:05,10.9.0.7\n80:ee:73:a9:19:06,a', '10.9.0.7 a'],
    ['two names', 'name-two', '80:ee:73:a9:19:05,a,b'],
    ['two addresses', 'address-two', '80:ee:73:a9:19:05,10.9.0.7,10.9.0.8'],
    ['two times', 'lease-two', '80:ee:73:a9:19:05,5m,6m'],
    ['a time below two minutes', 'lease-short', '80:ee:73:a9:19:05,60'],
    ['a word in another case', 'word-case', '80:ee:73:a9:19:05,Ignore'],
    ['something like an address', 'address-name', '80:ee:73:a9:19:05,10.9.0.07'],
    ['a tag without a name', 'tag-empty', '80:ee:73:a9:19:05,set:'],
    ['a line for nobody', 'nobody', '10.9.0.7,infinite'],
    ['a MAC of stars', 'mac-all-wild', '*:*:*:*:*:*,10.9.0.7'],
    ['a MAC on two lines', 'mac-twice', '80:ee:73:a9:19:05,10.9.0.7\n80:ee:73:a9:19:05,10.9.0.8'],
    ['a name on two lines', 'name-twice', '80:ee:73:a9:19:05,a,10.9.0.7\n80:ee:73:a9:19:06,a,10.9.0.8'],
    ['an address that is served nowhere', 'address-outside', '80:ee:73:a9:19:05,10.8.0.7'],
    ['another domain', 'domain-differs', '80:ee:73:a9:19:05,a.other,10.9.0.7'],
    ['a block with host bits', 'ipv6-block', '80:ee:73:a9:19:05,[2001:db8::51/126]'],
    ['a bad address in hosts', 'hosts-address', '', '10.9.0.300 a'],
    ['a bad name in hosts', 'hosts-name', '', '10.9.0.3 -a'],
  ])('%s: %s', (_, code, dhcphosts, hosts) => expect(codes(dhcphosts, hosts)).toEqual([code]))

  it('say what was meant', () => {
    const [finding] = join('80:ee:73:a9:19:05,ractivity', '10.9.0.7 racktivity').findings
    expect(finding?.message).toMatch(/did you mean racktivity\?/)
  })
  it('have nothing to say of a right pair of files', () => {
    expect(codes('# kiosks\n80:ee:73:a9:19:05,a,infinite\nid:01:02,set:x,b,12h\n', '10.9.0.7 a.lab.example a\n10.9.0.8 b\n')).toEqual([])
  })
})

describe('which line holds', () => {
  const table = (text: string, hosts = '') => createReservations(join(text, hosts).reservations, [lab])
  const ask = (text: string, asker: { mac?: string; clientId?: string; hostname?: string }) => {
    const { mac = '56:00:00:00:00:01', ...rest } = asker
    const found = table(text).match({ mac: mac as Mac, network: 'lab', ...rest })
    return found && `${found.reservation.line} ${found.by}`
  }
  const all = 'id:01:02\n56:00:00:00:00:01\nclaimed\n56:00:*:*:*:*\n56:00:00:*:*:*\n'
  it.each<[string, { mac?: string; clientId?: string; hostname?: string }, string | undefined]>([
    ['by client identifier before its MAC', { clientId: '0102' }, '1 client-id'],
    ['by client identifier with the zero that some put before it', { clientId: '000102' }, '1 client-id'],
    ['by its MAC before all wildcards', {}, '2 mac'],
    ['by the wildcard with the fewest stars', { mac: '56:00:00:00:00:02', hostname: 'claimed' }, '5 wildcard'],
    ['by the other one', { mac: '56:00:01:00:00:02' }, '4 wildcard'],
    ['by the name that it claims', { mac: '52:54:00:00:00:01', hostname: 'Claimed.lab' }, '3 name'],
    ['not at all', { mac: '52:54:00:00:00:01', hostname: 'other' }, undefined],
  ])('%s', (_, asker, expected) => expect(ask(all, asker)).toBe(expected))

  it('of equals the last one', () => expect(ask('56:00:00:00:00:01,10.9.0.7\n56:00:00:00:00:01,10.9.0.8\n', {})).toBe('2 mac'))
  it('tagged before untagged, with the interface for a tag', () => {
    expect(ask('56:00:00:00:00:01,10.9.0.7,tag:eth0\n56:00:00:00:00:01,10.9.0.8\n', {})).toBe('1 mac')
    expect(ask('56:00:00:00:00:01,10.9.0.7,tag:lan\n56:00:00:00:00:01,10.9.0.8\n', {})).toBe('2 mac')
    expect(ask('56:00:00:00:00:01,10.9.0.7,tag:!eth0\n', {})).toBeUndefined()
  })
  it('only where its address can be used', () => expect(ask('56:00:00:00:00:01,10.8.0.7\n', {})).toBeUndefined())
  it('a line with a MAC is not found by its name', () => expect(ask('52:54:00:00:00:09,claimed\n', { hostname: 'claimed' })).toBeUndefined())
})
