// An image that boots without a network, made by the real tools and started by virtual PCs that have no network card: BIOS and UEFI, stick and CD.
// What boots is the stand-in release; the drivers of a real one are taken from a modloop of the test's own.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { runTool } from '../../src/ipxe/run.ts'
import type { MediaAsk } from '../../src/media/ask.ts'
import { planMedia, writeMedia } from '../../src/media/build.ts'
import { gatherModules } from '../../src/media/module.ts'
import { startMachine } from '../../src/qemu/machine.ts'
import { makeApkKey, makePackage, trustKey, writeRepository } from '../support/apk.ts'
import { makeInitramfs } from '../support/release.ts'
import { describeWith } from '../support/tool.ts'
import { describeBoot, findStandIn } from '../support/virtual.ts'

const folder = mkdtempSync(join(tmpdir(), 'bvc-media-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const [alpine, site] = [makeApkKey('alpine.rsa.pub'), makeApkKey('site-0001.rsa.pub')]
const tools = ['grub-mkimage', 'xorriso', '/usr/lib/grub/i386-pc/kernel.img', '/usr/lib/grub/x86_64-efi/kernel.img']

const file = (path: string, text: string, mode = 0o644): TarMember => ({ kind: 'file', path, mode, bytes: Buffer.from(text) })
const service = (level: string, name: string): TarMember => ({ kind: 'link', path: `etc/runlevels/${level}/${name}`, target: `/etc/init.d/${name}` })
const look = `#!/bin/sh
exec >/dev/ttyS0
echo "LOOK $(hostname) says $(hello); $(ls /sys/class/net | tr '\\n' ' ')"
`

async function makeAsk(): Promise<MediaAsk> {
  const { kernel, initramfs, modloop } = await findStandIn()
  const hello = makePackage({ name: 'hello', depends: ['so:libgreet.so.1'], files: { 'usr/bin/hello': '#!/bin/sh\necho good day\n' }, key: alpine })
  const greet = makePackage({ name: 'libgreet', provides: ['so:libgreet.so.1=1'], key: alpine })
  const base = makePackage({ name: 'alpine-base', version: '3.22.2-r0', key: alpine })
  writeRepository(join(folder, 'apk'), 'v3.22/main/x86_64', [base, greet], alpine)
  writeRepository(join(folder, 'apk'), 'v3.22/community/x86_64', [hello, makePackage({ name: 'unwanted', key: alpine })], alpine)
  trustKey(join(folder, 'apk'), alpine)
  const members = [
    file('etc/hostname', 'kiosk\n'),
    file('etc/apk/world', 'hello\n'),
    service('sysinit', 'modloop'),
    service('boot', 'hostname'),
    service('default', 'local'),
    file('etc/local.d/look.start', look, 0o755),
  ]
  writeFileSync(join(folder, 'overlay.tar.gz'), gzipSync(writeTar(members)))
  return {
    name: 'kiosk',
    arch: 'x86_64',
    flavour: 'virt',
    kernel,
    initramfs,
    ...(modloop && { modloop }),
    release: { id: 'alpine/3.22.2/x86_64/virt', branch: 'v3.22', version: '3.22.2' },
    overlay: join(folder, 'overlay.tar.gz'),
    world: ['hello'],
    repositories: [join(folder, 'apk/v3.22/main'), join(folder, 'apk/v3.22/community')],
    packagesRoot: join(folder, 'apk'),
    modules: ['loop', 'squashfs', 'sd-mod', 'usb-storage'],
    arguments: ['console=ttyS0', 'panic=-1', 'ip=dhcp', 'quiet'],
    signingKey: site,
  }
}

describeBoot([...tools, 'mksquashfs'], 'an image without a network', () => {
  let ask: MediaAsk
  const image = join(folder, 'kiosk.img')
  beforeAll(async () => {
    ask = await makeAsk()
    await writeMedia(await planMedia(ask, { run: runTool }), image, { run: runTool })
  })

  it('holds what the station needs and no more, and no word of a network', async () => {
    const plan = await planMedia(ask, { run: runTool })
    expect(plan.packages.map(({ name }) => name).sort()).toEqual(['alpine-base', 'hello', 'libgreet'])
    expect(plan.entries.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['apks/.boot_repository', 'apks/x86_64/APKINDEX.tar.gz', 'boot/vmlinuz-virt']),
    )
    expect(plan.line).toBe(
      'apkovl=/kiosk.apkovl.tar.gz modloop=/boot/modloop-virt modules=loop,squashfs,sd-mod,usb-storage,isofs,sr-mod console=ttyS0 panic=-1 quiet',
    )
    expect(statSync(image).mode & 0o777).toBe(0o600)
  })

  it('is the same for the same input', async () => {
    const other = join(folder, 'other.img')
    await writeMedia(await planMedia(ask, { run: runTool }), other, { run: runTool })
    const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
    expect(digest(other)).toBe(digest(image))
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([])
  })

  it.each([
    ['bios', 'stick'],
    ['bios', 'cd'],
    ['uefi', 'stick'],
  ] as const)('starts %s from a %s, with its overlay, its modules and its packages', async (firmware, kind) => {
    const machine = startMachine({ firmware, cards: [], folder: join(folder, `${firmware}-${kind}`), medium: { file: image, kind } })
    try {
      await machine.waitFor(/BVC up .*without a network/, 180_000)
    } finally {
      await machine.stop()
    }
    const text = machine.serial.text()
    expect(text).toMatch(/BVC media ok (vda|sr0)/)
    expect(text).toContain('BVC network none')
    expect(text).toContain('BVC overlay ok kiosk')
    expect(text).toContain('BVC index ok 3')
    expect(text).toContain('BVC package ok hello-1.0-r0')
    expect(text).toMatch(/BVC modloop ok/)
    expect(text).toContain('LOOK kiosk says good day')
    expect(text).not.toContain('open-station')
  })

  it('is not made when a package is missing or damaged, and says which', async () => {
    const path = join(folder, 'apk/v3.22/community/x86_64/hello-1.0-r0.apk')
    const bytes = readFileSync(path)
    bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1
    const good = readFileSync(path)
    writeFileSync(path, bytes)
    await expect(planMedia(ask, { run: runTool })).rejects.toThrow(/hello-1\.0-r0\.apk/)
    rmSync(path)
    await expect(planMedia(ask, { run: runTool })).rejects.toThrow(/hello-1\.0-r0\.apk: is not in the mirror/)
    writeFileSync(path, good)
    await expect(planMedia({ ...ask, world: ['hello', 'nobody-has-it'] }, { run: runTool })).rejects.toThrow(/nobody-has-it \(world\)/)
    rmSync(join(folder, 'apk/keys'), { recursive: true })
    trustKey(join(folder, 'apk'), site)
    await expect(planMedia(ask, { run: runTool })).rejects.toThrow(/APKINDEX\.tar\.gz.*not among the trusted/)
    trustKey(join(folder, 'apk'), alpine)
  })

  it('leaves the old image alone when it cannot be written', async () => {
    const plan = await planMedia(ask, { run: runTool })
    const before = readFileSync(image)
    const gone = plan.entries.map((entry) =>
      entry.path === 'boot/vmlinuz-virt' ? { path: entry.path, sizeBytes: 1, file: join(folder, 'gone') } : entry,
    )
    await expect(writeMedia({ ...plan, entries: gone }, image, { run: runTool })).rejects.toMatchObject({ code: 'media-image' })
    expect(readFileSync(image).equals(before)).toBe(true)
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([])
  })
})

describeWith(['mksquashfs', 'unsquashfs'], 'drivers for the medium', () => {
  const version = '6.12.31-0-lts'
  const home = join(folder, 'squash')
  const modloop = join(folder, 'modloop-lts')
  const initramfs = join(folder, 'initramfs-lts')
  beforeAll(() => {
    const put = (path: string, text: string): void => {
      mkdirSync(join(home, 'modules', version, path, '..'), { recursive: true })
      writeFileSync(join(home, 'modules', version, path), text)
    }
    const modules = [
      'fs/isofs/isofs',
      'fs/fat/vfat',
      'lib/crc-itu-t',
      'drivers/scsi/sd_mod',
      'drivers/scsi/sr_mod',
      'drivers/cdrom/cdrom',
      'drivers/usb/storage/usb-storage',
    ]
    for (const name of [...modules, 'drivers/net/e1000/e1000']) put(`kernel/${name}.ko.gz`, name)
    put(
      'modules.dep',
      'kernel/drivers/scsi/sr_mod.ko.gz: kernel/drivers/cdrom/cdrom.ko.gz\nkernel/fs/isofs/isofs.ko.gz: kernel/lib/crc-itu-t.ko.gz\nkernel/lib/crc-itu-t.ko.gz:\n',
    )
    put('modules.alias.bin', 'aliases')
    execFileSync('mksquashfs', [home, modloop, '-noappend', '-quiet', '-no-progress'], { stdio: 'pipe' })
    writeFileSync(initramfs, makeInitramfs(version))
  })

  it('come from the modloop where the initramfs has none, with all that they depend on', async () => {
    const { entries, notes } = await gatherModules(initramfs, modloop, runTool)
    const paths = entries.map(({ path }) => path.replace(`lib/modules/${version}/`, ''))
    expect(paths).toContain('kernel/fs/isofs/isofs.ko.gz')
    expect(paths).toContain('kernel/lib/crc-itu-t.ko.gz')
    expect(paths).toContain('modules.alias.bin')
    expect(paths.join()).not.toContain('e1000')
    expect(notes).toEqual([])
  })

  it('are not needed where the initramfs has them', async () => {
    const own = ['isofs', 'sd_mod', 'sr_mod', 'usb-storage'].map(
      (name) => ({ kind: 'file', path: `lib/modules/${version}/kernel/${name}.ko`, mode: 0o644, bytes: new Uint8Array([1]) }) as const,
    )
    writeFileSync(join(folder, 'full'), makeInitramfs(version, {}, own))
    expect(await gatherModules(join(folder, 'full'), modloop, runTool)).toEqual({ entries: [], notes: [] })
  })

  it('are asked for by name where they cannot be had', async () => {
    await expect(gatherModules(initramfs, undefined, runTool)).rejects.toMatchObject({ code: 'media-driver' })
    const without: typeof runTool = async () => {
      throw Object.assign(new (await import('../../src/boot/error.ts')).OutsideError('tool-missing', 'no', false))
    }
    await expect(gatherModules(initramfs, modloop, without)).rejects.toThrow(/apt install squashfs-tools/)
  })
})
