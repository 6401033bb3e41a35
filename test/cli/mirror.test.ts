// The mirror's and apk's commands as a person meets them: what they say, what they change, exit codes. Run in this process, for there are many;
// syncing over HTTP is in test/interop/docs.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run as runMain } from '../../src/cli/main.ts'
import { makeApkKey, makePackage, trustKey, writeRepository } from '../support/apk.ts'

const key = makeApkKey()
const main = 'v3.22/main/x86_64'
let home: string
let root: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'bivouac-mirror-'))
  root = join(home, 'depot/apk')
})
afterEach(() => {
  rmSync(home, { recursive: true, force: true })
})

/** One command line; `@` stands for the test's own folder. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => stdout.push(String(text)) > 0),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => stderr.push(String(text)) > 0),
  ]
  try {
    const words = args.map((word) => word.replace(/^@/, `${home}/`))
    const code = await runMain(['--depot', join(home, 'depot'), '--state', join(home, 'state'), ...words], {})
    return { code, stdout: stdout.join(''), stderr: stderr.join('') }
  } finally {
    process.exitCode = undefined
    for (const spy of spies) spy.mockRestore()
  }
}

const layMain = (): void => {
  writeRepository(root, main, [makePackage({ name: 'musl', key }), makePackage({ name: 'openssh', depends: ['musl'], key })], key)
  trustKey(root, key)
}

describe('bivouac mirror', () => {
  it.each([
    [['mirror', 'sync'], 2, /mirror\.sync of the configuration names no part/],
    [['--mirror.sync', '[{name: a, branch: v3.22}]', 'mirror', 'sync'], 2, /mirror\.upstream is not set/],
    [
      ['--mirror.upstream', 'http://127.0.0.1:9', '--mirror.sync', '[{name: a, branch: v3.22}]', 'mirror', 'sync', 'b'],
      4,
      /mirror\.sync has no "b" \(there are: a\)/,
    ],
    [
      ['--mirror.upstream', 'http://127.0.0.1:9', '--mirror.sync', '[{name: a, branch: v3.22}]', 'mirror', 'sync'],
      2,
      /no trusted key.*import a release/,
    ],
    [['mirror', 'status'], 0, /nothing is mirrored yet/],
    [['mirror', 'verify'], 2, /no trusted key/],
    [['mirror', 'export', '@x.tar'], 4, /bivouac mirror status/],
    [['mirror', 'import', '@nowhere.tar'], 4, /there is no file .*nowhere\.tar/],
    [['mirror', 'prune', '--older', 'soon'], 2, /no length of time/],
    [['mirror', 'snapshot', 'show', 'spring'], 4, /there is no snapshot spring/],
    [['mirror', 'snapshot', 'create', 'spring'], 2, /sync it first/],
    [['apk', 'resolve'], 2, /name packages/],
    [['apk', 'resolve', 'x'], 4, /no index of that kind/],
    [['apk', 'add', 'site', 'x.apk'], 4, /bivouac apk key create/],
    [['apk', 'list'], 0, /no private packages yet/],
  ] as const)('%j ends with %i and says what to do', async (args, code, text) => {
    const ended = await run(...args)
    expect(`${ended.stdout}${ended.stderr}`).toMatch(text)
    expect(ended.code).toBe(code)
  })

  it('verifies, and names the file with a byte turned over', async () => {
    layMain()
    expect(await run('mirror', 'verify')).toMatchObject({ code: 0, stdout: expect.stringMatching(/1 folders, 2 packages .* all good/) })
    const path = join(root, main, 'openssh-1.0-r0.apk')
    const bytes = readFileSync(path)
    bytes[bytes.length - 50] = (bytes[bytes.length - 50] as number) ^ 1
    writeFileSync(path, bytes)
    const ended = await run('--json', 'mirror', 'verify')
    expect(ended.code).toBe(5)
    expect(JSON.parse(ended.stdout)).toMatchObject({ problems: [{ folder: main, file: 'openssh-1.0-r0.apk', code: 'broken' }] })
  })

  it('resolves a world and names what is missing', async () => {
    layMain()
    expect((await run('apk', 'resolve', 'openssh', 'nonesuch')).stdout).toMatch(
      /musl[\s\S]*openssh[\s\S]*2 packages[\s\S]*missing: nonesuch \(asked for by world\) is in none/,
    )
    const { packages, missing } = JSON.parse((await run('--json', 'apk', 'resolve', 'openssh')).stdout)
    expect(packages.map(({ name }: { name: string }) => name)).toEqual(['musl', 'openssh'])
    expect(missing).toEqual([])
  })

  it('freezes, exports and takes in again; dry runs write nothing', async () => {
    layMain()
    expect((await run('mirror', 'snapshot', 'spring', '--packages', 'openssh', '--dry-run')).stdout).toMatch(/would freeze as spring: 2 packages/)
    expect(existsSync(join(root, 'snapshots'))).toBe(false)
    expect((await run('mirror', 'snapshot', 'create', 'spring', '--packages', 'openssh')).stdout).toMatch(
      /frozen as spring: 2 packages[\s\S]*missing: alpine-base[\s\S]*apk\/snapshots\/spring\/v3\.22\/main/,
    )
    expect(await run('mirror', 'snapshot', 'create', 'spring')).toMatchObject({ code: 3, stderr: expect.stringMatching(/never change/) })
    expect((await run('mirror', 'export', '@spring.tar', '--snapshot', 'spring', '--dry-run')).stdout).toMatch(
      /would write .*spring\.tar: snapshots\/spring\/v3\.22\/main\/x86_64/,
    )
    expect((await run('mirror', 'export', '@spring.tar', '--snapshot', 'spring')).code).toBe(0)
    expect(readdirSync(home).filter((name) => name.includes('tar'))).toEqual(['spring.tar'])
    expect(await run('mirror', 'import', '@spring.tar')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/there is a snapshot spring already/),
    })
    expect((await run('mirror', 'snapshot', 'remove', 'spring')).stdout).toMatch(/removed spring/)
    expect((await run('mirror', 'import', '@spring.tar')).stdout).toMatch(/imported snapshots\/spring\/v3\.22\/main\/x86_64: 2 packages/)
    expect((await run('mirror', 'snapshot', 'list')).stdout).toMatch(/spring +2/)
  })
})

describe('a snapshot for a release', () => {
  it('sets where the release’s packages come from, and is kept as long as it does', async () => {
    layMain()
    const id = 'alpine/3.22.2/x86_64/lts'
    const folder = join(home, 'depot/releases', id)
    mkdirSync(folder, { recursive: true })
    const files = ['vmlinuz-lts', 'initramfs-lts'].map((name) => {
      writeFileSync(join(folder, name), name)
      return { name, sizeBytes: name.length, sha256: createHash('sha256').update(name).digest('hex') }
    })
    const manifest = { format: 1, id, version: '3.22.2', branch: 'v3.22', arch: 'x86_64', flavour: 'lts', source: 'test', importedAt: 0, files }
    writeFileSync(
      join(folder, 'manifest.json'),
      JSON.stringify({ ...manifest, verified: { checksum: 'none', signature: 'none' }, repositories: ['apk/v3.22/main'] }),
    )
    expect(await run('mirror', 'snapshot', 'create', 'spring', '--release', 'alpine/9/x86_64/lts')).toMatchObject({ code: 2 })
    expect(existsSync(join(root, 'snapshots'))).toBe(false)
    expect((await run('mirror', 'snapshot', 'create', 'spring', '--release', id)).stdout).toMatch(/boots from apk\/snapshots\/spring\/v3\.22\/main/)
    expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')).repositories).toEqual(['apk/snapshots/spring/v3.22/main'])
    expect((await run('mirror', 'snapshot', 'show', 'spring')).stdout).toContain(`booted from by ${id}`)
    expect(await run('mirror', 'snapshot', 'remove', 'spring')).toMatchObject({ code: 3, stderr: expect.stringContaining(id) })
    expect((await run('mirror', 'verify')).stdout).toMatch(/2 folders, 4 packages .* all good/)
  })
})

describe('bivouac apk', () => {
  it('makes a key, takes packages in, lists and gives them up', async () => {
    expect((await run('apk', 'key', 'create', 'own', '--dry-run')).stdout).toMatch(/would make .*state\/keys\/own\.rsa /)
    expect((await run('apk', 'key', 'show')).stdout).toMatch(/no key yet/)
    expect((await run('apk', 'key', 'create', 'own')).stdout).toMatch(/^own: RSA 4096/)
    writeFileSync(join(home, 'tool.apk'), makePackage({ name: 'tool', key }).bytes)
    expect(await run('apk', 'add', 'site', '@tool.apk')).toMatchObject({ code: 5, stderr: expect.stringMatching(/tool\.apk: .*--allow-untrusted/) })
    expect((await run('apk', 'add', 'site', '@tool.apk', '--allow-untrusted')).stdout).toMatch(
      /added private\/site\/x86_64\/tool-1\.0-r0\.apk, signed anew with own\.rsa\.pub[\s\S]*apk\/private\/site/,
    )
    expect((await run('apk', 'list', 'site')).stdout).toMatch(/private\/site +x86_64 +tool +1\.0-r0/)
    expect((await run('mirror', 'verify')).code).toBe(0)
    expect((await run('apk', 'remove', 'site', 'tool')).stdout).toMatch(/removed private\/site\/x86_64\/tool-1\.0-r0\.apk/)
    expect(`${(await run('--json', 'apk', 'key', 'show')).stdout}`).not.toContain('PRIVATE')
  })
})
