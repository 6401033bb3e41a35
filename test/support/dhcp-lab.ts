// The DHCP engine without sockets: a clock to turn, a memory of events and leases, and the networks that a test asks for.
import type { Ipv4 } from '../../src/boot/address.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import type { Network } from '../../src/boot/network.ts'
import type { MessageType } from '../../src/dhcp/packet.ts'
import { createEngine, type Outgoing } from '../../src/dhcp/engine.ts'
import { createLeases, type Leases } from '../../src/dhcp/leases.ts'
import { prepareNetwork, type Served } from '../../src/dhcp/served.ts'
import { encodeMessage, type Heard, readReply, type Said } from './dhcp-message.ts'
import { createMemoryLeaseStore, type MemoryLeaseStore } from './lease-store.ts'
import { createTestSite, makeNetwork, type TestSite } from './site.ts'

export type Sent = Heard & Pick<Outgoing, 'address' | 'port' | 'isDurable' | 'isFromProxyPort'> & { readonly network: string }

/** How a message comes in: by broadcast (default), to a network's own address, or to its port 4011. */
export type By = { readonly network?: string; readonly isProxyPort?: boolean; readonly address?: string; readonly port?: number }

export type DhcpLab = {
  readonly send: (bytes: Uint8Array, by?: By) => Sent[]
  /** Builds and sends; answers the replies. */
  readonly say: (type: MessageType, said?: Said, by?: By) => Sent[]
  /** DISCOVER, then REQUEST of what was offered; answers the last reply. Throws when there is no offer. */
  readonly boot: (said?: Said, by?: By) => Sent
  readonly events: BootEvent[]
  readonly kinds: () => string[]
  readonly leases: Leases
  readonly store: MemoryLeaseStore
  readonly clock: { now: number }
  /** The same networks and store, as after a restart. */
  readonly restart: () => Promise<DhcpLab>
}

export type LabOptions = {
  readonly networks?: readonly Record<string, unknown>[]
  readonly site?: TestSite
  readonly store?: MemoryLeaseStore
  readonly clock?: { now: number }
  /** Leave out the look-up of reserved addresses, as a caller without records does. */
  readonly isBlindToRecords?: boolean
}

export const startOfTests = 1_800_000_000_000
export const oneNetwork = { name: 'lab', interface: 'eth0', subnet: '10.9.0.0/24', pool: ['10.9.0.100-10.9.0.199'], router: ['10.9.0.1'] }

export function createDhcpLab(options: LabOptions = {}): DhcpLab {
  const { networks = [oneNetwork], site = createTestSite({}), store = createMemoryLeaseStore(), clock = { now: startOfTests } } = options
  const events: BootEvent[] = []
  const served: Served[] = networks.map(makeNetwork).map((network) => {
    const address = ownAddress(network)
    return prepareNetwork(network, address, `http://${address}:8080`)
  })
  const now = () => clock.now
  const reservedFor = options.isBlindToRecords ? undefined : site.reservedFor
  const leases = createLeases({ networks: served.map(({ network }) => network), store, now, reservedFor })
  const emit = (event: BootEvent) => void events.push(event)
  const engine = createEngine({ served, decide: site.decide, leases, now, emit, ports: { server: 67, client: 68 } })

  const send = (bytes: Uint8Array, { network, isProxyPort = false, address = '0.0.0.0', port = 68 }: By = {}) => {
    const own = served.find((one) => one.network.name === network)
    const sent = engine.handle(bytes, { ...(own && { served: own }), isProxyPort, address, port })
    return sent.map((one) => ({ ...readReply(one.bytes), ...one, network: one.served.network.name }))
  }
  const say = (type: MessageType, said: Said = {}, by: By = {}) => send(encodeMessage(type, said), by)
  const boot = (said: Said = {}, by: By = {}) => {
    const [offer] = say('discover', said, by)
    if (!offer) throw new Error(`no offer; events: ${JSON.stringify(events)}`)
    const serverId = [...Buffer.from(offer.options[54] ?? '', 'hex')].join('.')
    return say('request', { ...said, requested: offer.yiaddr, serverId }, by)[0] as Sent
  }
  const restart = async () => {
    await leases.commit()
    return createDhcpLab({ ...options, store, clock })
  }
  return { send, say, boot, events, kinds: () => events.map(({ kind }) => kind), leases, store, clock, restart }
}

/** The network's `serverAddress`, or its first address. */
const ownAddress = ({ serverAddress, subnet }: Network): Ipv4 =>
  serverAddress ?? ([24, 16, 8, 0].map((shift) => ((subnet.network + 1) >>> shift) & 255).join('.') as Ipv4)
