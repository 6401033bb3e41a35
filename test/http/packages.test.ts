import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { loadConfig } from '../../src/config.ts'
import { openAccessLog } from '../../src/http/access-log.ts'
import { openPackages, packagesBaseOf, startPackages } from '../../src/server/packages.ts'
import { makePackage, trustKey } from '../support/apk.ts'
import { eventually, folder, indexPath, key, makeBigPackage } from '../mirror/pull-rig.ts'
import { makeRepository } from '../support/apk.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream } from '../support/upstream.ts'

const big = makeBigPackage('firmware', 6_000_000)
const small = makePackage({ name: 'small', key })

/** A packages server on loopback over an upstream of the test's. */
async function makeServer(flags: Record<string, string> = {}) {
  const scratch = await makeScratch()
  const root = join(scratch, flags.root ?? 'depot/apk')
  mkdirSync(join(scratch, 'depot/configs'), { recursive: true })
  mkdirSync(root, { recursive: true })
  writeFileSync(join(scratch, 'depot/configs/52-54-00-12-34-56.tar.gz'), 'secret')
  writeFileSync(join(root, 'notes.txt'), 'mine')
  trustKey(root, key)
  writeFileSync(join(root, 'keys/site.rsa'), 'private')
  const upstream = await startTestUpstream()
  for (const [name, bytes] of makeRepository([big, small], key)) upstream.put(`${folder}/${name}`, bytes)
  const { config } = loadConfig({
    flags: {
      depot: join(scratch, 'depot'),
      state: join(scratch, 'state'),
      'packages.address': '127.0.0.1',
      'packages.port': '0',
      'packages.root': root,
      'mirror.upstream': upstream.url,
    },
    env: {},
    cwd: scratch,
  })
  const events: BootEvent[] = []
  const emit = (event: BootEvent): void => void events.push(event)
  const service = await openPackages(config, { emit, now: Date.now })
  const onFault = (error: unknown): never => {
    throw error
  }
  const server = await startPackages(config, { service, emit, now: Date.now, findMac: () => '52:54:00:00:00:01' as never, onFault })
  const stop = async (): Promise<void> => {
    await server.stop()
    await service.close()
  }
  onTestFinished(() => stop().catch(() => undefined))
  const url = `http://127.0.0.1:${server.port}`
  const lines = (): Record<string, unknown>[] =>
    readFileSync(join(scratch, 'state/packages/access.log'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  return { scratch, root, upstream, events, service, server, url, lines, stop }
}

describe.each(['depot/apk', 'elsewhere/mirror'])('the packages server over %s', (root) => {
  it('serves the mirror at its own root, from the upstream and then from the folder', async () => {
    const { url, upstream, events, lines, stop } = await makeServer({ root })
    for (let round = 0; round < 2; round++) {
      const index = await fetch(`${url}/${indexPath}`)
      expect(index.status).toBe(200)
      expect(index.headers.get('last-modified')).toBe('Thu, 01 Jan 2026 00:00:00 GMT')
      await index.arrayBuffer()
      for (const one of [small, big]) {
        const answer = await fetch(`${url}/${folder}/${one.fileName}`)
        expect(answer.headers.get('content-length')).toBe(String(one.bytes.length))
        expect(Buffer.from(await answer.arrayBuffer()).equals(one.bytes)).toBe(true)
      }
    }
    expect(upstream.hits()).toBe(3)
    const key = await fetch(`${url}/keys/test@bivouac-0001.rsa.pub`)
    expect(await key.text()).toContain('PUBLIC KEY')
    await eventually(() => events.map(({ kind }) => kind)).toEqual(['index', 'package', 'package', 'index', 'package', 'package'])
    expect(events[1]).toMatchObject({ mac: '52:54:00:00:00:01', ip: '127.0.0.1', detail: { file: `${folder}/${small.fileName}`, via: 'packages' } })
    await stop()
    expect(lines()).toHaveLength(7)
    expect(lines()[2]).toMatchObject({ ip: '127.0.0.1', method: 'GET', path: `/${folder}/${big.fileName}`, status: 200, sentBytes: big.bytes.length })
  })

  it('serves nothing else', async () => {
    const { url, upstream } = await makeServer({ root })
    for (const path of [
      '',
      'configs/52-54-00-12-34-56.tar.gz',
      'apk/v3.22/main/x86_64/APKINDEX.tar.gz',
      'boot.ipxe',
      'gpxe-script',
      'api/v1/status',
      'healthz',
      'notes.txt',
      'keys/site.rsa',
      'keys/..%2fnotes.txt',
      'v3.22/main/x86_64/%2e%2e/%2e%2e/%2e%2e/notes.txt',
      'v3.22/main/x86_64/.hidden-1-r0.apk',
      'v3.22%5cmain%5cx86_64%5cAPKINDEX.tar.gz',
    ]) {
      const answer = await fetch(`${url}/${path}`)
      expect([path, answer.status, await answer.text()]).toEqual([path, 404, ''])
    }
    expect(upstream.hits()).toBe(0)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect((await fetch(`${url}/${indexPath}`, { method })).status).toBe(405)
    expect((await fetch(`${url}/${folder}/none-1-r0.apk`)).status).toBe(404)
  })
})

describe('the packages server', () => {
  it('answers ranges and conditions, of a file that grows too', async () => {
    const { url, upstream } = await makeServer()
    const path = `${folder}/${big.fileName}`
    upstream.fault(path, { kind: 'slow', afterBytes: 3_000_000 })
    const first = await fetch(`${url}/${path}`, { headers: { range: 'bytes=1000-1999' } })
    expect(first.status).toBe(206)
    expect(first.headers.get('content-range')).toBe(`bytes 1000-1999/${big.bytes.length}`)
    expect(Buffer.from(await first.arrayBuffer()).equals(big.bytes.subarray(1000, 2000))).toBe(true)
    const head = await fetch(`${url}/${path}`, { method: 'HEAD' })
    expect(head.headers.get('content-length')).toBe(String(big.bytes.length))
    upstream.release()
    const tail = await fetch(`${url}/${path}`, { headers: { range: 'bytes=-100' } })
    expect(Buffer.from(await tail.arrayBuffer()).equals(big.bytes.subarray(-100))).toBe(true)
    const whole = await fetch(`${url}/${path}`)
    const etag = whole.headers.get('etag') ?? ''
    await whole.arrayBuffer()
    expect((await fetch(`${url}/${path}`, { headers: { range: 'bytes=99999999-' } })).status).toBe(416)
    expect(etag).toMatch(/^"/)
    expect(upstream.hits(path)).toBe(1)
  })

  it('cuts the connection of a package that turns out to be broken, never a short 200', async () => {
    const { server, root, upstream } = await makeServer()
    const path = `${folder}/${big.fileName}`
    const flipped = Buffer.from(big.bytes)
    flipped[5_000_000] = (flipped[5_000_000] ?? 0) ^ 1
    upstream.put(path, flipped)
    const outcome = await new Promise<string>((resolve) => {
      request({ port: server.port, host: '127.0.0.1', path: `/${path}` }, (response) => {
        response.resume()
        response.on('end', () => resolve('complete'))
        response.on('error', () => resolve(`cut, ${response.statusCode}`))
      })
        .on('error', (error) => resolve(error.message))
        .end()
    })
    expect(outcome).toBe('cut, 200')
    await eventually(() => readdirSync(join(root, folder))).toEqual(['APKINDEX.tar.gz'])
  })

  it('takes callers who leave, and says so', async () => {
    const { server, events, upstream } = await makeServer()
    const path = `${folder}/${big.fileName}`
    upstream.fault(path, { kind: 'slow', afterBytes: 3_000_000 })
    const socket = connect(server.port, '127.0.0.1')
    socket.write(`GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await eventually(() => events.map(({ kind }) => kind)).toContain('transfer-failed')
    upstream.release()
  })
})

describe('URLs of repositories', () => {
  const base = (packages: object, port?: number) => packagesBaseOf({ packages } as never, () => port)('http://10.9.0.1:8080')
  it('begin with the first server, the second one, or what was set', () => {
    expect(base({})).toBe('http://10.9.0.1:8080/apk')
    expect(base({ port: 8081 })).toBe('http://10.9.0.1:8081')
    expect(base({ port: 0 }, 40123)).toBe('http://10.9.0.1:40123')
    expect(base({ port: 8081, url: 'http://decos.lan/alpine' })).toBe('http://decos.lan/alpine')
  })
})

describe('access log', () => {
  it('turns when it is full, keeps a few, and goes on after a line that was cut', async () => {
    const path = join(await makeScratch(), 'packages/access.log')
    const line = { at: 1, ip: '10.9.0.7', method: 'GET', path: `/${'x'.repeat(100)}`, status: 200, sentBytes: 5, ms: 1 }
    const log = await openAccessLog({ path, maxBytes: 1000, keep: 2 })
    const names = (): string[] => readdirSync(join(path, '..')).sort()
    for (const wanted of [2, 3]) {
      for (let count = 0; count < 10; count++) log.append(line)
      await eventually(() => names().length).toBe(wanted)
    }
    for (let round = 0; round < 3; round++) {
      const { ino } = statSync(path)
      for (let count = 0; count < 10; count++) log.append(line)
      await eventually(() => statSync(path).ino !== ino).toBe(true)
    }
    await log.close()
    expect(names()).toEqual(['access.log', 'access.log.1', 'access.log.2'])
    writeFileSync(path, '{"at":1}\n{"at":2,"i')
    const again = await openAccessLog({ path })
    again.append(line)
    await again.close()
    expect((await readFile(path, 'utf8')).trimEnd().split('\n').at(-1)).toBe(JSON.stringify(line))
  })
})
