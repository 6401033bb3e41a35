// One caller and the whole of HTTP: too many connections, and too many requests ahead.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Hono } from 'hono'
import { afterEach, expect, it } from 'vitest'
import { type HttpServer, startHttp } from '../../src/http/listen.ts'

const app = new Hono()
app.get('/', (c) => c.text('hello'))
app.get('/never', () => new Promise<Response>(() => {}))

let server: HttpServer | undefined
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.stop()
})

const start = async (limits: object) => {
  server = await startHttp({ app, address: '127.0.0.1', port: 0, limits: { graceMs: 10, ...limits } })
  return server.port
}
const open = async (port: number): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}
const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const readUntil = async (socket: Socket, isEnough: (text: string) => boolean): Promise<string> => {
  let text = ''
  for await (const chunk of socket) {
    text += chunk
    if (isEnough(text)) break
  }
  return text
}

it('answers requests that were sent ahead, in their order, as long as they are few', async () => {
  const socket = await open(await start({ ahead: 16 }))
  socket.write(ask('/').repeat(17))
  const text = await readUntil(socket, (all) => all.split('hello').length === 18)
  expect(text.split('hello')).toHaveLength(18)
})

it('cuts a connection on which many more requests wait than are answered', async () => {
  const socket = await open(await start({ ahead: 16 }))
  socket.write(ask('/never') + ask('/').repeat(1000))
  expect(await readUntil(socket, () => false)).toBe('')
})

it('counts only what waits: a thousand requests one after the other are answered on one connection', async () => {
  const socket = await open(await start({ ahead: 1 }))
  for (let round = 0; round < 100; round++) {
    socket.write(ask('/').repeat(2))
    let text = ''
    while (text.split('hello').length < 3) text += (await once(socket, 'data'))[0]
  }
})

it('closes connections of one address above its limit, and lets it come back when others have gone', async () => {
  const port = await start({ connectionsPerAddress: 2 })
  const [first] = [await open(port), await open(port)]
  const third = await open(port)
  await once(third, 'close')
  first.destroy()
  // The server hears of the end a moment later.
  for (let isServed = false; !isServed; ) {
    const next = await open(port)
    next.write(ask('/'))
    isServed = (await readUntil(next, (text) => text.includes('hello'))).includes('hello')
  }
})
