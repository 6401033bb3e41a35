// Slow stations: many connections that ask for a big file and take it in small sips. Run as a process of its own by scenario/http; prints how
// much memory the server took for them.
import { connect, type Socket } from 'node:net'
import { type Meter, readMemoryMb } from '../usage.ts'
import { printResult, readOrder } from './common.ts'

export type SlowOrder = {
  readonly server: string
  readonly port: number
  readonly path: string
  readonly meter: Meter
  readonly stations: number
  readonly bytesPerSecond: number
  readonly seconds: number
}
export type SlowResult = { readonly beforeMb: number; readonly highestMb: number; readonly open: number; readonly megabytes: number }

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function main(): Promise<void> {
  const order = readOrder<SlowOrder>()
  const beforeMb = readMemoryMb(order.meter)
  const startedAt = performance.now()
  let taken = 0
  const sockets: Socket[] = Array.from({ length: order.stations }, () => {
    let own = 0
    const socket = connect({ port: order.port, host: order.server })
    socket.on('error', () => {})
    socket.on('connect', () => socket.write(`GET ${order.path} HTTP/1.1\r\nHost: ${order.server}\r\n\r\n`))
    socket.on('data', (chunk) => {
      own += chunk.length
      taken += chunk.length
      const dueMs = (own / order.bytesPerSecond) * 1000 - (performance.now() - startedAt)
      if (dueMs < 20) return
      socket.pause()
      setTimeout(() => socket.resume(), dueMs)
    })
    return socket
  })
  let highestMb = beforeMb
  while (performance.now() - startedAt < order.seconds * 1000) {
    await wait(500)
    highestMb = Math.max(highestMb, readMemoryMb(order.meter))
  }
  const open = sockets.filter((socket) => !socket.destroyed).length
  for (const socket of sockets) socket.destroy()
  printResult({ beforeMb, highestMb, open, megabytes: taken / 1e6 } satisfies SlowResult)
  process.exit(0)
}

if (import.meta.main) await main()
