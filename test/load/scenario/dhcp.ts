// DHCP: addresses per second for new stations, renewals and boot offers, and the delay at a steady pace.
import type { DhcpOrder, DhcpResult, DhcpStep } from '../client/dhcp.ts'
import type { Figure, Metrics } from '../figure.ts'
import { dhcpd, dhcpdNoSync, dnsmasqDhcp, kea, npmDhcp } from '../peer/dhcp.ts'
import { ownServer, ownSyncedServer } from '../peer/own.ts'
import { findProgram, type Peer } from '../peer/peer.ts'
import { relayAddress, serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { readCpuSeconds } from '../usage.ts'
import { type Bench, measureAll } from './plan.ts'

export const dhcpScenarios = ['dhcp-new', 'dhcp-renew', 'dhcp-discover', 'dhcp-rate', 'dhcp-foreign']

/** The pool has 62 000 addresses: warm-up, new and rate together stay below. */
const newLimit = 40_000

export async function runDhcp(bench: Bench): Promise<Figure[]> {
  if (!dhcpScenarios.some(bench.wants)) return []
  const peers = [ownServer(bench), ownSyncedServer(bench), dnsmasqDhcp, dhcpd, dhcpdNoSync, kea, npmDhcp]
  const figures: Figure[] = []
  const measure = async (one: typeof measureLeases) => figures.push(...(await measureAll(bench, peers, (served, peer) => one(bench, served, peer))))
  if (['dhcp-new', 'dhcp-renew', 'dhcp-rate'].some(bench.wants)) await measure(measureLeases)
  if (bench.wants('dhcp-discover')) await measure(measureOffers)
  if (bench.wants('dhcp-foreign') && findProgram('perfdhcp')) await measure(measureForeign)
  return figures
}

function order(served: Served, peer: Peer, steps: readonly DhcpStep[]): DhcpOrder {
  const isPxe = peer.name !== npmDhcp.name
  return { server: serverAddress, relay: relayAddress, replyPort: isPxe ? 67 : 68, meter: served.meter, steps, isPxe, atOnce: 64, timeoutMs: 1000 }
}

async function measureLeases(bench: Bench, served: Served, peer: Peer): Promise<Omit<Figure, 'server'>[]> {
  const { seconds } = bench.effort
  const warmUp: DhcpStep = { mode: 'new', seconds: 1, count: 3000 }
  const steps: DhcpStep[] = [warmUp, { mode: 'new', seconds, count: newLimit }]
  if (bench.wants('dhcp-renew')) steps.push({ mode: 'renew', seconds: seconds / 2, count: 400_000 })
  if (bench.wants('dhcp-rate')) steps.push({ mode: 'rate', seconds, count: 300 * seconds, perSecond: 300 })
  const memory = served.watchMemory()
  const [, ...results] = await bench.stage.client<DhcpResult[]>('dhcp.ts', order(served, peer, steps), 60 + seconds * 6)
  const memoryMb = memory()
  return results.map((result) => ({
    scenario: `dhcp-${result.mode}`,
    unit: result.mode === 'renew' ? 'renewal' : 'DORA',
    metrics: { ...read(result), memoryMb },
  }))
}

async function measureOffers(bench: Bench, served: Served, peer: Peer): Promise<Omit<Figure, 'server'>[]> {
  const steps: DhcpStep[] = [
    { mode: 'discover', seconds: 1, count: 2000 },
    { mode: 'discover', seconds: bench.effort.seconds / 2, count: newLimit },
  ]
  const [, result] = await bench.stage.client<DhcpResult[]>('dhcp.ts', order(served, peer, steps), 60 + bench.effort.seconds * 4)
  return result ? [{ scenario: 'dhcp-discover', unit: 'offer', metrics: read(result) }] : []
}

/** perfdhcp, which others wrote: exchanges per second at 20 000 asked. It asks as a plain client, and only for a reply on port 67. */
async function measureForeign(bench: Bench, served: Served, peer: Peer): Promise<Omit<Figure, 'server'>[]> {
  if (peer.name === npmDhcp.name) return []
  const seconds = bench.effort.seconds
  const asked = 20_000
  const argv = ['perfdhcp', '-4', '-L', '67', '-l', relayAddress, '-r', String(asked), '-R', '50000', '-p', String(seconds), serverAddress]
  const cpuBefore = readCpuSeconds(served.meter)
  // It ends with 3 when exchanges stayed open.
  const text = await bench.stage.load(argv, seconds + 30, [0, 3])
  const rate = Number(/^Rate: ([0-9.]+)/m.exec(text)?.[1])
  const cpuMicroseconds = ((readCpuSeconds(served.meter) - cpuBefore) / (rate * seconds)) * 1e6
  return [{ scenario: 'dhcp-foreign', unit: `DORA, ${asked} asked`, metrics: { rate, cpuMicroseconds } }]
}

const read = (result: DhcpResult): Metrics => ({
  rate: result.done / result.seconds,
  p50Ms: result.p50Ms,
  p99Ms: result.p99Ms,
  cpuMicroseconds: (result.cpuSeconds / result.done) * 1e6,
  resent: result.resent,
  refused: result.refused,
  lost: result.lost,
})
