// TFTP load: many stations at once, each transfer from an address and port of its own as firmware does it. Run as a process of its own by
// scenario/tftp; prints one JSON line. Loss is made here, seeded, because many kernels have no netem.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { seededRandom } from '../../support/random.ts'
import { type Meter, readCpuSeconds } from '../usage.ts'
import { percentile, printResult, readOrder } from './common.ts'

export type TftpOrder = {
  readonly server: string
  readonly meter: Meter
  /** The first address of the stations, `10.78.200.1`; station n has the n-th after it (last two bytes count up). */
  readonly firstAddress: string
  readonly file: string
  readonly sizeBytes: number
  readonly options: Readonly<Record<string, number>>
  readonly atOnce: number
  /** Transfers in all; none begins after `seconds`, and all is broken off at `limitSeconds`. */
  readonly count: number
  readonly seconds: number
  readonly limitSeconds: number
  /** Share of DATA and of ACK packets that get lost. */
  readonly loss?: number
  /** This many DATA packets of each transfer get lost, evenly spread. */
  readonly lostBlocks?: number
  /**
   * UEFI's way: every unexpected DATA is answered with an ACK at once. Else an early block is answered
   * once per gap, and of the repeated ones only the last.
   */
  readonly acksAll?: boolean
  /** Stations that ask and then are never heard of again. What the server sends them is counted until `countSeconds` after the start. */
  readonly absent?: number
  readonly countSeconds?: number
}
export type TftpResult = {
  readonly done: number
  readonly failed: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly megabytes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly duplicates: number
  readonly early: number
  readonly clientResent: number
  readonly packetsPerAbsent: number
  readonly reasons: readonly string[]
}

/** So long that the server's own recovery is what is measured. */
const stationPatienceMs = 10_000
const socketsPerStation = 16

export function encodeRequest(file: string, options: Readonly<Record<string, number>>): Buffer {
  const words = [file, 'octet', ...Object.entries(options).flatMap(([name, value]) => [name, String(value)])]
  return Buffer.concat([Buffer.from([0, 1]), ...words.map((word) => Buffer.from(`${word}\0`, 'latin1'))])
}

export function addressAfter(first: string, offset: number): string {
  const [a, b, c, d] = first.split('.').map(Number) as [number, number, number, number]
  const low = c * 256 + d + offset
  return `${a}.${b}.${low >> 8}.${low & 255}`
}

type Fate = { readonly losesData: (block: number) => boolean; readonly losesAck: () => boolean }
const noLoss: Fate = { losesData: () => false, losesAck: () => false }

function makeFate(order: TftpOrder, seed: number): Fate {
  if (order.lostBlocks) {
    const blocks = Math.ceil(order.sizeBytes / (order.options.blksize ?? 512))
    const pending = new Set(
      Array.from({ length: order.lostBlocks }, (_, at) => Math.floor(((at + 0.37 + seed / 64) * blocks) / (order.lostBlocks ?? 1))),
    )
    return { losesData: (block) => pending.delete(block), losesAck: () => false }
  }
  const loss = order.loss ?? 0
  if (!loss) return noLoss
  const random = seededRandom(seed)
  return { losesData: () => random() < loss, losesAck: () => random() < loss }
}

type Count = { duplicates: number; early: number; clientResent: number }
type Ended = { readonly isDone: boolean; readonly bytes: number; readonly reason?: string }
type Transfer = { readonly onMessage: (packet: Buffer, from: RemoteInfo) => void; readonly look: (now: number) => void; readonly stop: () => void }

/** What one transfer must know. The station itself asks again only after `patienceMs` without a packet. */
export type TransferOrder = {
  readonly server: string
  readonly sizeBytes: number
  readonly acksAll: boolean
  readonly patienceMs: number
  readonly count: Count
}

/** One read (RFC 1350, 2347, 7440): the request is sent at once; `onEnd` is called once. */
export function beginTransfer(
  socket: Socket,
  order: TransferOrder,
  request: Buffer,
  fate: Fate | undefined,
  onEnd: (ended: Ended) => void,
): Transfer {
  const { count } = order
  const { losesData, losesAck } = fate ?? noLoss
  const ack = Buffer.from([0, 4, 0, 0])
  let [tid, blksize, windowsize, taken, sinceAck, bytes] = [0, 512, 1, 0, 0, 0]
  let [isOver, hasAnsweredGap] = [false, false]
  let lastHeardAt = performance.now()
  let last: Buffer = request
  const end = (ended: Ended) => {
    if (isOver) return
    isOver = true
    onEnd(ended)
  }
  const sendAck = () => {
    sinceAck = 0
    last = ack
    ack.writeUInt16BE(taken & 0xffff, 2)
    if (!losesAck()) socket.send(ack, 0, 4, tid, order.server)
  }
  const onOptions = (packet: Buffer) => {
    const words = packet.toString('latin1', 2).toLowerCase().split('\0')
    for (let at = 0; at + 1 < words.length; at += 2) {
      if (words[at] === 'blksize') blksize = Number(words[at + 1])
      if (words[at] === 'windowsize') windowsize = Number(words[at + 1])
    }
    if (taken === 0) sendAck()
  }
  const onData = (packet: Buffer) => {
    const block = packet.readUInt16BE(2)
    const ahead = (block - taken) & 0xffff
    if (losesData(taken + ahead)) return
    if (ahead !== 1) {
      if (ahead === 0 || ahead > 0x8000) count.duplicates += 1
      else count.early += 1
      const isGap = ahead > 1 && ahead <= 0x8000
      // The block that was acknowledged last comes again: that ACK was lost (RFC 1350 section 2).
      if (order.acksAll || ahead === 0 || (isGap && !hasAnsweredGap)) sendAck()
      hasAnsweredGap ||= isGap
      return
    }
    hasAnsweredGap = false
    taken += 1
    sinceAck += 1
    bytes += packet.length - 4
    const isLast = packet.length - 4 < blksize
    if (isLast || sinceAck >= windowsize) sendAck()
    if (isLast) end(bytes === order.sizeBytes ? { isDone: true, bytes } : { isDone: false, bytes, reason: `${bytes} bytes` })
  }
  socket.send(request, 0, request.length, 69, order.server)
  return {
    onMessage: (packet, from) => {
      if (isOver || packet.length < 4) return
      if (tid === 0) tid = from.port
      if (from.port !== tid) return
      lastHeardAt = performance.now()
      const kind = packet[1]
      if (kind === 3) onData(packet)
      else if (kind === 6) onOptions(packet)
      else if (kind === 5) end({ isDone: false, bytes, reason: packet.toString('latin1', 4, packet.length - 1) })
    },
    look: (now) => {
      if (isOver || now - lastHeardAt < order.patienceMs) return
      lastHeardAt = now
      count.clientResent += 1
      socket.send(last, 0, last.length, last === request ? 69 : tid, order.server)
    },
    stop: () => end({ isDone: false, bytes, reason: 'broken off' }),
  }
}

export function openSocket(address: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', lookup: (host, _, done) => done(null, host, 4) })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, address, () => resolve(socket))
  })
}

/** Stations that vanish: the request goes out, whatever comes is counted and not answered. */
async function sendAbsent(order: TftpOrder, onPacket: () => void): Promise<Socket[]> {
  const request = encodeRequest(order.file, order.options)
  const sockets: Socket[] = []
  for (let at = 0; at < (order.absent ?? 0); at += 1) {
    const socket = await openSocket(addressAfter(order.firstAddress, 256 + at))
    socket.on('message', onPacket)
    sockets.push(socket)
  }
  for (const socket of sockets) socket.send(request, 0, request.length, 69, order.server)
  return sockets
}

async function runStations(order: TftpOrder): Promise<Omit<TftpResult, 'packetsPerAbsent'>> {
  const request = encodeRequest(order.file, order.options)
  const rings = await Promise.all(
    Array.from({ length: order.atOnce }, (_, at) =>
      Promise.all(Array.from({ length: Math.min(socketsPerStation, order.count) }, () => openSocket(addressAfter(order.firstAddress, at)))),
    ),
  )
  const count: Count = { duplicates: 0, early: 0, clientResent: 0 }
  const { server, sizeBytes, acksAll = false } = order
  const asked: TransferOrder = { server, sizeBytes, acksAll, patienceMs: stationPatienceMs, count }
  const latencies: number[] = []
  const reasons = new Set<string>()
  const running = new Set<Transfer>()
  let [begun, failed, bytes] = [0, 0, 0]
  const cpuBefore = readCpuSeconds(order.meter)
  const startedAt = performance.now()
  let endedAt = startedAt
  await new Promise<void>((resolve) => {
    const begin = (station: number, round: number) => {
      if (begun >= order.count || performance.now() - startedAt > order.seconds * 1000) {
        if (!running.size) resolve()
        return
      }
      const seed = begun
      begun += 1
      const ring = rings[station] as Socket[]
      const socket = ring[round % ring.length] as Socket
      const beganAt = performance.now()
      const transfer = beginTransfer(socket, asked, request, makeFate(order, seed), (ended) => {
        socket.off('message', transfer.onMessage)
        running.delete(transfer)
        endedAt = performance.now()
        bytes += ended.bytes
        if (ended.isDone) latencies.push(endedAt - beganAt)
        else {
          failed += 1
          reasons.add(ended.reason ?? '')
        }
        begin(station, round + 1)
      })
      running.add(transfer)
      socket.on('message', transfer.onMessage)
    }
    for (let station = 0; station < order.atOnce; station += 1) begin(station, 0)
    const watch = setInterval(() => {
      const now = performance.now()
      const isLate = now - startedAt > order.limitSeconds * 1000
      for (const transfer of [...running]) isLate ? transfer.stop() : transfer.look(now)
      if (!running.size) {
        clearInterval(watch)
        resolve()
      }
    }, 50)
  })
  const cpuSeconds = readCpuSeconds(order.meter) - cpuBefore
  for (const socket of rings.flat()) socket.close()
  const sorted = latencies.sort((one, other) => one - other)
  return {
    done: sorted.length,
    failed,
    seconds: (endedAt - startedAt) / 1000,
    cpuSeconds,
    megabytes: bytes / 1e6,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    ...count,
    reasons: [...reasons].slice(0, 3),
  }
}

async function main(): Promise<void> {
  const order = readOrder<TftpOrder>()
  let toAbsent = 0
  const startedAt = performance.now()
  const absent = await sendAbsent(order, () => {
    toAbsent += 1
  })
  const result = await runStations(order)
  const restMs = order.absent ? (order.countSeconds ?? 0) * 1000 - (performance.now() - startedAt) : 0
  if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs))
  for (const socket of absent) socket.close()
  printResult({ ...result, packetsPerAbsent: order.absent ? toAbsent / order.absent : 0 } satisfies TftpResult)
}

if (import.meta.main) await main()
