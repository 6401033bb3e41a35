// Notices that a UDP socket is stuck, so that what would only wait behind others is dropped. Used by the TFTP and the DHCP server.
//
// Lore: Linux holds datagrams for a neighbour that answers no ARP for three seconds and counts them into the sender's buffer. Some hundred to
// addresses where nobody is fill it, and from then on each datagram to the living waits its turn behind those to the dead: for minutes.

/** How a socket stands. Used for one socket. */
export type Outlet = {
  /** May a datagram be handed to the socket? When false it is to be dropped: UDP loses datagrams, and whoever misses one asks again. */
  readonly mayTake: () => boolean
}

/** Looks without progress after which the socket counts as stuck: one alone may be our own fault, when a turn of the event loop took long. */
const idleLooksMax = 3

/** How often a socket is looked at while datagrams are handed to it. */
export const lookMs = 20

/** Node's UDP socket, as far as it matters here: how many datagrams wait in the program for the kernel. */
export type Queueing = { getSendQueueCount(): number }

/** The outlet of one socket; `later` calls back after `lookMs`. */
export function createOutlet(socket: Queueing, later: (look: () => void) => void): Outlet {
  let handed = 0
  let taken = 0
  let idleLooks = 0
  let isWatched = false

  const look = (): void => {
    isWatched = false
    const waiting = countQueued(socket)
    if (waiting === 0) {
      handed = taken = idleLooks = 0
      return
    }
    idleLooks = handed - waiting > taken ? 0 : idleLooks + 1
    taken = handed - waiting
    watch()
  }
  const watch = (): void => {
    if (isWatched) return
    isWatched = true
    later(look)
  }
  const mayTake = (): boolean => {
    if (idleLooks >= idleLooksMax) return false
    handed++
    watch()
    return true
  }
  return { mayTake }
}

/** None for a socket that was closed meanwhile: Node throws there. */
function countQueued(socket: Queueing): number {
  try {
    return socket.getSendQueueCount()
  } catch {
    return 0
  }
}
