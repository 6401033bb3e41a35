// The whole of Alpine's road in QEMU: an overlay composed from layers, a package through the mirror, the report, the save, the boot from what was
// saved, and the refusal by name when the overlay is withheld. The stand-in does what Alpine's init and services do.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { formatMacHyphen, parseMac } from '../../src/boot/address.ts'
import { makeApkKey, makePackage, writeRepository } from '../support/apk.ts'
import { cardOn, createScene, describeBoot, eventOf, kindsOf, type Scene, serverAddress, wireNetwork } from '../support/virtual.ts'

const mac = parseMac('52:54:00:aa:03:01')
const key = makeApkKey('mirror@test.rsa.pub')
const added = makeApkKey('added@test.rsa.pub')
const greet = makePackage({ name: 'libgreet', provides: ['so:libgreet.so.1=1'], key })
const hello = makePackage({ name: 'hello', depends: ['so:libgreet.so.1'], files: { 'usr/bin/hello': '#!/bin/sh\necho hello from a package\n' }, key })
const openssh = makePackage({ name: 'openssh', files: { 'etc/init.d/sshd': 'start() { : >/run/sshd; }\n' }, key })

/** What a person would look at on the station, said on its console; then, once, a change and the save. */
const look = `#!/bin/sh
exec >/dev/ttyS0 2>&1
echo "LOOK $(hello), $(cat /etc/motd)"
echo "LOOK ssh $(grep -c . /root/.ssh/authorized_keys) $(ls /run/sshd)"
echo "LOOK keys $(ls /etc/apk/keys | tr '\\n' ' ')"
echo "LOOK secret $(cat /etc/wifi), $(grep root /etc/shadow)"
echo "LOOK overlay $(tr ' ' '\\n' </proc/cmdline | sed -n 's/^apkovl=//p')"
if [ -e /etc/changed ]; then
	echo "LOOK changed $(cat /etc/changed)"
else
	echo 'by the operator' >/etc/changed
	wget -q -O- http://${serverAddress}:8080/save | sh
	echo "LOOK save $?"
fi
`
/** A script of the operator's own, with a mistake in it. */
const base = `http://${serverAddress}:8080`
const astray = `#!ipxe
kernel ${base}/releases/stand-in/x86_64/vmlinuz-virt console=ttyS0 panic=-1 ip=dhcp apkovl=${base}/configs/none.tar.gz modloop=${base}/releases/stand-in/x86_64/modloop-virt
initrd ${base}/releases/stand-in/x86_64/initramfs-virt
boot
`
const indent = (text: string) => text.replace(/^(?=.)/gm, '      ')

const files: Record<string, string> = {
  'profiles/lab.yaml': [
    'kind: alpine',
    'release: stand-in/x86_64',
    'layers: [base]',
    'additions: [lab-keys]',
    'repositories: [apk/v3.22/main]',
    'arguments: [console=ttyS0, quiet, panic=-1]',
    'variables: { colour: grey }',
  ].join('\n'),
  'stations/hut.yaml': `macs: ["${mac}"]\nhostname: hut\nprofile: lab\nlayers: [desk]\nvariables: { colour: blue }\n`,
  'overlays/base/layer.yaml':
    'packages: [hello, not-in-any-repository]\nservices: { boot: [networking], default: [local, no-such-daemon] }\nroot: locked\n',
  'overlays/base/etc/motd.ejs': '<%= it.station.hostname %> is <%= it.variables.colour %>\n',
  'overlays/base/etc/network/interfaces': 'auto eth0\niface eth0 inet dhcp\n',
  'overlays/desk/layer.yaml': `files:\n  etc/wifi: { secret: wifi }\n  etc/local.d/look.start:\n    mode: "0755"\n    content: |\n${indent(look)}`,
  'secrets/wifi': 'open sesame\n',
  [`apk/keys/${key.keyName}`]: key.publicPem,
  [`additions/lab-keys/etc/apk/keys/${key.keyName}`]: key.publicPem,
  [`additions/lab-keys/etc/apk/keys/${added.keyName}`]: added.publicPem,
}

describeBoot(['root', 'ip', 'curl', 'busybox'], 'the whole road of an Alpine station', () => {
  let scene: Scene
  let secretUrl = ''
  beforeAll(async () => {
    scene = await createScene({
      name: 'alpine',
      config: { networks: [wireNetwork], mirror: { upstream: 'http://127.0.0.1:9090/alpine' } },
      files,
      prepare: ({ lab, serverRoom, folder }) => {
        const upstream = join(folder, 'upstream')
        writeRepository(upstream, 'alpine/v3.22/main/x86_64', [greet, hello, openssh], key)
        lab.spawn(serverRoom, ['busybox', 'httpd', '-f', '-p', '127.0.0.1:9090', '-h', upstream])
      },
    })
    scene.lab.address(scene.stationRoom, 'br0', '10.9.0.60/24')
  })
  afterAll(() => scene?.close())

  const boot = async (firmware: 'bios' | 'uefi', tap: string) => {
    const since = Date.now()
    const machine = scene.boot(firmware, [cardOn(mac, scene.tap(tap))])
    await machine.waitFor(/^BVC reported \d/m, 150_000)
    expect(await machine.exited).toBe(0)
    const events = (await scene.waitForEvent(mac, 'up', 10_000)).filter(({ at }) => at >= since)
    return { text: machine.serial.text(), events }
  }

  it('BIOS: layers, template, secret, additions, a package through the mirror, modloop, report, and the save', async () => {
    const opened = await scene.command('save', 'open', mac, '--for', '1h')
    expect(opened).toMatchObject({ code: 0, stderr: '' })
    const { text, events } = await boot('bios', 'alpine0')
    expect(text).toMatch(/^BVC index ok 3$/m)
    expect(text).toMatch(/^BVC package ok libgreet-1\.0-r0\nBVC package ok hello-1\.0-r0$/m)
    expect(text).toMatch(/^BVC modloop ok /m)
    expect(text).toMatch(/^LOOK hello from a package, hut is blue$/m)
    expect(text).toMatch(/^LOOK ssh 2 \/run\/sshd$/m)
    expect(text).toMatch(/^LOOK keys .*added@test\.rsa\.pub/m)
    expect(text).toMatch(/^LOOK secret open sesame, root:\*:/m)
    expect(text).toMatch(/^LOOK save 0$/m)

    expect(kindsOf(events)).toEqual(
      expect.arrayContaining(['script', 'kernel', 'initramfs', 'overlay', 'index', 'package', 'modloop', 'saved', 'up']),
    )
    expect(eventOf(events, 'overlay').detail).toMatchObject({ from: 'layers', layers: expect.stringContaining('desk') })
    expect(eventOf(events, 'up').detail).toMatchObject({ missing: 'not-in-any-repository', modloop: 'mounted' })
    expect(JSON.stringify(events)).not.toContain('sesame')
    secretUrl = /^LOOK overlay (\S+)$/m.exec(text)?.[1] ?? ''
  })

  it('the ticket of that boot opens the secret overlay neither again nor for another client', async () => {
    expect(secretUrl).toMatch(/^http:\/\/10\.9\.0\.1:8080\/t\/[\w-]+\/configs\//)
    const plain = `${base}/configs/${formatMacHyphen(mac)}.tar.gz`
    // The last of them from the station's own address, which is free while it is off.
    scene.lab.address(scene.stationRoom, 'br0', '10.9.0.100/32')
    scene.lab.ip(scene.serverRoom, 'neighbour', 'flush', 'dev', 'eth0')
    for (const [from, url] of [
      ['10.9.0.60', secretUrl],
      ['10.9.0.60', plain],
      ['10.9.0.100', secretUrl],
    ] as const) {
      const argv = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code} %{size_download}', '--interface', from, url]
      expect((await scene.lab.run(scene.stationRoom, argv)).stdout).toMatch(/^40[34] \d{1,4}$/)
    }
    scene.lab.ip(scene.stationRoom, 'address', 'del', '10.9.0.100/32', 'dev', 'br0')
    scene.lab.ip(scene.serverRoom, 'neighbour', 'flush', 'dev', 'eth0')
    const refused = (await scene.events(mac)).filter(({ kind }) => kind === 'overlay-refused')
    expect(refused.map(({ detail }) => detail?.reason)).toEqual([
      expect.stringContaining('another address'),
      expect.stringContaining('ticket of a boot'),
      expect.stringContaining('used already'),
    ])
  })

  it('UEFI: boots again with what it saved', async () => {
    const { text, events } = await boot('uefi', 'alpine1')
    expect(text).toMatch(/^LOOK changed by the operator$/m)
    expect(text).toMatch(/^LOOK hello from a package, hut is blue$/m)
    expect(kindsOf(events)).toContain('up')
    const trace = await scene.command('trace', mac)
    expect(trace.stdout).toMatch(/: up; packages are missing: not-in-any-repository$/m)
  })

  it('BIOS: a station that comes up without the overlay of its script is reported as stalled, by the name of the step', async () => {
    scene.put('templates/astray.ejs', astray)
    scene.put('profiles/lab.yaml', `${files['profiles/lab.yaml']}\ntemplate: astray\n`)
    const machine = scene.boot('bios', [cardOn(mac, scene.tap('alpine2'))])
    await machine.waitFor(/^BVC open-station the overlay did not come$/m, 60_000)
    const stalled = eventOf(await scene.waitForEvent(mac, 'stalled', 30_000), 'stalled')
    expect(stalled.detail).toMatchObject({ missing: 'overlay', after: 'modloop' })
    const trace = await scene.command('trace', mac)
    expect(trace.stdout).toMatch(/MISSING: overlay[\s\S]*stalled/)
    await machine.stop()
  })

  it('BIOS: a layer that is broken withholds the overlay; the station waits, and the reason is told by name', async () => {
    scene.put('overlays/base/layer.yaml', 'packages: [hello\n')
    const machine = scene.boot('bios', [cardOn(mac, scene.tap('alpine3'))])
    await machine.waitFor(/^Bivouac has nothing to boot/m, 60_000)
    const events = await scene.waitForEvent(mac, 'overlay-broken', 5000)
    expect(eventOf(events, 'overlay-broken').detail?.reason).toContain('layer.yaml')
    const explained = await scene.command('explain', mac)
    expect(explained.stdout + explained.stderr).toContain('overlays/base/layer.yaml')
    expect(machine.serial.text()).not.toContain('open-station')
    await machine.stop()
  })
})
