// Work directories from archives: what is placed, what is left, what is refused, and what is told to be lacking.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unpackWorkdir } from '../../src/import/workdir.ts'
import { checkWorkdir } from '../../src/import/workdir-check.ts'

type Given = { path: string; text?: string; flag?: string; target?: string }
let scratch: string
let dir: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'bivouac-workdir-'))
  dir = join(scratch, 'site')
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

function member({ path, text = '', flag = '0', target = '' }: Given): Buffer {
  const head = Buffer.alloc(512)
  head.write(path, 0)
  head.write('0000644\0', 100)
  head.write('0000000\0', 108)
  head.write('0000000\0', 116)
  head.write(`${Buffer.byteLength(text).toString(8).padStart(11, '0')}\0`, 124)
  head.write('00000000000\0', 136)
  head.write('        ', 148)
  head.write(flag, 156)
  head.write(target, 157)
  head.write('ustar\x0000', 257)
  head.write(
    `${head
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  )
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(text) / 512) * 512)
  body.write(text)
  return Buffer.concat([head, body])
}

function lay(members: readonly Given[]): { archive: string; bytes: Buffer } {
  const bytes = gzipSync(Buffer.concat([...members.map(member), Buffer.alloc(1024)]))
  const archive = join(scratch, 'site.tgz')
  writeFileSync(archive, bytes)
  return { archive, bytes }
}

const good: Given[] = [
  { path: './tftpboot/', flag: '5' },
  { path: './tftpboot/pxelinux.0', text: 'loader' },
  { path: './tftpboot/pxelinux.cfg/911boot', text: 'DEFAULT 1' },
  { path: './tftpboot/pxelinux.cfg/01-52-54-00-12-34-56', flag: '2', target: '911boot' },
  { path: './conf/hosts', text: '' },
]

describe('a work directory', () => {
  it('is unpacked, with its folders, and a second time nothing is left to do', async () => {
    const { archive, bytes } = lay(good)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const first = await unpackWorkdir({ archive, folder: dir, sha256 })
    expect(first.placed).toHaveLength(4)
    expect(first.sha256).toBe(sha256)
    expect(readdirSync(dir).sort()).toEqual(['conf', 'images', 'tftpboot'])
    expect(readFileSync(join(dir, 'tftpboot/pxelinux.cfg/01-52-54-00-12-34-56'), 'utf8')).toBe('DEFAULT 1')
    expect(await unpackWorkdir({ archive, folder: dir })).toMatchObject({ placed: [], different: [] })
    expect((await checkWorkdir(dir)).map(({ path }) => path)).toEqual([
      'conf/dnsmasq.conf',
      'conf/hosts',
      'conf/dhcphosts',
      'tftpboot/ldlinux.c32',
      'tftpboot/pxelinux.cfg/default',
      'tftpboot/vmlinuz-4',
      'tftpboot/initrd.gz',
      'images/root.sqfs',
      'images/Install',
      'images/pubkey',
    ])
  })

  it('keeps what is there with other content', async () => {
    const { archive } = lay(good)
    mkdirSync(join(dir, 'tftpboot'), { recursive: true })
    writeFileSync(join(dir, 'tftpboot/pxelinux.0'), 'mine')
    expect((await unpackWorkdir({ archive, folder: dir })).different).toEqual(['tftpboot/pxelinux.0'])
    expect(readFileSync(join(dir, 'tftpboot/pxelinux.0'), 'utf8')).toBe('mine')
  })

  it('is not touched by a dry run', async () => {
    expect((await unpackWorkdir({ archive: lay(good).archive, folder: dir, isDry: true })).placed).toHaveLength(4)
    expect(existsSync(dir)).toBe(false)
  })

  it('is not made from another archive than the checksum says', async () => {
    await expect(unpackWorkdir({ archive: lay(good).archive, folder: dir, sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'archive-sha256' })
    expect(readdirSync(dir)).toEqual([])
  })

  it.each<[string, Given[]]>([
    ['an absolute path', [{ path: '/etc/passwd', text: 'x' }]],
    ['a path that leaves', [{ path: 'conf/../../x', text: 'x' }]],
    ['a device', [{ path: 'conf/null', flag: '3' }]],
    ['a fifo', [{ path: 'conf/pipe', flag: '6' }]],
    ['a link out', [{ path: 'conf/x', flag: '2', target: '../../x' }]],
    ['an absolute link', [{ path: 'conf/x', flag: '2', target: '/etc' }]],
    [
      'a link through a link',
      [
        { path: 'a/b/x', flag: '2', target: '../..' },
        { path: 'a/b/y', flag: '2', target: 'x/../..' },
      ],
    ],
    [
      'a file below a link',
      [
        { path: 'a', flag: '2', target: 'conf' },
        { path: 'a/x', text: 'x' },
      ],
    ],
    [
      'a file below a file',
      [
        { path: 'a', text: 'x' },
        { path: 'a/x', text: 'x' },
      ],
    ],
    ['a hard link out', [{ path: 'a', flag: '1', target: '/etc/passwd' }]],
    [
      'a member twice',
      [
        { path: 'a', text: 'x' },
        { path: './a', text: 'y' },
      ],
    ],
  ])('is not made from an archive with %s', async (_, bad) => {
    await expect(unpackWorkdir({ archive: lay([...good, ...bad]).archive, folder: dir })).rejects.toMatchObject({ code: 'archive-hostile' })
    expect(readdirSync(dir)).toEqual([])
  })

  it('is not made from a bomb, from half an archive, or through a link that is here', async () => {
    const { archive, bytes } = lay([...good, { path: 'images/big', text: 'x'.repeat(100_000) }])
    await expect(unpackWorkdir({ archive, folder: dir }, { inflatedBytes: 50_000, entries: 100 })).rejects.toMatchObject({ code: 'archive-big' })
    await expect(unpackWorkdir({ archive, folder: dir }, { inflatedBytes: 1e9, entries: 2 })).rejects.toMatchObject({ code: 'tar-entries' })
    writeFileSync(archive, bytes.subarray(0, bytes.length - 40))
    await expect(unpackWorkdir({ archive, folder: dir })).rejects.toMatchObject({ code: 'archive-damaged' })
    symlinkSync(scratch, join(dir, 'tftpboot'))
    await expect(unpackWorkdir({ archive: lay(good).archive, folder: dir })).rejects.toMatchObject({ code: 'workdir-taken' })
    expect(existsSync(join(scratch, 'pxelinux.0'))).toBe(false)
  })
})
