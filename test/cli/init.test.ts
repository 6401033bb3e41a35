// `bivouac init alpine` against a stand-in for Alpine's mirror: the plan, the whole, again, and what it refuses.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { addKeys, appendKeys } from '../../src/cli/init-file.ts'
import { type AlpineSite, carryRelease, makeAlpineSite } from '../support/alpine-site.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

// Each call is a process of its own, and each import reads its archive twice.
vi.setConfig({ testTimeout: 120_000 })
const id = 'alpine/3.22.2/x86_64/lts'
let shared: CliFolder
let site: AlpineSite
let archive: string
let folder: CliFolder
beforeAll(async () => {
  shared = createCliFolder()
  site = await makeAlpineSite({ folder: join(shared.path, 'alpine') })
  archive = carryRelease(site, join(shared.path, 'carried'))
  writeFileSync(join(shared.path, 'alpine.asc'), site.releaseKey)
})
afterAll(() => shared.remove())
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

const at = (name: string): string => join(folder.path, name)
const read = (name: string): string => readFileSync(at(name), 'utf8')
const marksOf = (stdout: string): Record<string, string> =>
  Object.fromEntries([...stdout.matchAll(/^ ?\d+ {2}(\S+(?: \S+)?) +([+=>!]) /gm)].map(([, step, mark]) => [step, mark]))
const init = (...words: string[]) =>
  folder.run('init', 'alpine', '--source', archive, '--key', join(shared.path, 'alpine.asc'), '--fingerprint', site.fingerprint, ...words)

describe('init alpine', () => {
  it('shows its plan in order and changes nothing', () => {
    const { code, stdout } = init('--mirror', 'https://dl-cdn.alpinelinux.org/alpine', '--dry-run')
    expect(code).toBe(0)
    expect(Object.keys(marksOf(stdout))).toEqual([
      'depot',
      'settings',
      'release',
      'keys',
      'packages',
      'layer',
      'profile',
      'ssh keys',
      'loaders',
      'dhcp',
    ])
    expect(stdout).toContain(`> ${id}`)
    expect(stdout).toContain('apk/v3.22/main, apk/v3.22/community')
    expect(readdirSync(folder.path)).toEqual([])
  })

  it('does all of it, and again nothing', () => {
    writeFileSync(at('me.pub'), 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@here\n')
    const first = init('--mirror', 'https://mirror.example.org/alpine', '--ssh-keys', 'me.pub')
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('signature good') })
    expect(Object.values(marksOf(first.stdout)).filter((mark) => mark === '>')).toEqual([])
    expect(readFileSync(at(`depot/releases/${id}/manifest.json`), 'utf8')).toContain('"apk/v3.22/main"')
    expect(read('depot/profiles/alpine.yaml')).toMatch(new RegExp(`^release: ${id}[\\s\\S]*^layers: \\[base\\]$`, 'm'))
    expect(read('depot/overlays/base/layer.yaml')).toContain('root: locked')
    expect(read('bivouac.yaml')).toContain('upstream: https://mirror.example.org/alpine')
    expect(read('depot/sshkeys.pub')).toContain('me@here')
    expect(readdirSync(at('depot/apk/keys'))).toHaveLength(1)
    const before = execFileSync('sh', ['-c', 'find depot bivouac.yaml -type f -exec sha256sum {} + | sort'], { cwd: folder.path, encoding: 'utf8' })
    const again = init('--mirror', 'https://mirror.example.org/alpine', '--ssh-keys', 'me.pub')
    expect(Object.values(marksOf(again.stdout)).filter((mark) => mark === '+' || mark === '>')).toEqual([])
    expect(execFileSync('sh', ['-c', 'find depot bivouac.yaml -type f -exec sha256sum {} + | sort'], { cwd: folder.path, encoding: 'utf8' })).toBe(
      before,
    )
  })

  it('gives a station that is named then an overlay with a locked root, and an unknown one nothing', () => {
    init()
    writeFileSync(at('depot/stations/kiosk.yaml'), 'mac: 52:54:00:12:34:56\n')
    const known = folder.run('explain', 'kiosk', '--local')
    expect(known.stdout).toMatch(/The overlay: .*\(layers\)/)
    expect(known.stdout).toContain(`releases/${id}/vmlinuz-lts`)
    expect(folder.run('explain', '52:54:00:00:00:99', '--local').stdout).toContain('boots nothing')
    expect(existsSync(at('depot/configs/default.tar.gz'))).toBe(false)
  })

  it('keeps what people wrote, comments too', () => {
    writeFileSync(at('bivouac.yaml'), '# ours\nhttp: { port: 8080 } # as ever\n')
    expect(
      init('--mirror', 'https://mirror.example.org/alpine', '--interface', 'eth1', '--subnet', '10.9.0.0/24', '--pool', '10.9.0.100-10.9.0.200').code,
    ).toBe(0)
    expect(read('bivouac.yaml')).toMatch(/^# ours\nhttp: \{ port: 8080 \} # as ever\n/)
    expect(read('bivouac.yaml')).toContain('10.9.0.100-10.9.0.200')
    expect(folder.run('config', 'check').code).toBe(0)
    const other = init('--mirror', 'https://other.example.org/alpine')
    expect(other).toMatchObject({ code: 3, stderr: expect.stringContaining('mirror.upstream') })
    expect(read('bivouac.yaml')).not.toContain('other')
  })

  it('does not turn a profile away from the release that it names', () => {
    init()
    writeFileSync(at('depot/profiles/alpine.yaml'), 'kind: alpine\nrelease: alpine/3.21.0/x86_64/lts\n')
    mkdirSync(at('depot/releases/alpine/3.21.0/x86_64/lts'), { recursive: true })
    expect(init().stdout).toContain('bivouac release use')
    expect(read('depot/profiles/alpine.yaml')).toBe('kind: alpine\nrelease: alpine/3.21.0/x86_64/lts\n')
  })

  it.each([
    [['--subnet', '10.9.0.0/24'], 2, /go together/],
    [['--pool', '10.9.0.100-10.9.0.200'], 2, /belong to a network/],
    [['--interface', 'eth1', '--subnet', '10.9.0.1/24'], 2, /host bits/],
    [['--ssh-keys', 'nowhere.pub'], 4, /there is no file nowhere\.pub/],
    [['--mirror', 'ftp://mirror'], 2, /mirror\.upstream/],
    [['--fingerprint', '0000000000000000000000000000000000000000'], 2, /fingerprint/i],
  ])('refuses %j', (words, code, text) => {
    const ended = init(...words)
    expect(ended.stderr).toMatch(text)
    expect(ended.code).toBe(code)
  })

  it('says what is missing without a source, and without trust', () => {
    expect(folder.run('init', 'alpine', '--branch', 'v3.22')).toMatchObject({ code: 2, stderr: expect.stringContaining('--mirror https://dl-cdn') })
    const untrusted = folder.run('init', 'alpine', '--source', archive)
    expect(untrusted).toMatchObject({ code: 0, stdout: expect.stringMatching(/keys +! none is trusted yet/) })
    // The key came later: what is there is verified now.
    expect(init().stdout).toMatch(/keys +\+ 1 trusted/)
  })

  it('trusts a release that nobody could verify only when told to', () => {
    expect(folder.run('init', 'alpine', '--source', archive, '--trust-keys').stdout).toMatch(/keys +\+ 1 trusted/)
  })

  it('answers as JSON', () => {
    expect(JSON.parse(folder.run('--json', 'init', 'alpine', '--source', archive).stdout)).toMatchObject({ release: id, steps: expect.any(Array) })
  })
})

describe('edits', () => {
  it('add what is missing only', () => {
    expect(addKeys('', [{ path: ['a', 'b'], value: 1 }], 'f', 'Title')).toBe('# Title\na:\n  b: 1\n')
    const text = '# top\na:\n  c: 2 # two\n'
    expect(addKeys(text, [{ path: ['a', 'b'], value: 1 }], 'f', 'T')).toBe('# top\na:\n  c: 2 # two\n  b: 1\n')
    expect(addKeys(text, [{ path: ['a', 'c'], value: 2 }], 'f', 'T')).toBe(text)
    expect(() => addKeys(text, [{ path: ['a', 'c'], value: 3 }], 'f', 'T')).toThrow(/says a\.c: 2 already/)
    expect(() => addKeys('- a\n', [], 'f', 'T')).toThrow(/no YAML table/)
    expect(() => addKeys('a: [\n', [], 'f', 'T')).toThrow(/no YAML table/)
  })

  it('append lines to a text', () => {
    expect(appendKeys('a: 1', { b: '[x]' })).toBe('a: 1\nb: [x]\n')
    expect(appendKeys('a: 1\n', { a: '2' })).toBe('a: 1\n')
  })
})
