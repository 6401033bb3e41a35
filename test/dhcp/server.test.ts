// The sockets, on the loopback interface and high ports: the test is a relay, whose answers come back to its own address.
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ConflictError, InputError } from '../../src/boot/error.ts'
import type { BootEvent } from '../../src/boot/event.ts'
import { type DhcpOptions, type DhcpServer, startDhcp } from '../../src/dhcp/server.ts'
import { encodeMessage, type Heard, readReply, type Said } from '../support/dhcp-message.ts'
import { createMemoryLeaseStore } from '../support/lease-store.ts'
import { createTestSite, makeNetwork } from '../support/site.ts'

const network = { name: 'loop', interface: 'lo', subnet: '127.0.0.0/24', pool: ['127.0.0.100-127.0.0.199'] }
const relayAddress = '127.0.0.9'
const open: (() => unknown)[] = []
let ports: { server: number; client: number; proxy: number }

const bind = async (port: number, address: string) => {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.bind(port, address)
  await once(socket, 'listening')
  open.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  return socket
}

const freePort = async () => {
  const socket = createSocket('udp4')
  socket.bind(0, '0.0.0.0')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}

beforeAll(async () => {
  ports = { server: await freePort(), client: await freePort(), proxy: await freePort() }
})
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

type Setup = { server: DhcpServer; events: BootEvent[]; store: ReturnType<typeof createMemoryLeaseStore>; relay: Relay }
type Relay = { send: (...messages: Buffer[]) => void; next: () => Promise<Heard>; heard: Heard[] }

async function start(change: Partial<DhcpOptions> = {}): Promise<Setup> {
  const events: BootEvent[] = []
  const store = createMemoryLeaseStore()
  const site = createTestSite({})
  const server = await startDhcp({
    networks: [makeNetwork(network)],
    decide: site.decide,
    leases: store,
    now: Date.now,
    emit: (event) => void events.push(event),
    httpPort: 8080,
    sync: true,
    ports,
    ...change,
  })
  open.push(server.stop)
  return { server, events, store, relay: await makeRelay(await bind(ports.server, relayAddress)) }
}

async function makeRelay(socket: Socket): Promise<Relay> {
  const heard: Heard[] = []
  const waiting: ((reply: Heard) => void)[] = []
  socket.on('message', (bytes) => {
    const reply = readReply(bytes)
    const next = waiting.shift()
    if (next) next(reply)
    else heard.push(reply)
  })
  return {
    send: (...messages) => {
      for (const message of messages) socket.send(message, ports.server, '127.0.0.1')
    },
    next: () => {
      const first = heard.shift()
      return first ? Promise.resolve(first) : new Promise((resolve) => waiting.push(resolve))
    },
    heard,
  }
}

const discover = (said: Said = {}) => encodeMessage('discover', { giaddr: relayAddress, ...said })
const request = (requested: string, said: Said = {}) => encodeMessage('request', { giaddr: relayAddress, serverId: '127.0.0.1', requested, ...said })
const macOf = (index: number) => `52:54:00:00:00:${index.toString(16).padStart(2, '0')}`

describe('the server', () => {
  it('says where it listens, and answers', async () => {
    const { server, relay, events } = await start()
    expect(server.listening).toEqual([{ network: 'loop', interface: 'lo', address: '127.0.0.1', mode: 'server' }])
    relay.send(discover())
    expect(await relay.next()).toMatchObject({ type: 'offer', yiaddr: '127.0.0.100' })
    relay.send(request('127.0.0.100'))
    expect(await relay.next()).toMatchObject({ type: 'ack', yiaddr: '127.0.0.100' })
    expect(server.leases.list()).toHaveLength(1)
    expect(events.map(({ kind }) => kind)).toEqual(['discover', 'offer', 'request', 'ack'])
  })

  it('names HTTP by its own address and port, or as configured', async () => {
    const { relay } = await start()
    relay.send(discover({ userClass: 'bivouac' }))
    expect((await relay.next()).file).toBe('http://127.0.0.1:8080/boot.ipxe')
    for (const close of open.splice(0)) await close()
    const other = await start({ httpBase: 'http://boot.example' })
    other.relay.send(discover({ userClass: 'bivouac' }))
    expect((await other.relay.next()).file).toBe('http://boot.example/boot.ipxe')
  })

  it('renews by unicast to the client’s own address', async () => {
    await start()
    const client = await bind(ports.client, '127.0.0.120')
    client.send(encodeMessage('request', { ciaddr: '127.0.0.120' }), ports.server, '127.0.0.1')
    const [bytes, { address, port }] = (await once(client, 'message')) as [Buffer, { address: string; port: number }]
    expect(readReply(bytes)).toMatchObject({ type: 'ack', ciaddr: '127.0.0.120' })
    expect({ address, port }).toEqual({ address: '127.0.0.1', port: ports.server })
  })

  it('tells the receive buffer that it was granted', async () => {
    const granted: number[] = []
    await start({ onReceiveBuffer: (bytes) => void granted.push(bytes) })
    expect(granted).toHaveLength(1)
    expect(granted[0]).toBeGreaterThanOrEqual(65_536)
    expect(granted[0]).toBeLessThanOrEqual(4 * 1024 * 1024)
  })

  it('lives on when a handler fails, and says so once', async () => {
    let fails = true
    const site = createTestSite({})
    const decide: DhcpOptions['decide'] = (client) => {
      if (fails) throw new Error('the gate is broken')
      return site.decide(client)
    }
    const { relay, events } = await start({ decide })
    relay.send(discover(), discover(), Buffer.from('junk'), Buffer.alloc(0))
    await expect.poll(() => events.filter(({ kind }) => kind === 'malformed').length).toBe(1)
    expect(events.filter(({ kind }) => kind === 'dropped')).toMatchObject([{ detail: { reason: 'handler: the gate is broken', more: 0 } }])
    fails = false
    relay.send(discover())
    expect(await relay.next()).toMatchObject({ type: 'offer' })
  })

  it('is silent after stop, and keeps what was not yet written', async () => {
    const { server, relay, store } = await start({ sync: false })
    relay.send(request('127.0.0.100'))
    await relay.next()
    relay.send(discover())
    await server.stop()
    await server.stop()
    expect(store.all()).toHaveLength(1)
    expect(relay.heard).toEqual([])
    for (const close of open.splice(0)) await close()
    expect((await start()).server.listening).toHaveLength(1)
  })
})

describe('the lease before the answer', () => {
  it('with sync no ACK goes out before its lease is written; offers do not wait', async () => {
    const { relay, store } = await start()
    const letGo = store.hold()
    relay.send(request('127.0.0.100'), discover({ mac: macOf(2) }))
    expect(await relay.next()).toMatchObject({ type: 'offer' })
    await expect.poll(() => store.puts()).toEqual([1])
    expect(relay.heard).toEqual([])
    letGo()
    expect(await relay.next()).toMatchObject({ type: 'ack', yiaddr: '127.0.0.100' })
    expect(store.all()).toHaveLength(1)
  })

  it('all that comes in one turn shares one put', async () => {
    const { relay, store } = await start()
    const letGo = store.hold()
    relay.send(...Array.from({ length: 20 }, (_, index) => request(`127.0.0.${100 + index}`, { mac: macOf(index + 1) })))
    await expect.poll(() => store.puts().reduce((sum, count) => sum + count, 0)).toBe(20)
    expect(store.puts().length).toBeLessThan(20)
    letGo()
    for (let count = 0; count < 20; count++) expect(await relay.next()).toMatchObject({ type: 'ack' })
  })

  it('a lease that cannot be written is not confirmed, and the failure is told', async () => {
    const { relay, store, events } = await start()
    const letGo = store.hold()
    relay.send(request('127.0.0.100'))
    await expect.poll(() => store.puts()).toEqual([1])
    letGo(new Error('the disk is full'))
    await expect.poll(() => events.at(-1)).toMatchObject({ kind: 'dropped', detail: { reason: 'lease store: the disk is full' } })
    relay.send(request('127.0.0.100'))
    expect(await relay.next()).toMatchObject({ type: 'ack' })
    expect(relay.heard).toEqual([])
  })

  it('without sync the ACK goes out at once', async () => {
    const { relay, store } = await start({ sync: false })
    const letGo = store.hold()
    relay.send(request('127.0.0.100'))
    expect(await relay.next()).toMatchObject({ type: 'ack' })
    letGo()
    await expect.poll(() => store.all()).toHaveLength(1)
  })
})

describe('what a person must mend', () => {
  it('a port that another program holds', async () => {
    const other = createSocket({ type: 'udp4', reuseAddr: true })
    other.bind(ports.server, '127.0.0.1')
    await once(other, 'listening')
    open.push(() => other.close())
    const failure = await start().catch((error) => error)
    expect(failure).toBeInstanceOf(ConflictError)
    expect(failure).toMatchObject({ code: 'port-taken', message: expect.stringContaining(`ss -lunp sport = :${ports.server}`) })
  })

  it('two servers on one port, though both would share it', async () => {
    await start()
    await expect(start()).rejects.toMatchObject({ code: 'port-taken' })
  })

  it('an interface that is not there', async () => {
    const failure = await start({ networks: [makeNetwork({ ...network, interface: 'eth77' })] }).catch((error) => error)
    expect(failure).toBeInstanceOf(InputError)
    expect(failure.message).toContain('lo (127.0.0.1)')
  })

  it('after a failure nothing is left open', async () => {
    const missing = makeNetwork({ name: 'other', interface: 'lo', subnet: '127.0.1.0/24', mode: 'proxy', serverAddress: '127.0.1.1' })
    const lo = [
      { address: '127.0.0.1', family: 'IPv4' },
      { address: '127.0.1.1', family: 'IPv4' },
    ] as never
    const blocker = createSocket('udp4')
    blocker.bind(ports.proxy, '127.0.1.1')
    await once(blocker, 'listening')
    const networks = [makeNetwork(network), missing]
    await expect(start({ networks, listInterfaces: () => ({ lo }) })).rejects.toMatchObject({ code: 'port-taken' })
    blocker.close()
    await once(blocker, 'close')
    const { server } = await start({ networks, listInterfaces: () => ({ lo }) })
    expect(server.listening).toHaveLength(2)
  })
})
