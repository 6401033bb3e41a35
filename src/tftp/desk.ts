// All transfers of one server: who asked, which session an answer belongs to, what is refused. Called by server.ts with datagrams and ticks.
// Knows no sockets; bounded in all it keeps; a datagram never makes it throw.
import type { Content } from '../boot/content.ts'
import { DecodeError } from '../boot/error.ts'
import { drawFigures, type Peer, type TransferFigures } from './figure.ts'
import type { TftpLimits } from './limit.ts'
import { decodePacket, encodePacket, type Request, readAck, type TftpPacket, tftpError } from './packet.ts'
import { createSession, type Send, type Session } from './session.ts'
import { createTables } from './table.ts'

export type DeskOptions = {
  /** May throw or reject; asked once for each transfer, however often the client repeats itself. */
  readonly read: (name: string, peer: Peer) => Content | Promise<Content>
  /** `content` is what `read` gave, closed by now; undefined when it gave nothing. Must not throw. */
  readonly onEnd?: ((figures: TransferFigures, content: Content | undefined) => void) | undefined
  /** Must not throw, and limits its own rate. */
  readonly onMalformed?: ((peer: Peer, why: string) => void) | undefined
  readonly limits: TftpLimits
  /** Milliseconds; only differences count, so a clock that never steps back is best. */
  readonly now: () => number
}

/** One pair of sockets: what comes in on the well-known port, and what comes in on the data port. */
export type Line = {
  readonly receiveRequest: (bytes: Uint8Array, peer: Peer) => void
  readonly receiveAnswer: (bytes: Uint8Array, peer: Peer) => void
}

export type Desk = {
  readonly openLine: (send: Send) => Line
  /** Lets time pass: resends, and gives up. To be called every 10 to 50 ms while there are sessions. */
  readonly tick: () => void
  readonly sessions: () => number
  /** Ends all transfers with an ERROR. */
  readonly stop: () => void
}

type Known = { readonly session: Session; readonly datagram: Uint8Array; readonly startedAt: number }

type Book = { readonly send: Send; readonly known: Map<string, Known>; readonly ended: Map<string, number> }

/** An identical request that comes so soon after the first is a copy of it, even when the transfer has begun. */
const youngMs = 1000
/** For so long a client that is done may repeat its last ACK without being told that nobody knows it. */
const endedMs = 5000

export function createDesk({ read, onEnd, onMalformed, limits, now }: DeskOptions): Desk {
  const all = new Set<Session>()
  const byAddress = new Map<string, number>()
  const tables = createTables(limits.tableBytesMax)
  const sessions = () => all.size

  const sendError = (send: Send, peer: Peer, code: number, message: string) => {
    const bytes = encodePacket({ op: 'error', code, message })
    send(bytes, 0, bytes.length, peer)
  }
  const refuse = (peer: Peer, { name }: Request, reason: string) => {
    onEnd?.(drawFigures({ peer, name, durationMs: 0, running: undefined }, { outcome: 'refused', reason }), undefined)
  }
  const decode = (bytes: Uint8Array, peer: Peer): TftpPacket | undefined => {
    try {
      return decodePacket(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      onMalformed?.(peer, error.message)
      return undefined
    }
  }

  const open = (book: Book, key: string, request: Request, datagram: Uint8Array, peer: Peer) => {
    const onOver = (figures: TransferFigures, content: Content | undefined) => {
      all.delete(session)
      book.known.delete(key)
      addCount(byAddress, peer.address, -1)
      if (figures.outcome !== 'timeout') remember(book.ended, key, now(), limits.sessionsMax)
      onEnd?.(figures, content)
    }
    const session = createSession({ peer, request, read, send: book.send, tables, limits, sessions, now, onOver })
    all.add(session)
    book.known.set(key, { session, datagram, startedAt: now() })
    addCount(byAddress, peer.address, 1)
    session.start()
  }

  const receiveRead = (book: Book, request: Request, datagram: Uint8Array, peer: Peer) => {
    const key = keyOf(peer)
    const known = book.known.get(key)
    if (known && isCopy(known, datagram, now())) return known.session.isUnproven() ? known.session.receiveRequest() : undefined
    known?.session.supersede()
    if (request.mode !== 'octet' && request.mode !== 'netascii') {
      sendError(book.send, peer, tftpError.illegal, 'only octet and netascii are served')
      return refuse(peer, request, `mode "${clean(request.mode, 20)}"`)
    }
    // Silence, not an ERROR: firmware takes an ERROR as the end of its boot, but repeats a request that nobody answers until there is room.
    if (all.size >= limits.sessionsMax && !makeRoom()) return refuse(peer, request, `busy: ${all.size} transfers`)
    const same = byAddress.get(peer.address) ?? 0
    if (same >= limits.sessionsPerAddressMax) return refuse(peer, request, `busy: ${same} transfers of this address`)
    open(book, key, request, datagram, peer)
  }

  /** Forged requests cost one packet each and are waited for eight seconds; a living client's place is not theirs. */
  const makeRoom = (): boolean => {
    for (const session of all) {
      if (!session.isForsaken()) continue
      session.end({ outcome: 'timeout', reason: 'the client never answered, and another one asks' })
      return true
    }
    return false
  }
  const receiveRequest = (book: Book, bytes: Uint8Array, peer: Peer) => {
    const packet = decode(bytes, peer)
    if (!packet) return
    if (packet.op === 'rrq') return receiveRead(book, packet, bytes, peer)
    if (packet.op === 'wrq') {
      sendError(book.send, peer, tftpError.access, 'this server is read-only')
      return refuse(peer, packet, 'write request')
    }
    onMalformed?.(peer, `${packet.op} on the port for requests`)
    if (packet.op !== 'error') sendError(book.send, peer, tftpError.illegal, 'not a request')
  }

  const receiveAnswer = (book: Book, bytes: Uint8Array, peer: Peer) => {
    const key = keyOf(peer)
    const session = book.known.get(key)?.session
    const block = readAck(bytes)
    if (session && block >= 0) return session.receiveAck(block)
    const packet = decode(bytes, peer)
    if (!packet) return
    if (!session) return receiveStranger(book, packet, key, peer)
    if (packet.op === 'error') session.end({ outcome: 'aborted', reason: `the client: error ${packet.code} ${clean(packet.message, 80)}`.trim() })
    else onMalformed?.(peer, `${packet.op} on the port for data`)
  }

  const receiveStranger = (book: Book, packet: TftpPacket, key: string, peer: Peer) => {
    if (packet.op === 'error' || now() - (book.ended.get(key) ?? Number.NEGATIVE_INFINITY) < endedMs) return
    onMalformed?.(peer, `${packet.op} of an unknown transfer`)
    sendError(book.send, peer, tftpError.unknownId, 'unknown transfer')
  }

  const openLine = (send: Send): Line => {
    const book: Book = { send, known: new Map(), ended: new Map() }
    // Nobody can be answered at port 0, and Node throws when it is tried.
    const check = (receive: typeof receiveRequest) => (bytes: Uint8Array, peer: Peer) =>
      peer.port === 0 ? onMalformed?.(peer, 'from port 0') : receive(book, bytes, peer)
    return { receiveRequest: check(receiveRequest), receiveAnswer: check(receiveAnswer) }
  }
  const tick = () => {
    for (const session of all) session.tick()
  }
  const stop = () => {
    for (const session of all) session.end({ outcome: 'aborted', reason: 'the server stopped' }, 'the server stops')
  }
  return { openLine, tick, sessions, stop }
}

const keyOf = ({ address, port }: Peer): string => `${address} ${port}`

const isCopy = ({ session, datagram, startedAt }: Known, other: Uint8Array, at: number): boolean =>
  (session.isUnproven() || at - startedAt < youngMs) && Buffer.compare(datagram, other) === 0

/** What a client says goes to logs and terminals: no control characters, no flood. */
const clean = (text: string, length: number): string => text.slice(0, length).replace(/[^\x20-\x7e]/g, '?')

function addCount(counts: Map<string, number>, key: string, change: number): void {
  const total = (counts.get(key) ?? 0) + change
  if (total > 0) counts.set(key, total)
  else counts.delete(key)
}

function remember(ended: Map<string, number>, key: string, at: number, sizeMax: number): void {
  ended.delete(key)
  ended.set(key, at)
  const oldest = ended.keys().next().value
  if (ended.size > sizeMax && oldest !== undefined) ended.delete(oldest)
}
