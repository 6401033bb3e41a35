import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readManifestText } from '../../src/store/manifest.ts'
import { scanReleases } from '../../src/store/release.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'

async function makeDepot(...files: string[]): Promise<string> {
  const depot = await makeScratch()
  for (const file of files) {
    await mkdir(dirname(join(depot, file)), { recursive: true })
    await writeFile(join(depot, file), '')
  }
  return depot
}
const lts = (folder: string, ...parts: string[]) =>
  (parts.length ? parts : ['vmlinuz', 'initramfs', 'modloop']).map((part) => `releases/${folder}/${part}-lts`)

describe('scanReleases', () => {
  it('finds nothing where there is nothing', async () => {
    expect(await scanReleases(await makeScratch())).toEqual({ releases: [], mistakes: [], folders: [] })
    expect(await scanReleases(await makeDepot('releases'))).toEqual({ releases: [], mistakes: [], folders: [] })
  })

  it('takes a folder with kernel and initramfs, at any depth, in the order of the ids', async () => {
    const depot = await makeDepot(
      ...lts('alpine/3.22.2/x86_64/lts'),
      ...lts('alpine/3.22.2/aarch64/lts', 'vmlinuz', 'initramfs'),
      'releases/own/vmlinuz-0-kiosk_2',
      'releases/own/initramfs-0-kiosk_2',
      'releases/alpine/3.22.2/x86_64/lts/System.map-lts',
      'releases/alpine/3.22.2/x86_64/lts/config-lts',
      'releases/alpine/3.22.2/x86_64/lts/modloop-lts.part',
      'releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts.sha256',
      'releases/.draft/vmlinuz-lts',
      'releases/empty/readme.txt',
    )
    const { releases, mistakes } = await scanReleases(depot)
    expect(mistakes).toEqual([])
    expect(releases).toEqual([
      {
        id: 'alpine/3.22.2/aarch64/lts',
        kernel: 'releases/alpine/3.22.2/aarch64/lts/vmlinuz-lts',
        initramfs: 'releases/alpine/3.22.2/aarch64/lts/initramfs-lts',
        flavour: 'lts',
        arch: 'aarch64',
      },
      {
        id: 'alpine/3.22.2/x86_64/lts',
        kernel: 'releases/alpine/3.22.2/x86_64/lts/vmlinuz-lts',
        initramfs: 'releases/alpine/3.22.2/x86_64/lts/initramfs-lts',
        modloop: 'releases/alpine/3.22.2/x86_64/lts/modloop-lts',
        flavour: 'lts',
        arch: 'x86_64',
      },
      { id: 'own', kernel: 'releases/own/vmlinuz-0-kiosk_2', initramfs: 'releases/own/initramfs-0-kiosk_2', flavour: '0-kiosk_2' },
    ])
  })

  it.each(['x86_64', 'x86', 'aarch64', 'armv7', 'armhf', 'riscv64', 'loongarch64', 'ppc64le', 's390x'])(
    'knows the architecture %s by the folder',
    async (arch) => {
      const { releases } = await scanReleases(await makeDepot(...lts(`v3/${arch}`)))
      expect(releases.map((release) => release.arch)).toEqual([arch])
    },
  )

  const bad: [string, string[], string, RegExp][] = [
    [
      'two flavours',
      ['a/vmlinuz-virt', 'a/initramfs-virt', 'a/modloop-vanilla'],
      'flavour-mix',
      /flavours vanilla and virt are mixed; .* one folder for each, such as releases\/a\/vanilla\//,
    ],
    ['two kernels', ['a/vmlinuz-virt', 'a/vmlinuz-lts', 'a/initramfs-lts'], 'flavour-mix', /flavours lts and virt/],
    ['no initramfs', ['a/vmlinuz-lts'], 'release-incomplete', /vmlinuz-lts is there without initramfs-lts/],
    ['no kernel', ['a/initramfs-lts', 'a/modloop-lts'], 'release-incomplete', /initramfs-lts is there without vmlinuz-lts/],
    ['no folder of its own', ['vmlinuz-lts', 'initramfs-lts'], 'release-place', /a folder of their own/],
    ['a name that no URL may hold', ['my release/vmlinuz-lts', 'my release/initramfs-lts'], 'release-name', /letters, digits/],
  ]
  it.each(bad)('refuses %s and says what to do', async (_, files, code, message) => {
    const depot = await makeDepot(...lts('good'), ...files.map((file) => `releases/${file}`))
    const { releases, mistakes } = await scanReleases(depot)
    expect(releases.map(({ id }) => id)).toEqual(['good'])
    expect(mistakes.map((mistake) => [mistake.code, mistake.file])).toEqual([[code, dirname(`releases/${files[0]}`)]])
    expect(mistakes[0]?.message).toMatch(message)
  })

  it('follows links to folders, and a loop of links comes to an end', async () => {
    const depot = await makeDepot(...lts('3.22'))
    await symlink('3.22', join(depot, 'releases', 'stable'))
    await symlink('.', join(depot, 'releases', 'loop'))
    const { releases, folders } = await scanReleases(depot)
    expect(releases.map(({ id }) => id)).toContain('stable')
    expect(folders.length).toBeLessThan(100)
  })

  it('passes over links that lead out of the depot, which are not served, and says so', async () => {
    const elsewhere = await makeDepot(...lts('3.21'))
    const depot = await makeDepot(...lts('3.22'), 'releases/mixed/initramfs-lts')
    await symlink(join(elsewhere, 'releases/3.21'), join(depot, 'releases/other-disk'))
    await symlink(join(elsewhere, 'releases/3.21/vmlinuz-lts'), join(depot, 'releases/mixed/vmlinuz-lts'))
    await symlink('nowhere', join(depot, 'releases/dangling'))
    const { releases, mistakes } = await scanReleases(depot)
    expect(releases.map(({ id }) => id)).toEqual(['3.22'])
    expect(mistakes.map(({ code, file }) => `${code} ${file}`).sort()).toEqual([
      'link-outside releases/dangling',
      'link-outside releases/mixed/vmlinuz-lts',
      'link-outside releases/other-disk',
      'release-incomplete releases/mixed',
    ])
  })

  it('takes a depot that is itself a link', async () => {
    const depot = await makeDepot(...lts('3.22'))
    const link = join(await makeScratch(), 'depot')
    await symlink(depot, link)
    await symlink('3.22', join(depot, 'releases/stable'))
    expect((await scanReleases(link)).releases.map(({ id }) => id)).toEqual(['3.22', 'stable'])
  })

  describe('with a manifest', () => {
    const id = 'alpine/3.22.2/x86_64/lts'
    const digest = 'a'.repeat(64)
    const manifest = {
      format: 1,
      id,
      version: '3.22.2',
      branch: 'v3.22',
      arch: 'x86_64',
      flavour: 'lts',
      source: 'upstream',
      importedAt: 1,
      verified: { checksum: 'sha256', signature: 'none' },
      files: [
        { name: 'vmlinuz-lts', sizeBytes: 0, sha256: digest },
        { name: 'initramfs-lts', sizeBytes: 0, sha256: digest },
      ],
      repositories: ['apk/v3.22/main'],
    }
    const scan = async (text: string) => {
      const depot = await makeDepot(...lts(id))
      await writeFile(join(depot, 'releases', id, 'manifest.json'), text)
      const { releases, mistakes } = await scanReleases(depot)
      return { release: releases[0], mistakes }
    }

    it('takes branch, version and repositories from it', async () => {
      const { release, mistakes } = await scan(JSON.stringify(manifest))
      expect(mistakes).toEqual([])
      expect(release).toMatchObject({ id, branch: 'v3.22', version: '3.22.2', arch: 'x86_64', repositories: ['apk/v3.22/main'] })
    })

    it('leaves a release without repositories without them', async () => {
      expect((await scan(JSON.stringify({ ...manifest, repositories: [] }))).release).not.toHaveProperty('repositories')
    })

    const wrong: [string, string, string, RegExp][] = [
      ['is no JSON', '{', 'manifest', /is not JSON/],
      ['is too long', ' '.repeat(300_000), 'manifest', /longer than/],
      ['is of another format', JSON.stringify({ ...manifest, format: 2 }), 'not-allowed', /allowed: 1/],
      [
        'names a file elsewhere',
        JSON.stringify({ ...manifest, files: [{ ...manifest.files[0], name: '../x' }, manifest.files[1]] }),
        'bad-value',
        /file name/,
      ],
      ['has an unknown key', JSON.stringify({ ...manifest, extra: 1 }), 'unknown-key', /there is no key "extra"/],
      ['was moved', JSON.stringify({ ...manifest, id: 'alpine/3.22.1/x86_64/lts' }), 'manifest-id', /moved or copied/],
      ['is of another flavour', JSON.stringify({ ...manifest, flavour: 'virt' }), 'manifest-id', /flavour virt/],
    ]
    it.each(wrong)('tells of one that %s, and the release goes on as laid by hand', async (_, text, code, message) => {
      const { release, mistakes } = await scan(text)
      expect(mistakes).toMatchObject([{ code, file: `releases/${id}/manifest.json`, message: expect.stringMatching(message) }])
      expect(release).toMatchObject({ id, arch: 'x86_64' })
      expect(release).not.toHaveProperty('version')
    })

    it.each([
      ['was cut', { name: 'vmlinuz-lts', sizeBytes: 9, sha256: digest }, /vmlinuz-lts has 0 bytes, and had 9/],
      ['is gone', { name: 'dtb-lts', sizeBytes: 9, sha256: digest }, /dtb-lts is gone/],
    ])('does not boot a release of which a file %s', async (_, file, message) => {
      const { release, mistakes } = await scan(JSON.stringify({ ...manifest, files: [...manifest.files, file] }))
      expect(release).toBeUndefined()
      expect(mistakes).toMatchObject([{ code: 'release-damaged', file: `releases/${id}`, message: expect.stringMatching(message) }])
    })

    it('throws for no text at all', () => {
      const random = seededRandom(21)
      const good = JSON.stringify(manifest)
      for (let run = 0; run < 1000; run++) {
        const text = [...good]
        for (let hit = 0; hit <= random() * 5; hit++) text[Math.floor(random() * text.length)] = String.fromCharCode(32 + random() * 96)
        expect(Object.keys(readManifestText(text.join(''), 'manifest.json'))[0]).toMatch(/^(value|mistakes)$/)
      }
    })
  })
})
