// `bivouac release` as typed, against a mirror of the test's own: import, choose, look, take away; and beside a running server.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type AlpineSite, carryRelease, makeAlpineSite } from '../support/alpine-site.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

const lts = 'alpine/3.22.2/x86_64/lts'
const folders: CliFolder[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await folder.remove()
})

/** A folder with a depot, and an archive of Alpine's form with its checksums and signature. */
async function makeFolder(): Promise<CliFolder & { archive: string; site: AlpineSite }> {
  const folder = createCliFolder()
  folders.push(folder)
  const site = await makeAlpineSite({ folder: join(folder.path, 'www') })
  const archive = carryRelease(site, folder.path)
  expect(folder.run('depot', 'init').code).toBe(0)
  return { ...folder, archive, site }
}

it('imports, chooses, shows, compares, verifies and takes away', async () => {
  const { run, path, archive, site } = await makeFolder()
  mkdirSync(join(path, 'depot/keys'))
  writeFileSync(join(path, 'depot/keys/alpine.asc'), site.releaseKey)
  const dry = run('release', 'import', archive, '--fingerprint', site.fingerprint, '--dry-run')
  expect([dry.code, dry.stdout]).toEqual([0, expect.stringContaining(`release ${lts}: would be imported (dry run)`)])
  expect(existsSync(join(path, 'depot/releases/alpine'))).toBe(false)

  const imported = run('--json', 'release', 'import', archive, '--fingerprint', site.fingerprint, '--require-signature')
  expect(JSON.parse(imported.stdout)).toMatchObject({ outcome: 'imported', id: lts, verified: { signature: 'good' }, keys: [{ outcome: 'added' }] })
  expect(run('release', 'import', archive, '--version', '3.22.2', '--flavour', 'virt', '--fingerprint', site.fingerprint).stdout).toContain(
    '[flavour-virt]',
  )

  expect(run('release', 'use', lts, '--dry-run').stdout).toContain('would write profiles/alpine.yaml')
  expect(run('release', 'use', lts).stdout).toContain(`+ release: ${lts}`)
  expect(run('release', 'use', lts).stdout).toContain('nothing to do')
  expect(run('config', 'check').stdout).not.toContain('release-ambiguous')
  expect(JSON.parse(run('--json', 'release', 'list').stdout)).toMatchObject({
    releases: [{ id: lts, profiles: ['alpine'], signed: true }, { profiles: [] }],
  })
  expect(run('release', 'show', lts).stdout).toMatch(/^used by {5}profile alpine$/m)
  expect(run('release', 'diff', lts, 'alpine/3.22.2/x86_64/virt').stdout).toMatch(/^flavour +lts +virt$/m)
  expect(run('release', 'verify')).toMatchObject({ code: 0, stdout: expect.stringContaining(`${lts}: good`) })
  appendFileSync(join(path, `depot/releases/${lts}/modloop-lts`), 'x')
  expect(run('release', 'verify')).toMatchObject({ code: 5, stdout: expect.stringContaining('damaged (modloop-lts changed)') })
  expect(run('config', 'check').stdout).toContain('error release-damaged')

  expect(run('release', 'prune', '--dry-run').stdout).toContain('would go  alpine/3.22.2/x86_64/virt')
  expect(run('release', 'prune').stdout).toContain('removed  alpine/3.22.2/x86_64/virt')
  expect(existsSync(join(path, 'depot/releases/alpine/3.22.2/x86_64/virt'))).toBe(false)
  expect(existsSync(join(path, `depot/releases/${lts}/vmlinuz-lts`))).toBe(true)
}, 120_000)

it('says what to do for what cannot be', async () => {
  const { run, archive } = await makeFolder()
  const said = (...words: string[]) => {
    const { code, stderr } = run(...words)
    return `${code} ${stderr.split('\n').findLast((line) => line.startsWith('bivouac:')) ?? ''}`
  }
  expect(said('release', 'import', 'upstream')).toMatch(/^2 bivouac: no upstream is configured: set mirror\.upstream/)
  // With packages at hand the release names them, so that its stations get some.
  const withUpstream = run('--json', '--mirror.upstream', 'http://127.0.0.1:9/alpine', '--depot', 'other', 'release', 'import', archive)
  expect(JSON.parse(withUpstream.stdout)).toMatchObject({ outcome: 'imported', repositories: ['apk/v3.22/main', 'apk/v3.22/community'] })
  expect(said('release', 'import', 'nowhere')).toMatch(/^4 bivouac: nowhere is not there \(ENOENT\)/)
  expect(said('release', 'import', archive, '--flavour', 'vanilla')).toMatch(/^2 bivouac: v3\.22 has no flavour vanilla: .* take --flavour lts/)
  expect(said('release', 'import', archive, '--require-signature')).toMatch(/^2 bivouac: the signature was not checked, for there is no key/)
  expect(said('release', 'show', lts)).toMatch(/^4 bivouac: there is no release .* \(there are: none\)/)
  expect(said('release', 'use', '../x')).toMatch(/^2 bivouac: .*no release|^4 bivouac: there is no release/)
  expect(said('release', 'prune', '--keep-days', 'week')).toMatch(/^2 bivouac: --keep-days: a number of days/)
}, 120_000)

it('is seen by a running server, which keeps what a station booted lately', async () => {
  const { run, serve, archive, path } = await makeFolder()
  const { base } = await serve()
  expect(run('release', 'import', archive).code).toBe(0)
  const fetched = await waitFor(() => fetch(`${base}/releases/${lts}/vmlinuz-lts`).then((answer) => (answer.ok ? answer.arrayBuffer() : undefined)))
  expect(fetched.byteLength).toBeGreaterThan(0)
  // Nobody names it any more, but a station has just fetched its kernel.
  writeFileSync(join(path, 'depot/profiles/alpine.yaml'), 'kind: wait\n')
  const pruned = await waitFor(async () => {
    const { stdout } = run('--server', base, 'release', 'prune', '--dry-run')
    return stdout.includes('a station booted from it') ? stdout : undefined
  })
  expect(pruned).toMatch(/^kept {2}alpine\/3\.22\.2\/x86_64\/lts .* a station booted from it 1 h ago/m)
  expect(run('--server', base, 'release', 'prune', '--keep-days', '0').stdout).toContain('removed')
  expect(readFileSync(join(path, 'depot/profiles/alpine.yaml'), 'utf8')).toBe('kind: wait\n')
}, 120_000)

/** The first answer that is one, within what a slow machine needs. */
async function waitFor<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 60; tries++) {
    const found = await ask()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  throw new Error('it did not come')
}
