// Keeps one caller from having all of HTTP: its connections, and the requests that it sends ahead on one of them. Called by listen.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** More connections from one address than `perAddress` are closed at once. */
export function limitCallers(server: Server, perAddress: number): void {
  const counts = new Map<string, number>()
  const leave = (address: string): void => {
    const left = (counts.get(address) ?? 0) - 1
    if (left > 0) counts.set(address, left)
    else counts.delete(address)
  }
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (counts.get(address) ?? 0) + 1
    if (count > perAddress) {
      socket.destroy()
      return
    }
    counts.set(address, count)
    socket.once('close', () => leave(address))
  })
}

/**
 * Answers whether a request is to be dropped, with its connection, because more than `aheadMax` wait on it behind one that is not answered yet.
 * Node reads as many as it gets and keeps a response for each, also for a caller that never reads. No client of ours sends ahead.
 */
export function createAheadGuard(aheadMax: number): (incoming: IncomingMessage, outgoing: ServerResponse) => boolean {
  const waiting = new WeakMap<Socket, number>()
  const change = (socket: Socket, by: number): number => {
    const count = (waiting.get(socket) ?? 0) + by
    waiting.set(socket, count)
    return count
  }
  return ({ socket }, outgoing) => {
    // The response of the first one has the connection; those behind it have none yet.
    if (outgoing.socket) return false
    if (socket.destroyed || change(socket, 1) > aheadMax) {
      socket.destroy()
      return true
    }
    outgoing.once('close', () => change(socket, -1))
    return false
  }
}
