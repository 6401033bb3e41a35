import { describe, expect, it } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import { InputError, MissingError } from '../../src/boot/error.ts'
import { createDesk, type Desk, type DeskOptions, type Line } from '../../src/tftp/desk.ts'
import type { Peer, TransferFigures } from '../../src/tftp/figure.ts'
import { defaultLimits, type TftpLimits } from '../../src/tftp/limit.ts'
import { decodePacket, encodePacket, type OptionPair, type TftpPacket } from '../../src/tftp/packet.ts'
import { seededRandom } from '../support/random.ts'
import { memoryContent, patternBytes } from '../support/tftp-link.ts'

type Sent = { readonly peer: Peer; readonly packet: TftpPacket }
type Bench = {
  desk: Desk
  line: Line
  sent: Sent[]
  ends: TransferFigures[]
  malformed: string[]
  /** Lets time pass in steps of 20 ms. */
  pass: (ms: number) => void
}

function setUp(options: Partial<Omit<DeskOptions, 'limits'>> & { limits?: Partial<TftpLimits> } = {}): Bench {
  let now = 0
  const [sent, ends, malformed]: [Sent[], TransferFigures[], string[]] = [[], [], []]
  const desk = createDesk({
    read: () => memoryContent(patternBytes(3000)),
    onEnd: (figures) => ends.push(figures),
    onMalformed: (peer, why) => malformed.push(`${peer.address} ${why}`),
    now: () => now,
    ...options,
    limits: { ...defaultLimits, ...options.limits },
  })
  const line = desk.openLine((bytes, offset, length, peer) => {
    sent.push({ peer, packet: decodePacket(bytes.subarray(offset, offset + length)) })
  })
  const pass = (ms: number) => {
    for (const until = now + ms; now < until; ) {
      now += 20
      desk.tick()
    }
  }
  return { desk, line, sent, ends, malformed, pass }
}

const one: Peer = { address: '10.9.0.7', port: 2070 }
const request = (name = 'a', options: OptionPair[] = [], mode = 'octet') => encodePacket({ op: 'rrq', name, mode, options })
const ack = (block: number) => encodePacket({ op: 'ack', block })
const error = (code: number, message = '') => encodePacket({ op: 'error', code, message })
const brief = ({ packet }: Sent) =>
  packet.op === 'data' || packet.op === 'ack' ? `${packet.op} ${packet.block}` : packet.op === 'error' ? `error ${packet.code}` : packet.op
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('requests that are refused', () => {
  it.each([
    ['a missing file', new MissingError('file', 'no a in the depot'), 1, 'file not found'],
    ['a path that leads outside', new InputError('path', 'leads outside'), 2, 'access violation'],
    ['a fault of ours', new Error('EIO'), 0, 'server error'],
  ])('%s', async (_, fault, code, message) => {
    const late = () => Promise.reject(fault)
    const now = () => {
      throw fault
    }
    for (const read of [late, now]) {
      const { line, sent, ends, desk } = setUp({ read })
      line.receiveRequest(request('x/y', [['tsize', '0']]), one)
      await settle()
      expect(sent).toEqual([{ peer: one, packet: { op: 'error', code, message } }])
      expect(ends).toEqual([expect.objectContaining({ peer: one, name: 'x/y', outcome: 'refused', reason: fault.message })])
      expect(desk.sessions()).toBe(0)
    }
  })

  it('to write', () => {
    const { line, sent, ends } = setUp()
    line.receiveRequest(encodePacket({ op: 'wrq', name: 'undionly.kpxe', mode: 'octet', options: [] }), one)
    expect(sent.map(({ packet }) => packet)).toEqual([{ op: 'error', code: 2, message: 'this server is read-only' }])
    expect(ends).toEqual([expect.objectContaining({ name: 'undionly.kpxe', outcome: 'refused', reason: 'write request' })])
  })

  it('in the mode mail', () => {
    const { line, sent, ends } = setUp()
    line.receiveRequest(request('a', [], 'mail'), one)
    expect([sent.map(brief), ends[0]?.reason]).toEqual([['error 4'], 'mode "mail"'])
  })
})

describe('who may talk in a transfer', () => {
  it('another port or address is told off and disturbs nothing (RFC 1350 section 4)', () => {
    const { line, sent, ends, malformed } = setUp()
    line.receiveRequest(request(), one)
    for (const stranger of [
      { address: one.address, port: 2071 },
      { address: '10.9.0.8', port: one.port },
    ]) {
      line.receiveAnswer(ack(1), stranger)
      expect(sent.at(-1)).toEqual({ peer: stranger, packet: { op: 'error', code: 5, message: 'unknown transfer' } })
      line.receiveAnswer(error(0, 'stop'), stranger)
      line.receiveAnswer(Buffer.from([0]), stranger)
    }
    expect([sent.length, ends.length, malformed.length]).toEqual([3, 0, 4])
    line.receiveAnswer(ack(1), one)
    expect(sent.at(-1)?.packet).toMatchObject({ op: 'data', block: 2 })
  })

  it('an ERROR is never answered, and a finished client not told off for repeating its last ACK', () => {
    const { line, sent, ends, pass } = setUp({ read: () => memoryContent(Buffer.from('x')) })
    line.receiveRequest(request(), one)
    line.receiveAnswer(ack(1), one)
    expect(ends.map(({ outcome }) => outcome)).toEqual(['complete'])
    line.receiveAnswer(ack(1), one)
    line.receiveAnswer(error(5), one)
    line.receiveRequest(error(5), one)
    expect(sent.map(brief)).toEqual(['data 1'])
    line.receiveRequest(request('b'), { ...one, port: 1 })
    pass(5020)
    line.receiveAnswer(ack(1), one)
    expect(sent.map(brief).at(-1)).toBe('error 5')
  })

  it('a client that asks for the size and aborts has not failed', () => {
    const { line, ends, sent } = setUp()
    line.receiveRequest(request('snponly.efi', [['tsize', '0']]), one)
    line.receiveAnswer(error(8, 'User aborted the transfer'), one)
    expect(sent.map(brief)).toEqual(['oack'])
    expect(ends).toEqual([expect.objectContaining({ outcome: 'aborted', isProbe: true, reason: 'the client: error 8 User aborted the transfer' })])
    line.receiveRequest(request('snponly.efi', [['blksize', '1468']]), one)
    expect(sent.map(brief)).toEqual(['oack', 'oack'])
  })

  it('a client that aborts in the middle has', () => {
    const { line, ends } = setUp()
    line.receiveRequest(request('a', [['tsize', '0']]), one)
    line.receiveAnswer(ack(0), one)
    line.receiveAnswer(ack(1), one)
    line.receiveAnswer(error(3, 'disk\x1b[2J\nfull'), one)
    expect(ends).toEqual([
      expect.objectContaining({ outcome: 'aborted', isProbe: false, sentBytes: 512, reason: 'the client: error 3 disk?[2J?full' }),
    ])
  })
})

describe('the same client asks again', () => {
  it('while the file is being opened: it is opened once', async () => {
    let opened = 0
    let give: (content: Content) => void = () => {}
    const read = () => {
      opened++
      return new Promise<Content>((resolve) => {
        give = resolve
      })
    }
    const { line, sent, desk } = setUp({ read })
    for (let copy = 0; copy < 5; copy++) line.receiveRequest(request(), one)
    expect([opened, desk.sessions(), sent.length]).toEqual([1, 1, 0])
    give(memoryContent(Buffer.from('x')))
    await settle()
    expect(sent.map(brief)).toEqual(['data 1'])
  })

  it('with a copy of its request: no second transfer, at most one packet for each', () => {
    let opened = 0
    const read = () => {
      opened++
      return memoryContent(patternBytes(3000))
    }
    const { line, sent, desk, pass } = setUp({ read })
    line.receiveRequest(request(), one)
    line.receiveRequest(request(), one)
    pass(40)
    line.receiveRequest(request(), one)
    line.receiveAnswer(ack(1), one)
    line.receiveRequest(request(), one)
    expect(sent.map(brief)).toEqual(['data 1', 'data 1', 'data 2'])
    expect([opened, desk.sessions()]).toEqual([1, 1])
  })

  it('for the next file before its last ACK was read: it has the first', () => {
    const { line, sent, ends } = setUp({ read: () => memoryContent(patternBytes(700)) })
    line.receiveRequest(request('a'), one)
    line.receiveAnswer(ack(1), one)
    line.receiveRequest(request('b'), one)
    line.receiveAnswer(ack(2), one)
    expect(ends).toEqual([expect.objectContaining({ name: 'a', outcome: 'complete', sentBytes: 700 })])
    line.receiveAnswer(ack(1), one)
    expect(sent.map(brief)).toEqual(['data 1', 'data 2', 'data 1', 'data 2'])
  })

  it('for something else, or much later: the old transfer ends', () => {
    const { line, sent, ends, desk, pass } = setUp()
    line.receiveRequest(request('a'), one)
    line.receiveRequest(request('b'), one)
    line.receiveAnswer(ack(1), one)
    pass(1500)
    line.receiveRequest(request('b'), one)
    expect(ends.map(({ name, outcome, reason }) => [name, outcome, reason])).toEqual([
      ['a', 'aborted', 'the client asked anew'],
      ['b', 'aborted', 'the client asked anew'],
    ])
    expect([desk.sessions(), sent.map(brief).at(-1)]).toEqual([1, 'data 1'])
  })
})

describe('the end of a transfer', () => {
  it.each(['octet', 'netascii'])('is told with the content that was opened for it, in %s', async (mode) => {
    const content = memoryContent(Buffer.from('text\n'))
    const told: unknown[] = []
    const { line } = setUp({ read: () => Promise.resolve(content), onEnd: ({ outcome }, opened) => told.push([outcome, opened === content]) })
    line.receiveRequest(request('a', [], mode), one)
    await settle()
    line.receiveAnswer(ack(1), one)
    line.receiveRequest(request('a', [], 'mail'), one)
    expect(told).toEqual([
      ['complete', true],
      ['refused', false],
    ])
    expect(content.closed()).toBe(1)
  })
})

describe('bounds', () => {
  it('sessions in all and for each address; beyond them silence, and the refusal is told', () => {
    const { line, sent, ends, desk } = setUp({ limits: { sessionsMax: 40, sessionsPerAddressMax: 32 } })
    for (let port = 1000; port < 1100; port++) line.receiveRequest(request(), { address: '10.9.0.7', port })
    expect([desk.sessions(), sent.length]).toEqual([32, 32])
    expect(ends[0]).toMatchObject({ outcome: 'refused', reason: 'busy: 32 transfers of this address' })
    for (let host = 1; host < 50; host++) line.receiveRequest(request(), { address: `10.9.1.${host}`, port: 1000 })
    expect([desk.sessions(), sent.length]).toEqual([40, 40])
    expect(ends.at(-1)?.reason).toBe('busy: 40 transfers')
  })

  it('when all places are taken, one that has not answered for a second makes room, never one that has', () => {
    const { line, sent, ends, desk, pass } = setUp({ limits: { sessionsMax: 3 } })
    const peers = [1, 2, 3, 4, 5].map((host) => ({ address: `10.9.1.${host}`, port: 1000 }))
    const [first, ...others] = peers as [Peer, ...Peer[]]
    line.receiveRequest(request(), first)
    line.receiveAnswer(ack(1), first)
    for (const peer of others) line.receiveRequest(request(), peer)
    expect(ends.map(({ outcome }) => outcome)).toEqual(['refused', 'refused'])
    pass(1100)
    for (const peer of others.slice(2)) line.receiveRequest(request(), peer)
    expect(ends.slice(2).map(({ peer, outcome }) => [peer.address, outcome])).toEqual([
      ['10.9.1.2', 'timeout'],
      ['10.9.1.3', 'timeout'],
    ])
    line.receiveAnswer(ack(2), first)
    expect([desk.sessions(), sent.at(-1)?.peer.address, sent.some(({ packet }) => packet.op === 'error')]).toEqual([3, '10.9.1.1', false])
  })

  it('4,000 clients that vanish cost five packets each, and all is given back', () => {
    const contents = new Set<ReturnType<typeof memoryContent>>()
    const read = () => {
      const content = memoryContent(patternBytes(3000))
      contents.add(content)
      return content
    }
    const { line, sent, ends, desk, pass } = setUp({ read })
    for (let host = 0; host < 4000; host++) line.receiveRequest(request(), { address: `10.9.${host >> 8}.${host & 255}`, port: 2070 })
    expect(desk.sessions()).toBe(4000)
    pass(8000)
    expect([desk.sessions(), sent.length, ends.length]).toEqual([0, 20_000, 4000])
    expect(ends.every(({ outcome, resentPackets }) => outcome === 'timeout' && resentPackets === 4)).toBe(true)
    expect([...contents].every((content) => content.closed() === 1)).toBe(true)
  })

  it('a file that is never opened is given up, and closed when it comes after all', async () => {
    const content = memoryContent(Buffer.from('x'))
    let give: (late: Content) => void = () => {}
    const { line, sent, ends, desk, pass } = setUp({ read: () => new Promise<Content>((resolve) => (give = resolve)) })
    line.receiveRequest(request(), one)
    pass(30_000)
    expect([sent.map(brief), desk.sessions(), ends[0]?.reason]).toEqual([['error 0'], 0, 'opening the file took too long'])
    give(content)
    await settle()
    expect([content.closed(), sent.length]).toEqual([1, 1])
  })

  it('bytes that never come end the transfer', async () => {
    const { whole: _, ...content } = memoryContent(patternBytes(3000))
    let closed = 0
    let give: (late: Uint8Array) => void = () => {}
    const read = () => ({ ...content, read: () => new Promise<Uint8Array>((resolve) => (give = resolve)), close: () => void closed++ })
    const { line, sent, ends, pass } = setUp({ read })
    line.receiveRequest(request(), one)
    pass(30_000)
    expect([sent.map(brief), ends[0]?.outcome, closed]).toEqual([['error 0'], 'aborted', 0])
    give(patternBytes(3000))
    await settle()
    expect([sent.length, closed]).toEqual([1, 1])
  })

  it('stopping tells every client', () => {
    const { line, sent, ends, desk } = setUp()
    line.receiveRequest(request(), one)
    desk.stop()
    expect([sent.map(brief), ends[0]?.reason, desk.sessions()]).toEqual([['data 1', 'error 0'], 'the server stopped', 0])
  })
})

describe('datagrams that are none of TFTP', () => {
  it.each([
    ['', 'request'],
    ['00', 'request'],
    ['0004', 'request'],
    ['0001', 'answer'],
    ['00', 'answer'],
    ['000161', 'request'],
    ['00090000', 'answer'],
    ['0006', 'answer'],
    ['474554202f20485454502f312e31', 'request'],
  ])('%j as %s is an event and gets no answer', (hex, where) => {
    const { line, sent, malformed, desk } = setUp()
    const bytes = Buffer.from(hex, 'hex')
    if (where === 'request') line.receiveRequest(bytes, one)
    else line.receiveAnswer(bytes, one)
    expect([sent.length, malformed.length, desk.sessions()]).toEqual([0, 1, 0])
  })

  it('a datagram from port 0, which nobody could answer', () => {
    const { line, sent, malformed, desk } = setUp()
    line.receiveRequest(request(), { ...one, port: 0 })
    line.receiveAnswer(ack(1), { ...one, port: 0 })
    expect([sent.length, malformed, desk.sessions()]).toEqual([0, ['10.9.0.7 from port 0', '10.9.0.7 from port 0'], 0])
  })

  it('20,000 of all kinds: no throw, no more sessions or memory than allowed, and it still serves', async () => {
    const random = seededRandom(1350)
    const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
    const contents = new Set<{ closed: () => number }>()
    const read = (name: string): Content | Promise<Content> => {
      if (name === 'missing') throw new MissingError('file', name)
      const content = memoryContent(patternBytes(pick([0, 1, 511, 512, 5000, 100_000])))
      contents.add(content)
      return name === 'late' ? Promise.resolve(content) : content
    }
    const limits = { sessionsMax: 200, sessionsPerAddressMax: 20, tableBytesMax: 1 << 20 }
    const { line, desk, pass, ends, malformed, sent } = setUp({ read, limits })
    const noise = () => Buffer.from(Array.from({ length: Math.floor(random() ** 2 * 80) }, () => Math.floor(random() * 256)))
    const option = (): OptionPair => [
      pick(['blksize', 'BLKSIZE', 'tsize', 'windowsize', 'timeout', '', 'x']),
      pick(['0', '8', '512', '65464', '64', '255', '-1', 'x', '']),
    ]
    const kinds: (() => Buffer)[] = [
      noise,
      () => Buffer.concat([Buffer.from([0, Math.floor(random() * 8)]), noise()]),
      () =>
        request(
          pick(['a', 'late', 'missing', '__proto__', '']),
          Array.from({ length: Math.floor(random() * 5) }, option),
          pick(['octet', 'netascii', 'mail']),
        ),
      () => request('a').subarray(0, Math.floor(random() * 10)),
      () => ack(Math.floor(random() ** 6 * 65536)),
      () => ack(Math.floor(random() ** 6 * 65536)),
      () => error(Math.floor(random() * 9), 'x'),
    ]
    for (let round = 0; round < 20_000; round++) {
      const bytes = round < 4 ? Buffer.alloc(round >> 1) : pick(kinds)()
      const peer = { address: `10.9.0.${Math.floor(random() * 30)}`, port: 2000 + Math.floor(random() * 4) }
      if (random() < 0.5 || round < 2) line.receiveRequest(bytes, peer)
      else line.receiveAnswer(bytes, peer)
      if (random() < 0.1) pass(20)
      if (desk.sessions() > 200) throw new Error('too many sessions')
      if (round % 1000 === 0) await settle()
      sent.length = 0
    }
    expect(malformed.length).toBeGreaterThan(2000)
    expect(ends.length).toBeGreaterThan(1000)
    pass(60_000)
    await settle()
    expect(desk.sessions()).toBe(0)
    expect([...contents].filter((content) => content.closed() !== 1)).toEqual([])
    line.receiveRequest(request(), one)
    expect(sent.map(brief).at(-1)).toBe('data 1')
  })
})
