// The DHCP server's sockets. Started by server.ts of the house; decides nothing. Node tells no ingress interface and sends broadcasts by the
// default route: so a socket on 0.0.0.0 hears the broadcasts of all wires, and one on each interface's own address hears unicasts and alone
// sends there, because a limited broadcast leaves by the interface of its source address.
import type { RemoteInfo, Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import type { Ipv4, Mac } from '../boot/address.ts'
import type { Client } from '../boot/client.ts'
import type { Decision } from '../boot/decide.ts'
import type { Emit } from '../boot/event.ts'
import type { Network } from '../boot/network.ts'
import { createOutlet, lookMs } from '../boot/outlet.ts'
import type { LeaseStore } from '../store/port.ts'
import { createEngine, type Outgoing } from './engine.ts'
import { type Interfaces, placeNetworks } from './interface.ts'
import { createLeases, type Leases } from './leases.ts'
import { createLimiter } from './limit.ts'
import { prepareNetwork, type Served } from './served.ts'
import { assertFree, openSocket, receiveBufferBytes, tieToBroadcast } from './socket.ts'

export type DhcpOptions = {
  readonly networks: readonly Network[]
  readonly decide: (client: Client) => Decision
  readonly leases: LeaseStore
  readonly now: () => number
  readonly emit: Emit
  readonly httpPort: number
  /** What scripts and loaders by HTTP are named under, in place of our address on each network; no slash at its end. */
  readonly httpBase?: string
  /** Wait until a lease is durable before its ACK goes out. */
  readonly sync: boolean
  /** The MACs of the station whose record has this address: the pool gives it to nobody else. */
  readonly reservedFor?: (ip: Ipv4) => readonly Mac[] | undefined
  /** The receive buffer that the kernel granted; 4 MB were asked for. */
  readonly onReceiveBuffer?: (bytes: number) => void
  readonly ports?: { readonly server: number; readonly client: number; readonly proxy: number }
  readonly listInterfaces?: () => Interfaces
}

export type DhcpServer = {
  /** Closes the sockets at once; resolves when what was still unwritten is in the store. */
  readonly stop: () => Promise<void>
  readonly leases: Leases
  readonly listening: readonly { readonly network: string; readonly interface?: string; readonly address: Ipv4; readonly mode: 'server' | 'proxy' }[]
}

const everybodyThere = '255.255.255.255'
const standardPorts = { server: 67, client: 68, proxy: 4011 }
/** ACKs that may wait for the store at one time; beyond that datagrams are dropped, and the clients ask again. */
const waitingMax = 16_384
const troubleEveryMs = 1000

/**
 * Opens the sockets and answers from then on. Throws InputError for a network whose interface or address is not there, ConflictError for a taken
 * port, OutsideError without the permission.
 */
export async function startDhcp(options: DhcpOptions): Promise<DhcpServer> {
  const { networks, now, emit, ports = standardPorts, listInterfaces = networkInterfaces } = options
  const placed = placeNetworks(networks, listInterfaces())
  const served = placed.map(({ network, address }) => prepareNetwork(network, address, options.httpBase ?? httpBaseOf(address, options.httpPort)))
  const leases = createLeases({ networks: served.map(({ network }) => network), store: options.leases, now, reservedFor: options.reservedFor })
  const engine = createEngine({ served, decide: options.decide, leases, now, emit, ports })
  const sockets = await openAll(served, ports)
  options.onReceiveBuffer?.(receiveBufferBytes(sockets.everybody))

  const mayTell = createLimiter(troubleEveryMs, now)
  const tellTrouble = (what: string, error: Error | null) => {
    const more = error ? mayTell(what) : undefined
    if (error && more !== undefined) emit({ at: now(), kind: 'dropped', detail: { door: 'dhcp', reason: `${what}: ${error.message}`, more } })
  }
  const onSent = (error: Error | null) => tellTrouble('send', error)
  let isStopped = false
  const outlets = new Map(sockets.all.map((socket) => [socket, createOutlet(socket, lookLater)]))
  const send = ({ bytes, address, port, served: from, isFromProxyPort }: Outgoing) => {
    const tied = isFromProxyPort ? undefined : sockets.broadcasters.get(from)
    const other = (isFromProxyPort ? sockets.proxies : sockets.servers).get(from)
    const socket = tied && address === everybodyThere ? tied : other
    if (isStopped || !socket || !outlets.get(socket)?.mayTake()) return
    if (socket === tied) socket.send(bytes, 0, bytes.length, onSent)
    else socket.send(bytes, 0, bytes.length, port, address, onSent)
  }

  // All that came in one turn of the event loop shares one write to the store; with `sync` the ACKs wait for it.
  let held: Outgoing[] = []
  let waiting = 0
  let isScheduled = false
  const commit = async () => {
    isScheduled = false
    const batch = held
    held = []
    waiting += batch.length
    try {
      await leases.commit()
      for (const one of batch) guard(() => send(one))
    } catch (error) {
      tellTrouble('lease store', error as Error)
    } finally {
      waiting -= batch.length
    }
  }
  const guard = (act: () => void) => {
    try {
      act()
    } catch (error) {
      tellTrouble('handler', error as Error)
    }
  }
  const receive =
    (from: Served | undefined, isProxyPort: boolean) =>
    (bytes: Uint8Array, { address, port }: RemoteInfo) => {
      if (isStopped || waiting + held.length > waitingMax) return
      guard(() => {
        for (const one of engine.handle(bytes, { ...(from && { served: from }), isProxyPort, address, port })) {
          if (options.sync && one.isDurable) held.push(one)
          else send(one)
        }
      })
      if (isScheduled || !(leases.hasChanges() || held.length)) return
      isScheduled = true
      setImmediate(commit)
    }
  sockets.everybody.on('message', receive(undefined, false))
  for (const [one, socket] of sockets.own) socket.on('message', receive(one, false))
  for (const [one, socket] of sockets.proxies) socket.on('message', receive(one, true))
  for (const socket of sockets.all) socket.on('error', (error) => tellTrouble('socket', error))

  const stop = async () => {
    if (isStopped) return
    isStopped = true
    for (const socket of sockets.all) socket.close()
    await leases.commit()
  }
  const listening = served.map(({ network: { name, mode, interface: at }, arrival }) => ({
    network: name,
    ...(at !== undefined && { interface: at }),
    address: arrival.serverAddress,
    mode,
  }))
  return { stop, leases, listening }
}

const httpBaseOf = (address: Ipv4, port: number): string => `http://${address}${port === 80 ? '' : `:${port}`}`

type Sockets = {
  readonly all: readonly Socket[]
  readonly everybody: Socket
  /** The socket on each local network's own address, and the network for what arrives there. */
  readonly own: ReadonlyMap<Served, Socket>
  /** The socket from which each network's answers leave. */
  readonly servers: ReadonlyMap<Served, Socket>
  readonly proxies: ReadonlyMap<Served, Socket>
  /** Sockets that can only broadcast: behind unicasts to clients that are gone no offer has to wait. */
  readonly broadcasters: ReadonlyMap<Served, Socket>
}

async function openAll(served: readonly Served[], ports: { server: number; client: number; proxy: number }): Promise<Sockets> {
  const all: Socket[] = []
  const open = async (address: string, port: number, isShared: boolean) => {
    const socket = await openSocket({ address, port, isShared })
    all.push(socket)
    return socket
  }
  try {
    // A proxy may stand beside the DHCP server of the same machine, where that one shares its port; two servers are a mistake.
    if (served.some(({ network }) => network.mode === 'server')) await assertFree(ports.server)
    const everybody = await open('0.0.0.0', ports.server, true)
    const [own, servers, proxies] = [new Map<Served, Socket>(), new Map<Served, Socket>(), new Map<Served, Socket>()]
    const byAddress = new Map<string, Socket>()
    const broadcasters = new Map<Served, Socket>()
    const byTiedAddress = new Map<string, Socket>()
    const openTied = async (address: string) => {
      const socket = byTiedAddress.get(address) ?? (await open(address, ports.server, true))
      if (!byTiedAddress.has(address)) await tieToBroadcast(socket, ports.client)
      byTiedAddress.set(address, socket)
      return socket
    }
    for (const one of served.filter(({ network }) => network.interface !== undefined)) {
      const { serverAddress } = one.arrival
      const isProxy = one.network.mode === 'proxy'
      const tied = await openTied(serverAddress)
      broadcasters.set(one, tied)
      const socket = byAddress.get(serverAddress) ?? (isProxy ? tied : await open(serverAddress, ports.server, true))
      if (!byAddress.has(serverAddress)) own.set(one, socket)
      byAddress.set(serverAddress, socket)
      if (isProxy) proxies.set(one, await open(serverAddress, ports.proxy, false))
    }
    for (const one of served) servers.set(one, byAddress.get(one.arrival.serverAddress) ?? everybody)
    return { all, everybody, own, servers, proxies, broadcasters }
  } catch (error) {
    for (const socket of all) socket.close()
    throw error
  }
}

const lookLater = (look: () => void): void => void setTimeout(look, lookMs).unref()
