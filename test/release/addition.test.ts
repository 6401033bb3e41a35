import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readInitramfs } from '../../src/alpine/initramfs.ts'
import { type Additions, createAdditions } from '../../src/release/addition.ts'
import { makeInitramfs, stockBundle } from '../support/release.ts'
import { makeScratch } from '../support/scratch.ts'

const initramfs = 'releases/r/initramfs-lts'
const pem = '-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----'
const publicKey = '-----BEGIN PUBLIC KEY-----\nMA0=\n-----END PUBLIC KEY-----\n'

type Place = Additions & {
  scratch: string
  depot: string
  put: (path: string, text: string, mode?: number) => void
  pass: (ms: number) => void
  again: () => Additions
}

async function makePlace(): Promise<Place> {
  const scratch = await makeScratch()
  const depot = join(scratch, 'depot')
  let at = Date.now()
  const again = () => createAdditions({ depot, state: join(scratch, 'state'), now: () => at })
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(depot, path)), { recursive: true })
    writeFileSync(join(depot, path), text, { mode })
  }
  const pass = (ms: number): void => {
    at += ms
  }
  mkdirSync(join(depot, dirname(initramfs)), { recursive: true })
  writeFileSync(join(depot, initramfs), makeInitramfs('6.12.31-0-lts'))
  return { ...again(), scratch, depot, put, again, pass }
}

/** Path → content (a link's target behind an arrow) of a packed addition. */
async function unpack(file: string): Promise<Record<string, string>> {
  const members: Record<string, string> = {}
  await readInitramfs(readFileSync(file), {
    keepBytes: ({ sizeBytes }) => sizeBytes,
    onMember: ({ path, kind, mode }, body) => {
      if (kind !== 'directory') members[path] = `${kind === 'link' ? '-> ' : `${mode.toString(8)} `}${Buffer.from(body).toString('latin1')}`
    },
  })
  return members
}

const found = async (place: Additions, ...names: string[]) => {
  const search = await place.find(names, initramfs)
  if ('missing' in search) throw new Error(search.missing)
  return search.found
}

describe('an addition', () => {
  it('is the folder as it stands, its CA, keys and modules behind the stock’s', async () => {
    const place = await makePlace()
    place.put('additions/site/etc/motd', 'hello\n')
    place.put('additions/site/usr/bin/early', '#!/bin/sh\n', 0o775)
    place.put('additions/site/etc/private', 'x', 0o600)
    place.put('additions/site/ca/a.pem', pem)
    place.put('additions/site/ca/b.crt', `${pem}\n`)
    place.put('additions/site/keys/site.rsa.pub', publicKey)
    place.put('additions/site/modules', 'ipv6\n\n8021q\n')
    place.put('additions/site/.gitkeep', '')
    symlinkSync('/usr/share/zoneinfo/UTC', join(place.depot, 'additions/site/etc/localtime'))
    const [addition] = await found(place, 'site')
    expect(addition?.path).toMatch(/^additions\/site-[0-9a-f]{12}\.cpio\.gz$/)
    expect(addition?.warnings).toEqual([])
    expect(await unpack(addition?.file ?? '')).toEqual({
      'etc/apk/keys/site.rsa.pub': `644 ${publicKey}`,
      'etc/localtime': '-> /usr/share/zoneinfo/UTC',
      'etc/modules': '644 af_packet\nipv6\n8021q\n',
      'etc/motd': '644 hello\n',
      'etc/private': '600 x',
      'etc/ssl/certs/ca-certificates.crt': `644 ${stockBundle}${pem}\n${pem}\n`,
      'usr/bin/early': '755 #!/bin/sh\n',
    })
  })

  it('is the same for the same content, wherever and whenever it is packed, and another for another', async () => {
    const [one, other] = [await makePlace(), await makePlace()]
    for (const place of [one, other]) place.put('additions/site/etc/motd', 'hello\n')
    utimesSync(join(other.depot, 'additions/site/etc/motd'), 1, 1)
    const [first] = await found(one, 'site')
    expect((await found(other, 'site'))[0]?.digest).toBe(first?.digest)
    expect((await found(one.again(), 'site'))[0]?.path).toBe(first?.path)
    one.put('additions/site/etc/motd', 'bye\n')
    one.pass(2000)
    expect((await found(one, 'site'))[0]?.path).not.toBe(first?.path)
    expect(readdirSync(join(one.scratch, 'state/additions')).length).toBe(2)
  })

  it('is at hand when it was looked at just now, packed once for all who ask, and packed again when its file is gone', async () => {
    const place = await makePlace()
    place.put('additions/site/etc/motd', 'hello\n')
    const asked = [place.find(['site'], initramfs), place.find(['site'], initramfs)]
    expect(asked[0]).toBe(asked[1])
    await asked[0]
    expect(place.find(['site'], initramfs)).not.toBeInstanceOf(Promise)
    const [addition] = await found(place, 'site')
    rmSync(addition?.file ?? '')
    place.pass(2000)
    await found(place, 'site')
    expect(existsSync(addition?.file ?? '')).toBe(true)
  })

  it('follows the stock initramfs when it rests on it', async () => {
    const place = await makePlace()
    place.put('additions/site/modules', '8021q\n')
    const [before] = await found(place, 'site')
    writeFileSync(
      join(place.depot, initramfs),
      makeInitramfs('6.12.40-0-lts', {}, [{ kind: 'file', path: 'etc/other', mode: 0o644, bytes: Buffer.from('x') }]),
    )
    place.pass(2000)
    expect((await found(place, 'site'))[0]?.digest).toBe(before?.digest)
    rmSync(join(place.depot, initramfs))
    place.pass(2000)
    await expect(found(place, 'site')).rejects.toThrow(/addition site: the stock initramfs .* cannot be read \(ENOENT\)/)
  })

  it('keeps earlier versions for a day after a script last named them', async () => {
    const place = await makePlace()
    place.put('additions/site/etc/motd', '1')
    const [first] = await found(place, 'site')
    place.put('additions/site/etc/motd', '2')
    place.pass(3_600_000)
    await found(place, 'site')
    expect(existsSync(first?.file ?? '')).toBe(true)
    place.put('additions/site/etc/motd', '3')
    place.pass(90_000_000)
    await found(place, 'site')
    expect(readdirSync(join(place.scratch, 'state/additions')).length).toBe(1)
  })

  it('warns of modules that nothing will find', async () => {
    const place = await makePlace()
    place.put('additions/site/lib/modules/6.1.0-0-lts/kernel/own.ko', 'x')
    place.put('additions/site/modules', 'own\n')
    const [addition] = await found(place, 'site')
    expect(addition?.warnings.map(({ code }) => code)).toEqual(['addition-depmod', 'addition-kernel'])
  })

  const wrong: [string, (place: Place) => void, RegExp][] = [
    ['no folder', () => {}, /there is no folder additions\/site/],
    [
      'a private key beside a CA',
      ({ put }) => put('additions/site/ca/a.pem', `${pem}\n-----BEGIN PRIVATE KEY-----\nx`),
      /additions\/site\/ca\/a\.pem: holds a private key/,
    ],
    ['a CA that is none', ({ put }) => put('additions/site/ca/a.pem', 'x'), /is no certificate in PEM form/],
    ['a private apk key', ({ put }) => put('additions/site/keys/site.rsa', '-----BEGIN RSA PRIVATE KEY-----'), /is no public key of apk/],
    [
      'a file twice',
      ({ put }) => {
        put('additions/site/modules', 'a')
        put('additions/site/etc/modules', 'b')
      },
      /etc\/modules comes twice/,
    ],
    [
      'a link among the CAs',
      ({ depot, put }) => {
        put('additions/site/ca/a.pem', pem)
        symlinkSync('/etc/shadow', join(depot, 'additions/site/ca/b.pem'))
      },
      /is a link: put the file itself here/,
    ],
    [
      'a folder elsewhere',
      ({ depot, scratch }) => {
        mkdirSync(join(depot, 'additions'))
        symlinkSync(scratch, join(depot, 'additions/site'))
      },
      /lies outside of the depot/,
    ],
  ]
  it.each(wrong)('is missing for %s, and says why', async (_, prepare, message) => {
    const place = await makePlace()
    prepare(place)
    expect(await place.find(['site'], initramfs)).toEqual({ missing: expect.stringMatching(message) })
    expect(existsSync(join(place.scratch, 'state/additions'))).toBe(false)
  })

  it('never leads to a file that is none of an addition', async () => {
    const place = await makePlace()
    const paths = [
      'additions/../../x-123456789abc.cpio.gz',
      'additions/site',
      'additions/site/etc/motd',
      'additions/a/b-123456789abc.cpio.gz',
      'x/additions/a-123456789abc.cpio.gz',
      'additions/.a-123456789abc.cpio.gz',
    ]
    expect(paths.map(place.locate)).toEqual(paths.map(() => undefined))
    expect(place.locate('additions/a-123456789abc.cpio.gz')).toBe(join(place.scratch, 'state/additions/a-123456789abc.cpio.gz'))
  })
})
