// HTTP against clients that we did not write: curl and the wget of busybox, which is what Alpine's init fetches with. Loopback only.
import { execFile } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type HttpServer, startHttp } from '../../src/http/listen.ts'
import { createRig, macA, makeContent, patternBytes, startedAt } from '../http/rig.ts'
import { describeWith } from '../support/tool.ts'

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string }

const run = (program: string, words: readonly string[], cwd: string): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(program, words, { cwd, encoding: 'latin1', timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr })
    })
  })

const big = patternBytes(5_000_000)
let etag = 'one'

const rig = createRig({
  files: {
    'boot.ipxe': () => makeContent(new TextEncoder().encode('#!ipxe\n'), { type: 'text/plain' }),
    'releases/modloop-lts': () => makeContent(big, { etag, modifiedAt: startedAt, way: 'later' }),
    'configs/52:54:00:00:00:0a.tar.gz': () => makeContent(big.subarray(0, 50_000), { type: 'application/gzip', modifiedAt: startedAt }),
    'ipxe/snponly.efi': () => makeContent(big.subarray(0, 200_000), { type: 'application/efi', modifiedAt: startedAt }),
    empty: () => makeContent(new Uint8Array(0), { modifiedAt: startedAt }),
  },
})
let server: HttpServer
let base = ''
let folder = ''
beforeAll(async () => {
  server = await startHttp({ app: rig.app, address: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${server.port}`
})
afterAll(() => server.stop())
beforeEach(() => {
  etag = 'one'
  rig.done.length = 0
  rig.asked.length = 0
  folder = mkdtempSync(join(tmpdir(), 'bivouac-http-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (name: string) => join(folder, name)
const isWhole = (name: string, bytes: Uint8Array = big) => readFileSync(at(name)).equals(bytes)

describeWith(['curl'], 'curl', () => {
  const curl = (...words: string[]) => run('curl', ['-sS', '--max-time', '30', ...words], folder)

  it('fetches a file whole', async () => {
    expect(await curl('-o', 'f', `${base}/releases/modloop-lts`)).toMatchObject({ code: 0 })
    expect(isWhole('f')).toBe(true)
    expect(rig.done).toEqual([{ name: 'releases/modloop-lts', sentBytes: big.length }])
  })

  it.each([1, 65_536, 262_144, 4_999_999])('resumes after %i bytes', async (have) => {
    writeFileSync(at('f'), big.subarray(0, have))
    expect(await curl('-C', '-', '-o', 'f', `${base}/releases/modloop-lts`)).toMatchObject({ code: 0, stderr: '' })
    expect(isWhole('f')).toBe(true)
    expect(rig.done).toEqual([{ name: 'releases/modloop-lts', sentBytes: big.length - have }])
  })

  it('leaves a file alone that is whole already', async () => {
    writeFileSync(at('f'), big)
    await curl('-C', '-', '-o', 'f', `${base}/releases/modloop-lts`)
    expect(isWhole('f')).toBe(true)
    expect(rig.done).toEqual([])
  })

  it('gets the whole new file when what it has is of an older one (If-Range)', async () => {
    etag = 'two'
    const { stdout } = await curl('-o', 'f', '-w', '%{http_code}', '-H', 'If-Range: "one"', '-H', 'Range: bytes=100-', `${base}/releases/modloop-lts`)
    expect(stdout).toBe('200')
    expect(isWhole('f')).toBe(true)
    const same = await curl('-o', 'g', '-w', '%{http_code}', '-H', 'If-Range: "two"', '-H', 'Range: bytes=100-', `${base}/releases/modloop-lts`)
    expect(same.stdout).toBe('206')
    expect(isWhole('g', big.subarray(100))).toBe(true)
  })

  it('does not fetch again what it has (ETag, then date)', async () => {
    await curl('--etag-save', 'tag', '-o', 'f', `${base}/releases/modloop-lts`)
    const again = await curl('--etag-compare', 'tag', '-o', 'g', '-w', '%{http_code} %{size_download}', `${base}/releases/modloop-lts`)
    expect(again.stdout).toBe('304 0')
    const byDate = await curl('-R', '-z', 'f', '-o', 'h', '-w', '%{http_code}', `${base}/releases/modloop-lts`)
    expect(byDate.stdout).toBe('304')
    etag = 'two'
    const changed = await curl('--etag-compare', 'tag', '-o', 'g', '-w', '%{http_code}', `${base}/releases/modloop-lts`)
    expect(changed.stdout).toBe('200')
  })

  it('asks HEAD, then GET on the same connection, as UEFI firmware does', async () => {
    const head = await curl(
      '-I',
      `${base}/ipxe/snponly.efi`,
      '--next',
      '-sS',
      '-D',
      '-',
      '-o',
      'f',
      '-w',
      '%{num_connects}',
      `${base}/ipxe/snponly.efi`,
    )
    expect(head.stdout.match(/content-length: 200000\r\n/gi)).toHaveLength(2)
    expect(head.stdout.match(/content-type: application\/efi\r\n/gi)).toHaveLength(2)
    expect(head.stdout).toMatch(/\r\n\r\n0$/)
    expect(isWhole('f', big.subarray(0, 200_000))).toBe(true)
    expect(rig.done).toHaveLength(1)
  })

  it('takes parts in parallel and out of order', async () => {
    const ranges = ['4000000-', '0-999999', '1000000-2999999', '3000000-3999999']
    await Promise.all(ranges.map((range, index) => curl('-r', range, '-o', String(index), `${base}/releases/modloop-lts`)))
    const bytes = Buffer.concat([1, 2, 3, 0].map((index) => readFileSync(at(String(index)))))
    expect(bytes.equals(big)).toBe(true)
  })

  it('is told of the range that cannot be', async () => {
    const { stdout } = await curl('-D', '-', '-r', '5000000-', `${base}/releases/modloop-lts`)
    expect(stdout).toMatch(/^HTTP\/1\.1 416 /)
    expect(stdout).toMatch(/content-range: bytes \*\/5000000\r\n/i)
    expect(stdout).toMatch(/content-length: 0\r\n/i)
  })

  it.each(['/../../etc/passwd', '/releases/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/boot.ipxe/', '/releases', '/.git/config'])(
    'gets an empty 404 and no redirect for %s',
    async (path) => {
      const { stdout } = await curl('--path-as-is', '-L', '-w', '%{http_code} %{size_download} %{num_redirects}', `${base}${path}`)
      expect(stdout).toBe('404 0 0')
    },
  )

  it('asks with the MAC in any spelling of the URL', async () => {
    for (const path of ['configs/52:54:00:00:00:0a.tar.gz', 'configs/52%3A54%3a00:00:00:0a.tar.gz', '/configs//52:54:00:00:00:0a.tar.gz'])
      expect((await curl('-o', '/dev/null', '-w', '%{http_code} %{size_download}', `${base}/${path}`)).stdout).toBe('200 50000')
  })

  it('gets an empty file', async () => {
    expect((await curl('-o', 'f', '-w', '%{http_code}', `${base}/empty`)).stdout).toBe('200')
    expect(statSync(at('f')).size).toBe(0)
  })

  it('reports a system that is up', async () => {
    const { stdout } = await curl('-X', 'POST', '-d', 'ready', '-w', '%{http_code}', `${base}/up/52-54-00-00-00-0a`)
    expect(stdout).toBe('204')
    expect(rig.seen().at(-1)).toMatchObject({ kind: 'up', mac: macA, detail: { report: 'ready' } })
    writeFileSync(at('huge'), big)
    expect((await curl('--data-binary', '@huge', '-w', '%{http_code}', `${base}/up/52-54-00-00-00-0a`)).stdout).toMatch(/^413/)
  })
})

describeWith(['busybox'], 'wget of busybox', () => {
  const wget = (...words: string[]) => run('busybox', ['wget', ...words], folder)

  it('fetches an overlay', async () => {
    expect(await wget('-q', '-O', 'f', `${base}/configs/52:54:00:00:00:0a.tar.gz`)).toMatchObject({ code: 0 })
    expect(isWhole('f', big.subarray(0, 50_000))).toBe(true)
  })

  it('fetches a modloop, and goes on with one that was cut', async () => {
    expect(await wget('-q', '-O', 'f', `${base}/releases/modloop-lts`)).toMatchObject({ code: 0 })
    expect(isWhole('f')).toBe(true)
    truncateSync(at('f'), 1_234_567)
    expect(await wget('-q', '-c', '-O', 'f', `${base}/releases/modloop-lts`)).toMatchObject({ code: 0 })
    expect(isWhole('f')).toBe(true)
  })

  it('fails for an overlay that is not there, and writes nothing that could be unpacked', async () => {
    const { code, stderr } = await wget('-O', 'f', `${base}/configs/52:54:00:00:00:0b.tar.gz`)
    expect(code).not.toBe(0)
    expect(stderr).toContain('404')
    expect(existsSync(at('f')) ? statSync(at('f')).size : 0).toBe(0)
  })

  it('reports a system that is up', async () => {
    expect(await wget('-q', '-O', '-', '--post-data=', `${base}/up/52-54-00-00-00-0a`)).toMatchObject({ code: 0, stdout: '' })
    appendFileSync(at('report'), 'busybox was here\n')
    await wget('-q', '-O', '-', '--post-file=report', `${base}/up/52-54-00-00-00-0a`)
    expect(rig.seen().at(-1)).toMatchObject({ kind: 'up', detail: { report: 'busybox was here' } })
  })
})
