// What the npm package `tftp` 0.1.2 got wrong when it was tried as our server: one test for each, on ours.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { MissingError } from '../../src/boot/error.ts'
import { decodePacket, encodePacket, type OptionPair } from '../../src/tftp/packet.ts'
import { startTftp, type TftpServer } from '../../src/tftp/server.ts'
import { fetchByTftp } from '../support/tftp-client.ts'
import { memoryContent, patternBytes, runOverCable } from '../support/tftp-link.ts'

const loader = patternBytes(70_000)
const names: string[] = []
let server: TftpServer

beforeAll(async () => {
  const read = (name: string) => {
    names.push(name)
    if (name !== 'loader') throw new MissingError('file', name)
    return memoryContent(loader)
  }
  server = await startTftp({ address: '127.0.0.1', port: 0, read, limits: { sessionsPerAddressMax: 100 } })
})
afterAll(() => server.stop())

const fetchLoader = (options: OptionPair[] = []) => fetchByTftp({ address: '127.0.0.1', port: server.port }, { name: 'loader', options })
const request = (name: string) => encodePacket({ op: 'rrq', name, mode: 'octet', options: [] })

async function begin(): Promise<{ client: ReturnType<typeof createSocket>; dataPort: number }> {
  const client = createSocket('udp4')
  client.send(request('loader'), server.port, '127.0.0.1')
  const [, { port }] = await once(client, 'message')
  return { client, dataPort: port }
}

describe('npm tftp as a server', () => {
  it('died of one byte on a transfer port', async () => {
    const { client, dataPort } = await begin()
    client.send(Buffer.from([0]), dataPort, '127.0.0.1')
    client.send(Buffer.alloc(0), dataPort, '127.0.0.1')
    client.send(encodePacket({ op: 'ack', block: 1 }), dataPort, '127.0.0.1')
    expect((await once(client, 'message'))[0].readUInt16BE(2)).toBe(2)
    client.close()
  })

  it('died of a missing file that nobody listened for', async () => {
    const run = await fetchByTftp({ address: '127.0.0.1', port: server.port }, { name: 'nope.bin' })
    expect(run.error).toEqual({ code: 1, message: 'file not found' })
    expect((await fetchLoader()).outcome).toBe('complete')
  })

  it.each([1, 4, 8, 16])('broke off at 1 %% loss, after thousands of duplicates: windowsize %d', (windowsize) => {
    const bytes = patternBytes(1_000_000)
    for (const isEager of [false, true]) {
      const options = [
        ['blksize', '1468'],
        ['windowsize', String(windowsize)],
      ] as const
      const run = runOverCable(memoryContent(bytes), { name: 'a', isEager, options }, { seed: 42, loss: 0.01 })
      expect(run.bytes.equals(bytes)).toBe(true)
      expect(run.duplicates).toBeLessThan(60)
    }
  })

  it('let any port end a transfer', async () => {
    const { client, dataPort } = await begin()
    const stranger = createSocket('udp4')
    stranger.send(encodePacket({ op: 'error', code: 0, message: 'stop' }), dataPort, '127.0.0.1')
    stranger.send(encodePacket({ op: 'ack', block: 1 }), dataPort, '127.0.0.1')
    expect(decodePacket((await once(stranger, 'message'))[0])).toMatchObject({ op: 'error', code: 5 })
    client.send(encodePacket({ op: 'ack', block: 1 }), dataPort, '127.0.0.1')
    expect((await once(client, 'message'))[0].readUInt16BE(2)).toBe(2)
    stranger.close()
    client.close()
  })

  it('opened a socket for each of 4,000 clients that never answered', async () => {
    const countFiles = () => readdirSync('/proc/self/fd').length
    const client = createSocket('udp4')
    await new Promise<void>((resolve) => client.bind(0, () => resolve()))
    const files = countFiles()
    const memory = process.memoryUsage().rss
    for (let index = 0; index < 4000; index++) client.send(request(`gone-${index}`), server.port, '127.0.0.1')
    await vi.waitFor(() => expect(names.filter((name) => name.startsWith('gone-')).length).toBeGreaterThan(1000))
    expect(countFiles()).toBe(files)
    expect(process.memoryUsage().rss - memory).toBeLessThan(100 * 1024 * 1024)
    expect(server.sessions()).toBeLessThan(101)
    client.close()
  })

  it('was overwritten by one anonymous packet', async () => {
    const client = createSocket('udp4')
    client.send(encodePacket({ op: 'wrq', name: 'loader', mode: 'octet', options: [] }), server.port, '127.0.0.1')
    expect(decodePacket((await once(client, 'message'))[0])).toMatchObject({ op: 'error', code: 2 })
    client.close()
    expect((await fetchLoader()).bytes.equals(loader)).toBe(true)
  })

  it('knew options in lower case only, and no timeout', async () => {
    const asked: OptionPair[] = [
      ['BLKSIZE', '1024'],
      ['Timeout', '2'],
    ]
    expect((await fetchLoader(asked)).oack).toEqual({ BLKSIZE: '1024', Timeout: '2' })
  })

  it('made a bad blksize an ERROR', async () => {
    const asked: OptionPair[] = [
      ['blksize', '70000'],
      ['tsize', '0'],
    ]
    const run = await fetchLoader(asked)
    expect([run.oack, run.outcome]).toEqual([{ tsize: '70000' }, 'complete'])
  })

  it('refused more than 33.5 MB without options', () => {
    const bytes = patternBytes(512 * 65_536 + 100)
    const run = runOverCable(memoryContent(bytes), { name: 'a' }, { seed: 1 })
    expect([run.outcome, run.bytes.equals(bytes)]).toEqual(['complete', true])
  })

  it.each(['__proto__', 'constructor', '../../etc/passwd', '/etc/passwd', 'a\\b', ''])(
    'had rules of its own for the name %j; ours hands it on',
    async (name) => {
      await fetchByTftp({ address: '127.0.0.1', port: server.port }, { name })
      expect(names.at(-1)).toBe(name)
    },
  )
})
