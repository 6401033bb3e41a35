// A whole TFTP server and one client of ours on a bad cable, in virtual time: loses, doubles and delays datagrams by seeded chance.
import type { Content } from '../../src/boot/content.ts'
import { createDesk } from '../../src/tftp/desk.ts'
import type { TransferFigures } from '../../src/tftp/figure.ts'
import { defaultLimits, type TftpLimits } from '../../src/tftp/limit.ts'
import { seededRandom } from './random.ts'
import { type ClientOptions, type ClientResult, createClientMachine } from './tftp-client.ts'

export type Cable = {
  readonly seed: number
  readonly loss?: number
  readonly duplication?: number
  /** Chance that a datagram is overtaken by those behind it. */
  readonly reordering?: number
  readonly delayMs?: number
}

export type Run = ClientResult & {
  readonly figures: readonly TransferFigures[]
  readonly serverPackets: number
  readonly elapsedMs: number
  readonly left: number
}

const peer = { address: '10.9.0.7', port: 2070 }

/** Runs until the client is done and the server has nothing left to wait for, at most ten minutes of virtual time. */
export function runOverCable(content: Content, client: ClientOptions, cable: Cable, limits: Partial<TftpLimits> = {}): Run {
  const random = seededRandom(cable.seed)
  const queue: { at: number; order: number; act: () => void }[] = []
  const figures: TransferFigures[] = []
  let [now, order, serverPackets, elapsedMs] = [0, 0, 0, 0]

  const later = (delayMs: number, act: () => void) => {
    const entry = { at: now + delayMs, order: order++, act }
    let index = queue.length
    while (index > 0 && (queue[index - 1] as typeof entry).at > entry.at) index--
    queue.splice(index, 0, entry)
  }
  const carry = (act: () => void) => {
    if (random() < (cable.loss ?? 0)) return
    const delayMs = cable.delayMs ?? 0.2
    later(delayMs + (random() < (cable.reordering ?? 0) ? delayMs * 3 * random() : 0), act)
    if (random() < (cable.duplication ?? 0)) later(delayMs * (1 + 5 * random()), act)
  }
  const desk = createDesk({ read: () => content, onEnd: (one) => figures.push(one), limits: { ...defaultLimits, ...limits }, now: () => now })
  const machine = createClientMachine(client)
  const toServer = (bytes: Buffer | undefined, receive: (bytes: Buffer, from: typeof peer) => void) =>
    bytes && carry(() => receive(Buffer.from(bytes), peer))
  const line = desk.openLine((bytes, offset, length) => {
    serverPackets++
    const copy = Buffer.from(bytes.subarray(offset, offset + length))
    carry(() => toServer(machine.receive(copy, now), line.receiveAnswer))
  })
  const tick = () => {
    desk.tick()
    if (now >= machine.deadline()) {
      const bytes = machine.expire(now)
      toServer(bytes, bytes?.[1] === 1 ? line.receiveRequest : line.receiveAnswer)
    }
    if (machine.isGoing()) elapsedMs = now
    if ((machine.isGoing() || desk.sessions() > 0) && now < 600_000) later(20, tick)
  }
  toServer(machine.start(0), line.receiveRequest)
  tick()
  for (let next = queue.shift(); next; next = queue.shift()) {
    now = next.at
    next.act()
  }
  return { ...machine.result(), figures, serverPackets, elapsedMs, left: desk.sessions() }
}

/** Content that is in memory, and counts how often it was closed. */
export function memoryContent(bytes: Uint8Array, etag = `${bytes.length}`): Content & { readonly closed: () => number } {
  let closed = 0
  return {
    sizeBytes: bytes.length,
    etag,
    type: 'application/octet-stream',
    whole: bytes,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    close: () => {
      closed++
    },
    closed: () => closed,
  }
}

/** Bytes that differ from block to block, so that a swapped or repeated one is seen. */
export function patternBytes(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  for (let index = 0; index < sizeBytes; index++) bytes[index] = (index * 31 + (index >>> 8) * 17 + (index >>> 16) * 7) & 0xff
  return bytes
}
