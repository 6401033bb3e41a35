import { execFileSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ConflictError, InputError, MissingError, OutsideError } from '../../src/boot/error.ts'
import type { TransferFigures } from '../../src/tftp/figure.ts'
import { encodePacket } from '../../src/tftp/packet.ts'
import { startTftp, type TftpOptions, type TftpServer } from '../../src/tftp/server.ts'
import { fetchByTftp } from '../support/tftp-client.ts'
import { memoryContent, patternBytes } from '../support/tftp-link.ts'

const servers: TftpServer[] = []
const ends: TransferFigures[] = []
const loader = patternBytes(70_000)

async function start(options: Partial<TftpOptions> = {}): Promise<TftpServer> {
  const read = (name: string) => {
    if (name !== 'loader') throw new MissingError('file', name)
    return memoryContent(loader)
  }
  const server = await startTftp({ address: '127.0.0.1', port: 0, read, onEnd: (figures) => ends.push(figures), ...options })
  servers.push(server)
  return server
}

async function ask(server: TftpServer, bytes: Buffer): Promise<{ socket: Socket; answer: Buffer; port: number; address: string }> {
  const socket = createSocket('udp4')
  socket.send(bytes, server.port, '127.0.0.1')
  const [answer, { port, address }] = await once(socket, 'message')
  return { socket, answer, port, address }
}

const request = encodePacket({ op: 'rrq', name: 'loader', mode: 'octet', options: [] })

const caught = async (promise: Promise<unknown>): Promise<Error> => {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('did not fail')
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
  ends.length = 0
})

describe('the server', () => {
  it('serves many clients at once, from one port that is not the one asked', async () => {
    const server = await start()
    const options = [
      ['blksize', '1456'],
      ['windowsize', '4'],
      ['tsize', '0'],
    ] as const
    const runs = await Promise.all(
      Array.from({ length: 30 }, () => fetchByTftp({ address: '127.0.0.1', port: server.port }, { name: 'loader', options })),
    )
    for (const run of runs) {
      expect(run.oack).toEqual({ blksize: '1456', windowsize: '4', tsize: '70000' })
      expect(run.bytes.equals(loader)).toBe(true)
    }
    await vi.waitFor(() => expect([ends.length, server.sessions()]).toEqual([30, 0]))
    expect(ends.every(({ outcome }) => outcome === 'complete')).toBe(true)
  })

  it('sends one transfer from one port, all transfers from the same', async () => {
    const server = await start()
    const [first, second] = [await ask(server, request), await ask(server, request)]
    expect([first.answer.length, first.answer.readUInt32BE()]).toEqual([516, 0x00030001])
    expect(first.port).not.toBe(server.port)
    expect(second.port).toBe(first.port)
    for (const { socket } of [first, second]) socket.close()
  })

  it('answers from the address that was asked, when it was given a list', async () => {
    const server = await start({ address: ['127.0.0.1', '127.0.0.2'] })
    const socket = createSocket('udp4')
    socket.send(request, server.port, '127.0.0.2')
    const [, from] = await once(socket, 'message')
    expect(from.address).toBe('127.0.0.2')
    socket.close()
  })

  it('speaks IPv6', async () => {
    const server = await start({ address: '::1' })
    expect((await fetchByTftp({ address: '::1', port: server.port }, { name: 'loader' })).bytes.equals(loader)).toBe(true)
  })

  it('survives short datagrams on both ports and goes on with the transfer', async () => {
    const malformed: string[] = []
    const server = await start({ onMalformed: (_, why) => malformed.push(why) })
    const { socket, port } = await ask(server, request)
    for (const to of [server.port, port]) for (const length of [0, 1, 2, 3]) socket.send(Buffer.alloc(length), to, '127.0.0.1')
    socket.send(encodePacket({ op: 'ack', block: 1 }), port, '127.0.0.1')
    const [next] = await once(socket, 'message')
    expect(next.readUInt32BE()).toBe(0x00030002)
    expect(malformed.length).toBe(8)
    socket.close()
  })

  it('resends when the client says nothing', async () => {
    const server = await start()
    const { socket } = await ask(server, request)
    const [again] = await once(socket, 'message')
    expect(again.readUInt32BE()).toBe(0x00030001)
    socket.close()
  })

  it('tells its clients when it stops, and leaves the port free', async () => {
    const server = await start()
    const { socket } = await ask(server, request)
    const heard = once(socket, 'message')
    await server.stop()
    expect((await heard)[0].readUInt32BE()).toBe(0x00050000)
    expect((await start({ port: server.port })).port).toBe(server.port)
    socket.close()
  })
})

describe('where it cannot listen', () => {
  it('a taken port: says how to find who has it', async () => {
    const { port } = await start()
    const error = await caught(start({ port }))
    expect(error).toBeInstanceOf(ConflictError)
    expect(error).toMatchObject({ code: 'tftp-port-taken', message: expect.stringContaining(`ss -lunp 'sport = :${port}'`) })
  })

  it('one of several addresses fails: the others are closed again', async () => {
    const first = await start()
    await caught(start({ address: ['127.0.0.2', '127.0.0.1'], port: first.port }))
    expect((await start({ address: '127.0.0.2', port: first.port })).port).toBe(first.port)
  })

  it.each(['localhost', '', '10.0.0', '10.0.0.1/24'])('%j is no address', async (address) => {
    expect(await caught(start({ address }))).toMatchObject({ constructor: InputError, code: 'tftp-address' })
  })

  it('an address of somebody else', async () => {
    expect(await caught(start({ address: '192.0.2.1' }))).toMatchObject({
      constructor: OutsideError,
      message: expect.stringContaining('no interface'),
    })
  })

  it.runIf(process.getuid?.() === 0)('port 69 without being root: says what to do', () => {
    const script = `import('${import.meta.dirname}/../../src/tftp/server.ts').then(({ startTftp }) => {
      process.setgid(65534); process.setgroups([]); process.setuid(65534)
      return startTftp({ address: '127.0.0.1', port: 69, read: () => { throw new Error() } })
    }).then(() => process.exit(), (error) => console.log(error.code + ' ' + error.message))`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(said).toMatch(/^tftp-not-permitted .*CAP_NET_BIND_SERVICE/)
  })
})
