// Random and mutated packets through the whole engine: nothing is thrown, nothing grows, nothing hangs.
import { expect, it } from 'vitest'
import { createDhcpLab, type DhcpLab, oneNetwork } from '../support/dhcp-lab.ts'
import { encodeMessage } from '../support/dhcp-message.ts'
import { seededRandom } from '../support/random.ts'
import { createTestSite } from '../support/site.ts'
import { dhcpVectors } from '../vectors/dhcp.ts'

const networks = [
  { ...oneNetwork, pool: ['10.9.0.100-10.9.0.107'] },
  { name: 'beside', interface: 'eth1', subnet: '10.3.0.0/24', mode: 'proxy' },
  { name: 'far', subnet: '10.8.0.0/24', serverAddress: '10.9.0.1', pool: ['10.8.0.100-10.8.0.107'], relays: ['172.16.0.1'] },
]
const types = ['discover', 'request', 'decline', 'release', 'inform'] as const
const addresses = ['0.0.0.0', '10.9.0.1', '10.9.0.105', '10.8.0.105', '10.8.0.1', '172.16.0.1', '10.3.0.5', '192.168.1.5', '255.255.255.255']

/** One packet: real ones with bytes changed, well-formed ones of any state, and noise. */
function makePacket(random: () => number, lab: DhcpLab): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const kind = random()
  if (kind < 0.15) return Uint8Array.from({ length: Math.floor(random() * 700) }, () => random() * 256)
  const lease = kind < 0.25 ? pick(lab.leases.list()) : undefined
  if (lease) return encodeMessage(pick(types), { mac: lease.mac, ...(random() < 0.5 ? { ciaddr: lease.ip } : { requested: lease.ip }) })
  const maybe = (address: string) => (random() < 0.5 ? address : '0.0.0.0')
  const made =
    kind < 0.5
      ? Uint8Array.from(pick(dhcpVectors).sent)
      : encodeMessage(pick(types), {
          mac: `52:54:00:00:00:${Math.floor(random() * 256)
            .toString(16)
            .padStart(2, '0')}`,
          ciaddr: maybe(pick(addresses)),
          giaddr: random() < 0.3 ? pick(addresses) : '0.0.0.0',
          ...(random() < 0.6 && { requested: pick(addresses) }),
          ...(random() < 0.4 && { serverId: pick(addresses) }),
          ...(random() < 0.5 && { archs: [Math.floor(random() * 45)], vendorClass: pick(['PXEClient', 'HTTPClient']) }),
          ...(random() < 0.3 && { userClass: pick(['iPXE', 'bivouac', '\x04iPXE']) }),
          others: { [Math.floor(random() * 254) + 1]: Uint8Array.from({ length: Math.floor(random() * 40) }, () => random() * 256) },
        })
  if (random() < 0.5) return made
  for (let count = Math.floor(random() * 8); count >= 0; count--) made[Math.floor(random() * made.length)] = random() * 256
  // Lengths that lie: the byte behind an option's code.
  if (random() < 0.5) made[241] = random() * 256
  return random() < 0.1 ? made.subarray(0, Math.floor(random() * made.length)) : made
}

function feed(lab: DhcpLab, random: () => number, count: number) {
  const doors = [{}, { network: 'lab' }, { network: 'beside' }, { network: 'beside', isProxyPort: true, address: '10.3.0.5' }]
  let answers = 0
  for (let round = 0; round < count; round++) {
    lab.clock.now += Math.floor(random() * 2000)
    const sent = lab.send(makePacket(random, lab), doors[Math.floor(random() * doors.length)])
    answers += sent.length
    for (const { packet, address } of sent) {
      expect(packet.op).toBe('reply')
      expect(address).not.toBe('0.0.0.0')
    }
  }
  return answers
}

it('20,000 packets: no throw, as many leases as addresses, no MAC twice', () => {
  const lab = createDhcpLab({ networks, site: createTestSite({ '52:54:00:00:00:07': '10.9.0.7', '52:54:00:00:00:08': '10.9.0.105' }) })
  const started = performance.now()
  const answers = feed(lab, seededRandom(0x5eed), 20_000)
  expect(answers).toBeGreaterThan(1000)
  for (const network of ['lab', 'far']) {
    const leases = lab.leases.list().filter((lease) => lease.network === network)
    expect(leases.length).toBeLessThanOrEqual(10)
    const bound = leases.filter(({ state }) => state === 'bound')
    expect(new Set(bound.map(({ mac }) => mac)).size).toBe(bound.length)
    expect(new Set(leases.map(({ ip }) => ip)).size).toBe(leases.length)
  }
  const kinds = new Set(lab.kinds())
  for (const kind of [
    'discover',
    'offer',
    'request',
    'ack',
    'nak',
    'decline',
    'release',
    'inform',
    'pool-full',
    'malformed',
    'dropped',
    'script-offered',
  ]) {
    expect(kinds, 'the packets reach every branch').toContain(kind)
  }
  expect(performance.now() - started).toBeLessThan(15_000)
})
