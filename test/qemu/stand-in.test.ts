// The stand-in release by itself: its files, and that its init does with the kernel line what Alpine's does. QEMU gives the kernel, so
// there is no boot server here: a handler in this process answers. Needs no root.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { gzipSync } from 'node:zlib'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import { packOverlay } from '../../src/qemu/depot.ts'
import { startMachine } from '../../src/qemu/machine.ts'
import { makeApkKey, makeIndex, makePackage } from '../support/apk.ts'
import { describeBoot, findStandIn } from '../support/virtual.ts'

const folder = mkdtempSync(join(tmpdir(), 'bvc-stand-in-'))
const [first, second] = [parseMac('52:54:00:00:00:01'), parseMac('52:54:00:00:00:02')]
const requests: string[] = []
let server: Server
let base: string

const [key, stranger] = [makeApkKey(), makeApkKey('stranger.rsa.pub')]
const greet = makePackage({ name: 'libgreet', provides: ['so:libgreet.so.1=1'], key })
const hello = makePackage({
  name: 'hello',
  depends: ['so:libgreet.so.1'],
  files: {
    'usr/bin/hello': '#!/bin/sh\necho hello\n',
    'etc/hello.conf': 'package\n',
    'usr/share/hello': 'package\n',
    'etc/init.d/hellod': 'start() { exit 7; }\n',
  },
  key,
})
const broken = makePackage({ name: 'broken', key })
const file = (path: string, text: string, mode = 0o644): TarMember => ({ kind: 'file', path, mode, bytes: Buffer.from(text) })
const service = (level: string, name: string): TarMember => ({ kind: 'link', path: `etc/runlevels/${level}/${name}`, target: `/etc/init.d/${name}` })
/** What a person would look for on the station, said on its console. */
const look = `#!/bin/sh
exec >/dev/ttyS0
echo "LOOK $(hostname) $(hello) $(cat /etc/hello.conf /usr/share/hello | tr '\\n' ' ')"
for name in $(cat /etc/apk/world); do apk info -e "$name" >/dev/null || echo "LOOK missing $name"; done
echo "LOOK crashed $(rc-status --nocolor --crashed)"
echo "LOOK saved $(lbu package - | tar -zt | grep -v '/$' | tr '\\n' ' ')"
`
const packageOverlay = (): Uint8Array =>
  gzipSync(
    writeTar([
      file('etc/hostname', 'hut-2\n'),
      file('etc/apk/world', 'hello\nbroken\nnobody-has-it\n'),
      file(`etc/apk/keys/${key.keyName}`, key.publicPem),
      file('etc/hello.conf', 'overlay\n'),
      file('usr/share/hello', 'overlay\n'),
      file('etc/network/interfaces', 'auto eth0\niface eth0 inet dhcp\n'),
      file('etc/local.d/look.start', look, 0o755),
      file('etc/local.d/not-executable.start', 'echo never >/dev/ttyS0\n'),
      ...['hostname', 'networking', 'hellod'].map((name) => service('boot', name)),
      service('default', 'local'),
      service('default', 'sshd'),
    ]),
  )

const answers: Record<string, () => Uint8Array | string> = {
  '/packages.apkovl.tar.gz': packageOverlay,
  '/main/x86_64/APKINDEX.tar.gz': () => makeIndex([greet, hello, broken], key),
  '/main/x86_64/libgreet-1.0-r0.apk': () => greet.bytes,
  '/main/x86_64/hello-1.0-r0.apk': () => hello.bytes,
  '/main/x86_64/broken-1.0-r0.apk': () => Buffer.from(broken.bytes).fill(0, broken.bytes.length - 9, broken.bytes.length - 8),
  '/other/x86_64/APKINDEX.tar.gz': () => makeIndex([makePackage({ name: 'hello', version: '9-r0', key })], stranger),
  '/good.apkovl.tar.gz': () => packOverlay('hut-1'),
  '/broken.apkovl.tar.gz': () => packOverlay('hut-1').subarray(0, 60),
  '/keys': () => 'one\ntwo\n',
  '/repo/x86_64/APKINDEX.tar.gz': () => 'index',
}

beforeAll(async () => {
  const { modloop } = await findStandIn()
  if (modloop) answers['/modloop-virt'] = () => readFileSync(modloop)
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    const answer = request.method === 'POST' ? () => '' : answers[request.url ?? '']
    response.writeHead(answer ? 200 : 404).end(answer?.())
    request.resume()
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  base = `http://10.0.2.2:${(server.address() as AddressInfo).port}`
})

afterAll(() => {
  server?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Boots with this kernel line until the machine switches itself off; answers what it said. */
async function boot(name: string, line: string): Promise<string> {
  const { kernel, initramfs } = await findStandIn()
  const card = { link: { kind: 'user' }, boots: false } as const
  const machine = startMachine({
    firmware: 'bios',
    folder: join(folder, name),
    cards: [
      { mac: first, ...card },
      { mac: second, ...card },
    ],
    direct: { kernel, initramfs, line: `console=ttyS0 quiet panic=-1 ${line.replaceAll('BASE', base)}` },
  })
  try {
    await machine.waitFor(/reboot: Power down/, 60_000)
    return machine.serial.text()
  } finally {
    await machine.stop()
  }
}

describeBoot([], 'the stand-in release', () => {
  it('holds an initramfs that cpio reads, with modules in an order that insmod can follow', async () => {
    const { initramfs, version } = await findStandIn()
    const names = execFileSync('sh', ['-c', 'gzip -dc < "$0" | cpio -t --quiet', initramfs], { encoding: 'utf8' }).split('\n')
    expect(names).toEqual(expect.arrayContaining(['init', 'bin/busybox', 'bin/sh', 'lib/stand-in/lease', 'dev/console', 'lib/modules/order']))
    expect(version).toMatch(/^\d+\.\d+/)
  })

  it('comes up: overlay, index, modloop, keys, and reports it by the card that BOOTIF names', async () => {
    requests.length = 0
    const line = `ip=dhcp BOOTIF=01-52-54-00-00-00-02 apkovl=BASE/good.apkovl.tar.gz alpine_repo=BASE/repo,BASE/none modloop=BASE/modloop-virt ssh_key=BASE/keys`
    const text = await boot('up', line)
    expect(text).toMatch(/^BVC card eth\d 52:54:00:00:00:02 by BOOTIF$/m)
    expect(text).toMatch(/^BVC overlay ok hut-1$/m)
    expect(text).toMatch(/^BVC index untrusted\nBVC index failed$/m)
    expect(text).toMatch(/^BVC modloop ok \d/m)
    expect(text).toMatch(/^BVC ssh-keys ok 2$/m)
    expect(text).toMatch(/^BVC up \d/m)
    expect(requests).toEqual([
      'GET /good.apkovl.tar.gz',
      'GET /repo/x86_64/APKINDEX.tar.gz',
      'GET /none/x86_64/APKINDEX.tar.gz',
      'GET /modloop-virt',
      'GET /keys',
      'POST /up/52-54-00-00-00-02',
    ])
  })

  it('installs what is signed, whole and wanted, over which the overlay’s files win, and runs the services of its run levels alone', async () => {
    requests.length = 0
    const line = 'ip=dhcp apkovl=BASE/packages.apkovl.tar.gz alpine_repo=BASE/other,BASE/main modloop=BASE/modloop-virt ssh_key=BASE/keys'
    const text = await boot('packages', line)
    expect(text).toMatch(/^BVC index untrusted\nBVC index ok 3$/m)
    expect(text).toMatch(/^BVC package ok libgreet-1\.0-r0\nBVC package ok hello-1\.0-r0\nBVC package broken broken-1\.0-r0$/m)
    expect(text).toMatch(/^BVC service failed hellod$/m)
    expect(text).toMatch(/^BVC networking ok eth0$/m)
    expect(text).toMatch(/^LOOK hut-2 hello overlay overlay/m)
    expect(text).toMatch(/^LOOK missing broken\nLOOK missing nobody-has-it$/m)
    expect(text).toMatch(/^LOOK crashed {2}hellod \[/m)
    expect(text).toMatch(/^BVC local ok look\.start$/m)
    expect(text).not.toContain('never')
    const saved = /^LOOK saved (.*)$/m.exec(text)?.[1] ?? ''
    expect(saved.split(' ')).toEqual(expect.arrayContaining(['etc/hostname', 'etc/apk/world', 'etc/apk/repositories', 'etc/runlevels/boot/hellod']))
    expect(saved).not.toMatch(/etc\/init\.d\/hellod|etc\/passwd/)
    // Neither the modloop service nor firstboot is in a run level.
    expect(requests.filter((request) => /modloop|keys/.test(request))).toEqual([])
    expect(text).toMatch(/^BVC up \d/m)
  })

  it.each([
    ['does not come', 'apkovl=BASE/nothing.apkovl.tar.gz modloop=BASE/modloop-virt', 'the overlay did not come', true],
    ['is broken', 'apkovl=BASE/broken.apkovl.tar.gz', 'the overlay is broken', false],
    ['is not asked for', 'modloop=BASE/modloop-virt', 'no apkovl= on the kernel line', true],
    ['has another ending', 'apkovl=BASE/good.apkovl.tar', 'the name of the overlay does not end in .gz', false],
  ])('says aloud that an Alpine would stand open when the overlay %s', async (name, line, reason, goesOn) => {
    requests.length = 0
    answers['/good.apkovl.tar'] = () => packOverlay('hut-1')
    const text = await boot(name, `ip=10.0.2.77::10.0.2.2:255.255.255.0::eth0 ${line}`)
    expect(text).toMatch(/^BVC address 10\.0\.2\.77\/24$/m)
    expect(text).toContain(`\nBVC open-station ${reason}\n`)
    expect(text).not.toContain('BVC up')
    expect(requests.filter((request) => request.startsWith('POST'))).toEqual([])
    // Where Alpine goes on, so does the stand-in: the server sees a station that passed its overlay over.
    expect(requests.includes('GET /modloop-virt')).toBe(goesOn)
  })
})
