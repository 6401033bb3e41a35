import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/boot/error.ts'
import { placeNetworks } from '../../src/dhcp/interface.ts'
import { makeNetwork } from '../support/site.ts'

const address = (text: string, family: 'IPv4' | 'IPv6' = 'IPv4') =>
  ({ address: text, family, netmask: '', mac: '', internal: false, cidr: null }) as NetworkInterfaceInfo
const interfaces = {
  lo: [address('127.0.0.1')],
  eth0: [address('192.168.1.5'), address('10.9.0.1'), address('10.9.0.2'), address('fe80::1', 'IPv6')],
  eth1: [address('fe80::2', 'IPv6')],
}
const place = (written: Record<string, unknown>) => placeNetworks([makeNetwork({ subnet: '10.9.0.0/24', ...written })], interfaces)[0]?.address

describe('our address on a network', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['the first inside the subnet', { interface: 'eth0' }, '10.9.0.1'],
    ['the one that is asked for', { interface: 'eth0', serverAddress: '10.9.0.2' }, '10.9.0.2'],
    ['outside the subnet too, when it is asked for', { interface: 'eth0', serverAddress: '192.168.1.5' }, '192.168.1.5'],
    ['as written, behind relays', { serverAddress: '10.1.0.1' }, '10.1.0.1'],
  ])('%s', (_, written, expected) => expect(place(written)).toBe(expected))

  it.each<[string, Record<string, unknown>, string, RegExp]>([
    ['no such interface', { interface: 'eth9' }, 'interface-missing', /no interface eth9.*lo \(127\.0\.0\.1\), eth0 \(192\.168\.1\.5, 10\.9\.0\.1/],
    [
      'an interface without an address in the subnet',
      { interface: 'lo' },
      'interface-address',
      /lo has not an address in 10\.9\.0\.0\/24 \(network lab\)/,
    ],
    ['an interface without IPv4', { interface: 'eth1' }, 'interface-address', /eth1 \(no IPv4 address\)/],
    ['an address that the interface does not have', { interface: 'eth0', serverAddress: '10.9.0.9' }, 'interface-address', /the address 10\.9\.0\.9/],
    ['behind relays without an address', {}, 'server-address', /needs serverAddress/],
  ])('%s is the operator’s to mend', (_, written, code, message) => {
    expect(() => place(written)).toThrow(InputError)
    expect(() => place(written)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })
})
