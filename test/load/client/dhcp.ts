// DHCP load: many stations behind one relay address (giaddr), so that one socket stands for all of them. Run as a process of its own by
// scenario/dhcp; prints one JSON line. Every loop is bounded by a count and by time.
import { createSocket, type Socket } from 'node:dgram'
import { type Meter, readCpuSeconds } from '../usage.ts'
import { percentile, printResult, readOrder } from './common.ts'

/** `new` discover to ack; `discover` stops at the offer; `renew` repeats what `new` got; `rate` is `new` at a fixed pace. */
export type DhcpStep = {
  readonly mode: 'new' | 'discover' | 'renew' | 'rate'
  readonly seconds: number
  readonly count: number
  readonly perSecond?: number
}
export type DhcpOrder = {
  readonly server: string
  readonly relay: string
  /** Where the server answers to: 67 as RFC 2131 has it for relays. */
  readonly replyPort: number
  readonly meter: Meter
  readonly steps: readonly DhcpStep[]
  /** Without: the short option list of a plain client, for servers that a PXE request ends. */
  readonly isPxe: boolean
  readonly atOnce: number
  readonly timeoutMs: number
}
export type DhcpResult = {
  readonly mode: DhcpStep['mode']
  readonly done: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly resent: number
  readonly refused: number
  readonly lost: number
}

const pxeParameters = [
  1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134,
  135,
]

/** A request as an x86 BIOS ROM sends it (RFC 2131, 4578), with room for options 50 and 54 where `kind` is 3. */
export function makeRequest(kind: 1 | 3, isPxe: boolean, relay: string): Buffer {
  const packet = Buffer.alloc(590)
  packet.set([1, 1, 6, 1], 0)
  packet.set(relay.split('.').map(Number), 24)
  packet.set([0x63, 0x82, 0x53, 0x63], 236)
  const options = [53, 1, kind]
  if (kind === 3) options.push(50, 4, 0, 0, 0, 0, 54, 4, 0, 0, 0, 0)
  const parameters = isPxe ? pxeParameters : [1, 3, 6, 15, 51, 54]
  options.push(55, parameters.length, ...parameters, 57, 2, 4, 236)
  if (isPxe) {
    const vendor = Buffer.from('PXEClient:Arch:00000:UNDI:002001', 'latin1')
    options.push(60, vendor.length, ...vendor, 93, 2, 0, 0, 94, 3, 1, 2, 1, 97, 17, 0, ...Array.from({ length: 16 }, (_, at) => at + 1))
  }
  packet.set([...options, 255], 240)
  return packet.subarray(0, Math.max(300, 241 + options.length))
}

export const requestedAt = 245
export const serverIdAt = 251

/** Message type and where the server identifier stands; 0 when absent. */
export function readReply(packet: Buffer): { kind: number; serverIdAt: number } {
  let [kind, at, found] = [0, 240, 0]
  while (at < packet.length - 1) {
    const code = packet[at] as number
    if (code === 255) break
    if (code === 0) {
      at += 1
      continue
    }
    if (code === 53) kind = packet[at + 2] as number
    if (code === 54) found = at + 2
    at += 2 + (packet[at + 1] as number)
  }
  return { kind, serverIdAt: found }
}

type Slot = {
  readonly discover: Buffer
  readonly request: Buffer
  station: number
  xid: number
  state: 'idle' | 'discover' | 'request'
  startedAt: number
  sentAt: number
  tries: number
}

/** Runs one step over the socket; leases that it got are kept in `leases` (station number → address as number) for `renew`. */
function runStep(socket: Socket, order: DhcpOrder, step: DhcpStep, firstStation: number, leases: Map<number, number>): Promise<DhcpResult> {
  const latencies: number[] = []
  const figures = { resent: 0, refused: 0, lost: 0 }
  const slots: Slot[] = Array.from({ length: order.atOnce }, () => ({
    discover: makeRequest(1, order.isPxe, order.relay),
    request: makeRequest(3, order.isPxe, order.relay),
    station: 0,
    xid: 0,
    state: 'idle',
    startedAt: 0,
    sentAt: 0,
    tries: 0,
  }))
  const renewals = [...leases]
  const count = step.mode === 'renew' ? Math.min(step.count, renewals.length * 4) : step.count
  let [begun, busy] = [0, 0]
  const cpuBefore = readCpuSeconds(order.meter)
  const startedAt = performance.now()
  let endedAt = startedAt

  const send = (slot: Slot, packet: Buffer) => {
    slot.sentAt = performance.now()
    socket.send(packet, 0, packet.length, 67, order.server)
  }
  const dress = (slot: Slot, at: number) => {
    slot.xid = ((begun & 0x3fffff) * 1024 + at) >>> 0
    for (const packet of [slot.discover, slot.request]) {
      packet.writeUInt32BE(slot.xid, 4)
      packet.writeUInt16BE(0x0200, 28)
      packet.writeUInt32BE(slot.station, 30)
    }
  }
  const begin = (slot: Slot, at: number) => {
    begun += 1
    busy += 1
    slot.tries = 0
    if (step.mode === 'renew') {
      const [station, address] = renewals[(begun - 1) % renewals.length] as [number, number]
      slot.station = station
      dress(slot, at)
      // RENEWING (RFC 2131 4.3.2): the address in ciaddr, neither option 50 nor 54; pad bytes take their places.
      slot.request.writeUInt32BE(address, 12)
      slot.request.fill(0, requestedAt - 2, serverIdAt + 4)
      slot.state = 'request'
    } else {
      slot.station = firstStation + begun
      dress(slot, at)
      slot.state = 'discover'
    }
    slot.startedAt = performance.now()
    send(slot, slot.state === 'discover' ? slot.discover : slot.request)
  }
  const isOver = () => begun >= count || performance.now() - startedAt > step.seconds * 1000
  const finish = (slot: Slot, at: number, isDone: boolean) => {
    slot.state = 'idle'
    busy -= 1
    endedAt = performance.now()
    if (isDone) latencies.push(endedAt - slot.startedAt)
    if (step.mode !== 'rate' && !isOver()) begin(slot, at)
  }
  const onMessage = (packet: Buffer) => {
    if (packet.length < 244) return
    const xid = packet.readUInt32BE(4)
    const at = xid % 1024
    const slot = slots[at]
    if (!slot || slot.xid !== xid || slot.state === 'idle') return
    const reply = readReply(packet)
    if (reply.kind === 6) {
      figures.refused += 1
      finish(slot, at, false)
    } else if (slot.state === 'discover' && reply.kind === 2) {
      if (step.mode === 'discover') return finish(slot, at, true)
      packet.copy(slot.request, requestedAt, 16, 20)
      if (reply.serverIdAt) packet.copy(slot.request, serverIdAt, reply.serverIdAt, reply.serverIdAt + 4)
      slot.state = 'request'
      send(slot, slot.request)
    } else if (slot.state === 'request' && reply.kind === 5) {
      if (step.mode !== 'renew') leases.set(slot.station, packet.readUInt32BE(16))
      finish(slot, at, true)
    }
  }
  const resendLate = () => {
    const now = performance.now()
    for (const [at, slot] of slots.entries()) {
      if (slot.state === 'idle' || now - slot.sentAt < order.timeoutMs * 2 ** slot.tries) continue
      slot.tries += 1
      if (slot.tries > 3) {
        figures.lost += 1
        finish(slot, at, false)
      } else {
        figures.resent += 1
        send(slot, slot.state === 'discover' ? slot.discover : slot.request)
      }
    }
  }
  return new Promise((resolve) => {
    socket.on('message', onMessage)
    const perSecond = step.perSecond ?? 0
    const pace = () => {
      const due = Math.min(count, (Math.min(performance.now() - startedAt, step.seconds * 1000) * perSecond) / 1000)
      for (let at = 0; at < slots.length && begun < due; at += 1) if (slots[at]?.state === 'idle') begin(slots[at] as Slot, at)
    }
    const ticker = setInterval(() => {
      resendLate()
      if (busy > 0 || !(isOver() || step.mode !== 'rate')) return
      clearInterval(ticker)
      clearInterval(pacer)
      socket.off('message', onMessage)
      const sorted = latencies.sort((one, other) => one - other)
      resolve({
        mode: step.mode,
        done: sorted.length,
        seconds: (endedAt - startedAt) / 1000,
        cpuSeconds: readCpuSeconds(order.meter) - cpuBefore,
        p50Ms: percentile(sorted, 50),
        p99Ms: percentile(sorted, 99),
        ...figures,
      })
    }, 20)
    const pacer = step.mode === 'rate' ? setInterval(pace, 2) : undefined
    if (step.mode !== 'rate') for (const [at, slot] of slots.entries()) if (!isOver()) begin(slot, at)
  })
}

async function main(): Promise<void> {
  const order = readOrder<DhcpOrder>()
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, lookup: (host, _, done) => done(null, host, 4) })
  await new Promise<void>((resolve) => socket.bind(order.replyPort, order.relay, resolve))
  const leases = new Map<number, number>()
  const results: DhcpResult[] = []
  let firstStation = 0
  for (const step of order.steps) {
    results.push(await runStep(socket, order, step, firstStation, leases))
    firstStation += 1_000_000
  }
  socket.close()
  printResult(results)
}

if (import.meta.main) await main()
