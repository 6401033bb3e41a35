// The scripts that composed overlays carry, run by a real busybox ash over a made-up station.
import { spawn, spawnSync } from 'node:child_process'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { makeScratch } from '../support/scratch.ts'
import { describeWith } from '../support/tool.ts'
import { createRig, membersOf } from './rig.ts'

const scripts = resolve(import.meta.dirname, '../../scripts-templates')
const mac = '52:54:00:12:34:56'

/** A station's folders, and programs that answer as Alpine's do. All other programs are busybox's. */
async function makeStation(files: Record<string, string>) {
  const root = await makeScratch()
  const bin = join(root, 'programs')
  const all: Record<string, string> = {
    'proc/uptime': '61.42 100.00\n',
    'proc/mounts': '/dev/loop0 /.modloop squashfs ro 0 0\n',
    'etc/apk/world': 'alpine-base\nopenssh\nnginx~1.26\n!unwanted\n',
    'etc/bivouac/overlay': 'overlay=abc\nrelease=alpine/3.22.2/x86_64/lts\nstation=kiosk\n',
    'programs/apk':
      '#!/bin/sh\n[ "$1 $2" = "info -e" ] || exit 1\nshift 2\nfor name; do case $name in alpine-base|openssh) echo "$name";; esac; done\n',
    'programs/rc-status': '#!/bin/sh\necho " crond   "\n',
    ...files,
  }
  for (const [name, text] of Object.entries(all)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), text)
    if (name.startsWith('programs/')) await chmod(join(root, name), 0o755)
  }
  await mkdir(join(root, 'run/openrc/failed'), { recursive: true })
  await writeFile(join(root, 'run/openrc/failed/chronyd'), '')
  // Its own applets are all that there is, as in Alpine.
  await mkdir(join(root, 'applets'), { recursive: true })
  spawnSync('busybox', ['--install', '-s', join(root, 'applets')])
  const env = { ROOT: root, PATH: `${bin}:${join(root, 'applets')}` }
  return { root, env }
}

function run(script: string, env: Record<string, string>): Promise<number | null> {
  return new Promise((done) => {
    const child = spawn('busybox', ['ash', '-c', `sleep() { echo "$1" >>"$ROOT/slept"; }; . "${join(scripts, script)}"; wait`], {
      env,
      stdio: 'ignore',
    })
    child.on('close', done)
  })
}

type Told = { readonly url: string; readonly body: string; readonly type: string | undefined }

/** A server that refuses so many times first. */
async function listen(refusals: number): Promise<{ port: number; told: Told[]; close: () => void }> {
  const told: Told[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      told.push({ url: `${request.method} ${request.url}`, body, type: request.headers['content-type'] })
      response.writeHead(told.length <= refusals ? 503 : 204).end()
    })
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  return { port: (server.address() as AddressInfo).port, told, close: () => server.close() }
}

describeWith(['busybox'], 'the report of a station', () => {
  it('tells what became of the boot, with the boot’s ticket, and tries again', async () => {
    const { port, told, close } = await listen(2)
    const { root, env } = await makeStation({
      'proc/cmdline': `BOOT_IMAGE=x ip=dhcp apkovl=http://127.0.0.1:${port}/t/Ab-9_x/configs/${mac}.tar.gz modloop=http://x/* BOOTIF=01-52-54-00-12-34-56\n`,
    })
    expect(await run('report.sh', env)).toBe(0)
    close()
    expect(told.map(({ url }) => url)).toEqual(Array(3).fill('POST /t/Ab-9_x/up'))
    expect(told[2]?.type).toBe('text/plain')
    expect(told[2]?.body.split('\n').map((line) => line.replace(/^(hostname|kernel)=.+/, '$1=…'))).toEqual([
      'overlay=abc',
      'release=alpine/3.22.2/x86_64/lts',
      'hostname=…',
      'kernel=…',
      'uptime=61',
      'modloop=mounted',
      'failed=chronyd crond',
      'missing=nginx',
    ])
    expect(await readFile(join(root, 'slept'), 'utf8')).toBe('0\n2\n5\n')
  })

  it.each([
    ['of the name', `apkovl=http://127.0.0.1:PORT/configs/${mac.replaceAll(':', '-')}.tar.gz`, '/up/52-54-00-12-34-56'],
    ['with colons', `apkovl=http://127.0.0.1:PORT/configs/${mac}.tar.gz?x=1`, '/up/52:54:00:12:34:56'],
    ['of BOOTIF', 'apkovl=http://127.0.0.1:PORT/configs/default.tar.gz BOOTIF=01-52-54-00-12-34-56', '/up/52-54-00-12-34-56'],
    [
      'of BOOTIF for a name that Alpine fills in',
      'apkovl=http://127.0.0.1:PORT/configs/{MAC}.tar.gz BOOTIF=01-52-54-00-12-34-56',
      '/up/52-54-00-12-34-56',
    ],
  ])('goes without a ticket to the MAC %s', async (_, line, path) => {
    const { port, told, close } = await listen(0)
    const { env } = await makeStation({ 'proc/cmdline': `${line.replace('PORT', String(port))}\n`, 'proc/mounts': 'tmpfs / tmpfs rw 0 0\n' })
    await run('report.sh', env)
    close()
    expect(told.map(({ url }) => url)).toEqual([`POST ${path}`])
    expect(told[0]?.body).toContain('modloop=missing')
  })

  it.each(['quiet', 'apkovl=/dev/sda1/x.tar.gz', 'apkovl=http://127.0.0.1:1/other/x.tar.gz', 'apkovl=http://127.0.0.1:1/configs/x.tar.gz'])(
    'goes nowhere for %s',
    async (line) => {
      const { root, env } = await makeStation({ 'proc/cmdline': `${line}\n` })
      expect(await run('report.sh', env)).toBe(0)
      await expect(readFile(join(root, 'slept'))).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )

  it('is at most 4 KB, and gives up when nobody answers', async () => {
    const { port, told, close } = await listen(99)
    const packages = Array.from({ length: 3000 }, (_, at) => `package-${at}`).join('\n')
    const { root, env } = await makeStation({
      'proc/cmdline': `apkovl=http://127.0.0.1:${port}/t/x/configs/${mac}.tar.gz\n`,
      'etc/apk/world': `${packages}\n`,
    })
    await run('report.sh', env)
    close()
    expect(told.length).toBe(6)
    expect(told[0]?.body.length).toBeLessThan(4096)
    expect(told[0]?.body).toMatch(/^missing=package-0 package-1 /m)
    expect((await readFile(join(root, 'slept'), 'utf8')).trim().split('\n')).toEqual(['0', '2', '5', '10', '20', '40'])
  })
})

describeWith(['busybox'], 'the network of a station that brings none', () => {
  const start = (env: Record<string, string>): void => {
    const { status, stderr } = spawnSync('busybox', ['ash', '-c', `. "${join(scripts, 'interfaces.sh')}"; start`], { env, encoding: 'utf8' })
    expect([stderr, status]).toEqual(['', 0])
  }
  const cards = {
    'sys/class/net/eth0/address': '02:00:00:00:00:01\n',
    'sys/class/net/eth1/address': `${mac}\n`,
    'sys/class/net/lo/address': '00:00:00:00:00:00\n',
  }
  const up = { 'sys/class/net/eth0/operstate': 'down\n', 'sys/class/net/eth1/operstate': 'down\n', 'sys/class/net/eth2/operstate': 'up\n' }

  it.each([
    ['that it booted from', 'BOOTIF=01-52-54-00-12-34-56', 'eth1'],
    ['that is up', 'quiet', 'eth2'],
    ['that is up, when the one that it booted from is not there', 'BOOTIF=01-52-54-00-99-99-99', 'eth2'],
  ])('is the card %s', async (_, line, card) => {
    const { root, env } = await makeStation({ ...cards, ...up, 'proc/cmdline': `${line}\n` })
    start(env)
    expect(await readFile(join(root, 'etc/network/interfaces'), 'utf8')).toBe(
      `auto lo\niface lo inet loopback\n\nauto ${card}\niface ${card} inet dhcp\n`,
    )
  })

  it('is left alone when it is there', async () => {
    const { root, env } = await makeStation({ 'proc/cmdline': 'x\n', 'etc/network/interfaces': 'mine\n' })
    start(env)
    expect(await readFile(join(root, 'etc/network/interfaces'), 'utf8')).toBe('mine\n')
  })
})

describeWith(['busybox'], 'root’s password', () => {
  const shadow = 'root:::0:::::\nbin:!::0:::::\nrooted:x::0:::::\n'
  it.each([
    ['locked', 'root: locked', 'root:*::0:::::'],
    ['a hash', 'root: "$6$salt1234$abc/d.ef"', 'root:$6$salt1234$abc/d.ef::0:::::'],
    ['a secret', 'root: { secret: hash }', 'root:$5$salt$from-nobody::0:::::'],
  ])('is %s after the boot', async (_, yaml, line) => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/layer.yaml': `${yaml}\n`, 'secrets/hash': '$5$salt$from-nobody\n'.replaceAll('-', '.') })
    const script = (await membersOf(await rig.make())).get('etc/local.d/bivouac-root.start')?.text ?? ''
    const { root, env } = await makeStation({ 'etc/shadow': shadow })
    const file = join(root, 'etc/shadow')
    await chmod(file, 0o640)
    expect(spawnSync('busybox', ['ash', '-c', script], { env, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
    expect(await readFile(file, 'utf8')).toBe(`${line.replace('from-nobody', 'from.nobody')}\nbin:!::0:::::\nrooted:x::0:::::\n`)
    expect((await stat(file)).mode & 0o777).toBe(0o640)
  })
})

describeWith(['shellcheck'], 'the scripts', () => {
  it.each(['report.sh', 'interfaces.sh'])('%s has nothing that shellcheck warns of', (name) => {
    const { stdout } = spawnSync('shellcheck', ['-s', 'dash', '-S', 'warning', '-e', 'SC2034', join(scripts, name)], { encoding: 'utf8' })
    expect(stdout).toBe('')
  })
})
