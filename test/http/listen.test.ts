import { createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { ConflictError, InputError, OutsideError } from '../../src/boot/error.ts'
import { explainListenError, startHttp } from '../../src/http/listen.ts'
import { createRig } from './rig.ts'

const app = new Hono()
app.get('/', (c) => c.text('hello'))
app.get('/never', () => new Promise<Response>(() => {}))
const startHere = (limits = {}) => startHttp({ app, address: '127.0.0.1', port: 0, limits })

describe('startHttp', () => {
  it('serves, stops, and frees the port', async () => {
    const server = await startHere()
    expect(await (await fetch(`http://127.0.0.1:${server.port}/`)).text()).toBe('hello')
    await server.stop()
    await expect(fetch(`http://127.0.0.1:${server.port}/`)).rejects.toThrow()
    const again = await startHttp({ app, address: '127.0.0.1', port: server.port })
    await again.stop()
  })

  it('says who has the port and how to take another', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port } = holder.address() as AddressInfo
    const error = await startHttp({ app, address: '127.0.0.1', port }).catch((reason) => reason)
    expect(error).toBeInstanceOf(ConflictError)
    expect(error.code).toBe('port-taken')
    for (const help of [`127.0.0.1:${port}`, 'ss -ltnp', '--http.port', 'BIVOUAC_HTTP_PORT', 'http.port']) expect(error.message).toContain(help)
    holder.close()
  })

  it('says that the address is not ours', async () => {
    const error = await startHttp({ app, address: '192.0.2.1', port: 0 }).catch((reason) => reason)
    expect(error).toBeInstanceOf(InputError)
    expect(error.message).toContain('http.address')
    expect(error.message).toContain('ip -br address')
  })

  it.each<[string, new (...words: never[]) => Error, string, RegExp]>([
    ['EACCES', OutsideError, 'port-denied', /ip_unprivileged_port_start=80"; or choose another port with --http\.port/],
    ['EPERM', OutsideError, 'port-denied', /root/],
    ['EADDRINUSE', ConflictError, 'port-taken', /ss -ltnp 'sport = :80'/],
    ['EADDRNOTAVAIL', InputError, 'http-address', /ip -br address/],
    ['EMFILE', OutsideError, 'http-listen', /the kernel said so/],
  ])('explains %s', (code, kind, ourCode, message) => {
    const cause = Object.assign(new Error('the kernel said so'), { code })
    const error = explainListenError(cause, '10.9.0.1', 80)
    expect(error).toBeInstanceOf(kind)
    expect(error).toMatchObject({ code: ourCode, cause })
    expect(error.message).toMatch(message)
    expect(error.message).toContain('10.9.0.1:80')
  })

  it('does not wait for idle or hanging connections when it stops', async () => {
    const server = await startHere({ graceMs: 100 })
    const idle = connect(server.port, '127.0.0.1')
    await new Promise((resolve) => idle.once('connect', resolve))
    const hanging = request({ port: server.port, path: '/never' }).end()
    const isCut = new Promise((resolve) => hanging.once('error', resolve))
    await new Promise((resolve) => hanging.once('socket', (socket) => socket.once('connect', resolve)))
    await fetch(`http://127.0.0.1:${server.port}/`)
    const before = performance.now()
    await server.stop()
    expect(performance.now() - before).toBeLessThan(2000)
    await isCut
    idle.destroy()
  })

  it('lets a running answer end before it stops', async () => {
    const slow = new Hono()
    const { promise, resolve: release } = Promise.withResolvers<void>()
    const { promise: hasBegun, resolve: begin } = Promise.withResolvers<void>()
    slow.get('/', async (c) => {
      begin()
      await promise
      return c.text('late')
    })
    const server = await startHttp({ app: slow, address: '127.0.0.1', port: 0 })
    const answer = fetch(`http://127.0.0.1:${server.port}/`)
    await hasBegun
    const stopped = server.stop()
    release()
    expect(await (await answer).text()).toBe('late')
    await stopped
  })

  it('takes no more connections than it may', async () => {
    const server = await startHere({ connections: 2 })
    const sockets = [1, 2, 3].map(() => connect(server.port, '127.0.0.1'))
    const closed = sockets.map((socket) => new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)).on('error', () => {})))
    expect(await Promise.race(closed)).toBe(true)
    for (const socket of sockets) socket.destroy()
    await server.stop()
  })

  it('refuses a head that is too big', async () => {
    const server = await startHere({ headerBytes: 4096 })
    const response = await fetch(`http://127.0.0.1:${server.port}/`, { headers: { 'x-long': 'a'.repeat(8000) } })
    expect(response.status).toBe(431)
    await server.stop()
  })

  it('survives callers that speak no HTTP', async () => {
    const server = await startHere()
    for (const bytes of ['\u0016\u0003\u0001\u0002\u0000', 'hello\r\n\r\n', '\r\n\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n']) {
      const socket = connect(server.port, '127.0.0.1')
      socket.end(bytes)
      socket.resume()
      await new Promise((resolve) => socket.on('error', () => {}).once('close', resolve))
    }
    expect((await fetch(`http://127.0.0.1:${server.port}/`)).status).toBe(200)
    await server.stop()
  })

  it('cuts live readers when it stops', async () => {
    const rig = createRig()
    const server = await startHttp({ app: rig.app, address: '127.0.0.1', port: 0, limits: { graceMs: 50 } })
    const response = await fetch(`http://127.0.0.1:${server.port}/api/v1/events`, { headers: { accept: 'text/event-stream' } })
    expect([response.status, rig.beats.length]).toEqual([200, 1])
    const isCut = response.text().catch(() => 'cut')
    await server.stop()
    await isCut
    while (rig.beats.length) await new Promise((resolve) => setImmediate(resolve))
  })
})
