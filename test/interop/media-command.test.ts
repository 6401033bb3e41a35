// `bivouac media build` as a person calls it: what the gate gives a station becomes an image; what would make a station without its programs or show secrets does not.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeTar } from '../../src/alpine/tar-write.ts'
import { makeApkKey, makePackage, trustKey, writeRepository } from '../support/apk.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'
import { makeBootFiles, makeInitramfs } from '../support/release.ts'
import { describeWith } from '../support/tool.ts'

const tools = ['grub-mkimage', 'xorriso', '/usr/lib/grub/i386-pc/kernel.img', '/usr/lib/grub/x86_64-efi/kernel.img']

describeWith(tools, 'bivouac media build', () => {
  let folder: CliFolder
  const key = makeApkKey('alpine.rsa.pub')
  const write = (name: string, content: string | Uint8Array): void => {
    mkdirSync(join(folder.path, name, '..'), { recursive: true })
    writeFileSync(join(folder.path, name), content)
  }
  const overlay = (world: string): Uint8Array => {
    const file = (path: string, text: string) => ({ kind: 'file', path, bytes: Buffer.from(text) }) as const
    return gzipSync(writeTar([file('etc/hostname', 'kiosk\n'), file('etc/apk/world', world), file('etc/.default_boot_services', '')]))
  }
  beforeAll(() => {
    folder = createCliFolder()
    folder.run('depot', 'init')
    const drivers = ['isofs', 'sd_mod', 'sr_mod', 'usb-storage'].map(
      (name) => ({ kind: 'file', path: `lib/modules/6.12.31-0-lts/kernel/${name}.ko`, mode: 0o644, bytes: new Uint8Array([1]) }) as const,
    )
    for (const [name, bytes] of Object.entries(makeBootFiles('lts'))) write(`depot/releases/alpine/3.22.2/x86_64/lts/${name}`, bytes)
    write('depot/releases/alpine/3.22.2/x86_64/lts/initramfs-lts', makeInitramfs('6.12.31-0-lts', {}, drivers))
    write('depot/profiles/alpine.yaml', 'kind: alpine\nrepositories: [apk/v3.22/main]\narguments: [console=ttyS0]\n')
    write('depot/stations/kiosk.yaml', 'macs: ["52:54:00:12:34:56"]\n')
    write('depot/configs/52-54-00-12-34-56.tar.gz', overlay('hello\n'))
    const packages = [makePackage({ name: 'alpine-base', key }), makePackage({ name: 'hello', key })]
    writeRepository(join(folder.path, 'depot/apk'), 'v3.22/main/x86_64', packages, key)
    trustKey(join(folder.path, 'depot/apk'), key)
  })
  afterAll(() => folder.remove())

  it('lists what would be in it, and writes nothing', () => {
    const { code, stdout, stderr } = folder.run('media', 'build', 'kiosk', '--dry-run')
    expect(stderr).not.toContain('bivouac:')
    expect(code).toBe(0)
    expect(stdout).toContain('boot/initramfs-lts')
    expect(stdout).toContain('2 packages: alpine-base hello')
    expect(stdout).toMatch(/would write .*kiosk\.img/)
    expect(existsSync(join(folder.path, 'kiosk.img'))).toBe(false)
    expect(existsSync(join(folder.path, 'state/media'))).toBe(false)
  })

  it('writes the image, by name or MAC, the same each time, with a key that is kept', () => {
    expect(folder.run('media', 'build', 'kiosk', '-o', 'a.img')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/a\.img: \d+.* MB, 2 packages/),
    })
    expect(folder.run('media', 'build', '52:54:00:12:34:56', '-o', 'b.img').code).toBe(0)
    expect(readFileSync(join(folder.path, 'a.img')).equals(readFileSync(join(folder.path, 'b.img')))).toBe(true)
    expect(statSync(join(folder.path, 'state/media/key.rsa')).mode & 0o777).toBe(0o600)
    expect(JSON.parse(folder.run('--json', 'media', 'build', 'kiosk', '--dry-run').stdout)).toMatchObject({ label: 'KIOSK', written: false })
  })

  it.each([
    ['nobody', 4, /neither a MAC address nor the name/],
    ['52:54:00:00:00:01', 2, /cannot be made into an image/],
  ])('refuses %s', (station, code, text) => {
    const ended = folder.run('media', 'build', station)
    expect(ended.stderr).toMatch(text)
    expect(ended.code).toBe(code)
  })

  it('refuses a station whose packages are not all here, and leaves no file', () => {
    write('depot/configs/52-54-00-12-34-56.tar.gz', overlay('hello\nchromium\n'))
    const { code, stderr } = folder.run('media', 'build', 'kiosk', '-o', 'c.img')
    expect(stderr).toMatch(/chromium \(world\)[\s\S]*bivouac mirror sync/)
    expect(code).toBe(4)
    expect(existsSync(join(folder.path, 'c.img'))).toBe(false)
    write('depot/configs/52-54-00-12-34-56.tar.gz', overlay('hello\n'))
  })

  it('refuses a repository of another server', () => {
    write('depot/profiles/alpine.yaml', 'kind: alpine\nrepositories: ["https://dl-cdn.alpinelinux.org/alpine/v3.22/main"]\n')
    expect(folder.run('media', 'build', 'kiosk').stderr).toContain('no repository of this machine')
    write('depot/profiles/alpine.yaml', 'kind: alpine\nrepositories: [apk/v3.22/main]\n')
  })

  it('puts secrets on an image only when told to', () => {
    rmSync(join(folder.path, 'depot/configs/52-54-00-12-34-56.tar.gz'))
    write('depot/secrets/root-password', '$6$abc$def\n')
    write('depot/overlays/kiosk/layer.yaml', 'packages: [hello]\nfiles:\n  etc/secret: { secret: root-password }\n')
    write('depot/profiles/alpine.yaml', 'kind: alpine\nrepositories: [apk/v3.22/main]\nlayers: [kiosk]\n')
    const refused = folder.run('media', 'build', 'kiosk', '-o', 'd.img')
    expect(refused.stderr).toContain('--with-secrets')
    expect(existsSync(join(folder.path, 'd.img'))).toBe(false)
    expect(folder.run('media', 'build', 'kiosk', '-o', 'd.img', '--with-secrets').stdout).toContain('d.img')
  })
})
