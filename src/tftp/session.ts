// One client and its file: opens it, agrees on the terms, sends what the state machine says is due, tells how it ended. Made by desk.ts.
import type { Content } from '../boot/content.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { createBlocks } from './block.ts'
import { drawFigures, type Ending, type Peer, type Running, type TransferFigures } from './figure.ts'
import type { TftpLimits } from './limit.ts'
import { netasciiBytesMax, translate } from './netascii.ts'
import { agree } from './option.ts'
import { encodePacket, type Request, type TftpPacket, tftpError } from './packet.ts'
import type { Tables } from './table.ts'
import { createTransfer, type Standing } from './transfer.ts'

/** Sends `length` bytes from `offset` to the peer, from the data port. The bytes are never changed afterwards. */
export type Send = (bytes: Uint8Array, offset: number, length: number, peer: Peer) => void

export type SessionOptions = {
  readonly peer: Peer
  readonly request: Request
  readonly read: (name: string, peer: Peer) => Content | Promise<Content>
  readonly send: Send
  readonly tables: Tables
  readonly limits: TftpLimits
  /** How many sessions share the read-ahead. */
  readonly sessions: () => number
  readonly now: () => number
  /** Called once, with what `read` gave if it gave anything by then; nothing is sent afterwards. */
  readonly onOver: (figures: TransferFigures, content: Content | undefined) => void
}

export type Session = {
  readonly start: () => void
  readonly receiveAck: (wireBlock: number) => void
  /** The client sent the same request again. */
  readonly receiveRequest: () => void
  /** Lets time pass. */
  readonly tick: () => void
  /** Ends it without a word to the client, or with an ERROR 0 of this text. */
  readonly end: (ending: Ending, farewell?: string) => void
  /** The client asks for something else from the same port: it has all, or does not want it any more. */
  readonly supersede: () => void
  /** Whether the file is still being opened, or the client has not yet answered. */
  readonly isUnproven: () => boolean
  /** Whether the client has had its first packet for a second and said nothing: it is gone, or its address was forged. */
  readonly isForsaken: () => boolean
}

const pieceBytesMax = 256 * 1024
const openingMs = 30_000
const forsakenMs = 1000

const endings: Record<Exclude<Standing, 'going'>, readonly [ending: Ending, farewell?: string]> = {
  complete: [{ outcome: 'complete', reason: '' }],
  silent: [{ outcome: 'timeout', reason: 'the client went silent' }],
  stuck: [{ outcome: 'timeout', reason: 'the client answers, but does not get on' }, 'no progress'],
  starved: [{ outcome: 'aborted', reason: 'the bytes of the file did not come in time' }, 'server error'],
}

export function createSession(options: SessionOptions): Session {
  const { peer, request, tables, limits, now } = options
  const startedAt = now()
  let running: Running | undefined
  let opened: Content | undefined
  let isLoading = false
  let isOver = false

  const say = (packet: TftpPacket) => {
    const bytes = encodePacket(packet)
    options.send(bytes, 0, bytes.length, peer)
  }
  const close = (ending: Ending) => {
    isOver = true
    if (!isLoading) running?.blocks.close()
    options.onOver(drawFigures({ peer, name: request.name, durationMs: now() - startedAt, running }, ending), opened)
  }
  const end = (ending: Ending, farewell?: string) => {
    if (isOver) return
    if (farewell !== undefined) say({ op: 'error', code: tftpError.other, message: farewell })
    close(ending)
  }
  const fail = (error: unknown) => {
    if (isOver) return
    say({ op: 'error', ...describeFailure(error) })
    close({ outcome: running ? 'aborted' : 'refused', reason: error instanceof Error ? error.message : 'unknown failure' })
  }

  const pump = ({ transfer, blocks, terms }: Running) => {
    for (let block = transfer.due(); block !== undefined; block = transfer.due()) {
      if (block === 0) say({ op: 'oack', options: terms.accepted })
      else if (blocks.has(block)) options.send(blocks.bytes(), blocks.offsetOf(block), blocks.lengthOf(block), peer)
      else return load()
      transfer.sent(now())
    }
  }
  const load = () => {
    if (isLoading || !running) return
    const { blocks, transfer } = running
    isLoading = true
    const settle = () => {
      isLoading = false
      if (isOver) blocks.close()
    }
    const resume = () => {
      settle()
      if (running && !isOver) pump(running)
    }
    const giveUp = (error: unknown) => {
      settle()
      fail(error)
    }
    whenReady(() => blocks.load(transfer.acked() + 1), resume, giveUp)
  }
  const follow = (standing: Standing) => {
    if (standing !== 'going') end(...endings[standing])
    else if (running) pump(running)
  }

  const open = (content: Content) => {
    opened = content
    if (isOver) content.close()
    else if (request.mode === 'netascii') beginText(content)
    else begin(content)
  }
  const begin = (content: Content) => {
    if (isOver) return content.close()
    const terms = agree(request.options, content.sizeBytes, limits)
    const { blksize, windowsize, timeoutMs, accepted } = terms
    const pieceBytes = () => Math.max(windowsize * blksize, Math.min(pieceBytesMax, limits.readAheadBytesMax / Math.max(1, options.sessions())))
    const blocks = createBlocks({ content, blksize, key: request.name, tables, pieceBytes })
    const timeout = timeoutMs === undefined ? {} : { timeoutMs }
    const transfer = createTransfer({ blockCount: blocks.count, windowsize, hasGreeting: accepted.length > 0, now: now(), ...timeout })
    running = { terms, blocks, transfer, sizeBytes: content.sizeBytes }
    pump(running)
  }
  const beginText = (content: Content) => {
    const giveUp = (error: unknown) => {
      content.close()
      fail(error)
    }
    if (content.sizeBytes > netasciiBytesMax) {
      content.close()
      return end({ outcome: 'refused', reason: `netascii asked for ${content.sizeBytes} bytes` }, 'too big for netascii: use binary (octet) mode')
    }
    whenReady(
      () => translate(content, request.name, tables),
      (text) => (text ? begin(text) : giveUp(new Error('no memory for one more text'))),
      giveUp,
    )
  }

  return {
    start: () => whenReady(() => options.read(request.name, peer), open, fail),
    receiveAck: (wireBlock) => running && follow(running.transfer.receiveAck(wireBlock, now())),
    receiveRequest: () => running && follow(running.transfer.receiveRequest(now())),
    tick: () => {
      const at = now()
      if (!running && at - startedAt >= openingMs) fail(new Error('opening the file took too long'))
      if (running && at >= running.transfer.deadline()) follow(running.transfer.expire(at))
    },
    end,
    // Requests and ACKs come in by different sockets: the last ACK may not have been read yet.
    supersede: () => end(running?.transfer.isAllSent() ? endings.complete[0] : { outcome: 'aborted', reason: 'the client asked anew' }),
    isUnproven: () => !running?.transfer.isProven(),
    isForsaken: () => running?.transfer.isProven() === false && now() - startedAt > forsakenMs,
  }
}

/** Runs at once when the value is there, so that the usual transfer needs no turn of the event loop before its first packet. */
function whenReady<T>(get: () => T | Promise<T>, use: (value: T) => void, giveUp: (error: unknown) => void): void {
  let value: T | Promise<T>
  try {
    value = get()
  } catch (error) {
    giveUp(error)
    return
  }
  if (value instanceof Promise) value.then(use, giveUp)
  else use(value)
}

/** ERROR code and text for the client: short, and nothing about our disks. */
function describeFailure(error: unknown): { code: number; message: string } {
  if (error instanceof MissingError) return { code: tftpError.missing, message: 'file not found' }
  if (error instanceof InputError) return { code: tftpError.access, message: 'access violation' }
  return { code: tftpError.other, message: 'server error' }
}
