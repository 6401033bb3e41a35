// Whose word an address is: what tickets and saving back ask before they give or take a secret.
import { expect, it } from 'vitest'
import type { Ipv4 } from '../../src/boot/address.ts'
import { loadConfig } from '../../src/config.ts'
import { createLateLeases, ticketLeases } from '../../src/server/lease.ts'

const lab = '{name: lab, interface: eth1, subnet: 10.9.0.0/24, serverAddress: 10.9.0.1, pool: [10.9.0.100-10.9.0.200]}'
const office = '{name: office, interface: eth0, mode: proxy, subnet: 192.168.1.0/24}'

const givesOf = (networks: string) => {
  const { config } = loadConfig({ flags: { networks }, env: {}, cwd: '/nowhere' })
  const { gives } = ticketLeases(config, createLateLeases().leases)
  return ['10.9.0.7', '192.168.1.7', '172.16.0.7', 'fe80::1', '127.0.0.1'].map((ip) => gives(ip as Ipv4))
}

it.each([
  ['no network', '[]', [false, false, false, false, false]],
  ['a network of ours alone: who is nowhere holds no lease', `[${lab}]`, [true, true, true, true, true]],
  ['a network of ours beside a proxy', `[${lab}, ${office}]`, [true, false, false, false, false]],
  ['a proxy alone', `[${office}]`, [false, false, false, false, false]],
])("only a lease makes an address somebody's: %s", (_, networks, expected) => expect(givesOf(networks)).toEqual(expected))
