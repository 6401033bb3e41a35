import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Call, callOf, callOfNode, type HttpEnv } from '../../src/http/caller.ts'
import { sliceBytes } from '../../src/http/pump.ts'
import { emptyReply, type Reply, respond, writeReply } from '../../src/http/reply.ts'
import { send } from '../../src/http/send.ts'
import { type ContentWish, makeContent, patternBytes, type Watched } from './rig.ts'

const small = patternBytes(1000)
const big = patternBytes(3 * sliceBytes + 17)
const huge = patternBytes(64 * 1024 * 1024)
const modifiedAt = Date.UTC(2026, 0, 2, 3, 4, 5)

/** One content behind one path, over a real socket and as a value. */
let current: { content: Watched; done: number[]; cut: number[] }
const prepare = async (call: Call): Promise<Reply> => {
  const { content, done, cut } = current
  const options = { cacheControl: 'no-cache', onDone: (sent: number) => void done.push(sent), onCut: (sent: number) => void cut.push(sent) }
  try {
    return await send(call, content, options)
  } catch {
    return emptyReply(503)
  }
}
const app = new Hono<HttpEnv>()
app.get('/', async (c) => respond(c, await prepare(callOf(c))))

function serve(bytes: Uint8Array, wish: ContentWish = {}): void {
  current = { content: makeContent(bytes, { modifiedAt, ...wish }), done: [], cut: [] }
}

let lastResponse: ServerResponse
const servers = {
  byHono: createServer(getRequestListener(app.fetch as never)),
  directly: createServer(async (incoming, outgoing) => writeReply(outgoing, await prepare(callOfNode(incoming, incoming.url ?? '/')))),
}
beforeAll(async () => {
  for (const server of Object.values(servers)) {
    server.on('request', (_, response) => {
      lastResponse = response
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  }
})
afterAll(() => {
  for (const server of Object.values(servers)) {
    server.closeAllConnections()
    server.close()
  }
})
const portOf = (server: Server) => (server.address() as AddressInfo).port
const getFrom =
  (server: Server) =>
  (headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`http://127.0.0.1:${portOf(server)}/`, { method, headers })
beforeEach(() => serve(small))

const asValue = async (headers: Record<string, string> = {}, method = 'GET') => app.request('/', { method, headers })
const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

describe.each([
  ['by Hono over a socket', getFrom(servers.byHono)],
  ['directly over a socket', getFrom(servers.directly)],
  ['as a value', asValue],
])('send %s', (_, get) => {
  it('sends the whole with all that describes it', async () => {
    const response = await get()
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-length': '1000',
      'content-type': 'application/octet-stream',
      etag: '"tag1"',
      'accept-ranges': 'bytes',
      'cache-control': 'no-cache',
      'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
    })
    expect((await bytesOf(response)).equals(small)).toBe(true)
    await until(() => current.done.length > 0)
    expect(current).toMatchObject({ done: [1000], cut: [], content: { figures: { closed: 1 } } })
  })

  it.each<[string, number, Record<string, string>, string | null, number, number]>([
    ['a part', 206, { range: 'bytes=10-19' }, 'bytes 10-19/1000', 10, 20],
    ['the end', 206, { range: 'bytes=900-' }, 'bytes 900-999/1000', 900, 1000],
    ['the last bytes', 206, { range: 'bytes=-3' }, 'bytes 997-999/1000', 997, 1000],
    ['several ranges: the whole', 200, { range: 'bytes=0-1,5-6' }, null, 0, 1000],
    ['a resume of the same file', 206, { range: 'bytes=500-', 'if-range': '"tag1"' }, 'bytes 500-999/1000', 500, 1000],
    ['a resume of another file: the whole', 200, { range: 'bytes=500-', 'if-range': '"tag0"' }, null, 0, 1000],
  ])('%s', async (_, status, headers, range, from, to) => {
    const response = await get(headers)
    expect([response.status, response.headers.get('content-range'), response.headers.get('content-length')]).toEqual([
      status,
      range,
      String(to - from),
    ])
    expect((await bytesOf(response)).equals(small.subarray(from, to))).toBe(true)
    if (to === 1000) await until(() => current.done.length > 0)
    expect([current.done, current.content.figures.closed]).toEqual([to === 1000 ? [to - from] : [], 1])
  })

  it.each<[string, number, Record<string, string>, string, Record<string, string | null>]>([
    ['not modified', 304, { 'if-none-match': '"tag1"' }, 'GET', { etag: '"tag1"', 'content-length': null }],
    ['not modified, asked by HEAD', 304, { 'if-none-match': '"tag1"' }, 'HEAD', { etag: '"tag1"' }],
    ['beyond the end', 416, { range: 'bytes=1000-' }, 'GET', { 'content-range': 'bytes */1000', 'content-length': '0' }],
    ['precondition failed', 412, { 'if-match': '"x"' }, 'GET', { 'content-length': '0' }],
    ['HEAD', 200, {}, 'HEAD', { 'content-length': '1000', 'accept-ranges': 'bytes', etag: '"tag1"' }],
    ['HEAD with a range', 200, { range: 'bytes=1-2' }, 'HEAD', { 'content-length': '1000', 'content-range': null }],
  ])('%s: no body, nothing done', async (_, status, headers, method, expected) => {
    const response = await get(headers, method)
    expect(response.status).toBe(status)
    for (const [name, value] of Object.entries(expected)) expect([name, response.headers.get(name)]).toEqual([name, value])
    expect((await bytesOf(response)).length).toBe(0)
    expect([current.done, current.cut, current.content.figures.closed]).toEqual([[], [], 1])
  })

  it.each<[string, Uint8Array, ContentWish]>([
    ['small, read at once', small, { way: 'now' }],
    ['small, read later', small, { way: 'later' }],
    ['empty, read later', new Uint8Array(0), { way: 'later' }],
    ['empty', new Uint8Array(0), {}],
    ['exactly one slice', big.subarray(0, sliceBytes), { way: 'later' }],
    ['big, in memory', big, { way: 'now' }],
    ['big, whole in hand', big, {}],
    ['big, from the disk', big, { way: 'later' }],
    ['two whole slices', big.subarray(0, 2 * sliceBytes), { way: 'later' }],
  ])('%s: every byte, closed once, done once', async (_, bytes, wish) => {
    serve(bytes, wish)
    const response = await get()
    expect(response.headers.get('content-length')).toBe(String(bytes.length))
    expect((await bytesOf(response)).equals(bytes)).toBe(true)
    await until(() => current.done.length > 0 && current.content.figures.closed > 0)
    expect(current).toMatchObject({ done: [bytes.length], cut: [], content: { figures: { closed: 1 } } })
  })

  it('sends a part of a big file across slices', async () => {
    serve(big, { way: 'later' })
    const response = await get({ range: `bytes=${sliceBytes - 5}-${2 * sliceBytes + 4}` })
    expect((await bytesOf(response)).equals(big.subarray(sliceBytes - 5, 2 * sliceBytes + 5))).toBe(true)
    await until(() => current.content.figures.closed > 0)
    expect([current.done, current.content.figures.closed]).toEqual([[], 1])
  })

  it.each<[string, ContentWish]>([
    ['throws', { way: 'now', failAt: 500 }],
    ['rejects', { way: 'later', failAt: 500 }],
    ['became shorter', { way: 'later', failAt: 500, short: true }],
  ])('hands on the error of a small file that %s', async (_, wish) => {
    serve(small, wish)
    expect((await get()).status).toBe(503)
    expect([current.done, current.content.figures.closed]).toEqual([[], 1])
  })

  it.each<[string, ContentWish]>([
    ['throws', { way: 'now', failAt: sliceBytes + 1 }],
    ['rejects', { way: 'later', failAt: sliceBytes + 1 }],
    ['became shorter', { way: 'later', failAt: sliceBytes + 1, short: true }],
  ])('cuts a big file that %s half way', async (_, wish) => {
    serve(big, wish)
    const response = await get()
    await expect(bytesOf(response)).rejects.toThrow()
    await until(() => current.cut.length > 0)
    expect(current).toMatchObject({ done: [], cut: [sliceBytes], content: { figures: { closed: 1 } } })
  })

  it.each(['now', 'later'] as const)('closes when the client goes away in the middle (read %s)', async (way) => {
    serve(huge, { way })
    const response = await get()
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await until(() => current.cut.length > 0 && current.content.figures.closed > 0)
    expect(current).toMatchObject({ done: [], content: { figures: { closed: 1 } } })
    expect(current.cut[0]).toBeLessThan(huge.length)
  })
})

describe.each([
  ['by Hono', servers.byHono],
  ['directly', servers.directly],
])('send to a slow reader %s', (_, server) => {
  const dial = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(portOf(server), '127.0.0.1', () => resolve(socket))
    })

  it('holds one slice, however long it takes', async () => {
    serve(huge, { way: 'now' })
    const socket = await dial()
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    // The kernel's buffers fill; then reading stops although nobody closed anything.
    let [reads, same] = [-1, 0]
    while (same < 200) {
      await new Promise((resolve) => setImmediate(resolve))
      same = current.content.figures.reads === reads && reads > 0 ? same + 1 : 0
      reads = current.content.figures.reads
    }
    expect(reads * sliceBytes).toBeLessThan(huge.length / 2)
    expect(lastResponse.writableLength).toBeLessThanOrEqual(sliceBytes)
    socket.destroy()
    await until(() => current.content.figures.closed > 0)
    expect(current.content.figures.closed).toBe(1)
  })

  it('leaves no content open after a hundred clients that vanish', async () => {
    const contents: Watched[] = []
    for (let round = 0; round < 100; round++) {
      serve(huge, { way: round % 2 ? 'now' : 'later' })
      contents.push(current.content)
      const socket = await dial()
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      if (round % 3) await new Promise((resolve) => socket.once('data', resolve))
      else await until(() => current.content.figures.reads > 0)
      socket.destroy()
    }
    await until(() => contents.every(({ figures }) => figures.closed > 0))
    expect(contents.every(({ figures }) => figures.closed === 1)).toBe(true)
  })

  it('reads one slice per turn of the loop, so that others are served between', async () => {
    serve(huge, { way: 'now' })
    let turn = 0
    const turns: number[] = []
    const { content } = current
    const read = (offset: number, length: number) => {
      turns.push(turn)
      return content.read(offset, length)
    }
    current = { ...current, content: { ...content, read } }
    let isOver = false
    const tick = () => {
      turn++
      if (!isOver) setImmediate(tick)
    }
    tick()
    expect((await bytesOf(await getFrom(server)())).equals(huge)).toBe(true)
    isOver = true
    expect(turns.length).toBe(huge.length / sliceBytes)
    expect(new Set(turns).size).toBe(turns.length)
  })
})
