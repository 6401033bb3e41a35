import { describe, expect, it } from 'vitest'
import { callFrom, createRig, findOperator, macA, token } from './rig.ts'

const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
type Caller = { from: string; host: string; headers?: Record<string, string> }

const here: Caller = { from: '127.0.0.1', host: 'localhost:8080' }
const there: Caller = { from: '10.9.0.50', host: '10.9.0.1:8080' }

/** Who asks → may read, may write. */
const callers: [string, Caller, boolean, boolean][] = [
  ['this machine', here, true, false],
  ['this machine by number', { from: '127.0.0.1', host: '127.0.0.1:8080' }, true, false],
  ['this machine by another loopback number', { from: '127.0.0.7', host: '127.0.0.7' }, true, false],
  ['this machine by IPv6', { from: '::1', host: '[::1]:8080' }, true, false],
  ['this machine, mapped', { from: '::ffff:127.0.0.1', host: 'LOCALHOST' }, true, false],
  ['this machine with the token', { ...here, headers: bearer(token) }, true, true],
  ['this machine with a wrong token', { ...here, headers: bearer('bvc_wrong') }, false, false],
  ['this machine with a token of another kind', { ...here, headers: { authorization: 'Basic YTpi' } }, false, false],
  ['a browser that was rebound', { from: '127.0.0.1', host: 'evil.example:8080' }, false, false],
  ['a name that only begins like this machine', { from: '127.0.0.1', host: 'localhost.evil.example' }, false, false],
  ['a number that only begins like this machine', { from: '127.0.0.1', host: '127.0.0.1.evil.example' }, false, false],
  ['no Host', { from: '127.0.0.1', host: '' }, false, false],
  ['our address on the network as Host', { from: '127.0.0.1', host: '10.9.0.1:8080' }, false, false],
  ['a page elsewhere in a browser here', { ...here, headers: { 'sec-fetch-site': 'cross-site' } }, false, false],
  ['a proxy here', { ...here, headers: { 'x-forwarded-for': '10.9.0.50' } }, false, false],
  ['a proxy here that says so otherwise', { ...here, headers: { forwarded: 'for=10.9.0.50' } }, false, false],
  ['a proxy here with X-Real-IP', { ...here, headers: { 'x-real-ip': '10.9.0.50' } }, false, false],
  ['a proxy here that only says Via', { ...here, headers: { via: '1.1 proxy' } }, false, false],
  ['a proxy here with the token', { ...here, headers: { 'x-forwarded-for': '10.9.0.50', ...bearer(token) } }, true, true],
  ['a station', there, false, false],
  [
    'a station that says it is this machine',
    { from: '10.9.0.50', host: 'localhost:8080', headers: { 'x-forwarded-for': '127.0.0.1' } },
    false,
    false,
  ],
  ['an operator elsewhere', { ...there, headers: bearer(token) }, true, true],
  ['an operator with bearer in capitals', { ...there, headers: { authorization: `BEARER ${token}` } }, true, true],
  ['a wrong token elsewhere', { ...there, headers: bearer('bvc_wrong') }, false, false],
  ['an empty token', { ...there, headers: { authorization: 'Bearer ' } }, false, false],
  ['a token that is too long', { ...there, headers: bearer('a'.repeat(300)) }, false, false],
  ['nobody knows who', { from: '', host: 'localhost' }, false, false],
]

const reads = ['/status', '/events', '/stations', `/stations/${macA}/trace`, `/explain/${macA}`, '/leases', '/problems'].map(
  (path) => `/api/v1${path}`,
)

const ask = (app: ReturnType<typeof createRig>['app'], path: string, { from, host, headers = {} }: Caller, method = 'GET') =>
  app.request(path, { method, headers }, callFrom(from, { ...(host && { host }), ...headers }))

describe('who may what', () => {
  it.each(callers)('%s', async (_, caller, mayRead, mayWrite) => {
    const { app, reloads } = createRig()
    for (const path of reads) expect([path, (await ask(app, path, caller)).status]).toEqual([path, mayRead ? 200 : 401])
    expect((await ask(app, '/api/v1/reload', caller, 'POST')).status).toBe(mayWrite ? 200 : 401)
    expect(reloads.count).toBe(mayWrite ? 1 : 0)
    expect((await ask(app, '/healthz', caller)).status).toBe(204)
  })

  it('says how to get in', async () => {
    const { app } = createRig()
    const missing = await ask(app, '/api/v1/status', there)
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="bivouac"')
    expect(missing.headers.get('content-type')).toBe('application/problem+json')
    expect(await missing.json()).toMatchObject({ status: 401, code: 'token-needed', title: 'Unauthorized' })
    const wrong = await ask(app, '/api/v1/status', { ...there, headers: bearer('bvc_wrong') })
    expect(wrong.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it('waits for a verifier that answers later', async () => {
    const { app } = createRig({ deps: { verifyToken: async (text) => findOperator(text) } })
    expect((await ask(app, '/api/v1/status', { ...there, headers: bearer(token) })).status).toBe(200)
    expect((await ask(app, '/api/v1/status', { ...there, headers: bearer('bvc_wrong') })).status).toBe(401)
  })

  it('gives stations what they need without any right', async () => {
    const { app, asked } = createRig()
    expect((await ask(app, '/boot.ipxe', there)).status).toBe(404)
    expect(asked.length).toBe(1)
  })
})

describe('guessing', () => {
  const guess = { ...there, headers: bearer('bvc_wrong') }
  const right = { ...there, headers: bearer(token) }

  it('is slowed down after ten tries, for that address only, and comes back', async () => {
    const { app, clock } = createRig()
    for (let round = 0; round < 10; round++) expect((await ask(app, '/api/v1/status', guess)).status).toBe(401)
    const refused = await ask(app, '/api/v1/status', guess)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '6'])
    expect((await ask(app, '/api/v1/status', right)).status).toBe(429)
    expect((await ask(app, '/api/v1/status', { ...right, from: '10.9.0.51' })).status).toBe(200)
    clock.now += 6000
    expect((await ask(app, '/api/v1/status', right)).status).toBe(200)
    expect((await ask(app, '/api/v1/status', guess)).status).toBe(401)
    expect((await ask(app, '/api/v1/status', guess)).status).toBe(429)
  })

  it('costs the right token nothing', async () => {
    const { app } = createRig()
    for (let round = 0; round < 50; round++) expect((await ask(app, '/api/v1/status', right)).status).toBe(200)
  })

  it('counts tries that come at once', async () => {
    let verified = 0
    const verifyToken = async () => {
      verified++
      await new Promise((resolve) => setImmediate(resolve))
      return undefined
    }
    const { app } = createRig({ deps: { verifyToken } })
    const statuses = await Promise.all(Array.from({ length: 100 }, async () => (await ask(app, '/api/v1/status', guess)).status))
    expect(statuses.filter((status) => status === 401).length).toBe(10)
    expect(verified).toBe(10)
  })

  it('remembers a bounded number of addresses, the newest ones', async () => {
    const { app } = createRig()
    for (let round = 0; round < 10; round++) await ask(app, '/api/v1/status', { ...guess, from: 'first' })
    for (let round = 0; round < 4095; round++) await ask(app, '/api/v1/status', { ...guess, from: `peer${round}` })
    expect((await ask(app, '/api/v1/status', { ...guess, from: 'first' })).status).toBe(429)
    for (let round = 0; round < 4096; round++) await ask(app, '/api/v1/status', { ...guess, from: `other${round}` })
    expect((await ask(app, '/api/v1/status', { ...guess, from: 'first' })).status).toBe(401)
  })
})
