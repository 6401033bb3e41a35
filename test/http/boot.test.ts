import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConflictError, DecodeError, InputError, OutsideError } from '../../src/boot/error.ts'
import type { Ipv4 } from '../../src/boot/address.ts'
import { maxReportBytes } from '../../src/station/report.ts'
import { type HttpServer, startHttp } from '../../src/http/listen.ts'
import type { Lease } from '../../src/store/port.ts'
import { seededRandom } from '../support/random.ts'
import { callFrom, createRig, macA, macB, makeContent, patternBytes, type RigOptions, startedAt } from './rig.ts'

const text = new TextEncoder().encode('#!ipxe\nboot\n')
const files: NonNullable<RigOptions['files']> = {
  'boot.ipxe': () => makeContent(text, { type: 'text/plain' }),
  'boot/52-54-00-00-00-0a.ipxe': () => makeContent(text, { type: 'text/plain' }),
  'configs/52:54:00:00:00:0a.tar.gz': () => makeContent(patternBytes(50_000), { type: 'application/gzip', modifiedAt: startedAt }),
  'releases/alpine/vmlinuz-lts': () => makeContent(patternBytes(1_000_000), { modifiedAt: startedAt, way: 'later' }),
}
const station = callFrom('::ffff:10.9.0.50', { host: '10.9.0.1:8080' })

describe.each([
  ['at once', false],
  ['by promise', true],
])('boot routes over a door that answers %s', (_, isLate) => {
  it('asks the door by name, caller, base and facts', async () => {
    const { app, asked } = createRig({ files, isLate })
    const response = await app.request('/boot/52-54-00-00-00-0a.ipxe?uuid=u1&product=A%20B&platform=efi&odd=1', {}, station)
    expect([response.status, await response.text()]).toEqual([200, '#!ipxe\nboot\n'])
    const facts = { uuid: 'u1', product: 'A B', platform: 'efi' }
    expect(asked).toEqual([{ name: 'boot/52-54-00-00-00-0a.ipxe', peer: '10.9.0.50', via: 'http', httpBase: 'http://10.9.0.1:8080', facts }])
  })

  it('tells the door when the bytes are out, also those of a resume', async () => {
    const { app, done, asked } = createRig({ files, isLate })
    await (await app.request('/releases/alpine/vmlinuz-lts')).arrayBuffer()
    await (await app.request('/releases/alpine/vmlinuz-lts', { headers: { range: 'bytes=0-9' } })).arrayBuffer()
    await (await app.request('/releases/alpine/vmlinuz-lts', { headers: { range: 'bytes=999990-' } })).arrayBuffer()
    await app.request('/releases/alpine/vmlinuz-lts', { method: 'HEAD' })
    expect(done.map(({ sentBytes }) => sentBytes)).toEqual([1_000_000, 10])
    expect(asked.map(({ range }) => range)).toEqual([undefined, true, true, undefined])
  })

  it.each([
    ['/boot.ipxe', 'no-store'],
    ['/configs/52:54:00:00:00:0a.tar.gz', 'no-store'],
    ['/releases/alpine/vmlinuz-lts', 'no-cache'],
  ])('%s may be kept: %s', async (path, cacheControl) => {
    const { app } = createRig({ files, isLate })
    expect((await app.request(path, { method: 'HEAD' })).headers.get('cache-control')).toBe(cacheControl)
  })

  it.each(['/none', '/configs/52-54-00-00-00-0b.tar.gz', '/boot.ipxe/', '/%2e%2e/x', '/a%2f..%2fb', '/.git/config', '/%'])(
    'answers %s with an empty 404',
    async (path) => {
      const { app } = createRig({ files, isLate })
      for (const method of ['GET', 'HEAD']) {
        const response = await app.request(path, { method })
        expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([404, '0', ''])
      }
    },
  )

  it.each<[Error, number, string | null]>([
    [new InputError('x', 'no'), 400, null],
    [new DecodeError('x', 'no'), 400, null],
    [new ConflictError('x', 'no'), 409, null],
    [new OutsideError('x', 'busy', true), 503, '2'],
    [new OutsideError('x', 'gone', false), 502, null],
    [new TypeError('a fault of ours'), 500, null],
  ])('maps %s to %i with an empty body', async (error, status, retryAfter) => {
    const open = isLate
      ? () => Promise.reject(error)
      : () => {
          throw error
        }
    const { app, faults } = createRig({ deps: { door: { open } } })
    const response = await app.request('/boot.ipxe')
    expect([response.status, response.headers.get('retry-after'), response.headers.get('content-length'), await response.text()]).toEqual([
      status,
      retryAfter,
      '0',
      '',
    ])
    expect(faults).toEqual(status === 500 ? [error] : [])
  })

  it('folds double slashes and decodes once, without a redirect', async () => {
    const { app, asked } = createRig({ files, isLate })
    for (const path of ['//boot.ipxe', '/configs//52%3A54:00:00:00:0a.tar.gz', '///releases/alpine//vmlinuz-lts'])
      expect((await app.request(`http://localhost${path}`)).status).toBe(200)
    expect(asked.map(({ name }) => name)).toEqual(['boot.ipxe', 'configs/52:54:00:00:00:0a.tar.gz', 'releases/alpine/vmlinuz-lts'])
  })

  it('says 405 to whatever is neither GET, HEAD nor a report', async () => {
    const { app, asked } = createRig({ files, isLate })
    for (const [method, path] of [
      ['PUT', '/boot.ipxe'],
      ['DELETE', '/boot.ipxe'],
      ['OPTIONS', '/boot.ipxe'],
      ['POST', '/boot.ipxe'],
      ['PATCH', '/up/52-54-00-00-00-0a'],
    ] as const) {
      const response = await app.request(path, { method })
      expect([response.status, await response.text()]).toEqual([405, ''])
      expect(response.headers.get('allow')).toContain('GET, HEAD')
    }
    expect(asked).toEqual([])
  })
})

describe('what URLs begin with', () => {
  it.each<[string, string | undefined, string]>([
    ['name and port', 'boot.example:8080', 'http://boot.example:8080'],
    ['capitals', 'Boot.Example', 'http://boot.example'],
    ['IPv6', '[fd00::1]:8080', 'http://[fd00::1]:8080'],
    ['nothing', undefined, 'http://10.9.0.1:8080'],
    ['a path', 'evil/x', 'http://10.9.0.1:8080'],
    ['a user', 'a@evil', 'http://10.9.0.1:8080'],
    ['iPXE settings', '$\u007bnet0/mac}', 'http://10.9.0.1:8080'],
    ['blanks', 'a b', 'http://10.9.0.1:8080'],
    ['a line', 'a\nkernel', 'http://10.9.0.1:8080'],
    ['too long', 'a'.repeat(300), 'http://10.9.0.1:8080'],
  ])('Host: %s', async (_, host, base) => {
    const { app, asked } = createRig({ files })
    await app.request('/boot.ipxe', {}, callFrom('10.9.0.50', host === undefined ? {} : { host }))
    expect(asked[0]?.httpBase).toBe(base)
  })

  it('is the configured URL where there is one', async () => {
    const { app, asked } = createRig({ files, deps: { httpBase: 'http://boot.site' } })
    await app.request('/boot.ipxe', {}, station)
    expect(asked[0]?.httpBase).toBe('http://boot.site')
  })

  it('does not come from forwarding headers, nor does the caller', async () => {
    const { app, asked } = createRig({ files })
    const headers = { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-host': 'evil', forwarded: 'for=1.2.3.4;host=evil' }
    await app.request('/boot.ipxe', { headers }, callFrom('10.9.0.50', { host: '10.9.0.1', ...headers }))
    expect(asked[0]).toMatchObject({ peer: '10.9.0.50', httpBase: 'http://10.9.0.1' })
  })
})

const lease = (mac: typeof macA, ip: string, more: Partial<Lease> = {}): Lease => ({
  network: 'lan',
  ip: ip as Ipv4,
  mac,
  state: 'bound',
  expiresAt: startedAt / 1000 + 60,
  ...more,
})

describe('POST /up/<mac>', () => {
  const post = (rig: ReturnType<typeof createRig>, body: string, from = '10.9.0.50', path = '/up/52-54-00-00-00-0a') =>
    rig.app.request(path, { method: 'POST', body }, callFrom(from))

  it.each<[string, Lease[], number]>([
    ['no lease', [], 204],
    ["the caller's own lease", [lease(macA, '10.9.0.50')], 204],
    ['a lease elsewhere', [lease(macA, '10.9.0.51')], 403],
    ['a lease elsewhere that has ended', [lease(macA, '10.9.0.51', { expiresAt: startedAt / 1000 - 1 })], 204],
    ['a lease without end elsewhere', [lease(macA, '10.9.0.51', { expiresAt: Infinity })], 403],
    ['a lease elsewhere that was given back', [lease(macA, '10.9.0.51', { state: 'released' })], 204],
    ['leases on two networks', [lease(macA, '10.9.0.51'), lease(macA, '10.9.0.50', { network: 'other' })], 204],
    ["another station's lease on the caller", [lease(macA, '10.9.0.51'), lease(macB, '10.9.0.50')], 403],
  ])('with %s', async (_, leases, status) => {
    const rig = createRig({ leases })
    const response = await post(rig, '')
    expect([response.status, await response.text()]).toEqual([status, ''])
    expect(rig.seen()).toMatchObject([{ kind: status === 204 ? 'up' : 'dropped', mac: macA, ip: '10.9.0.50', at: startedAt }])
  })

  it.each<[string, string, number, string | undefined]>([
    ['nothing', '', 204, undefined],
    ['a line', 'boot 42, 25 packages\nmore', 204, 'boot 42, 25 packages'],
    ['control characters', 'a\u001b[31mb', 204, undefined],
    ['a long line', 'x'.repeat(1000), 204, 'x'.repeat(200)],
    ['as much as may be', 'y'.repeat(maxReportBytes), 204, 'y'.repeat(200)],
    ['too much', 'y'.repeat(maxReportBytes + 1), 413, undefined],
  ])('takes %s', async (_, body, status, report) => {
    const rig = createRig()
    expect((await post(rig, body)).status).toBe(status)
    expect(rig.seen().map(({ kind, detail }) => [kind, detail?.report])).toEqual(status === 204 ? [['up', report]] : [])
  })

  it('does not read on after 4 KB of a body without a length', async () => {
    const rig = createRig()
    let pulled = 0
    const body = new ReadableStream({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(1024))
      },
    })
    const response = await rig.app.request('/up/52-54-00-00-00-0a', { method: 'POST', body, duplex: 'half' } as RequestInit)
    expect(response.status).toBe(413)
    expect(pulled).toBeLessThan(10)
  })

  it.each([
    ['/up/5254.0000.000a', 204],
    ['/up/52:54:00:00:00:0A', 204],
    ['//up//525400-00000a', 404],
    ['//up//52540000000a', 204],
    ['/up/', 404],
    ['/up/nobody', 404],
    ['/up/../x', 405],
  ])('knows %s: %i', async (path, status) => {
    const rig = createRig()
    const response = await rig.app.request(`http://localhost${path}`, { method: 'POST' })
    expect([response.status, rig.seen().length]).toEqual([status, status === 204 ? 1 : 0])
  })
})

describe.each([
  ['by Hono', false],
  ['directly', true],
])('boot routes over a socket, %s', (_, isDirect) => {
  const rig = createRig({ files })
  const { app } = rig
  let server: HttpServer
  let port = 0
  beforeAll(async () => {
    server = await startHttp({ app: isDirect ? app : { fetch: app.fetch }, address: '127.0.0.1', port: 0, limits: { graceMs: 0 } })
    port = server.port
  })
  afterAll(() => server.stop())

  /** Sends raw bytes, answers all that comes until the server closes. */
  const talk = (request: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      let answer = ''
      socket.setEncoding('latin1')
      socket.on('data', (chunk) => {
        answer += chunk
      })
      socket.on('close', () => resolve(answer))
      socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve(answer) : reject(error)))
      socket.write(request, 'latin1')
    })

  it('serves HTTP/1.0 without a Host header, as old loaders ask', async () => {
    const answer = await talk('GET /boot.ipxe HTTP/1.0\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\nContent-Length: 12\r\n/i)
    expect(answer).not.toMatch(/Transfer-Encoding/i)
    expect(rig.asked.at(-1)?.httpBase).toBe(`http://127.0.0.1:${port}`)
  })

  it('answers 404 with a length, so that a kept connection goes on', async () => {
    const answer = await talk('GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /boot.ipxe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 404 Not Found\r\ncontent-length: 0\r\n[\s\S]*\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*#!ipxe\nboot\n$/i)
  })

  it('reports the transfer that a client cut', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /releases/alpine/vmlinuz-lts HTTP/1.1\r\nHost: a\r\n\r\n')
    await new Promise((resolve) => socket.once('readable', resolve))
    socket.destroy()
    while (!rig.seen().some(({ kind }) => kind === 'transfer-failed')) await new Promise((resolve) => setImmediate(resolve))
    const event = rig.seen().find(({ kind }) => kind === 'transfer-failed')
    expect(event).toMatchObject({ ip: '127.0.0.1', detail: { file: 'releases/alpine/vmlinuz-lts', via: 'http', sizeBytes: 1_000_000 } })
    expect(Number(event?.detail?.sentBytes)).toBeLessThan(1_000_000)
  })

  it.each([
    '/boot.ipxe/',
    '//boot.ipxe//',
    '/..',
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/a/..%5c..%5cetc',
    '\\..\\etc\\passwd',
    '/configs/%00',
    'http://evil.example/boot',
    '//evil.example/boot',
    '/boot.ipxe?/../..',
    '/stations/a.yaml',
    '*',
  ])('never redirects and never leaves for %s', async (target) => {
    const before = rig.asked.length
    const answer = await talk(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 (200|400|404) /)
    expect(answer).not.toMatch(/\r\nLocation:/i)
    for (const { name } of rig.asked.slice(before)) expect(name).not.toMatch(/(^|\/)\.|\\|^\/|\/\/|[^!-~]/)
  })

  it('survives request heads of any bytes', async () => {
    const random = seededRandom(44)
    const words = [
      'GET ',
      'HEAD ',
      'POST ',
      '/boot.ipxe',
      '/',
      '%',
      '%2e',
      '..',
      '?',
      '&a=',
      ' HTTP/1.1',
      '\r\n',
      'Host: a',
      'Range: bytes=',
      '0-',
      ':',
      '\u0000',
      '\u00ff',
      'Content-Length: 5',
    ]
    for (let round = 0; round < 500; round++) {
      const head = Array.from({ length: 3 + Math.floor(random() * 15) }, () => words[Math.floor(random() * words.length)]).join('')
      const answer = await talk(`${head}\r\nConnection: close\r\n\r\n\r\n`)
      expect(answer).not.toMatch(/^HTTP\/1\.1 5/)
      if (round % 100 === 0) expect(await talk('GET /boot.ipxe HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200/)
    }
  })
})

describe('any path and query', () => {
  it('gets a status below 500, and the door a clean name (20,000)', async () => {
    const { app, asked, faults } = createRig({ files })
    const random = seededRandom(43)
    const words = [
      'boot',
      '.ipxe',
      '/',
      '//',
      '..',
      '.',
      'configs',
      '52:54:00:00:00:0a',
      '.tar.gz',
      'up',
      'api/v1',
      'events',
      'stations',
      'trace',
      'explain',
    ]
    const more = [
      '%',
      '%2e',
      '%2F',
      '%00',
      '%C3%A9',
      '%zz',
      '?',
      '&',
      '=',
      'uuid',
      'mac',
      'limit',
      'since',
      'kinds',
      'arch',
      '#',
      '\\',
      'é',
      ':',
      '@',
      'a',
      '0',
      '~',
      ';',
      ',',
      '[',
      '|',
    ]
    const all = [...words, ...more]
    for (let round = 0; round < 20_000; round++) {
      const path = Array.from({ length: 1 + Math.floor(random() * 12) }, () => all[Math.floor(random() * all.length)]).join('')
      const method = ['GET', 'GET', 'HEAD', 'POST', 'PUT'][Math.floor(random() * 5)] as string
      const response = await app.request(`http://localhost/${path}`, { method }, callFrom('127.0.0.1', { host: 'localhost' }))
      if (response.status >= 500 || (response.status >= 300 && response.status < 400)) throw new Error(`${method} /${path}: ${response.status}`)
      await response.body?.cancel()
    }
    expect(faults).toEqual([])
    expect(asked.length).toBeGreaterThan(1000)
    for (const { name } of asked) if (!/^(?!.*(^|\/)[./])[!-~]+(?<!\/)$/.test(name)) throw new Error(`the door was asked for ${JSON.stringify(name)}`)
  })
})
