import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { importRelease } from '../../src/release/import.ts'
import { listIso } from '../../src/release/iso.ts'
import { openIso } from '../../src/release/iso-source.ts'
import { makeIso } from '../support/iso.ts'
import { seededRandom } from '../support/random.ts'
import { makeBootFiles } from '../support/release.ts'
import { makeScratch } from '../support/scratch.ts'
import { describeWith } from '../support/tool.ts'

const readAt = (image: Uint8Array) => async (offset: number, length: number) => image.subarray(offset, offset + length)
const list = (image: Uint8Array, limits?: Parameters<typeof listIso>[2]) => listIso(readAt(image), image.length, limits)
const text = (body: string) => Buffer.from(body)

const boot: Record<string, Buffer> = makeBootFiles('lts')
const alpineTree = {
  '.alpine-release': text('alpine-standard-3.22.2 251008\n'),
  boot: { ...boot, grub: { 'grub.cfg': text('menuentry') } },
  apks: {
    '.boot_repository': text(''),
    x86_64: { 'APKINDEX.tar.gz': text('index'), 'alpine-base-3.22.2-r0.apk': text('package'), 'evil.sh': text('x') },
  },
}

describe('listIso', () => {
  it('lists files with their Rock Ridge names and where their bytes are', async () => {
    const image = makeIso(alpineTree)
    const files = await list(image)
    expect(files.map(({ path }) => path).sort()).toEqual([
      '.alpine-release',
      'apks/.boot_repository',
      'apks/x86_64/APKINDEX.tar.gz',
      'apks/x86_64/alpine-base-3.22.2-r0.apk',
      'apks/x86_64/evil.sh',
      'boot/grub/grub.cfg',
      'boot/initramfs-lts',
      'boot/modloop-lts',
      'boot/vmlinuz-lts',
    ])
    for (const { path, offset, sizeBytes } of files.filter((file) => file.path.startsWith('boot/') && !file.path.includes('grub')))
      expect(image.subarray(offset, offset + sizeBytes), path).toEqual(boot[path.slice(5)])
  })

  it('reads a folder of more than one sector', async () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`package-${at}.apk`, text(String(at))]))
    expect((await list(makeIso(many))).length).toBe(300)
    await expect(list(makeIso(many), { entries: 100, folderBytes: 1e6, depth: 5 })).rejects.toThrow(expect.objectContaining({ code: 'iso-bounds' }))
    await expect(list(makeIso(many), { entries: 1000, folderBytes: 4096, depth: 5 })).rejects.toThrow(expect.objectContaining({ code: 'iso-bounds' }))
  })

  it.each([
    ['nothing', Buffer.alloc(0), 'iso-header'],
    ['zeros', Buffer.alloc(100_000), 'iso-header'],
    ['a cut image', makeIso(alpineTree).subarray(0, 22 * 2048), 'iso-damaged'],
    ['a name that leaves', makeIso({ '..': text('x') }), 'iso-name'],
    ['a name with a slash', makeIso({ 'a/b': text('x') }), 'iso-name'],
    ['folders without end', makeIso({ a: { b: { c: { d: { e: { f: { g: { h: { i: { j: { k: { l: { m: {} } } } } } } } } } } } } }), 'iso-bounds'],
  ])('refuses %s', async (_, image, code) => {
    await expect(list(image)).rejects.toThrow(expect.objectContaining({ name: 'DecodeError', code }))
  })

  it('refuses a folder that is its own child', async () => {
    const image = makeIso({ loop: {} })
    const record = image.indexOf('loop') - 5 - 6 - 33
    const root = image.readUInt32LE(16 * 2048 + 158)
    const at = image.lastIndexOf(Buffer.from('LOOP'), record + 45)
    image.writeUInt32LE(root, at - 33 + 2)
    await expect(list(image)).rejects.toThrow(expect.objectContaining({ code: 'iso-damaged' }))
  })

  it('throws nothing but DecodeError for damaged images', async () => {
    const random = seededRandom(77)
    const good = makeIso(alpineTree)
    for (let run = 0; run < 600; run++) {
      const bytes = Uint8Array.from(good)
      // Most hits in the descriptors and folders, where they matter.
      for (let hit = 0; hit <= random() * 6; hit++)
        bytes[16 * 2048 + Math.floor(random() * Math.min(bytes.length - 16 * 2048, 14 * 2048))] = Math.floor(random() * 256)
      await list(bytes.subarray(0, Math.ceil((0.5 + random() / 2) * bytes.length))).catch((error) => {
        if (!(error instanceof DecodeError)) throw error
      })
    }
  })
})

describe('import of an ISO image', () => {
  const run = async (more: object = {}) => {
    const scratch = await makeScratch()
    const source = join(scratch, 'alpine-standard-3.22.2-x86_64.iso')
    writeFileSync(source, makeIso(alpineTree))
    const depot = join(scratch, 'depot')
    const deps = {
      depot,
      state: join(scratch, 'state'),
      packagesRoot: join(depot, 'apk'),
      upstream: () => expect.unreachable(),
      now: () => 1,
      unsquashfs: '/nonexistent',
    }
    return { depot, outcome: await importRelease({ source, ...more }, deps) }
  }

  it('takes version and files from the image', async () => {
    const { depot, outcome } = await run()
    expect(outcome).toMatchObject({ outcome: 'imported', id: 'alpine/3.22.2/x86_64/lts' })
    expect(await readFile(join(depot, 'releases/alpine/3.22.2/x86_64/lts/modloop-lts'))).toEqual(boot['modloop-lts'])
    expect(await readdir(depot)).toEqual(['releases'])
  })

  it('copies its packages where the mirror has none, and leaves a mirror alone', async () => {
    const { depot, outcome } = await run({ withPackages: true })
    expect(outcome.packages).toBe(2)
    expect((await readdir(join(depot, 'apk/v3.22/main/x86_64'))).sort()).toEqual(['APKINDEX.tar.gz', 'alpine-base-3.22.2-r0.apk'])
    const iso = await openIso(join(depot, '../alpine-standard-3.22.2-x86_64.iso'))
    expect(iso.label).toBe('alpine-standard-3.22.2 251008')
    expect(await iso.copyPackages(join(depot, 'apk'), 'v3.22', 'x86_64')).toBeUndefined()
    await iso.close()
  })
})

describeWith(['xorriso'], 'an image of xorriso', () => {
  it('is read like ours', async () => {
    const scratch = await makeScratch()
    const long = `${'a-very-long-name-'.repeat(12)}.apk`
    mkdirSync(join(scratch, 'tree/boot'), { recursive: true })
    for (const [name, bytes] of Object.entries(makeBootFiles('lts'))) writeFileSync(join(scratch, 'tree/boot', name), bytes)
    writeFileSync(join(scratch, 'tree', long), 'long')
    execFileSync(
      'xorriso',
      ['-as', 'mkisofs', '-quiet', '-o', join(scratch, 'a.iso'), '-full-iso9660-filenames', '-joliet', '-rational-rock', join(scratch, 'tree')],
      { stdio: 'ignore' },
    )
    const image = readFileSync(join(scratch, 'a.iso'))
    const files = await list(image)
    expect(files.map(({ path }) => path).sort()).toEqual([long, 'boot/initramfs-lts', 'boot/modloop-lts', 'boot/vmlinuz-lts'].sort())
    const found = files.find(({ path }) => path === long)
    expect(image.toString('latin1', found?.offset, (found?.offset ?? 0) + 4)).toBe('long')
  })
})
