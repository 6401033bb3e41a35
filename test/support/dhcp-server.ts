// Only the DHCP server, as a program: `node dhcp-server.ts '<json>'`. For tests in namespaces; events go to standard output, one JSON line each.
import type { Interfaces } from '../../src/dhcp/interface.ts'
import { startDhcp } from '../../src/dhcp/server.ts'
import { createFileLeaseStore, createMemoryLeaseStore } from './lease-store.ts'
import { createTestSite, makeNetwork } from './site.ts'

export type DhcpProgram = {
  readonly networks: readonly Record<string, unknown>[]
  readonly stations?: Record<string, string>
  readonly foreignIpxe?: 'script' | 'loader'
  readonly sync?: boolean
  readonly leasesFile?: string
  readonly isQuiet?: boolean
  readonly interfaces?: Interfaces
}

const written = JSON.parse(process.argv[2] ?? '{}') as DhcpProgram
const site = createTestSite(written.stations ?? {}, { foreignIpxe: written.foreignIpxe ?? 'script' })
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)
const server = await startDhcp({
  networks: written.networks.map(makeNetwork),
  decide: site.decide,
  reservedFor: site.reservedFor,
  leases: written.leasesFile ? createFileLeaseStore(written.leasesFile) : createMemoryLeaseStore(),
  now: Date.now,
  emit: written.isQuiet ? () => {} : say,
  httpPort: 8080,
  sync: written.sync ?? true,
  onReceiveBuffer: (bytes) => say({ receiveBuffer: bytes }),
})
process.on('SIGTERM', async () => {
  await server.stop()
  process.exit(0)
})
process.on('SIGUSR2', () => say({ cpu: process.cpuUsage(), memory: process.memoryUsage(), leases: server.leases.list().length }))
say({ listening: server.listening })
