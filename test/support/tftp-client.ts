// A TFTP read client of our own (RFC 1350, 2347, 7440) that counts what it gets twice: as a state machine for simulations, and on a socket.
import { createSocket } from 'node:dgram'
import { decodePacket, encodePacket, type OptionPair } from '../../src/tftp/packet.ts'

export type ClientOptions = {
  readonly name: string
  readonly mode?: string
  readonly options?: readonly OptionPair[]
  /** Acknowledges every DATA that it did not expect, as edk2 does; else once for each gap. */
  readonly isEager?: boolean
  readonly resendMs?: number
  readonly resendsMax?: number
}

export type ClientResult = {
  readonly outcome: 'going' | 'complete' | 'failed'
  readonly bytes: Buffer
  readonly error?: { readonly code: number; readonly message: string }
  readonly oack: Readonly<Record<string, string>>
  /** DATA packets that came, and those among them that had been taken already. */
  readonly packets: number
  readonly duplicates: number
}

export type ClientMachine = {
  readonly start: (now: number) => Buffer
  /** What to answer to a datagram from the server. */
  readonly receive: (datagram: Uint8Array, now: number) => Buffer | undefined
  readonly expire: (now: number) => Buffer | undefined
  readonly deadline: () => number
  readonly result: () => ClientResult
  readonly isGoing: () => boolean
}

export function createClientMachine(wish: ClientOptions): ClientMachine {
  const { name, mode = 'octet', options = [], isEager = false, resendMs = 1000, resendsMax = 30 } = wish
  const request = encodePacket({ op: 'rrq', name, mode, options })
  const parts: Uint8Array[] = []
  let outcome: ClientResult['outcome'] = 'going'
  let error: ClientResult['error']
  let oack: Record<string, string> = {}
  let [packets, duplicates, resends] = [0, 0, 0]
  let [blksize, windowsize] = [512, 1]
  let last = 0
  let inWindow = 0
  let hasBegun = false
  let gapTold = false
  let deadline = Number.POSITIVE_INFINITY

  const ack = (): Buffer => {
    inWindow = 0
    return encodePacket({ op: 'ack', block: last & 0xffff })
  }
  const takeTerms = (pairs: readonly OptionPair[]) => {
    if (!hasBegun) {
      hasBegun = true
      oack = Object.fromEntries(pairs)
      blksize = Number(oack.blksize ?? 512)
      windowsize = Number(oack.windowsize ?? 1)
    }
    return last === 0 ? ack() : undefined
  }
  const takeBlock = (bytes: Uint8Array) => {
    parts.push(Uint8Array.from(bytes))
    last++
    inWindow++
    gapTold = false
    if (bytes.length < blksize) outcome = 'complete'
    return outcome === 'complete' || inWindow === windowsize ? ack() : undefined
  }
  const takeData = (wireBlock: number, bytes: Uint8Array) => {
    hasBegun = true
    packets++
    const ahead = (wireBlock - last - 1) & 0xffff
    if (ahead === 0 && outcome === 'going') return takeBlock(bytes)
    const isGap = ahead < 0x8000
    if (!isGap) duplicates++
    const isWorthIt = isEager || (isGap ? !gapTold : wireBlock === (last & 0xffff))
    gapTold ||= isGap
    return isWorthIt ? ack() : undefined
  }
  const receive = (datagram: Uint8Array, now: number) => {
    const packet = decodePacket(datagram)
    deadline = now + resendMs
    resends = 0
    if (packet.op === 'oack') return takeTerms(packet.options)
    if (packet.op === 'data') return takeData(packet.block, packet.bytes)
    if (packet.op === 'error' && outcome === 'going') {
      outcome = 'failed'
      error = { code: packet.code, message: packet.message }
    }
    return undefined
  }
  const expire = (now: number) => {
    if (outcome === 'going' && resends++ === resendsMax) outcome = 'failed'
    deadline = outcome === 'going' ? now + resendMs : Number.POSITIVE_INFINITY
    return outcome !== 'going' ? undefined : hasBegun ? ack() : request
  }
  const start = (now: number) => {
    deadline = now + resendMs
    return request
  }
  const result = () => ({ outcome, bytes: Buffer.concat(parts), ...(error && { error }), oack, packets, duplicates })
  return { start, receive, expire, deadline: () => deadline, result, isGoing: () => outcome === 'going' }
}

/** Fetches over a socket of its own; takes the server's answer from any port and then sticks to it. */
export function fetchByTftp(server: { address: string; port: number }, wish: ClientOptions, timeoutMs = 20_000): Promise<ClientResult> {
  const machine = createClientMachine(wish)
  const lookup = (host: string, _: unknown, found: (error: null, address: string, family: number) => void) => found(null, host, 4)
  const socket = createSocket({ type: server.address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20, lookup: lookup as never })
  return new Promise((resolve) => {
    let dataPort: number | undefined
    const say = (bytes: Buffer | undefined) => bytes && socket.send(bytes, dataPort ?? server.port, server.address)
    const finish = () => {
      clearInterval(clock)
      clearTimeout(limit)
      socket.close()
      resolve(machine.result())
    }
    const clock = setInterval(() => {
      if (performance.now() >= machine.deadline()) say(machine.expire(performance.now()))
      if (!machine.isGoing()) finish()
    }, 20)
    const limit = setTimeout(finish, timeoutMs)
    socket.on('message', (bytes, { port }) => {
      dataPort ??= port
      if (port !== dataPort) return
      const answer = machine.receive(bytes, performance.now())
      if (machine.isGoing()) return void say(answer)
      clearInterval(clock)
      if (answer) socket.send(answer, dataPort, server.address, finish)
      else finish()
    })
    socket.bind(0, () => say(machine.start(performance.now())))
  })
}
