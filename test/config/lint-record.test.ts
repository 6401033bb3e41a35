import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type RecordLintOptions, lintRecords } from '../../src/config/lint-record.ts'
import { loadConfig } from '../../src/config.ts'
import { formatFinding } from '../../src/store/mistake.ts'
import { openRecords } from '../../src/store/record.ts'
import { makeScratch } from '../support/scratch.ts'

/** What is wrong with a depot and a configuration, the record book's own findings included. */
async function lint(files: Record<string, string>, config = '', options?: RecordLintOptions): Promise<string[]> {
  const depot = await makeScratch()
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(depot, file)), { recursive: true })
    await writeFile(join(depot, file), text)
  }
  const cwd = await makeScratch()
  await writeFile(join(cwd, 'bivouac.yaml'), `depot: ${depot}\n${config}`)
  const loaded = loadConfig({ flags: {}, env: {}, cwd })
  const book = await openRecords({ depot, networks: loaded.config.networks, emit: () => undefined, now: () => 0 })
  book.close()
  return [...book.problems(), ...lintRecords(loaded, book, options)].map(formatFinding)
}

const release = (id: string, flavour = 'lts') => ({ [`releases/${id}/vmlinuz-${flavour}`]: '', [`releases/${id}/initramfs-${flavour}`]: '' })
const packages = 'repositories: [http://10.9.0.2/alpine/v3.22/main]\n'
const good = { 'profiles/default.yaml': `kind: alpine\n${packages}`, ...release('3.22/x86_64') }
const kiosk = 'mac: 52:54:00:00:00:01\n'
const lab = `networks:
  - name: lab
    interface: eth1
    subnet: 10.9.0.0/24
    serverAddress: 10.9.0.1
    pool: [10.9.0.100-10.9.0.200]
`

describe('lintRecords', () => {
  it('finds nothing in a good depot', async () => {
    const files = {
      ...good,
      ...release('3.22/aarch64'),
      'stations/a.yaml': `${kiosk}profile: own\naddress: 10.9.0.7\n`,
      'profiles/own.yaml': `kind: alpine\nkernel: vmlinuz-virt\ninitramfs: initramfs-virt\nmodloop: boot/modloop-virt\nmatch: {group: own}\n${packages}`,
      'profiles/named.yaml': `kind: alpine\nrelease: 3.22/aarch64\n${packages}`,
    }
    expect(await lint(files, lab, { hasFile: () => true, hasLoader: () => true })).toEqual([])
  })

  it('only warns on a new depot: nothing there yet', async () => {
    expect(await lint({})).toEqual([
      expect.stringMatching(/^warning release-none: bivouac\.yaml: default: profile alpine: the depot has no release yet: put one below releases\//),
    ])
    expect(await lint({ 'profiles/alpine.yaml': 'kind: alpine\n' })).toEqual([
      expect.stringMatching(/^warning release-none: profiles\/alpine\.yaml:1: kind: the depot has no release yet: put one below releases\//),
    ])
  })

  const rows: [string, Record<string, string>, string, RegExp[]][] = [
    ['a default profile that is not there', {}, 'default: kiosk\n', [/^error profile-missing: bivouac\.yaml:2: default: there is no profile kiosk/]],
    [
      'an unknown profile that is not there',
      {},
      'unknown: nobody\n',
      [/^error profile-missing: bivouac\.yaml:2: unknown: there is no profile nobody/],
    ],
    ['a substitute that is not there', {}, 'withoutOverlay: nothing\n', [/^error profile-missing: bivouac\.yaml:2: withoutOverlay: /]],
    [
      'a substitute that needs an overlay itself',
      {},
      'withoutOverlay: default\n',
      [/^error substitute-needs-overlay: bivouac\.yaml:2: withoutOverlay: profile default stands in/],
    ],
    [
      'an open station without overlay',
      { 'profiles/bare.yaml': 'kind: alpine\noverlay: none\n' },
      'withoutOverlay: bare\n',
      [/^warning open-without-overlay: bivouac\.yaml:2: .*root without password/],
    ],
    [
      'an open door for everybody',
      { 'profiles/bare.yaml': 'kind: alpine\noverlay: none\n' },
      'unknown: bare\n',
      [/^warning open-unknown: bivouac\.yaml:2: unknown: any device/],
    ],
    [
      'a station with a profile that is not there',
      { 'stations/a.yaml': `${kiosk}profile: kios\n` },
      '',
      [/^error profile-missing: stations\/a\.yaml:2: profile: there is no profile kios: the station waits \(there are alpine, bare, default, /],
    ],
    [
      'a release that is not there',
      { 'profiles/a.yaml': 'kind: alpine\nrelease: 3.21/x86_64\n' },
      '',
      [/^error release-missing: profiles\/a\.yaml:2: release: .*\(there are: 3\.22\/x86_64\)/],
    ],
    [
      'two releases to choose from',
      release('3.21/x86_64'),
      '',
      [
        /^error release-ambiguous: bivouac\.yaml: default: profile alpine: names no release/,
        /^error release-ambiguous: profiles\/default\.yaml:1: kind: .*the depot has 2 for x86_64: 3\.21\/x86_64, 3\.22\/x86_64/,
      ],
    ],
    [
      'a kernel alone',
      { 'profiles/a.yaml': 'kind: alpine\nkernel: vmlinuz-lts\n' },
      '',
      [/^error boot-files-half: profiles\/a\.yaml:2: kernel: there is no initramfs/],
    ],
    [
      'a modloop alone',
      { 'profiles/a.yaml': 'kind: alpine\nmodloop: modloop-lts\n' },
      '',
      [/^error boot-files-half: .*there is no kernel/, /^error boot-files-half: .*there is no initramfs/],
    ],
    [
      'the document’s mix of virt and vanilla',
      { 'profiles/a.yaml': 'kind: alpine\nkernel: vmlinuz-vanilla\ninitramfs: initramfs-vanilla\nmodloop: modloop-virt\n' },
      '',
      [/^error flavour-mix: profiles\/a\.yaml:4: modloop: modloop-virt is of flavour virt, vmlinuz-vanilla of vanilla/],
    ],
    [
      'a release folder of two flavours',
      { 'releases/x/vmlinuz-virt': '', 'releases/x/initramfs-virt': '', 'releases/x/modloop-vanilla': '' },
      '',
      [/^error flavour-mix: releases\/x: .*one folder for each/],
    ],
    [
      'release and files',
      { 'profiles/a.yaml': 'kind: alpine\nkernel: vmlinuz-lts\ninitramfs: initramfs-lts\nrelease: 3.22/x86_64\n' },
      '',
      [/^warning release-and-files: profiles\/a\.yaml:4: release: is not used/],
    ],
    [
      'two profiles for the same labels',
      { 'profiles/a.yaml': 'kind: local\nmatch: {room: hall, group: g}\n', 'profiles/b.yaml': 'kind: local\nmatch: {group: g, room: hall}\n' },
      '',
      [/^warning match-twice: profiles\/b\.yaml:2: match: profile a matches the same labels/],
    ],
    [
      'a placeholder in a record',
      { 'profiles/a.yaml': 'kind: alpine\nrepositories: ["http://[serveur_apks]/alpine"]\n' },
      '',
      [/^error placeholder: profiles\/a\.yaml:2: repositories\[0\]: "\[serveur_apks\]"/],
    ],
    [
      'a placeholder host in a record',
      { 'profiles/a.yaml': 'kind: alpine\nrepositories:\n  - http://some.where.org/alpine\n' },
      '',
      [/^error placeholder: profiles\/a\.yaml:3: repositories\[0\]: "some\.where\.org"/],
    ],
    [
      'a MAC of two stations',
      { 'stations/a.yaml': kiosk, 'stations/b.yaml': kiosk },
      '',
      [/^error mac-twice: stations\/b\.yaml:1: mac: 52:54:00:00:00:01 is also in station a/],
    ],
    [
      'an address of two stations',
      { 'stations/a.yaml': `${kiosk}address: 10.9.0.7\n`, 'stations/b.yaml': 'mac: 52:54:00:00:00:02\naddress: 10.9.0.7\n' },
      lab,
      [/^error address-twice: stations\/b\.yaml:2: address: 10\.9\.0\.7 is also the address of station a/],
    ],
    [
      'a station in no network',
      { 'stations/a.yaml': `${kiosk}address: 10.8.0.7\n` },
      lab,
      [/^error station-outside: stations\/a\.yaml:2: address: 10\.8\.0\.7 is in no network/],
    ],
    [
      'a station with the server’s address',
      { 'stations/a.yaml': `${kiosk}address: 10.9.0.1\n` },
      lab,
      [/^error station-own: stations\/a\.yaml:2: address: 10\.9\.0\.1 is the server's/],
    ],
    ['a station at the edge', { 'stations/a.yaml': `${kiosk}address: 10.9.0.255\n` }, lab, [/^error edge-address: stations\/a\.yaml:2: address: /]],
    [
      'a station in the pool',
      { 'stations/a.yaml': `${kiosk}address: 10.9.0.150\n` },
      lab,
      [/^warning station-in-pool: stations\/a\.yaml:2: address: 10\.9\.0\.150 lies in the pool of lab/],
    ],
  ]
  it.each(rows)('%s', async (_, files, config, expected) => {
    const found = await lint({ ...good, ...files }, config)
    expect(found.length, found.join('\n')).toBe(expected.length)
    for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern)
  })

  it('looks for files where it is told how', async () => {
    const files = { ...good, 'profiles/a.yaml': `kind: alpine\nkernel: vmlinuz-lts\ninitramfs: initramfs-lts\n${packages}` }
    expect(await lint(files, '', { hasFile: (path) => path === 'vmlinuz-lts' })).toEqual([
      'error file-missing: profiles/a.yaml:3: initramfs: there is no initramfs-lts in the depot',
    ])
  })

  it('looks for the index of a repository below the depot, never for one elsewhere', async () => {
    const files = { ...good, 'profiles/a.yaml': 'kind: alpine\nrepositories: [apk/main, apk/none/, "http://a.example/alpine"]\n' }
    expect(await lint(files, '', { hasFile: (path) => path === 'apk/main/aarch64/APKINDEX.tar.gz' })).toEqual([
      expect.stringMatching(/^warning repository-missing: profiles\/a\.yaml:2: repositories: there is no apk\/none\/<arch>\/APKINDEX\.tar\.gz/),
    ])
  })

  it('looks for templates where it is told how', async () => {
    const files = { ...good, 'profiles/a.yaml': 'kind: script\ntemplate: kiosk.ipxe\n', 'profiles/b.yaml': 'kind: wait\ntemplate: own.ipxe\n' }
    expect(await lint(files, '', { hasTemplate: (name) => name === 'own.ipxe' })).toEqual([
      expect.stringMatching(/^error template-missing: profiles\/a\.yaml:2: template: there is no template kiosk\.ipxe\.ejs/),
    ])
  })

  it('looks for loaders where it is told how', async () => {
    const hasLoader = (name: string) => name === 'undionly.kpxe'
    const config = 'loaders: {7: own.efi}\nquirks:\n  - {name: q, when: {arch: 0}, loader: q.kpxe}\n'
    expect(await lint(good, config, { hasLoader })).toEqual([
      'error loader-missing: bivouac.yaml:2: loaders: there is no loader own.efi for firmware 7; put it in the depot below ipxe/',
      'error loader-missing: bivouac.yaml:4: quirks[0].loader: there is no loader q.kpxe for quirk q; put it in the depot below ipxe/',
    ])
    expect(await lint(good, lab, { hasLoader })).toEqual([
      expect.stringMatching(
        /^warning loader-absent: bivouac\.yaml: loaders: there is no loader x86_64-efi\/snponly\.efi for x86-64 UEFI; install the distribution's ipxe package/,
      ),
    ])
  })
})

describe('kinds with files of their own', () => {
  const options = { hasFile: (path: string) => path === 'vmlinuz', hasTemplate: (name: string) => name === 'preseed' }
  it.each<[string, string, RegExp[]]>([
    [
      'a good linux',
      'kind: linux\nkernel: vmlinuz\nanswers: {preseed.cfg: preseed}\narguments: ["url={answer:preseed.cfg}", "x={var:any}", "apkovl=http://h/{MAC}.gz"]\n',
      [],
    ],
    [
      'files that nobody has',
      'kind: linux\nkernel: vmlinuz\ninitrds: [vmlinuz, initrd.gz]\n',
      [/^error file-missing: profiles\/p\.yaml:3: initrds\[1\]: there is no initrd\.gz/],
    ],
    [
      'an answer file without a template',
      'kind: linux\nkernel: vmlinuz\nanswers: {ks.cfg: ks}\n',
      [/^error template-missing: profiles\/p\.yaml:3: answers.*: there is no template ks\.ejs/],
    ],
    [
      'a marker of another file',
      'kind: linux\nkernel: vmlinuz\nanswers: {preseed.cfg: preseed}\narguments: ["url={answer:ks.cfg}"]\n',
      [/^error marker-unknown: profiles\/p\.yaml:4: arguments\[0\]: .*has no answer file ks\.cfg/],
    ],
    [
      'a marker that is none',
      'kind: linux\nkernel: vmlinuz\narguments: ["a={serial}"]\n',
      [/^error marker-unknown: profiles\/p\.yaml:3: .*\{serial\} stands for nothing/],
    ],
    [
      'what a rescue fetches',
      'kind: rescue\nkernel: vmlinuz\ninitrd: vmlinuz\nfullroot: images\n',
      [/images\/root\.sqfs/, /images\/Install/, /^warning rescue-file-missing: profiles\/p\.yaml:4: fullroot: .*images\/pubkey/],
    ],
    ['a rescue', 'kind: rescue\nkernel: vmlinuz\ninitrd: initrd.gz\n', [/^error file-missing: profiles\/p\.yaml:3: initrd: /]],
    ['a chain', 'kind: chain\ntarget: other.ipxe\n', [/^error file-missing: profiles\/p\.yaml:2: target: /]],
    [
      'a menu',
      'kind: menu\ndefault: nobody\nentries:\n  - {label: A, profile: gone}\n  - {label: B, name: b, linux: {kernel: none}}\n  - {label: C, name: b, shell: true}\n',
      [
        /^error menu-default: profiles\/p\.yaml:2: /,
        /^error profile-missing: profiles\/p\.yaml:4: /,
        /^error file-missing: profiles\/p\.yaml:5: /,
        /^error menu-twice: profiles\/p\.yaml:6: /,
      ],
    ],
    [
      'an entry that leads to two things',
      'kind: menu\nentries:\n  - {label: A, shell: true, local: true}\n',
      [/profiles\/p\.yaml:3: entries\[0\]: an entry leads to one thing/],
    ],
  ])('%s', async (_, text, expected) => {
    const found = (await lint({ ...good, 'profiles/p.yaml': text }, '', options)).filter((line) => line.includes('p.yaml'))
    expect(found).toHaveLength(expected.length)
    for (const one of expected) expect(found.join('\n')).toMatch(new RegExp(one.source, 'm'))
  })
})
