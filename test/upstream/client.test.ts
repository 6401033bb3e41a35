import { describe, expect, it, onTestFinished } from 'vitest'
import { getBytes, readBody } from '../../src/upstream/body.ts'
import { createUpstream, type UpstreamOptions } from '../../src/upstream/client.ts'
import { createCredentials, readCredentials } from '../../src/upstream/credentials.ts'
import { startTestUpstream } from '../support/upstream.ts'
import { makeScratch } from '../support/scratch.ts'
import { chmod, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'

function makeClient(options: UpstreamOptions = {}) {
  const waits: number[] = []
  const upstream = createUpstream({ sleep: async (ms) => void waits.push(ms), ...options })
  onTestFinished(() => upstream.close())
  return { ...upstream, waits }
}

describe('upstream client', () => {
  it('gets a file with its size and headers', async () => {
    const server = await startTestUpstream({ files: { 'a/b': 'hello' } })
    const upstream = makeClient()
    const answer = await upstream.get(`${server.url}/a/b`)
    expect(answer).toMatchObject({ status: 200, sizeBytes: 5, url: `${server.url}/a/b` })
    expect(answer.headers.etag).toMatch(/^"/)
    expect((await readBody(answer, 5)).toString()).toBe('hello')
    expect(server.requests[0]?.headers).toMatchObject({ 'user-agent': 'bivouac', 'accept-encoding': 'identity' })
  })

  it('tries again where it may help, with growing pauses, and then gives the last answer', async () => {
    const server = await startTestUpstream({ files: { a: 'x' } })
    const upstream = makeClient({ retries: 3 })
    server.fault('a', { kind: 503, times: 2 })
    expect((await getBytes(upstream, `${server.url}/a`, 10)).toString()).toBe('x')
    expect(server.hits('a')).toBe(3)
    expect(upstream.waits).toEqual([500, 1000])
    server.fault('a', { kind: 500 })
    await expect(getBytes(upstream, `${server.url}/a`, 10)).rejects.toMatchObject({ code: 'upstream-status', mayRetry: true })
    expect(server.hits('a')).toBe(7)
    server.fault('a', { kind: 'refuse', times: 1 })
    expect((await getBytes(upstream, `${server.url}/a`, 10)).toString()).toBe('x')
  })

  it('asks once for what is not there or not allowed', async () => {
    const server = await startTestUpstream()
    const upstream = makeClient()
    await expect(getBytes(upstream, `${server.url}/none`, 10)).rejects.toMatchObject({ code: 'upstream-missing' })
    server.fault('denied', { kind: 403 })
    await expect(getBytes(upstream, `${server.url}/denied`, 10)).rejects.toMatchObject({ code: 'upstream-denied', mayRetry: false })
    expect(server.hits()).toBe(2)
  })

  it('takes no more bytes than it was told', async () => {
    const server = await startTestUpstream({ files: { a: 'x'.repeat(100) } })
    await expect(getBytes(makeClient(), `${server.url}/a`, 99)).rejects.toMatchObject({ code: 'upstream-size' })
  })

  it.each([
    ['cut', { code: 'upstream-unreachable', mayRetry: true }],
    ['hang', { code: 'upstream-timeout', mayRetry: true }],
    ['short', { code: 'upstream-timeout', mayRetry: true }],
  ] as const)('says what happened to a body: %s', async (kind, wanted) => {
    const server = await startTestUpstream({ files: { a: 'x'.repeat(100_000) } })
    const upstream = makeClient({ retries: 0, headersMs: 300, stallMs: 300 })
    server.fault('a', { kind })
    await expect(getBytes(upstream, `${server.url}/a`, 200_000)).rejects.toMatchObject(wanted)
    server.release()
  })

  it('says that nobody listens, without the secrets of the URL', async () => {
    const server = await startTestUpstream()
    await server.close()
    const url = `${server.url.replace('//', '//me:hush@')}/a?token=hush`
    const error = await makeClient({ retries: 0 })
      .get(url)
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'upstream-unreachable', mayRetry: true })
    expect(String(error)).not.toContain('hush')
    await expect(makeClient().get('file:///etc/passwd')).rejects.toMatchObject({ code: 'upstream-url' })
    await expect(makeClient().get('ftp://me:hush@host/x')).rejects.toThrow(/^(?!.*hush)/)
  })

  it('stops at the signal, before and in the body, and does not try again', async () => {
    const server = await startTestUpstream({ files: { a: 'x'.repeat(100_000) } })
    const upstream = makeClient()
    server.fault('a', { kind: 'hang' })
    const giveUp = new AbortController()
    const asked = upstream.get(`${server.url}/a`, { signal: giveUp.signal })
    await expect.poll(() => server.hits(), { timeout: 15_000 }).toBe(1)
    giveUp.abort()
    await expect(asked).rejects.toMatchObject({ code: 'upstream-aborted' })
    expect(server.hits()).toBe(1)
  })

  it('follows redirects, five at most, and sends credentials to their own server only', async () => {
    const other = await startTestUpstream({ files: { b: 'there' } })
    const server = await startTestUpstream()
    const credentials = createCredentials('me:hush\n', server.url)
    const upstream = makeClient({ credentials })
    server.redirect('a', `${other.url}/b`)
    expect((await getBytes(upstream, `${server.url}/a`, 10)).toString()).toBe('there')
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:hush').toString('base64')}`)
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
    server.redirect('loop', '/loop')
    await expect(upstream.get(`${server.url}/loop`)).rejects.toMatchObject({ code: 'upstream-redirect' })
    expect(server.hits('loop')).toBe(6)
    server.redirect('bad', 'file:///etc/passwd')
    await expect(upstream.get(`${server.url}/bad`)).rejects.toMatchObject({ code: 'upstream-redirect' })
    expect(JSON.stringify(credentials)).not.toContain('hush')
  })

  it('goes through a proxy', async () => {
    const server = await startTestUpstream({ files: { a: 'by proxy' } })
    const seen: string[] = []
    const proxy = createServer((request, response) => {
      seen.push(request.url ?? '')
      const to = new URL(request.url ?? '')
      const socket = connect(Number(to.port), to.hostname, () => socket.end(`GET ${to.pathname} HTTP/1.0\r\nHost: x\r\n\r\n`))
      socket.pipe(response.socket as NodeJS.WritableStream)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close().closeAllConnections())
    const upstream = makeClient({ proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` })
    expect((await getBytes(upstream, `${server.url}/a`, 10)).toString()).toBe('by proxy')
    expect(seen).toEqual([`${server.url}/a`])
  })

  it('holds no more connections to one server than it may', async () => {
    const server = await startTestUpstream({ files: { a: 'x'.repeat(1000) } })
    const upstream = makeClient({ connections: 3 })
    server.fault('a', { kind: 'slow' })
    const all = Promise.all(Array.from({ length: 12 }, () => getBytes(upstream, `${server.url}/a`, 2000)))
    await expect.poll(() => server.figures().running, { timeout: 15_000 }).toBe(3)
    server.fault('a', undefined)
    server.release()
    await all
    expect(server.figures().most).toBe(3)
  })
})

describe('credentials', () => {
  it('are read from a file that is its owner’s alone', async () => {
    const file = join(await makeScratch(), 'mirror')
    await writeFile(file, 'me:a:b\n', { mode: 0o600 })
    expect(readCredentials(file, 'https://m.example/alpine').headerFor(new URL('https://m.example/x'))).toBe(
      `Basic ${Buffer.from('me:a:b').toString('base64')}`,
    )
    await chmod(file, 0o644)
    expect(() => readCredentials(file, 'https://m.example')).toThrow(/chmod 600/)
    expect(() => readCredentials(`${file}.none`, 'https://m.example')).toThrow(/cannot be read/)
    expect(() => createCredentials('secret-without-colon', 'https://m.example')).toThrow(/^(?!.*secret)/)
  })
})
