import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import { BivouacError, MissingError, OutsideError } from '../../src/boot/error.ts'
import { createFiles, type Files, wholeBytes } from '../../src/station/file.ts'
import { pieceBytes } from '../../src/station/piece.ts'
import { seededRandom } from '../support/random.ts'

const root = mkdtempSync(join(tmpdir(), 'bvc-files-'))
const depot = join(root, 'depot')
const outside = join(root, 'outside')
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  rmSync(depot, { recursive: true, force: true })
  rmSync(outside, { recursive: true, force: true })
  mkdirSync(join(depot, 'data'), { recursive: true })
  mkdirSync(outside)
})

/** Writes a file as if it had been written a while ago, so that it counts as settled. */
function put(path: string, content: string | Uint8Array, folder = depot): void {
  writeFileSync(join(folder, path), content)
  settle()
}
// Tests do not sleep: the clock that the files are told runs ahead of the disk's.
let ahead = 0
const settle = (): void => {
  ahead += 1000
}
const now = (): number => Date.now() + ahead
const create = (options: Partial<Parameters<typeof createFiles>[0]> = {}): Files =>
  createFiles({ depot, cacheBytes: 64 * 1024 * 1024, now, ...options })

const pattern = (sizeBytes: number, seed = 0): Buffer => {
  const bytes = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 4) bytes.writeUInt32LE((at * 2654435761 + seed) >>> 0, Math.min(at, sizeBytes - 4))
  return bytes
}
async function readAll(content: Content, slice = 100_000): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (let at = 0; at < content.sizeBytes; at += slice) parts.push(await content.read(at, slice))
  return Buffer.concat(parts)
}
const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run()
  } catch (error) {
    expect(error).toBeInstanceOf(BivouacError)
    return (error as BivouacError).code
  }
  return 'opened'
}

describe('a file of the depot', () => {
  it('is one Content with size, type, time and bytes', async () => {
    put('data/a.ipxe', '#!ipxe\n')
    utimesSync(join(depot, 'data/a.ipxe'), 1000, 1000)
    const content = await create().open('data/a.ipxe')
    expect(content).toMatchObject({ sizeBytes: 7, type: 'text/plain', modifiedAt: 1_000_000 })
    expect(Buffer.from(content.whole ?? []).toString()).toBe('#!ipxe\n')
    expect(Buffer.from(await content.read(2, 4)).toString()).toBe('ipxe')
    expect((await content.read(7, 10)).length).toBe(0)
    content.close()
  })

  it.each([
    ['snponly.efi', 'application/efi'],
    ['disk.iso', 'application/vnd.efi-iso'],
    ['x.tar.gz', 'application/gzip'],
    ['UPPER.EFI', 'application/efi'],
    ['undionly.kpxe', 'application/octet-stream'],
    ['musl-1.2.apk', 'application/octet-stream'],
    ['sshkeys.pub', 'text/plain'],
  ])('%s is %s', async (name, type) => {
    put(name, 'x')
    expect((await create().open(name)).type).toBe(type)
  })

  it('comes at once when it is in memory and was looked at just now', async () => {
    put('a', 'x')
    const files = create()
    expect(files.open('a')).toBeInstanceOf(Promise)
    await files.open('a')
    expect(files.open('a')).not.toBeInstanceOf(Promise)
  })

  it('may be empty', async () => {
    put('empty', '')
    const content = await create().open('empty')
    expect([content.sizeBytes, content.whole?.length]).toEqual([0, 0])
  })

  it.each([wholeBytes - 1, wholeBytes, wholeBytes + 1, 3 * pieceBytes + wholeBytes + 17])(
    'of %i bytes comes out as it is, in slices of any size',
    async (sizeBytes) => {
      const bytes = pattern(sizeBytes)
      put('big', bytes)
      const files = create()
      for (const slice of [pieceBytes, 65_536, 1_000_003]) {
        const content = await files.open('big')
        expect(Buffer.compare(await readAll(content, slice), bytes)).toBe(0)
        content.close()
      }
      expect(files.figures().handles).toBe(0)
    },
  )

  it('gives any part of a big file, across pieces', async () => {
    const bytes = pattern(wholeBytes + 5 * pieceBytes + 11)
    put('big', bytes)
    const content = await create().open('big')
    const random = seededRandom(5)
    for (let round = 0; round < 300; round++) {
      const offset = Math.floor(random() * bytes.length)
      const length = Math.floor(random() * 3 * pieceBytes)
      expect(Buffer.compare(await content.read(offset, length), bytes.subarray(offset, offset + length))).toBe(0)
    }
    content.close()
  })

  it('is read once for all who read it at the same time, and from memory afterwards', async () => {
    put('big', pattern(wholeBytes + pieceBytes))
    const files = create()
    const contents = await Promise.all(Array.from({ length: 50 }, () => files.open('big')))
    expect(files.figures().handles).toBe(1)
    const parts = await Promise.all(contents.map((content) => content.read(0, pieceBytes)))
    // One read, one buffer: all hold the very same memory.
    expect(new Set(parts.map(({ buffer }) => buffer)).size).toBe(1)
    expect(contents[0]?.read(10, 100)).toBeInstanceOf(Uint8Array)
    for (const content of contents) content.close()
    expect(files.figures()).toMatchObject({ handles: 0, cachedBytes: pieceBytes })
  })
})

describe('paths', () => {
  const bad = [
    '',
    '.',
    '..',
    '../outside/secret',
    'data/../../outside/secret',
    '/etc/passwd',
    'data//x',
    'data/',
    '.git/config',
    'data/.hidden',
    'a\0b',
    'data\\x',
    'é',
    'a\nb',
    'x'.repeat(2000),
  ]
  it.each(bad)('%j is not there', async (path) => {
    put('data/x', 'x')
    put('data/.hidden', 'x')
    put('secret', 'x', outside)
    expect(await codeOf(() => create().open(path))).toBe('file-missing')
  })

  it.each([
    'stations/a.yaml',
    'profiles/a.yaml',
    'overlays/base/etc/x',
    'templates/x.ejs',
    'Stations/a.yaml',
    'STATIONS/a.yaml',
    'stations /a',
    'bivouac.yaml',
    'Bivouac.YML',
    'state/tokens',
    'secrets/kiosk/key',
    'keys/site.rsa',
    'apk/keys/site.rsa',
    'apk/keys/site.rsa.key',
    'apk/keys/../keys/x.pub.rsa',
    'additions/ca/etc/ssl/ca.pem',
    'Additions/ca.cpio.gz',
  ])('%s is the operator’s, and not there either', async (path) => {
    mkdirSync(join(depot, path, '..'), { recursive: true })
    put(path, 'secret')
    expect(await codeOf(() => create().open(path))).toBe('file-missing')
  })

  it.each(['apk/keys/site.rsa.pub', 'additions/ca-0123456789abcdef.cpio.gz', 'secrets.txt'])('%s is for everybody', async (path) => {
    mkdirSync(join(depot, path, '..'), { recursive: true })
    put(path, 'public')
    expect((await create().open(path)).sizeBytes).toBe(6)
  })

  it.each([
    ['to a file outside', (link: string) => symlinkSync(join(outside, 'secret'), link)],
    ['to a folder outside', (link: string) => symlinkSync(outside, link)],
    ['to the operator’s records', (link: string) => symlinkSync('../stations', link)],
    ['to nothing', (link: string) => symlinkSync('nowhere', link)],
    ['to itself', (link: string) => symlinkSync('link', link)],
    ['to the folder above the depot', (link: string) => symlinkSync('../..', link)],
    ['to the depot’s neighbour with a longer name', (link: string) => symlinkSync(`${depot}-other`, link)],
  ])('a link %s is not followed', async (_, make) => {
    mkdirSync(join(depot, 'stations'))
    mkdirSync(`${depot}-other`, { recursive: true })
    writeFileSync(join(`${depot}-other`, 'secret'), 'x')
    put('stations/secret', 'x')
    put('secret', 'x', outside)
    make(join(depot, 'data/link'))
    for (const path of ['data/link', 'data/link/secret', 'data/link/outside/secret'])
      expect(await codeOf(() => create().open(path))).toBe('file-missing')
  })

  it('a link inside the depot is followed', async () => {
    put('data/undionly.kpxe', 'loader')
    symlinkSync('data/undionly.kpxe', join(depot, 'gpxe.kpxe'))
    expect((await create().open('gpxe.kpxe')).sizeBytes).toBe(6)
  })

  it('the depot itself may be a link, also one that is turned to another tree', async () => {
    const trees = ['one', 'two'].map((name) => join(root, name))
    for (const tree of trees) {
      mkdirSync(tree, { recursive: true })
      writeFileSync(join(tree, 'a'), tree)
    }
    const link = join(root, 'current')
    symlinkSync(trees[0] as string, link)
    settle()
    const files = create({ depot: link })
    const read = async (): Promise<string> => Buffer.from((await files.open('a')).whole ?? []).toString()
    expect(await read()).toBe(trees[0])
    rmSync(link)
    symlinkSync(trees[1] as string, link)
    settle()
    expect(await read()).toBe(trees[1])
  })

  it('folders and pipes are not there, and a pipe holds nobody', async () => {
    expect(await codeOf(() => create().open('data'))).toBe('file-missing')
    const { spawnSync } = await import('node:child_process')
    spawnSync('mkfifo', [join(depot, 'data/pipe')])
    expect(readdirSync(join(depot, 'data'))).toContain('pipe')
    expect(await codeOf(() => create().open('data/pipe'))).toBe('file-missing')
  })

  it('20,000 random paths open nothing outside and throw only our errors', async () => {
    put('data/x', 'x')
    put('secret', 'SECRET', outside)
    symlinkSync(outside, join(depot, 'out'))
    const random = seededRandom(11)
    const words = ['data', 'x', '..', '.', '', 'out', 'secret', 'outside', 'stations', '%2e%2e', '\0', '~', 'C:', '\\..\\', 'etc/passwd']
    const files = create({ revalidateMs: 60_000 })
    for (let round = 0; round < 20_000; round++) {
      const path = Array.from({ length: 1 + Math.floor(random() * 5) }, () => words[Math.floor(random() * words.length)]).join(
        random() < 0.9 ? '/' : '',
      )
      try {
        const opened = files.open(path)
        const content = opened instanceof Promise ? await opened : opened
        expect(path).toBe('data/x')
        content.close()
      } catch (error) {
        if (!(error instanceof MissingError)) throw error
      }
    }
  })
})

describe('a file that changes', () => {
  it('is another Content with another tag, at the latest after 100 ms', async () => {
    put('a', 'one')
    const files = create()
    const before = await files.open('a')
    writeFileSync(join(depot, 'a'), 'two')
    ahead += 100
    settle()
    const after = await files.open('a')
    expect(after.etag).not.toBe(before.etag)
    expect(Buffer.from(after.whole ?? []).toString()).toBe('two')
    expect(Buffer.from(before.whole ?? []).toString()).toBe('one')
  })

  it('shows at once even when two changes fall into one tick of the disk’s clock', async () => {
    // No settling: the file is as young as it can be.
    const files = createFiles({ depot, cacheBytes: 1e6 })
    for (let round = 0; round < 20; round++) {
      writeFileSync(join(depot, 'young'), `${round % 10}`)
      const content = await files.open('young')
      expect(Buffer.from(content.whole ?? []).toString()).toBe(`${round % 10}`)
    }
  })

  it('by renaming: who reads the old one goes on reading the old one', async () => {
    const [old, fresh] = [pattern(wholeBytes + pieceBytes, 1), pattern(wholeBytes + pieceBytes, 2)]
    put('big', old)
    const files = create()
    const before = await files.open('big')
    writeFileSync(join(depot, 'big.new'), fresh)
    renameSync(join(depot, 'big.new'), join(depot, 'big'))
    settle()
    const after = await files.open('big')
    expect(Buffer.compare(await readAll(before), old)).toBe(0)
    expect(Buffer.compare(await readAll(after), fresh)).toBe(0)
    expect(files.figures().handles).toBe(2)
    before.close()
    after.close()
    before.close()
    expect(files.figures().handles).toBe(0)
  })

  it.each([
    ['cut', (path: string) => truncateSync(path, 1000)],
    ['grown', (path: string) => appendFileSync(path, 'more')],
    ['written over in place', (path: string) => writeFileSync(path, pattern(wholeBytes + 2 * pieceBytes, 3))],
  ])('%s while it is read: an error, never garbage', async (_, change) => {
    const bytes = pattern(wholeBytes + 2 * pieceBytes)
    put('big', bytes)
    const files = create()
    const content = await files.open('big')
    expect(Buffer.compare(await content.read(0, 1000), bytes.subarray(0, 1000))).toBe(0)
    change(join(depot, 'big'))
    await expect(content.read(5 * pieceBytes, 1000)).rejects.toBeInstanceOf(OutsideError)
    content.close()
    expect(files.figures().handles).toBe(0)
  })

  it('with a time that somebody set far ahead is one version all the same, and stays in memory', async () => {
    put('a', 'x')
    utimesSync(join(depot, 'a'), 2_000_000_000, 2_000_000_000)
    settle()
    const files = create()
    const { etag } = await files.open('a')
    settle()
    expect((await files.open('a')).etag).toBe(etag)
    expect(files.open('a')).not.toBeInstanceOf(Promise)
    writeFileSync(join(depot, 'a'), 'y')
    utimesSync(join(depot, 'a'), 2_000_000_000, 2_000_000_000)
    settle()
    expect((await files.open('a')).etag).not.toBe(etag)
  })

  it('that is deleted is missing', async () => {
    put('a', 'x')
    const files = create()
    await files.open('a')
    rmSync(join(depot, 'a'))
    settle()
    expect(await codeOf(() => files.open('a'))).toBe('file-missing')
  })
})

describe('what the files hold', () => {
  it('stays within the bytes given, and forgets what was used longest ago', async () => {
    const cacheBytes = 4 * 1024 * 1024
    for (let index = 0; index < 40; index++) put(`f${index}`, pattern(500_000, index))
    const files = create({ cacheBytes, revalidateMs: 1e9 })
    for (let index = 0; index < 40; index++) {
      const content = await files.open(`f${index}`)
      expect(content.whole?.length).toBe(500_000)
      expect(files.figures().cachedBytes).toBeLessThanOrEqual(cacheBytes)
    }
    expect(files.open('f39')).not.toBeInstanceOf(Promise)
    const first = files.open('f0')
    expect(first).toBeInstanceOf(Promise)
    await first
  })

  it('works without any memory', async () => {
    const bytes = pattern(wholeBytes + pieceBytes)
    put('big', bytes)
    put('small', 'x')
    const files = create({ cacheBytes: 0 })
    expect(Buffer.from((await files.open('small')).whole ?? []).toString()).toBe('x')
    const content = await files.open('big')
    expect(Buffer.compare(await readAll(content), bytes)).toBe(0)
    content.close()
    expect(files.figures()).toEqual({ cachedBytes: 0, handles: 0 })
  })

  it('opens no more big files than it may, and says that a retry helps', async () => {
    for (let index = 0; index < 3; index++) put(`big${index}`, pattern(wholeBytes + 1, index))
    const files = create({ handlesMax: 2 })
    const contents = [await files.open('big0'), await files.open('big1')]
    await expect(files.open('big2')).rejects.toMatchObject({ code: 'file-handles', mayRetry: true })
    contents[0]?.close()
    const last = await files.open('big2')
    last.close()
    contents[1]?.close()
    expect(files.figures().handles).toBe(0)
  })

  it('opens a thousand small files at the same moment', async () => {
    for (let index = 0; index < 1000; index++) writeFileSync(join(depot, `s${index}`), `${index}`)
    settle()
    const files = create()
    const contents = await Promise.all(Array.from({ length: 1000 }, (_, index) => files.open(`s${index}`)))
    expect(contents.every((content, index) => Buffer.from(content.whole ?? []).toString() === `${index}`)).toBe(true)
  })
})
