// The two ways into the app, Hono's and the direct one, must not differ; what stations may not reach stays out of the direct one.
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpServer, startHttp } from '../../src/http/listen.ts'
import { createRig, makeContent, patternBytes, startedAt } from './rig.ts'

const big = patternBytes(1_500_000)
const files = {
  'boot.ipxe': () => makeContent(new TextEncoder().encode('#!ipxe\n'), { type: 'text/plain' }),
  'big file': () => makeContent(big),
  big: () => makeContent(big, { modifiedAt: startedAt, way: 'later' as const }),
  'api/x': () => makeContent(big.subarray(0, 10)),
  healthz: () => makeContent(big.subarray(0, 10)),
  'healthz/x': () => makeContent(big.subarray(0, 11)),
  'api.txt': () => makeContent(big.subarray(0, 12)),
}
const direct = createRig({ files })
const byHono = createRig({ files })
let servers: [HttpServer, HttpServer]
beforeAll(async () => {
  const options = { address: '127.0.0.1', port: 0, limits: { graceMs: 0 } }
  servers = [await startHttp({ ...options, app: direct.app }), await startHttp({ ...options, app: { fetch: byHono.app.fetch } })]
})
afterAll(() => Promise.all(servers.map((server) => server.stop())))

/** Sends bytes on one connection and answers all that comes back; the last request closes it. */
const talk = ({ port }: HttpServer, request: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const pieces: Buffer[] = []
    socket.on('data', (piece) => pieces.push(piece))
    socket.on('close', () => resolve(Buffer.concat(pieces).toString('latin1')))
    socket.on('error', reject)
    socket.write(request, 'latin1')
  })

/** Without what depends on the moment or on how header names are written. */
function normalise(answer: string): { status: string; headers: string[]; body: string } {
  const end = answer.indexOf('\r\n\r\n')
  const [status = '', ...headers] = answer.slice(0, end).split('\r\n')
  const kept = headers.map((line) => line.toLowerCase()).filter((line) => !/^(date|connection|keep-alive):/.test(line))
  return { status, headers: kept.sort(), body: answer.slice(end + 4) }
}

describe('the direct way and the way through Hono', () => {
  it.each([
    ['GET', '/boot.ipxe', ''],
    ['HEAD', '/boot.ipxe', ''],
    ['GET', '/big', ''],
    ['HEAD', '/big', ''],
    ['GET', '/big', 'Range: bytes=10-19\r\n'],
    ['GET', '/big', 'Range: bytes=300000-1000000\r\n'],
    ['GET', '/big', 'Range: bytes=9999999-\r\n'],
    ['GET', '/big', 'If-None-Match: "tag1"\r\n'],
    ['HEAD', '/big', 'If-None-Match: "tag1"\r\n'],
    ['GET', '/big', 'If-Match: "x"\r\n'],
    ['GET', '/big%20file', ''],
    ['GET', '//big', ''],
    ['GET', '/none', ''],
    ['HEAD', '/none', ''],
    ['GET', '/big/', ''],
    ['GET', '/%00', ''],
    ['GET', '/', ''],
    ['GET', '/?part=stations', ''],
    ['HEAD', '/', ''],
    ['GET', '/healthz', ''],
    ['GET', '/healthz?x', ''],
    ['GET', '/healthz/x', ''],
    ['GET', '/assets/page.css', ''],
    ['GET', '/assets/none', ''],
    ['GET', '/api.txt', ''],
    ['GET', '/api/x', ''],
    ['GET', '/api', ''],
    ['GET', '/api/v1/status', ''],
    ['POST', '/api/v1/reload', 'Content-Length: 0\r\n'],
    ['POST', '/up/52-54-00-00-00-0a', 'Content-Length: 0\r\n'],
    ['PUT', '/boot.ipxe', 'Content-Length: 0\r\n'],
  ])('answer %s %s %s alike', async (method, path, headers) => {
    const request = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`
    const [one, other] = await Promise.all(servers.map((server) => talk(server, request)))
    expect(normalise(one ?? '')).toEqual(normalise(other ?? ''))
    expect(one).toMatch(/^HTTP\/1\.1 [2345]\d\d /)
  })

  it('tell the door and the events alike', () => {
    const told = (rig: typeof direct) => [rig.asked.map(({ httpBase: _, ...rest }) => rest), rig.done, rig.seen().map(({ kind }) => kind)]
    expect(told(direct)).toEqual(told(byHono))
    expect(direct.done.length).toBeGreaterThan(3)
  })
})

describe('one connection', () => {
  it.each([0, 1])('keeps the order of requests sent at once (way %i)', async (way) => {
    const rig = way ? byHono : direct
    const doneBefore = rig.done.length
    const head = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`
    const answer = await talk(
      servers[way] as HttpServer,
      head('/big') + head('/boot.ipxe') + head('/none') + head('/boot.ipxe', 'Connection: close\r\n'),
    )
    const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status)
    expect(statuses).toEqual(['200', '200', '404', '200'])
    expect(answer.indexOf(Buffer.from(big).toString('latin1'))).toBeGreaterThan(0)
    while (rig.done.length < doneBefore + 3) await new Promise((resolve) => setImmediate(resolve))
    expect(rig.done.slice(doneBefore).map(({ name }) => name)).toEqual(['big', 'boot.ipxe', 'boot.ipxe'])
  })

  it('serves a thousand requests one after the other, each told once', async () => {
    const doneBefore = direct.done.length
    for (let round = 0; round < 100; round++) {
      const texts = await Promise.all(Array.from({ length: 10 }, async () => (await fetch(`http://127.0.0.1:${servers[0].port}/boot.ipxe`)).text()))
      expect(new Set(texts)).toEqual(new Set(['#!ipxe\n']))
    }
    expect(direct.done.length - doneBefore).toBe(1000)
  })
})

describe('a fault while an answer is written', () => {
  it('ends that connection and nothing else', async () => {
    const bad = makeContent(big, { type: 'text/plain\r\nX-Evil: 1' })
    const rig = createRig({ files: { bad: () => bad, ...files } })
    const server = await startHttp({ app: rig.app, address: '127.0.0.1', port: 0 })
    await expect(fetch(`http://127.0.0.1:${server.port}/bad`)).rejects.toThrow()
    expect(rig.faults).toMatchObject([{ code: 'ERR_INVALID_CHAR' }])
    expect(bad.figures.closed).toBe(1)
    expect((await fetch(`http://127.0.0.1:${server.port}/boot.ipxe`)).status).toBe(200)
    await server.stop()
  })
})
