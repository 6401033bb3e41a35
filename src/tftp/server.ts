// The sockets of the TFTP server: one for requests and one for all transfers, at each address. Called by src/server.ts.
import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'
import type { Content } from '../boot/content.ts'
import { ConflictError, InputError, OutsideError } from '../boot/error.ts'
import { createOutlet, lookMs } from '../boot/outlet.ts'
import { createDesk, type Desk, type Line } from './desk.ts'
import type { Peer, TransferFigures } from './figure.ts'
import { defaultLimits, type TftpLimits } from './limit.ts'

export type TftpOptions = {
  /**
   * Literal addresses to listen on. Node does not tell to which address a datagram came: with a wildcard (`0.0.0.0`, `::`) on a host that
   * has several addresses the kernel answers from the one nearest to the client, and firmware drops what comes from another address than it
   * asked. There, list the addresses: each gets its own pair of sockets.
   */
  readonly address: string | readonly string[]
  /** 0 lets the system choose. */
  readonly port: number
  /** Throws or rejects with MissingError, InputError…; asked once for each transfer. */
  readonly read: (name: string, peer: Peer) => Content | Promise<Content>
  /** Once for each request, also the refused ones. `content` is the very value that `read` gave, undefined when it gave none. Must not throw. */
  readonly onEnd?: (figures: TransferFigures, content: Content | undefined) => void
  readonly onMalformed?: (peer: Peer, why: string) => void
  readonly limits?: Partial<TftpLimits>
  /** Milliseconds that never step back; by default the monotonic clock. */
  readonly now?: () => number
}

export type TftpServer = {
  readonly port: number
  /** What the kernel really gave (twice the usable bytes, as Linux counts). */
  readonly receiveBufferBytes: number
  readonly sessions: () => number
  readonly stop: () => Promise<void>
}

/** The kernel may give less (net.core.rmem_max): then a burst of requests is lost, and clients ask again. */
const receiveBufferBytes = 4 * 1024 * 1024
const tickMs = 10
const stallMs = 100

/**
 * Listens until `stop()`. Throws InputError `tftp-address` for what is no literal address, ConflictError `tftp-port-taken`, OutsideError
 * `tftp-not-permitted` and `tftp-bind`.
 */
export async function startTftp({ address, port, limits, now = () => performance.now(), ...options }: TftpOptions): Promise<TftpServer> {
  const desk = createDesk({ ...options, limits: { ...defaultLimits, ...limits }, now })
  const clock = createTicker(desk, now)
  const sockets: Socket[] = []
  let chosenPort = port
  try {
    for (const one of [address].flat()) {
      const [entrance, data] = await openPair(one, chosenPort, sockets)
      chosenPort = entrance.address().port
      connect(desk, entrance, data, clock.wake)
    }
  } catch (error) {
    await closeAll(sockets)
    throw error
  }
  const stop = async () => {
    desk.stop()
    clock.stop()
    await closeAll(sockets.splice(0))
  }
  const receiveBufferBytes = sockets[0]?.getRecvBufferSize() ?? 0
  return { port: chosenPort, receiveBufferBytes, sessions: desk.sessions, stop }
}

function connect(desk: Desk, entrance: Socket, data: Socket, wake: () => void): void {
  let isOpen = true
  data.once('close', () => {
    isOpen = false
  })
  const outlet = createOutlet(data, lookLater)
  const line = desk.openLine((bytes, offset, length, peer) => {
    if (isOpen && outlet.mayTake()) data.send(bytes, offset, length, peer.port, peer.address)
  })
  const listen = (socket: Socket, receive: Line['receiveRequest']) => {
    // What the network says of single packets (unreachable, not permitted) concerns their client, whose silence is noticed anyhow.
    socket.on('error', () => {})
    socket.on('message', (bytes, { address, port }) => {
      receive(bytes, { address, port })
      wake()
    })
  }
  listen(entrance, line.receiveRequest)
  listen(data, line.receiveAnswer)
}

async function openPair(address: string, port: number, sockets: Socket[]): Promise<[entrance: Socket, data: Socket]> {
  const family = isIP(address)
  if (family === 0) throw new InputError('tftp-address', `"${address}" is no IPv4 or IPv6 address to listen on`)
  const make = async (at: number) => {
    // The own look-up saves a turn of the event loop and 5 % of the time for each packet: all addresses here are literal.
    const lookup = (host: string, _: unknown, found: (error: null, address: string, family: number) => void) => found(null, host, family)
    const type = family === 6 ? 'udp6' : 'udp4'
    const socket = createSocket({ type, ipv6Only: family === 6, recvBufferSize: receiveBufferBytes, lookup: lookup as never })
    sockets.push(socket)
    await bind(socket, address, at)
    return socket
  }
  return [await make(port), await make(0)]
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(explain(error, address, port))
    socket.once('error', fail)
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', fail)
      resolve()
    })
  })
}

function explain(error: NodeJS.ErrnoException, address: string, port: number): Error {
  const where = `TFTP cannot listen on ${address} port ${port}`
  const cause = { cause: error }
  if (error.code === 'EADDRINUSE') {
    return new ConflictError('tftp-port-taken', `${where}: another program has it (ss -lunp 'sport = :${port}' shows which)`, cause)
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    const remedy = `ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; or choose another port for trials (firmware asks only port 69)`
    return new OutsideError('tftp-not-permitted', `${where}: ${remedy}`, false, cause)
  }
  if (error.code === 'EADDRNOTAVAIL')
    return new OutsideError('tftp-bind', `${where}: no interface has this address (ip address shows them)`, true, cause)
  return new OutsideError('tftp-bind', `${where}: ${error.message}`, false, cause)
}

/** Ticks only while there are sessions. */
function createTicker(desk: Desk, now: () => number) {
  let timer: NodeJS.Timeout | undefined
  let lastAt = 0
  const tick = () => {
    const at = now()
    // After a stall of our own the answers lie in the sockets' buffers: they are read before anybody is called silent.
    const wasStalled = at - lastAt > stallMs
    lastAt = at
    if (!wasStalled) desk.tick()
    if (desk.sessions() === 0) stop()
  }
  const wake = () => {
    if (timer || desk.sessions() === 0) return
    lastAt = now()
    timer = setInterval(() => setImmediate(tick), tickMs)
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }
  return { wake, stop }
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))))
}

const lookLater = (look: () => void): void => void setTimeout(look, lookMs).unref()
