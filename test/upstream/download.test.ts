import { hash, randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createUpstream } from '../../src/upstream/client.ts'
import { download } from '../../src/upstream/download.ts'
import { makeScratch } from '../support/scratch.ts'
import { startTestUpstream, type TestUpstreamOptions } from '../support/upstream.ts'

const content = randomBytes(300_000)

async function makeRig(options: TestUpstreamOptions = {}) {
  const server = await startTestUpstream({ files: { file: content }, ...options })
  const upstream = createUpstream({ headersMs: 300, stallMs: 300 })
  onTestFinished(() => upstream.close())
  const folder = await makeScratch()
  const path = join(folder, 'in/place')
  const get = (more = {}) => download(upstream, `${server.url}/file`, path, { sleep: async () => undefined, ...more })
  return { server, folder: join(folder, 'in'), path, get }
}

describe('download', () => {
  it('puts the file in place and leaves nothing beside it', async () => {
    const { folder, path, get } = await makeRig()
    const seen: number[] = []
    const done = await get({
      sha256: hash('sha256', content),
      sizeBytes: content.length,
      onProgress: (p: { doneBytes: number }) => seen.push(p.doneBytes),
    })
    expect(done).toEqual({ sizeBytes: content.length, isResumed: false })
    expect((await readFile(path)).equals(content)).toBe(true)
    expect(await readdir(folder)).toEqual(['place'])
    expect(seen.at(-1)).toBe(content.length)
  })

  it.each([
    ['with ranges', {}, true],
    ['without ranges', { withoutRanges: true }, false],
    ['without validators', { withoutValidators: true }, false],
  ])('goes on after cuts, %s', async (_, options, hasRanges) => {
    const { server, path, get } = await makeRig(options)
    server.fault('file', { kind: 'cut', afterBytes: 100_000, times: 2 })
    await get({ sha512: hash('sha512', content) })
    expect((await readFile(path)).equals(content)).toBe(true)
    expect(server.requests.length).toBe(3)
    expect(server.requests.some(({ headers }) => headers.range !== undefined && headers['if-range'] !== undefined)).toBe(
      hasRanges || 'withoutRanges' in options,
    )
  })

  it('goes on in a later run, and begins anew when the file is another one by then', async () => {
    const { server, folder, path, get } = await makeRig()
    server.fault('file', { kind: 'cut', afterBytes: 100_000 })
    await expect(get({ attempts: 1 })).rejects.toMatchObject({ code: 'upstream-unreachable' })
    expect((await readdir(folder)).sort()).toEqual(['place.part', 'place.part.tag'])
    server.fault('file', undefined)
    expect((await get()).isResumed).toBe(true)
    expect((await readFile(path)).equals(content)).toBe(true)

    const next = randomBytes(200_000)
    server.put('file', content)
    server.fault('file', { kind: 'cut', afterBytes: 100_000 })
    await expect(get({ attempts: 1 })).rejects.toThrow()
    server.fault('file', undefined)
    server.put('file', next)
    await get({ sha256: hash('sha256', next) })
    expect((await readFile(path)).equals(next)).toBe(true)
  })

  it.each([
    ['cut', 'upstream-unreachable'],
    ['short', 'upstream-timeout'],
    ['hang', 'upstream-timeout'],
    ['refuse', 'upstream-unreachable'],
    [503, 'upstream-status'],
  ] as const)('gives up in the end: %s', async (kind, code) => {
    const { server, folder, get } = await makeRig()
    server.fault('file', { kind, afterBytes: 0 })
    await expect(get({ attempts: 2 })).rejects.toMatchObject({ code, mayRetry: true })
    expect(server.hits()).toBe(2)
    expect(await readdir(folder)).not.toContain('place')
    server.release()
  })

  it('keeps nothing of what is not what was announced', async () => {
    const { server, folder, path, get } = await makeRig()
    await expect(get({ sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'upstream-checksum', mayRetry: false })
    expect(await readdir(folder)).toEqual([])
    await expect(get({ sizeBytes: 5 })).rejects.toMatchObject({ code: 'upstream-size' })
    await expect(get({ bytesMax: 5 })).rejects.toMatchObject({ code: 'upstream-size' })
    server.fault('file', { kind: 404 })
    await expect(get()).rejects.toMatchObject({ code: 'upstream-missing' })
    expect(await readdir(folder)).toEqual([])
    await writeFile(path, 'the old one')
    await expect(get()).rejects.toThrow()
    expect(await readFile(path, 'utf8')).toBe('the old one')
  })

  it('stops at the signal and keeps what it has', async () => {
    const { server, folder, get } = await makeRig()
    server.fault('file', { kind: 'slow', afterBytes: 100_000 })
    const giveUp = new AbortController()
    const onProgress = ({ doneBytes }: { doneBytes: number }) => void (doneBytes >= 100_000 && giveUp.abort())
    await expect(get({ signal: giveUp.signal, onProgress })).rejects.toMatchObject({ code: 'upstream-aborted' })
    expect(await readdir(folder)).toContain('place.part')
    server.release()
  })
})
