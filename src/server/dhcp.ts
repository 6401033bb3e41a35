// Opens DHCP for the declared networks, by our own engine or by dnsmasq. Called by server.ts after all that DHCP answers point to.
import { join } from 'node:path'
import { contains, type Ipv4 } from '../boot/address.ts'
import type { Network } from '../boot/network.ts'
import { reservedMacs } from '../boot/reserve.ts'
import { startDhcp } from '../dhcp/server.ts'
import { serveByDnsmasq } from '../dnsmasq/serve.ts'
import type { Doors } from './door.ts'
import { ownAddresses } from './place.ts'

/** Nothing without networks. Throws what the engine throws: no interface, a taken port. */
export async function openDhcp(doors: Doors): Promise<void> {
  const { config, rooms, store, records, emit, warnings, listening, closers } = doors
  if (!config.networks.length) return
  if (config.dnsmasq.engine) return openEngine(doors)
  const server = await startDhcp({
    networks: config.networks,
    decide: rooms.gate.decide,
    leases: store.leases,
    now: Date.now,
    emit,
    httpPort: config.http.port,
    ...(config.http.url && { httpBase: config.http.url }),
    sync: config.dhcp.sync,
    reservedFor: (ip) => reservedMacs(records.current(), ip),
    onReceiveBuffer: (bytes) => {
      if (bytes < smallBufferBytes)
        warnings.push(
          `the kernel gives DHCP a receive buffer of ${Math.round(bytes / 1024)} KB: for hundreds of stations at once raise net.core.rmem_max to 4194304`,
        )
    },
  })
  rooms.useDhcp(server)
  closers.push(() => server.stop())
  for (const { network, address, mode } of server.listening) listening.push({ service: 'dhcp', address, port: 67, network, mode })
}

/** Four seconds' worth of waiting when it overflows; a stock kernel grants 208 KB, which holds some hundred questions. */
const smallBufferBytes = 1024 * 1024

/** DHCP and DNS by dnsmasq, which reads what the records say whenever they change. */
async function openEngine({ config, rooms, records, emit, listening, closers, onFault }: Doors): Promise<void> {
  const { networks, site, http } = config
  const addressOn = (network: Network) => ownAddresses().find(({ address }) => contains(network.subnet, address as Ipv4))?.address as Ipv4 | undefined
  const engine = await serveByDnsmasq({
    settings: config.dnsmasq,
    folder: join(config.state, 'dnsmasq'),
    networks,
    site,
    records: records.current,
    addressOn,
    httpBaseOf: (address) => http.url ?? `http://${address}${http.port === 80 ? '' : `:${http.port}`}`,
    hasLoader: (file) => rooms.loaders.find(file) !== undefined,
    emit,
    now: Date.now,
  })
  closers.push(engine.stop)
  closers.push(records.onChange(() => void engine.reload().catch(onFault)))
  rooms.useDhcp(engine)
  for (const network of networks)
    listening.push({
      service: 'dhcp',
      address: network.serverAddress ?? addressOn(network) ?? '?',
      port: 67,
      network: network.name,
      mode: network.mode,
    })
}
