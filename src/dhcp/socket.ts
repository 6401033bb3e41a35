// UDP sockets for DHCP: how they must be opened in Node, and what to tell a person when they cannot be. Used by server.ts only.
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { ConflictError, OutsideError } from '../boot/error.ts'

/** A thousand stations at once overflow the kernel's usual 208 KB; it caps what is asked for at net.core.rmem_max. */
const recvBufferSize = 4 * 1024 * 1024

/** `isShared`: other sockets of ours have the same port, each on its own address. */
export type SocketWish = { readonly address: string; readonly port: number; readonly isShared: boolean }

/** Throws ConflictError `port-taken`, OutsideError `port-forbidden` or `socket`. */
export async function openSocket({ address, port, isShared }: SocketWish): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    reuseAddr: isShared,
    recvBufferSize,
    // All our peers are literal addresses: a look-up would cost a turn for each packet.
    lookup: (host, _, callback) => callback(null, host, 4),
  })
  try {
    const listening = once(socket, 'listening')
    socket.bind(port, address)
    await listening
    socket.setBroadcast(true)
    return socket
  } catch (error) {
    socket.close()
    throw explain(error as NodeJS.ErrnoException, address, port)
  }
}

/** Two sockets that both say "shared" bind the same port in silence: only one that does not share finds out that it is taken. */
export async function assertFree(port: number): Promise<void> {
  const socket = await openSocket({ address: '0.0.0.0', port, isShared: false })
  socket.close()
  await once(socket, 'close')
}

/**
 * The socket of a proxy sends broadcasts and hears nothing: without this it would take the renewals meant for a DHCP server on the same machine,
 * because a socket on an address goes before one on an interface.
 */
export async function tieToBroadcast(socket: Socket, port: number): Promise<void> {
  const connected = once(socket, 'connect')
  socket.connect(port, '255.255.255.255')
  await connected
}

/** The receive buffer that the kernel granted, in bytes. Linux counts its own bookkeeping into what it tells: the double. */
export const receiveBufferBytes = (socket: Socket): number => socket.getRecvBufferSize() / (process.platform === 'linux' ? 2 : 1)

function explain(error: NodeJS.ErrnoException, address: string, port: number): Error {
  const where = `UDP port ${port} on ${address}`
  if (error.code === 'EADDRINUSE') {
    const message = `${where} is taken by another program, perhaps another DHCP server; "ss -lunp sport = :${port}" shows which`
    return new ConflictError('port-taken', message, { cause: error })
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    const node = process.execPath
    const ways = `start it as root, or once "setcap cap_net_bind_service=+ep ${node}", or with AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit`
    return new OutsideError('port-forbidden', `no permission for ${where}: ${ways}`, false, { cause: error })
  }
  return new OutsideError('socket', `${where} cannot be opened: ${error.message}`, true, { cause: error })
}
