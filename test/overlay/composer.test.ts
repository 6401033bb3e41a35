import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rename, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type TarMember, writeTar } from '../../src/alpine/tar-write.ts'
import type { Mac } from '../../src/boot/address.ts'
import { BivouacError } from '../../src/boot/error.ts'
import { readArchive } from '../../src/overlay/archive.ts'
import { identityOf } from '../../src/store/version.ts'
import { goodOverlay, overlayMembers } from '../support/overlay.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/tool.ts'
import { createRig, membersOf, profile, release, type Rig, station } from './rig.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVyeXNlY3JldGtleXZlcnlzZWNyZXRrZXk me@desk'
const failure = (running: Promise<unknown>): Promise<Error & { code: string }> =>
  running.then(
    () => expect.fail('nothing was refused'),
    (error) => error,
  )

/** The station's own archive, as the shelf names it. */
async function archive(rig: Rig, members: readonly TarMember[] = overlayMembers('saved')) {
  await rig.lay({ 'configs/52-54-00-12-34-56.tar.gz': gzipSync(writeTar(members)) })
  const path = 'configs/52-54-00-12-34-56.tar.gz'
  return { path, identity: identityOf(await stat(join(rig.depot, path), { bigint: true })) }
}

describe('a composed overlay', () => {
  it('is not there when nobody names a layer', async () => {
    const { composer } = await createRig()
    expect(composer.compose({ profile: profile(), station: station() })).toBeUndefined()
  })

  it('has what a station needs and no layer brings', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/motd': 'hello\n', 'overlays/base/layer.yaml': 'packages: [htop]\nroot: locked\n' })
    const composed = await rig.make({ release })
    const members = await membersOf(composed)
    expect([...members.keys()]).toMatchInlineSnapshot(`
      [
        "etc",
        "etc/apk",
        "etc/apk/world",
        "etc/bivouac",
        "etc/hostname",
        "etc/init.d",
        "etc/init.d/bivouac-interfaces",
        "etc/local.d",
        "etc/local.d/bivouac-root.start",
        "etc/motd",
        "etc/runlevels",
        "etc/runlevels/boot",
        "etc/runlevels/boot/bivouac-interfaces",
        "etc/runlevels/boot/bootmisc",
        "etc/runlevels/boot/hostname",
        "etc/runlevels/boot/modules",
        "etc/runlevels/boot/networking",
        "etc/runlevels/boot/sysctl",
        "etc/runlevels/boot/syslog",
        "etc/runlevels/default",
        "etc/runlevels/default/local",
        "etc/runlevels/shutdown",
        "etc/runlevels/shutdown/killprocs",
        "etc/runlevels/shutdown/mount-ro",
        "etc/runlevels/shutdown/savecache",
        "etc/runlevels/sysinit",
        "etc/runlevels/sysinit/devfs",
        "etc/runlevels/sysinit/dmesg",
        "etc/runlevels/sysinit/hwdrivers",
        "etc/runlevels/sysinit/mdev",
        "etc/runlevels/sysinit/modloop",
        "etc/bivouac/overlay",
      ]
    `)
    expect(composed.report).toMatchObject({ hostname: 'kiosk-1', world: ['alpine-base', 'htop'], warnings: [] })
    expect(members.get('etc/bivouac/overlay')?.text).toBe(
      `overlay=${composed.contentId}\nrelease=alpine/3.22.2/x86_64/lts\nstation=kiosk-1\nprofile=kiosk\n`,
    )
    expect(composed).toMatchObject({ layers: ['base'], isSecret: false, secretPaths: [] })
    expect((await stat(composed.path)).mode & 0o777).toBe(0o600)
  })

  it('holds owners by number alone, root’s, with one time and a folder before what is in it', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/a-b/x': '1', 'overlays/base/etc/a/x': '1', 'overlays/base/opt/tool': '1' }, 0o777)
    const members = [...(await membersOf(await rig.make())).values()]
    for (const { uid, gid, owner, group, modifiedSeconds, path } of members) {
      expect([uid, gid, owner, group, modifiedSeconds]).toEqual([0, 0, '', '', 0])
      expect(path).not.toMatch(/^\.\//)
    }
    const paths = members.map(({ path }) => path)
    for (const [at, path] of paths.entries()) if (path.includes('/')) expect(paths.indexOf(path.slice(0, path.lastIndexOf('/')))).toBeLessThan(at)
    expect(members.filter(({ path, kind }) => !path.includes('/') && kind !== 'directory')).toEqual([])
  })

  it('is laid in order: profile, then station; the last one wins', async () => {
    const rig = await createRig()
    await rig.lay({
      'overlays/base/etc/motd': 'base\n',
      'overlays/base/etc/issue': 'base\n',
      'overlays/own/etc/motd': 'own\n',
      'overlays/base/layer.yaml': 'packages: [htop, nginx]\nservices: { default: [nginx] }\n',
      'overlays/own/layer.yaml':
        'packages: [nginx~1.26]\nremove: { packages: [htop], services: [boot/syslog], files: [etc/issue] }\nhostname: given\n',
    })
    const composed = await rig.make({ station: station({ layers: ['own'] }) })
    const members = await membersOf(composed)
    expect(composed.layers).toEqual(['base', 'own'])
    expect(members.get('etc/motd')?.text).toBe('own\n')
    expect(members.has('etc/issue')).toBe(false)
    expect(members.get('etc/apk/world')?.text).toBe('alpine-base\nnginx~1.26\n')
    expect(composed.report.services).not.toContain('boot/syslog')
    expect(composed.report.services).toContain('default/nginx')
    expect(composed.report.hostname).toBe('given')
    const turned = await rig.make({ profile: profile({ layers: ['own'] }), station: station({ layers: ['base'] }) })
    expect((await membersOf(turned)).get('etc/motd')?.text).toBe('base\n')
  })

  it('has those layers first that another one extends, each once', async () => {
    const rig = await createRig()
    await rig.lay({
      'overlays/a/layer.yaml': 'extends: [b, c]\n',
      'overlays/b/layer.yaml': 'extends: [c]\n',
      'overlays/c/etc/x': '1',
      'overlays/l1/layer.yaml': 'extends: [l2]\n',
      'overlays/l2/layer.yaml': 'extends: [l1]\n',
    })
    expect((await rig.make({ profile: profile({ layers: ['a', 'b'] }) })).layers).toEqual(['c', 'b', 'a'])
    expect(await failure(rig.make({ profile: profile({ layers: ['l1'] }) }))).toMatchObject({ code: 'layer-loop' })
  })

  it('takes modes from the x bit, never set-user-ID, and from layer.yaml what it tells', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/usr/bin/tool': '#!/bin/sh\n' }, 0o4711)
    await rig.lay({ 'overlays/base/etc/plain': 'x', 'overlays/base/etc/told': 'x' }, 0o600)
    await rig.lay({
      'overlays/base/layer.yaml': `files:
  etc/told: { mode: "4750", owner: "0:42" }
  etc/made: { content: "text\\n", mode: 0640 }
  etc/link: { link: /etc/made }
  var/empty: { folder: true, mode: "1777" }
`,
    })
    const members = await membersOf(await rig.make())
    const mode = (path: string): number | undefined => members.get(path)?.mode
    expect([mode('usr/bin/tool'), mode('etc/plain'), mode('etc/told'), mode('etc/made'), mode('var/empty')]).toEqual([
      0o755, 0o644, 0o4750, 0o640, 0o1777,
    ])
    expect(members.get('etc/told')).toMatchObject({ uid: 0, gid: 42 })
    expect(members.get('etc/link')).toMatchObject({ kind: 'link', target: '/etc/made' })
  })

  it('puts ssh keys in, with a server, and then takes root’s password away', async () => {
    const rig = await createRig()
    await rig.lay({
      'sshkeys.pub': `# comment\n${sshKey}\n`,
      'overlays/base/etc/motd': 'x',
      'overlays/base/layer.yaml': `sshKeys: ["${sshKey.replace('me@', 'you@')}"]\n`,
    })
    const composed = await rig.make()
    const members = await membersOf(composed)
    expect(members.get('root/.ssh/authorized_keys')).toMatchObject({ mode: 0o600, text: `${sshKey.replace('me@', 'you@')}\n${sshKey}\n` })
    expect([members.get('root')?.mode, members.get('root/.ssh')?.mode]).toEqual([0o700, 0o700])
    expect(composed.report.world).toContain('openssh')
    expect(composed.report.services).toContain('default/sshd')
    expect(members.get('etc/local.d/bivouac-root.start')?.text).toContain('|root:*:|')
    const without = await rig.make({ profile: profile({ layers: ['base'], sshKeys: false }) })
    expect((await membersOf(without)).get('root/.ssh/authorized_keys')?.text).not.toContain('me@desk')
  })

  it('leaves root alone when a layer says open, and takes a hash', async () => {
    const rig = await createRig()
    await rig.lay({
      'sshkeys.pub': `${sshKey}\n`,
      'overlays/base/layer.yaml': 'root: open\n',
      'overlays/hash/layer.yaml': 'root: "$6$salt1234$abcdefgh"\n',
    })
    expect((await membersOf(await rig.make())).has('etc/local.d/bivouac-root.start')).toBe(false)
    const hashed = await membersOf(await rig.make({ profile: profile({ layers: ['hash'] }) }))
    expect(hashed.get('etc/local.d/bivouac-root.start')).toMatchObject({ mode: 0o700, text: expect.stringContaining('|root:$6$salt1234$abcdefgh:|') })
  })

  it('puts no service in when a layer says so, and no networking where another service does that', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/layer.yaml': 'defaultServices: false\n', 'overlays/other/layer.yaml': 'services: { boot: [dhcpcd] }\n' })
    expect((await rig.make()).report.services).toEqual([])
    const other = await rig.make({ profile: profile({ layers: ['other'] }) })
    expect(other.report.services).toContain('sysinit/modloop')
    expect(other.report.services).not.toContain('boot/networking')
  })

  it('says nothing of a layer’s own files at the top, and takes only its apk keys from there', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/README.md': 'x', 'overlays/base/site.rsa.pub': 'PEM\n', 'overlays/base/layer.yaml': 'keys: [site.rsa.pub]\n' })
    const composed = await rig.make()
    expect((await membersOf(composed)).get('etc/apk/keys/site.rsa.pub')?.text).toBe('PEM\n')
    expect(composed.notes).toMatchObject([{ code: 'top-level', text: expect.stringContaining('README.md') }])
  })

  it('has the key of the site’s own repositories only for who uses them', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': '', 'apk/keys/site.rsa.pub': 'SITE\n', 'apk/keys/alpine.rsa.pub': 'ALPINE\n' })
    await mkdir(join(rig.state, 'keys'))
    await writeFile(join(rig.state, 'keys/site.rsa'), 'PRIVATE')
    const keysOf = async (repositories: string[]): Promise<string[]> =>
      [...(await membersOf(await rig.make({ profile: profile({ layers: ['base'], repositories }) }))).keys()].filter((path) =>
        path.startsWith('etc/apk/keys/'),
      )
    expect(await keysOf(['apk/v3.22/main'])).toEqual([])
    expect(await keysOf(['apk/v3.22/main', 'apk/private/tools'])).toEqual(['etc/apk/keys/site.rsa.pub'])
  })

  it('carries the report when it is switched on', async () => {
    const rig = await createRig({ report: true })
    await rig.lay({ 'overlays/base/etc/x': '' })
    const members = await membersOf(await rig.make())
    expect(members.get('etc/local.d/zz-bivouac-report.start')).toMatchObject({ mode: 0o755, text: expect.stringMatching(/^#!\/bin\/sh\n/) })
    expect(members.has('etc/runlevels/default/local')).toBe(true)
  })
})

describe('templates of a layer', () => {
  it('are rendered with station, profile, release and variables, the station’s over the profile’s', async () => {
    const rig = await createRig()
    await rig.lay({
      'overlays/base/etc/facts.ejs': `<%= it.station.name %> <%= it.station.mac %> <%= it.station.macs.length %> <%= it.station.hostname %> <%= it.station.group %> <%= it.station.labels.room %>
<%= it.profile.name %> <%= it.release.id %> <%= it.release.branch %> <%= it.release.arch %> <%= it.release.flavour %>
<%= it.variables.a %> <%= it.variables.b %> <%= it.variables.n %> <%= it.variables.yes %> <%= 'a&b <c>' %>
`,
    })
    const members = await membersOf(
      await rig.make({
        release,
        profile: profile({ layers: ['base'], variables: { a: 'profile', b: 'profile', yes: true } }),
        station: station({ hostname: 'desk', group: 'floor', labels: { room: 'B12' }, variables: { b: 'station', n: 4 } }),
      }),
    )
    expect(members.get('etc/facts')?.text).toBe(`kiosk-1 52:54:00:12:34:56 1 desk floor B12
kiosk alpine/3.22.2/x86_64/lts v3.22 x86_64 lts
profile station 4 true a&b <c>
`)
  })

  it.each([
    ['template-failed', 'a\n<%= it.variables.none %>', /overlays\/base\/etc\/x\.ejs:2: nothing: no such variable/],
    ['template-failed', '<%= it.none.x %>', /overlays\/base\/etc\/x\.ejs:1: /],
    ['template-syntax', 'a\n\n<% if ( %>', /overlays\/base\/etc\/x\.ejs:3: /],
    ['template-failed', "<%- include('y') %>", /includes no other/],
    ['template-endless', '<% for (;;) {} %>', /came to no end and was stopped/],
  ])('that fail (%s) are told with file and line', async (code, text, said) => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x.ejs': text })
    const error = await failure(rig.make())
    expect([code, 'template-include', 'template-value']).toContain(error.code)
    expect(error.message).toMatch(said)
  })

  it('are refused when anybody may write them', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x.ejs': 'x' }, 0o666)
    expect(await failure(rig.make())).toMatchObject({ code: 'template-owner' })
  })
})

describe('secrets', () => {
  it('come from the station’s own folder first, are for root alone, and make the overlay secret', async () => {
    const rig = await createRig()
    await rig.lay({
      'secrets/wifi': 'shared-pass\n',
      'secrets/vpn': 'shared-vpn\n',
      'secrets/kiosk-1/vpn': 'own-vpn\n',
      'overlays/base/etc/wifi.conf.ejs': "psk=<%= it.secret('wifi') %>\n",
      'overlays/base/layer.yaml': 'files: { etc/vpn.key: { secret: vpn } }\n',
    })
    const composed = await rig.make()
    const members = await membersOf(composed)
    expect(members.get('etc/wifi.conf')).toMatchObject({ mode: 0o600, text: 'psk=shared-pass\n' })
    expect(members.get('etc/vpn.key')).toMatchObject({ mode: 0o600, text: 'own-vpn\n' })
    expect(composed).toMatchObject({ isSecret: true, secretPaths: ['etc/vpn.key', 'etc/wifi.conf'] })
    expect(JSON.stringify({ ...composed, path: '' })).not.toMatch(/shared-pass|own-vpn/)
  })

  it('never stand in an error, nor in what is kept beside', async () => {
    const rig = await createRig()
    await rig.lay({ 'secrets/wifi': 'hunter2-hunter2', 'overlays/base/etc/x.ejs': "<% throw new Error('bad ' + it.secret('wifi')) %>" })
    const error = await failure(rig.make())
    expect(error.message).toMatch(/overlays\/base\/etc\/x\.ejs:1: bad \*\*\*/)
    expect(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain('hunter2')
  })

  it('stay secret when the station sends them back in its own archive', async () => {
    const rig = await createRig()
    await rig.lay({ 'secrets/vpn': 'shared-vpn\n', 'overlays/base/layer.yaml': 'files: { etc/vpn.key: { secret: vpn } }\n' })
    const composed = await rig.make({
      archive: await archive(rig, [...overlayMembers('saved'), { kind: 'file', path: 'etc/vpn.key', bytes: bytes('shared-vpn\n') }]),
    })
    expect(composed).toMatchObject({ isSecret: true, secretPaths: ['etc/vpn.key'] })
  })

  it('stay secret in that archive also when no layer brings them any more', async () => {
    const rig = await createRig()
    await rig.lay({ 'secrets/wifi': 'shared-psk\n', 'overlays/base/layer.yaml': 'files: { etc/wifi.conf: { secret: wifi, mode: "0644" } }\n' })
    const given = await rig.make()
    const { digest, isSecret, secretPaths } = given
    await rig.history.append({ mac: station().macs[0] as Mac, kind: 'composed', who: 'bivouac', source: { digest }, isSecret, secretPaths })
    const sent = await archive(rig, [...overlayMembers('saved'), { kind: 'file', path: 'etc/wifi.conf', bytes: bytes('shared-psk\n') }])
    await rig.lay({ 'overlays/base/layer.yaml': 'root: locked\n' })
    expect(await rig.make({ archive: sent })).toMatchObject({ isSecret: true, secretPaths: ['etc/wifi.conf'] })
    // Without what it sent there is nothing secret left.
    expect(await rig.make()).toMatchObject({ isSecret: false, secretPaths: [] })
  })

  it('that are not there, or lead out, are refused by name', async () => {
    const rig = await createRig()
    await rig.lay({
      'overlays/base/etc/x.ejs': "<%= it.secret('none') %>",
      'overlays/out/layer.yaml': 'files: { etc/x: { secret: out } }\n',
      'data/outside': 'x',
      'secrets/a': 'x',
    })
    expect((await failure(rig.make())).message).toMatch(/no secret none: put it into secrets\/kiosk-1\/none or secrets\/none/)
    await symlink('../data/outside', join(rig.depot, 'secrets/out'))
    expect((await failure(rig.make({ profile: profile({ layers: ['out'] }) }))).message).toMatch(/leads out of secrets/)
  })

  it('that change make another overlay', async () => {
    const rig = await createRig()
    await rig.lay({ 'secrets/wifi': 'one', 'overlays/base/etc/x.ejs': "<%= it.secret('wifi') %>" })
    const first = await rig.make()
    await rig.lay({ 'secrets/wifi': 'two!' })
    expect((await rig.make()).digest).not.toBe(first.digest)
  })
})

describe('the station’s own archive', () => {
  it.each([
    ['last', 'saved', ['base', 'archive']],
    ['first', 'layer', ['archive', 'base']],
  ] as const)('comes %s as configured', async (where, wins, layers) => {
    const rig = await createRig({ archive: where })
    await rig.lay({ 'overlays/base/layer.yaml': 'hostname: layer\npackages: [htop]\n' })
    const composed = await rig.make({ archive: await archive(rig) })
    expect(composed.layers).toEqual(layers)
    expect(composed.report).toMatchObject({ hostname: wins, world: ['alpine-base', 'htop', 'openssh'] })
  })

  it('keeps its owners, loses repositories of its day and what Bivouac put in before', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': '' })
    const composed = await rig.make({
      archive: await archive(rig, [
        ...overlayMembers('saved'),
        { kind: 'file', path: 'etc/apk/repositories', bytes: bytes('http://old/v3.19/main\n') },
        { kind: 'file', path: 'etc/local.d/zz-bivouac-report.start', bytes: bytes('old') },
        { kind: 'file', path: 'etc/bivouac/overlay', bytes: bytes('overlay=old\n') },
        { kind: 'file', path: 'etc/template.ejs', bytes: bytes('<% throw 1 %>') },
        { kind: 'file', path: 'README', bytes: bytes('x') },
      ]),
    })
    const members = await membersOf(composed)
    expect(members.get('etc/shadow')).toMatchObject({ gid: 42, mode: 0o640 })
    expect(members.has('etc/apk/repositories')).toBe(false)
    expect(members.has('etc/local.d/zz-bivouac-report.start')).toBe(false)
    expect(members.get('etc/bivouac/overlay')?.text).not.toContain('old')
    expect(members.get('etc/template.ejs')?.text).toBe('<% throw 1 %>')
    expect(composed.notes.map(({ code }) => code)).toEqual(['repositories-left-out', 'top-level'])
    // Its own runlevels are the whole set: what it lacks was taken out on purpose.
    expect(composed.report.services).toEqual(['boot/hostname', 'boot/networking', 'sysinit/devfs', 'sysinit/modloop'])
  })

  it('that is another file by now is refused, for now', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': '' })
    const found = await archive(rig)
    await writeFile(join(rig.depot, found.path), goodOverlay('else'))
    expect(await failure(rig.make({ archive: found }))).toMatchObject({ code: 'layer-changed', mayRetry: true })
  })
})

describe('the same input', () => {
  it('gives the same bytes on another machine: other places, times, modes beside x, and order of making', async () => {
    const files = {
      'overlays/base/etc/b': 'b',
      'overlays/base/etc/a': 'a',
      'overlays/base/etc/sub/c': 'c',
      'overlays/base/etc/t.ejs': '<%= it.station.name %>',
      'sshkeys.pub': sshKey,
    }
    const [one, other] = [await createRig(), await createRig()]
    await one.lay(files)
    const before = process.umask(0o077)
    onTestFinished(() => void process.umask(before))
    await other.lay(Object.fromEntries(Object.entries(files).toReversed()))
    process.umask(before)
    await utimes(join(other.depot, 'overlays/base/etc/a'), 1000, 1000)
    const [first, second] = [await one.make({ release }), await other.make({ release })]
    expect(second.digest).toBe(first.digest)
    expect(Buffer.compare(await readFile(first.path), await readFile(second.path))).toBe(0)
  })

  it('is composed once, and found again after a restart and for another card of the station', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    const two = station({ macs: ['52:54:00:12:34:56', '52:54:00:12:34:57'] })
    const first = await rig.make({ station: two, mac: two.macs[0] as never })
    const before = (await stat(first.path)).mtimeMs
    const again = await rig.make({ station: two, mac: two.macs[1] as never })
    expect(again).toMatchObject({ digest: first.digest, identity: first.identity })
    expect((await stat(first.path)).mtimeMs).toBe(before)
    await rm(join(rig.state, 'overlays'), { recursive: true })
    expect((await rig.make({ station: two })).digest).toBe(first.digest)
  })

  it('is composed anew when a layer, a record, the release or the keys change', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    const seen = new Set([(await rig.make()).digest])
    const next = async (ask: Parameters<Rig['make']>[0] = {}): Promise<void> => {
      const { digest } = await rig.make(ask)
      expect(seen).not.toContain(digest)
      seen.add(digest)
    }
    await rig.lay({ 'overlays/base/etc/x': 'y' })
    await next()
    await rig.lay({ 'overlays/base/etc/x': 'z' }, 0o755)
    await next()
    await rename(join(rig.depot, 'overlays/base/etc/x'), join(rig.depot, 'overlays/base/etc/w'))
    await next()
    await unlink(join(rig.depot, 'overlays/base/etc/w'))
    await next()
    await next({ release })
    await next({ station: station({ hostname: 'other' }) })
    await rig.lay({ 'sshkeys.pub': sshKey })
    await next()
  })

  it('that is asked for a hundred times at once is composed once', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    const ask = { profile: profile({ layers: ['base'] }), station: station() }
    const all = await Promise.all(Array.from({ length: 100 }, () => rig.composer.compose(ask)))
    expect(new Set(all).size).toBe(1)
  })
})

describe('what no layer may hold', () => {
  it.each<[string, (overlays: string) => Promise<unknown>]>([
    ['layer-device', async (overlays) => spawnSync('mkfifo', [join(overlays, 'base/etc/pipe')])],
    ['layer-link', (overlays) => symlink('../../../secrets', join(overlays, 'base/etc/out'))],
    ['layer-path', (overlays) => writeFile(join(overlays, 'base/etc/a\nb'), '')],
    ['layer-twice', (overlays) => writeFile(join(overlays, 'base/etc/x.ejs'), '')],
    ['layer-twice', (overlays) => writeFile(join(overlays, 'base.tar.gz'), goodOverlay('x'))],
    ['layer-size', async (overlays) => spawnSync('truncate', ['-s', '300M', join(overlays, 'base/etc/huge')])],
  ])('is refused with %s and the layer’s name', async (code, spoil) => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    await spoil(join(rig.depot, 'overlays'))
    const error = await failure(rig.make())
    expect(error.code).toBe(code)
    expect(error.message).toContain('base')
  })

  it('is refused when the layer is a link out of overlays/', async () => {
    const rig = await createRig()
    await rig.lay({ 'data/x/etc/y': 'x' })
    await symlink('../data/x', join(rig.depot, 'overlays/base'))
    expect(await failure(rig.make())).toMatchObject({ code: 'layer-outside' })
  })

  it('follows no link: a link to a folder outside is a link in the station', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x' })
    await symlink('/etc', join(rig.depot, 'overlays/base/etc/host'))
    const members = await membersOf(await rig.make())
    expect(members.get('etc/host')).toMatchObject({ kind: 'link', target: '/etc' })
    expect([...members.keys()].filter((path) => path.startsWith('etc/host/'))).toEqual([])
  })

  it('names the layers that are there when one is not', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/etc/x': 'x', 'overlays/other.tar.gz': goodOverlay('x') })
    expect((await failure(rig.make({ profile: profile({ layers: ['bsae'] }) }))).message).toMatch(/no layer bsae.*there are: base, other/)
  })

  it('tells mistakes of layer.yaml with their lines', async () => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base/layer.yaml': 'packages: [a]\nservises: {}\nfiles:\n  ../x: { mode: "9" }\n' })
    const { message } = await failure(rig.make())
    expect(message).toMatch(/overlays\/base\/layer\.yaml:2: servises: .*did you mean "services"/)
    expect(message).toMatch(/overlays\/base\/layer\.yaml:4: /)
  })

  const hostile = (members: readonly TarMember[]): Uint8Array => gzipSync(writeTar(members))
  it.each<[string, Uint8Array]>([
    [
      'layer-link',
      hostile([
        { kind: 'link', path: 'etc/a', target: '/tmp' },
        { kind: 'file', path: 'etc/a/x', bytes: bytes('x') },
      ]),
    ],
    ['layer-link', hostile([{ kind: 'link', path: 'etc/a', target: '../../../x' }])],
    ['layer-link', hostile([{ kind: 'hardlink', path: 'etc/a', target: 'etc/none' }])],
    ['overlay-path', hostile([{ kind: 'hardlink', path: 'etc/a', target: '../../etc/shadow' }])],
    ['overlay-gzip', bytes('no gzip')],
    ['overlay-gzip', goodOverlay('x').subarray(0, -20)],
    ['overlay-size', gzipSync(new Uint8Array(300 * 1024 * 1024))],
    ['layer-path', hostile([{ kind: 'file', path: 'etc/a\u0001b', bytes: bytes('x') }])],
  ])('is refused in an archive with %s', async (code, archived) => {
    const rig = await createRig()
    await rig.lay({ 'overlays/base.tar.gz': archived })
    const error = await failure(rig.make())
    expect(code === 'overlay-size' ? ['overlay-size', 'tar-cut'] : [code]).toContain(error.code)
    expect(error.message).toContain('overlays/base.tar.gz')
  })

  it('gives only errors of ours for 600 spoiled archives, and never a member outside', async () => {
    const random = seededRandom(23)
    const tar = writeTar([
      ...overlayMembers('s'),
      { kind: 'file', path: 'layer.yaml', bytes: bytes('packages: [htop]\n') },
      { kind: 'hardlink', path: 'etc/z-hard', target: 'etc/hostname' },
      { kind: 'file', path: `etc/${'long/'.repeat(60)}x`, bytes: bytes('x') },
    ])
    const rig = await createRig()
    let taken = 0
    for (let round = 0; round < 600; round++) {
      const spoiled = Buffer.from(tar)
      const at = Math.floor(random() * (spoiled.length / 512)) * 512
      // In the name, the kind or the link's target, with what matters there.
      const offset = (): number => [random() * 12, 156, 157 + random() * 20][Math.floor(random() * 3)] as number
      for (let turn = 0; turn < 2; turn++) spoiled[at + Math.floor(offset())] = './a\0\x01\xff0125x'.charCodeAt(Math.floor(random() * 12))
      // A header that counts as whole: what stands in it is taken at its word.
      const block = spoiled.subarray(at, at + 512)
      block.write('        ', 148, 'latin1')
      block.write(
        `${block
          .reduce((sum, byte) => sum + byte, 0)
          .toString(8)
          .padStart(6, '0')}\0 `,
        148,
        'latin1',
      )
      const path = join(rig.state, 'spoiled.tar.gz')
      await writeFile(path, gzipSync(spoiled, { level: 1 }))
      const isLayer = random() < 0.5
      const options = { depot: rig.depot, file: 'x.tar.gz', isLayer, limits: { entries: 1000, sizeBytes: 1_000_000, depth: 64 } }
      const outcome = await readArchive(path, options).catch((error) => error)
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(BivouacError)
      else {
        taken++
        for (const name of outcome.members.keys()) expect(name).toMatch(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$))[^\x00-\x1f]+$/)
      }
    }
    expect(taken).toBeGreaterThan(100)
  }, 60_000)

  it('is taken from an archive where it is sound: templates, layer.yaml, hard links, owners root’s', async () => {
    const rig = await createRig()
    await rig.lay({
      'overlays/base.tar.gz': hostile([
        { kind: 'file', path: 'layer.yaml', bytes: bytes('packages: [htop]\n') },
        { kind: 'file', path: 'etc/a', bytes: bytes('x'), mode: 0o6777, uid: 1000, gid: 1000 },
        { kind: 'hardlink', path: 'etc/b', target: 'etc/a' },
        { kind: 'file', path: 'etc/t.ejs', bytes: bytes('<%= it.station.name %>') },
      ]),
    })
    const composed = await rig.make()
    const members = await membersOf(composed)
    expect(members.get('etc/a')).toMatchObject({ uid: 0, gid: 0, mode: 0o755 })
    expect(members.get('etc/b')).toMatchObject({ kind: 'file', text: 'x' })
    expect(members.get('etc/t')?.text).toBe('kiosk-1')
    expect(composed.report.world).toContain('htop')
    expect(composed.notes.map(({ code }) => code)).toEqual(['setuid'])
  })
})

describe('any layers', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd-e', 'f.g')
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `etc/${parts.join('/')}`)
  const file = fc.record({ path, text: fc.constantFrom('', 'x', 'y\n', 'z'.repeat(600)) })
  const layer = fc.array(file, { maxLength: 6 })

  it('are laid so that the last file of each path stands, all folders have entries, and the order within a layer does not matter', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), async (layers) => {
        const rig = await createRig()
        const names: string[] = []
        for (const [at, files] of layers.entries()) {
          names.push(`l${at}`)
          await mkdir(join(rig.depot, 'overlays', `l${at}`))
          // A path that is a folder in the same layer cannot be a file too.
          for (const one of files) await rig.lay({ [`overlays/l${at}/${one.path}`]: one.text }).catch(() => undefined)
        }
        const expected = new Map<string, string>()
        for (const at of names) {
          const listed = spawnSync('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: join(rig.depot, 'overlays', at), encoding: 'utf8' })
          for (const found of listed.stdout.split('\n').filter(Boolean)) {
            for (const other of [...expected.keys()]) if (other.startsWith(`${found}/`) || found.startsWith(`${other}/`)) expected.delete(other)
            expected.set(found, await readFile(join(rig.depot, 'overlays', at, found), 'utf8'))
          }
          // A folder of a layer also takes the place of a file below it.
          const folders = spawnSync('find', ['.', '-type', 'd', '-printf', '%P\n'], { cwd: join(rig.depot, 'overlays', at), encoding: 'utf8' })
          for (const folder of folders.stdout.split('\n').filter(Boolean)) expected.delete(folder)
        }
        const members = await membersOf(await rig.make({ profile: profile({ layers: names, sshKeys: false }) }))
        const ours = /^etc\/(apk|bivouac|hostname|init\.d|local\.d|runlevels|network)(\/|$)/
        const got = new Map([...members].filter(([at, { kind }]) => kind === 'file' && !ours.test(at)).map(([at, { text }]) => [at, text]))
        expect(got).toEqual(expected)
        for (const at of members.keys()) if (at.includes('/')) expect(members.get(at.slice(0, at.lastIndexOf('/')))?.kind).toBe('directory')
      }),
      { numRuns: 25, seed: 7 },
    )
  })
})

describeWith(['tar', 'busybox', 'bsdtar'], 'other programs', () => {
  it('make archives that count as the station’s own: lbu’s tar, GNU’s and bsdtar’s', async () => {
    const rig = await createRig()
    await rig.lay({
      'tree/etc/hostname': 'theirs\n',
      'tree/etc/apk/world': 'alpine-base\nchrony\n',
      'tree/etc/shadow': 'root:!::0:::::\n',
      'overlays/base/layer.yaml': 'packages: [htop]\n',
    })
    await mkdir(join(rig.depot, 'tree/etc/runlevels/sysinit'), { recursive: true })
    await symlink('/etc/init.d/devfs', join(rig.depot, 'tree/etc/runlevels/sysinit/devfs'))
    for (const [program, words] of [
      ['busybox', ['tar', '-czf']],
      ['tar', ['-czf']],
      ['tar', ['--format=pax', '-czf']],
      ['bsdtar', ['-czf']],
    ] as const) {
      const path = 'configs/52-54-00-12-34-56.tar.gz'
      await mkdir(join(rig.depot, 'configs'), { recursive: true })
      const { status } = spawnSync(program, [...words, join(rig.depot, path), 'etc'], { cwd: join(rig.depot, 'tree') })
      expect(status).toBe(0)
      const identity = identityOf(await stat(join(rig.depot, path), { bigint: true }))
      const { report } = await rig.make({ archive: { path, identity } })
      expect(report).toMatchObject({ hostname: 'theirs', world: ['alpine-base', 'chrony', 'htop'], services: ['sysinit/devfs'] })
    }
  })

  it('read what is composed, and find the same names', async () => {
    const rig = await createRig()
    await rig.lay({ [`overlays/base/etc/${'long/'.repeat(30)}name`]: 'x', 'overlays/base/etc/größe': 'x' })
    const composed = await rig.make()
    const own = [...(await membersOf(composed)).values()].map(({ path, kind }) => (kind === 'directory' ? `${path}/` : path))
    const gnu = spawnSync('tar', ['--quoting-style=literal', '-tzf', composed.path], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } })
    expect([gnu.stderr, gnu.stdout.trim().split('\n')]).toEqual(['', own])
    const bsd = spawnSync('bsdtar', ['-tzf', composed.path], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } })
    expect([bsd.stderr, bsd.stdout.trim().split('\n')]).toEqual(['', own])
    // busybox's tar as of 1.35 knows no pax paths, which only names of more than 255 bytes need.
    const busybox = spawnSync('busybox', ['tar', '-tzf', composed.path], { encoding: 'utf8' })
    expect(busybox.stdout.trim().split('\n').length).toBe(own.length)
    expect(gunzipSync(await readFile(composed.path)).length % 512).toBe(0)
  })
})
