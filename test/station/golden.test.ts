// Every script that a station is sent, compared whole. After a wanted change: npx vitest run --project unit test/station/golden -u, then read the diff.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createScripts } from '../../src/station/script.ts'
import { url } from '../../src/station/text.ts'
import { goodOverlay } from '../support/overlay.ts'
import { base, createRoom, mac, putRelease, type Room, release } from '../support/station.ts'

const project = join(import.meta.dirname, '../..')
const golden = (name: string): string => join(project, 'test/golden', name)
const rooms: Room[] = []
afterAll(() => {
  for (const room of rooms) room.remove()
})

/** A depot with a release, keys and a default overlay; `profile` is what the station has. */
function roomWith(profile: object, station: object = {}, input: Parameters<typeof createRoom>[0] = {}): Room {
  const room = createRoom({
    stations: [{ name: 'station1', macs: [mac], profile: 'p', ...station }],
    profiles: [{ name: 'p', ...profile }],
    ...input,
  })
  rooms.push(room)
  putRelease(room)
  room.put('sshkeys.pub', 'ssh-ed25519 AAAA me\n')
  room.put('configs/default.tar.gz', goodOverlay('default'))
  return room
}

// What the owner's document tells people to put into gpxe-script, with addresses in place of its [serveur_…].
const documentProfile = {
  kind: 'alpine',
  kernel: 'vmlinuz-vanilla',
  initramfs: 'initramfs-vanilla',
  modloop: 'modloop-vanilla',
  alpineDev: 'nfs:10.9.0.3:/srv/pxe',
  repositories: ['http://10.9.0.4/alpine/v3.15/main'],
}
function documentRoom(station: object = {}): Room {
  const room = roomWith(documentProfile, station)
  for (const name of ['vmlinuz-vanilla', 'initramfs-vanilla', 'modloop-vanilla']) room.put(name)
  room.presence.learn('10.9.0.50', mac)
  return room
}

describe("the owner's gpxe-script", () => {
  it('is the document’s, byte for byte, with what UEFI and stations with several cards need at the end', async () => {
    const text = await documentRoom().fetch('gpxe-script')
    const B = 'http://10.9.0.1:8080'
    const document = [
      '#!gpxe',
      `kernel ${B}/vmlinuz-vanilla apkovl=${B}/configs/\${net0/mac}.tar.gz ip=dhcp ssh_key=${B}/sshkeys.pub modloop=${B}/modloop-vanilla modules=loop,squashfs,sd-mod,usb-storage alpine_dev=nfs:10.9.0.3:/srv/pxe alpine_repo=http://10.9.0.4/alpine/v3.15/main BOOTIF=01-\${net0/mac:hexhyp} initrd=initramfs-vanilla`,
      `initrd ${B}/initramfs-vanilla`,
      'boot',
      '',
    ].join('\n')
    expect(text).toBe(document)
    await expect(text).toMatchFileSnapshot(golden('gpxe-script.txt'))
  })

  it('is the document’s to the byte when what it does not know is left out', async () => {
    const room = roomWith({ ...documentProfile, omit: ['BOOTIF', 'initrd'] })
    for (const name of ['vmlinuz-vanilla', 'initramfs-vanilla', 'modloop-vanilla']) room.put(name)
    room.presence.learn('10.9.0.50', mac)
    // The document's own text (its here-document), with its three placeholders filled in as it says.
    const document = `#!gpxe
kernel http://[serveur_http]/vmlinuz-vanilla apkovl=http://[serveur_http]/configs/\${net0/mac}.tar.gz ip=dhcp ssh_key=http://[serveur_http]/sshkeys.pub modloop=http://[serveur_http]/modloop-vanilla modules=loop,squashfs,sd-mod,usb-storage alpine_dev=nfs:[serveur_nfs]:/srv/pxe alpine_repo=[serveur_apks]
initrd http://[serveur_http]/initramfs-vanilla
boot
`
    const filled = document
      .replaceAll('[serveur_http]', '10.9.0.1:8080')
      .replace('[serveur_nfs]', '10.9.0.3')
      .replace('[serveur_apks]', 'http://10.9.0.4/alpine/v3.15/main')
    expect(await room.fetch('gpxe-script')).toBe(filled)
  })

  it('has the station’s own arguments, repeated ones too, when the server knows who asks', async () => {
    const room = documentRoom({ arguments: ['NAME_CONFIG=xl', 'NAME_CONFIG=nomade'] })
    await expect(await room.fetch('gpxe-script')).toMatchFileSnapshot(golden('gpxe-script-station.txt'))
  })

  it('waits in the same form when there is no overlay', async () => {
    const room = createRoom({ stations: [{ name: 'station1', macs: [mac], profile: 'p' }], profiles: [{ name: 'p', kind: 'alpine' }] })
    rooms.push(room)
    putRelease(room)
    room.presence.learn('10.9.0.50', mac)
    const text = await room.fetch('gpxe-script')
    expect(text).toMatch(/^#!gpxe\n/)
    await expect(text).toMatchFileSnapshot(golden('gpxe-script-wait.txt'))
  })
})

describe('scripts', () => {
  let plainRoom: Room
  beforeAll(() => {
    plainRoom = roomWith({ kind: 'local' })
  })
  const script = 'boot/52-54-00-12-34-56.ipxe'

  it('boot.ipxe, which is autoexec.ipxe in every folder as well', async () => {
    const text = await plainRoom.fetch('boot.ipxe')
    await expect(text).toMatchFileSnapshot(golden('boot.ipxe.txt'))
    for (const name of ['autoexec.ipxe', 'x86_64-efi/autoexec.ipxe', '52-54-00-12-34-56/autoexec.ipxe', 'ipxe/x86_64-efi/autoexec.ipxe']) {
      expect(await plainRoom.fetch(name, { via: 'tftp' })).toBe(text)
    }
  })

  it("the embedded script of Bivouac's own loaders", async () => {
    const scripts = createScripts({
      depot: plainRoom.depot,
      emit: () => undefined,
      now: () => 0,
      folders: [join(project, 'ipxe'), join(project, 'scripts-templates')],
    })
    await expect(scripts.render('boot.ipxe', { base: url(base) })).toMatchFileSnapshot(golden('embedded.ipxe.txt'))
  })

  it.each<[string, object, object]>([
    ['station-alpine', { kind: 'alpine', repositories: ['apk/v3.22/main', 'apk/v3.22/community'] }, { arguments: ['console=ttyS0,115200', 'quiet'] }],
    ['station-bare', { kind: 'alpine', overlay: 'none', sshKeys: false, modules: [] }, {}],
    ['local', { kind: 'local' }, {}],
    ['wait', { kind: 'wait' }, {}],
    ['shell', { kind: 'script', template: 'shell.ipxe' }, {}],
  ])('%s', async (name, profile, station) => {
    await expect(await roomWith(profile, station).fetch(script)).toMatchFileSnapshot(golden(`${name}.ipxe.txt`))
  })

  it('menu', async () => {
    const room = roomWith(
      { kind: 'menu' },
      {},
      {
        stations: [{ name: 'station1', macs: [mac], profile: 'p' }],
        profiles: [
          { name: 'p', kind: 'menu' },
          { name: 'desk', kind: 'alpine' },
          { name: 'lab', kind: 'alpine', arguments: ['lab=1'] },
          { name: 'bare', kind: 'alpine', overlay: 'none' },
          { name: 'gone', kind: 'alpine', release: 'alpine/1/x86_64/lts' },
          { name: 'shell', kind: 'script', template: 'shell.ipxe' },
        ],
      },
    )
    await expect(await room.fetch(script)).toMatchFileSnapshot(golden('menu.ipxe.txt'))
  })

  const linux = {
    kind: 'linux',
    kernel: 'debian/linux',
    initrds: ['debian/initrd.gz'],
    answers: { 'preseed.cfg': 'preseed' },
    arguments: ['auto=true', 'priority=critical', 'url={answer:preseed.cfg}', 'hostname={var:hut}', '---', 'quiet'],
    console: ['tty0', 'ttyS0,115200n8'],
    variables: { hut: 'one' },
  }
  const rescue = { kind: 'rescue', kernel: 'vmlinuz-4', initrd: 'initrd.gz', fullroot: 'rescue', arguments: ['vga=796'] }
  const ownMenu = {
    kind: 'menu',
    default: 'desk',
    timeoutSeconds: 5,
    entries: [
      { label: 'Alpine desk', profile: 'desk' },
      { label: 'Debian installer', profile: 'installer' },
      {
        label: 'Debian over NFS, kernel 4.14.y',
        linux: {
          kernel: 'vmlinuz-4.14.y',
          arguments: ['root=/dev/nfs', 'nfsroot={server}:/srv/nfs/debian', 'ip=dhcp', 'rw'],
          console: ['ttyS0,115200n8'],
        },
      },
      {
        label: 'Xen with its dom0',
        linux: {
          kernel: 'xen.gz',
          arguments: ['dom0_mem=512M', 'com1=115200,8n1', 'console=com1'],
          modules: [{ file: 'vmlinuz-xen', arguments: ['root=/dev/nfs', 'nfsroot={server}:/srv/nfs/xen', 'console=hvc0'] }],
        },
      },
      {
        label: 'Installer from the net',
        linux: { kernel: 'http://deb.example/linux', initrds: ['http://deb.example/initrd.gz'], arguments: ['priority=low'] },
      },
      { label: 'In memory alone', linux: { kernel: 'vmlinuz-4', initrds: ['ram.img'], arguments: ['root=/dev/ram0'] } },
      { label: 'netboot.xyz', chain: 'https://boot.netboot.xyz/menu.ipxe' },
      { label: 'iPXE shell', name: 'shell', shell: true },
      { label: 'The disk', name: 'disk', local: true },
    ],
  }
  const kinds: [string, object, string][] = [
    ['linux.ipxe', linux, script],
    ['linux-multiboot.ipxe', { kind: 'linux', ...ownMenu.entries[3]?.linux }, script],
    ['rescue.ipxe', rescue, script],
    ['chain.ipxe', { kind: 'chain', target: 'https://boot.netboot.xyz/menu.ipxe' }, script],
    ['menu-entries.ipxe', ownMenu, script],
    ...(['pxelinux.cfg/', 'grub/grub.cfg-'] as const).flatMap((folder): [string, object, string][] => {
      const form = folder.startsWith('p') ? 'pxelinux' : 'grub'
      const asked = `${folder}01-52-54-00-12-34-56`
      return [
        [`${form}-linux`, linux, asked],
        [`${form}-rescue`, rescue, asked],
        [`${form}-chain`, { kind: 'chain', target: 'https://boot.netboot.xyz/menu.ipxe' }, asked],
        [`${form}-menu`, ownMenu, asked],
      ]
    }),
    ['grub-alpine', { kind: 'alpine' }, 'grub/grub.cfg-01-52-54-00-12-34-56'],
    ['grub-local', { kind: 'local' }, 'grub.cfg-01-52-54-00-12-34-56'],
    ['grub-wait', { kind: 'wait' }, 'grub.cfg-01-52-54-00-12-34-56'],
    [
      'grub-url',
      { kind: 'linux', kernel: 'http://deb.example/linux', initrds: ['http://deb.example:81/initrd.gz'] },
      'grub/grub.cfg-01-52-54-00-12-34-56',
    ],
    ['pxelinux-url', { kind: 'linux', kernel: 'http://deb.example/linux' }, 'pxelinux.cfg/01-52-54-00-12-34-56'],
  ]
  it.each(kinds)('%s', async (name, profile, asked) => {
    const room = roomWith(profile)
    for (const file of ['debian/linux', 'debian/initrd.gz', 'vmlinuz-4', 'initrd.gz', 'xen.gz', 'vmlinuz-xen']) room.put(file)
    room.put('templates/preseed.ejs', 'd-i preseed/late_command string wget -O- --post-data done <%= it.up %>\n')
    await expect(await room.fetch(asked, asked === script ? {} : { via: 'tftp' })).toMatchFileSnapshot(golden(`${name}.txt`))
  })

  it('an unknown station waits', async () => {
    await expect(await plainRoom.fetch('boot/52-54-00-00-00-01.ipxe')).toMatchFileSnapshot(golden('wait-unknown.ipxe.txt'))
  })

  it('a station whose overlay is broken waits, and its screen says why', async () => {
    const room = roomWith({ kind: 'alpine' })
    room.put('configs/52-54-00-12-34-56.tar.gz', goodOverlay('x').subarray(0, 60))
    await expect(await room.fetch(script)).toMatchFileSnapshot(golden('wait-overlay-broken.ipxe.txt'))
  })

  it.each<[string, object, string]>([
    ['pxelinux-alpine', { kind: 'alpine' }, 'pxelinux.cfg/01-52-54-00-12-34-56'],
    ['pxelinux-folder', { kind: 'alpine' }, 'bios/pxelinux.cfg/01-52-54-00-12-34-56'],
    ['pxelinux-local', { kind: 'local' }, 'pxelinux.cfg/01-52-54-00-12-34-56'],
    ['pxelinux-wait', { kind: 'wait' }, 'pxelinux.cfg/01-52-54-00-12-34-56'],
  ])('%s', async (name, profile, asked) => {
    await expect(await roomWith(profile).fetch(asked, { via: 'tftp' })).toMatchFileSnapshot(golden(`${name}.txt`))
  })

  it('are all without a mark of the template left, and every line that may fail goes somewhere', async () => {
    const { readdirSync, readFileSync } = await import('node:fs')
    for (const name of readdirSync(join(project, 'test/golden')).filter((one) => one.endsWith('.ipxe.txt'))) {
      const lines = readFileSync(golden(name), 'utf8').split('\n')
      expect(lines[0], name).toMatch(/^#!(ipxe|gpxe)$/)
      expect(lines.join('\n'), name).not.toMatch(/<%|%>|undefined|null|\[object/)
      // echo, set, inc, menu, item and sleep-less goto cannot fail; everything else must say what then.
      const risky = lines.filter((line) =>
        /^(kernel|initrd|boot|chain|dhcp|iflinkwait|sanboot|isset|iseq|sleep|prompt|choose|ifclose|imgfree|shell)\b/.test(line),
      )
      for (const line of risky) expect(`${name}: ${line}`).toMatch(/\|\|( goto \w+)?$/)
      const labels = new Set(lines.flatMap((line) => /^:(\w+)/.exec(line)?.[1] ?? []))
      for (const target of lines.join('\n').matchAll(/goto (\w+)/g)) expect(labels, `${name}: ${target[0]}`).toContain(target[1])
    }
  })

  it('of two devices differ in what is theirs', async () => {
    const room = createRoom({
      stations: [
        { name: 'one', macs: [mac], arguments: ['NAME_CONFIG=xl'] },
        { name: 'two', macs: ['52:54:00:ab:cd:ef'], arguments: ['NAME_CONFIG=s'] },
      ],
    })
    rooms.push(room)
    putRelease(room)
    room.put('configs/default.tar.gz', goodOverlay('default'))
    const [one, two] = [await room.fetch(script), await room.fetch('boot/52-54-00-ab-cd-ef.ipxe')]
    expect(one).toContain('NAME_CONFIG=xl')
    expect(two).toContain('NAME_CONFIG=s')
    expect(one).toContain(`apkovl=${base}/configs/52-54-00-12-34-56.tar.gz`)
    expect(two).toContain(`apkovl=${base}/configs/52-54-00-ab-cd-ef.tar.gz`)
    expect(one.replaceAll('52-54-00-12-34-56', '52-54-00-ab-cd-ef').replaceAll(mac, '52:54:00:ab:cd:ef').replace('=xl', '=s')).toBe(two)
    expect(one).toContain(release.kernel)
  })
})
