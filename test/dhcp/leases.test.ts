// Leases of several networks together, and their durable copy.
import { expect, it } from 'vitest'
import { InputError } from '../../src/boot/error.ts'
import { createLeases } from '../../src/dhcp/leases.ts'
import type { Lease } from '../../src/store/port.ts'
import { startOfTests } from '../support/dhcp-lab.ts'
import { createMemoryLeaseStore } from '../support/lease-store.ts'
import { ip, mac, makeNetwork } from '../support/site.ts'

const networks = [
  makeNetwork({ name: 'left', subnet: '10.1.0.0/24', pool: ['10.1.0.100-10.1.0.199'] }),
  makeNetwork({ name: 'right', subnet: '10.2.0.0/24', pool: ['10.2.0.100-10.2.0.199'] }),
  makeNetwork({ name: 'beside', subnet: '10.3.0.0/24', mode: 'proxy', interface: 'eth0' }),
]
const [anna, bert] = [mac('52:54:00:00:00:01'), mac('52:54:00:00:00:02')]
const stored = (network: string, address: string, who = anna, state: Lease['state'] = 'bound'): Lease => ({
  network,
  ip: ip(address),
  mac: who,
  state,
  expiresAt: startOfTests / 1000 + 600,
})
const make = (store = createMemoryLeaseStore()) => createLeases({ networks, store, now: () => startOfTests })
const ask = { mac: anna, address: { from: 'pool' }, wanted: undefined, askedSeconds: undefined, hostname: undefined, clientId: undefined } as const

it('a MAC may have one lease in each network', () => {
  const leases = make(createMemoryLeaseStore([stored('left', '10.1.0.100'), stored('right', '10.2.0.100'), stored('right', '10.2.0.101', bert)]))
  expect(leases.findByMac(anna)).toMatchObject({ network: 'left' })
  expect(leases.findByMac(anna, 'right')).toMatchObject({ ip: '10.2.0.100' })
  expect(leases.findByMac(anna, 'beside')).toBeUndefined()
  expect(leases.findMac(ip('10.2.0.101'))).toBe(bert)
  expect(leases.findMac(ip('10.2.0.102'))).toBeUndefined()
  expect(leases.findMac(ip('192.168.1.1'))).toBeUndefined()
  expect(leases.list()).toHaveLength(3)
})

it('an address in quarantine is nobody’s', () => {
  const leases = make(createMemoryLeaseStore([stored('left', '10.1.0.100', anna, 'declined')]))
  expect(leases.findByMac(anna)).toBeUndefined()
  expect(leases.findMac(ip('10.1.0.100'))).toBeUndefined()
  expect(leases.list()).toHaveLength(1)
})

it('there is no book for a network beside another server, nor for one that is gone', () => {
  const leases = make(createMemoryLeaseStore([stored('gone', '10.1.0.100'), stored('beside', '10.3.0.5')]))
  expect([leases.book('left') !== undefined, leases.book('beside'), leases.book('gone')]).toEqual([true, undefined, undefined])
  expect(leases.list()).toEqual([])
})

it('commit writes all changes in one put, and nothing when there are none', async () => {
  const store = createMemoryLeaseStore()
  const leases = make(store)
  await leases.commit()
  leases.book('left')?.bind(ask, 0x0a010064, 'selecting')
  leases.book('right')?.bind({ ...ask, mac: bert }, 0x0a020064, 'selecting')
  expect(leases.hasChanges()).toBe(true)
  await leases.commit()
  expect(leases.hasChanges()).toBe(false)
  expect(store.puts()).toEqual([2])
  expect(store.all().map(({ ip: one }) => one)).toEqual(['10.1.0.100', '10.2.0.100'])
})

it('changes that could not be written are written with the next', async () => {
  const store = createMemoryLeaseStore()
  const leases = make(store)
  const letGo = store.hold()
  leases.book('left')?.bind(ask, 0x0a010064, 'selecting')
  const first = leases.commit()
  letGo(new Error('the disk is full'))
  await expect(first).rejects.toThrow('the disk is full')
  leases.book('right')?.bind(ask, 0x0a020064, 'selecting')
  await leases.commit()
  expect(store.puts()).toEqual([1, 2])
  expect(store.all()).toHaveLength(2)
})

it('a change that the store refuses for good does not keep the next ones from being written', async () => {
  const store = createMemoryLeaseStore()
  const leases = make(store)
  const letGo = store.hold()
  leases.book('left')?.bind(ask, 0x0a010064, 'selecting')
  const first = leases.commit()
  letGo(new InputError('line-too-long', 'too long'))
  await expect(first).rejects.toThrow('too long')
  leases.book('right')?.bind(ask, 0x0a020064, 'selecting')
  await leases.commit()
  expect(store.puts()).toEqual([1, 1])
  expect(store.all().map(({ network }) => network)).toEqual(['right'])
})
