// A boot storm: many stations switched on in the same instant. Each takes an address, the loader by TFTP, its script and its files by HTTP, all
// from the address that it was given. Run as a process of its own by scenario/storm; prints one JSON line.
import { createSocket, type Socket } from 'node:dgram'
import { connect } from 'node:net'
import { seededRandom } from '../../support/random.ts'
import { type Meter, readCpuSeconds } from '../usage.ts'
import { percentile, printResult, readOrder } from './common.ts'
import { makeRequest, readReply, requestedAt, serverIdAt } from './dhcp.ts'
import { beginTransfer, encodeRequest, openSocket, type TransferOrder } from './tftp.ts'

export type StormOrder = {
  readonly server: string
  readonly relay: string
  readonly replyPort: number
  readonly isPxe: boolean
  readonly httpPort: number
  readonly meter: Meter
  readonly stations: number
  readonly rom: { readonly file: string; readonly sizeBytes: number }
  /** Fetched one after the other; `MAC` stands for the station's own, with dashes. */
  readonly paths: readonly string[]
  readonly limitSeconds: number
}
export type StormResult = {
  readonly up: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly dhcpResent: number
  readonly tftpResent: number
  readonly megabytes: number
  readonly reasons: readonly string[]
}

/** A station asks again after about one, two, four and eight seconds: up to a fifth more, for no two run alike (RFC 2131 4.1). */
const patienceMs = 1000
const triesMax = 5
const random = seededRandom(1)

type Dhcp = { readonly lease: (station: number) => Promise<string>; readonly resent: () => number; readonly close: () => void }

async function openDhcp(order: StormOrder): Promise<Dhcp> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, lookup: (host, _, done) => done(null, host, 4) })
  await new Promise<void>((resolve) => socket.bind(order.replyPort, order.relay, resolve))
  const waiting = new Map<number, (reply: Buffer) => void>()
  let resent = 0
  socket.on('message', (packet) => {
    if (packet.length >= 244) waiting.get(packet.readUInt32BE(4))?.(packet)
  })
  const askOnce = (packet: Buffer, wanted: number) =>
    new Promise<Buffer>((resolve, reject) => {
      const xid = packet.readUInt32BE(4)
      let tries = 0
      let timer: NodeJS.Timeout | undefined
      const finish = (act: () => void) => {
        clearTimeout(timer)
        waiting.delete(xid)
        act()
      }
      const send = () => {
        if (tries > 0) resent += 1
        if (tries >= triesMax) return finish(() => reject(new Error('no DHCP answer')))
        timer = setTimeout(send, patienceMs * 2 ** tries * (1 + random() / 5))
        tries += 1
        socket.send(packet, 0, packet.length, 67, order.server)
      }
      waiting.set(xid, (reply) => {
        const { kind } = readReply(reply)
        if (kind === wanted) finish(() => resolve(reply))
        else if (kind === 6) finish(() => reject(new Error('DHCP nak')))
      })
      send()
    })
  const lease = async (station: number) => {
    const discover = dress(makeRequest(1, order.isPxe, order.relay), station, station + 1)
    const offer = await askOnce(discover, 2)
    const request = dress(makeRequest(3, order.isPxe, order.relay), station, station + 1 + 0x100000)
    offer.copy(request, requestedAt, 16, 20)
    const identifier = readReply(offer).serverIdAt
    if (identifier) offer.copy(request, serverIdAt, identifier, identifier + 4)
    const ack = await askOnce(request, 5)
    return [...ack.subarray(16, 20)].join('.')
  }
  return { lease, resent: () => resent, close: () => socket.close() }
}

/** 52:54:00:00:hi:lo, the MACs that the depot knows. */
function dress(packet: Buffer, station: number, xid: number): Buffer {
  packet.writeUInt32BE(xid, 4)
  packet.writeUInt32BE(0x52540000, 28)
  packet.writeUInt16BE(station, 32)
  return packet
}

async function fetchRom(order: StormOrder, address: string, count: TransferOrder['count']): Promise<number> {
  const socket: Socket = await openSocket(address)
  const asked: TransferOrder = { server: order.server, sizeBytes: order.rom.sizeBytes, acksAll: false, patienceMs, count }
  const request = encodeRequest(order.rom.file, { tsize: 0, blksize: 1456 })
  try {
    return await new Promise<number>((resolve, reject) => {
      const transfer = beginTransfer(socket, asked, request, undefined, ({ isDone, bytes, reason }) => {
        clearInterval(watch)
        if (isDone) resolve(bytes)
        else reject(new Error(`TFTP: ${reason}`))
      })
      const watch = setInterval(() => transfer.look(performance.now()), 250)
      socket.on('message', transfer.onMessage)
    })
  } finally {
    socket.close()
  }
}

/** GET over a connection of its own, as iPXE does it; answers the bytes of the body. */
function fetchHttp(order: StormOrder, localAddress: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let [bytes, due] = [0, -1]
    let head = ''
    const socket = connect({ port: order.httpPort, host: order.server, localAddress })
    const settle = (error?: Error) => {
      socket.destroy()
      if (error) reject(error)
      else resolve(bytes)
    }
    socket.on('error', settle)
    socket.on('close', () => settle(new Error(`HTTP: ${path} ended after ${bytes} of ${due}`)))
    socket.on('connect', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${order.server}:${order.httpPort}\r\nUser-Agent: iPXE/1.21.1\r\nConnection: close\r\n\r\n`),
    )
    socket.on('data', (chunk: Buffer) => {
      if (due >= 0) bytes += chunk.length
      else {
        head += chunk.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        const found = /^HTTP\/1\.1 200 [\s\S]*content-length: ([0-9]+)/i.exec(head.slice(0, end))
        if (!found) return settle(new Error(`HTTP: ${path}: ${head.slice(0, 40).split('\r')[0]}`))
        due = Number(found[1])
        bytes = head.length - end - 4
      }
      if (bytes >= due) settle()
    })
  })
}

async function main(): Promise<void> {
  const order = readOrder<StormOrder>()
  const dhcp = await openDhcp(order)
  const count = { duplicates: 0, early: 0, clientResent: 0 }
  const reasons = new Set<string>()
  const latencies: number[] = []
  let bytes = 0
  const cpuBefore = readCpuSeconds(order.meter)
  const startedAt = performance.now()
  const boot = async (station: number) => {
    const address = await dhcp.lease(station)
    bytes += await fetchRom(order, address, count)
    const mac = `52-54-00-00-${(station >> 8).toString(16).padStart(2, '0')}-${(station & 255).toString(16).padStart(2, '0')}`
    for (const path of order.paths) bytes += await fetchHttp(order, address, path.replace('MAC', mac))
    latencies.push(performance.now() - startedAt)
  }
  const all = Promise.all(Array.from({ length: order.stations }, (_, at) => boot(at).catch((error) => reasons.add((error as Error).message))))
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, order.limitSeconds * 1000))])
  const cpuSeconds = readCpuSeconds(order.meter) - cpuBefore
  const sorted = latencies.sort((one, other) => one - other)
  printResult({
    up: sorted.length,
    seconds: (sorted.at(-1) ?? 0) / 1000,
    cpuSeconds,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    dhcpResent: dhcp.resent(),
    tftpResent: count.clientResent,
    megabytes: bytes / 1e6,
    reasons: [...reasons].slice(0, 3),
  } satisfies StormResult)
  process.exit(0)
}

if (import.meta.main) await main()
