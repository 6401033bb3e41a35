// A disk that fills up while a release is imported: nothing of it is left, and what was there stays. In a mount namespace of the test's own.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeBootFiles, makeModloop, makeNetboot } from '../support/release.ts'
import { makeScratch } from '../support/scratch.ts'
import { describeWith, missingTools } from '../support/tool.ts'

const canMount =
  missingTools('root', 'unshare', 'mount').length === 0 && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
const main = join(import.meta.dirname, '../../src/cli/main.ts')

describeWith(canMount ? [] : ['root', 'mount'], 'a disk that is full', () => {
  it('leaves no part of a release', { timeout: 60_000 }, async () => {
    const scratch = await makeScratch()
    mkdirSync(join(scratch, 'depot'))
    const archive = 'alpine-netboot-3.22.2-x86_64.tar.gz'
    writeFileSync(join(scratch, archive), makeNetboot({ ...makeBootFiles('lts'), 'modloop-lts': makeModloop('x'.repeat(4_000_000)) }))
    const script = `mount -t tmpfs -o size=1m none depot && mkdir depot/releases && "$0" --disable-warning=ExperimentalWarning "$1" release import ./${archive}; echo "exit $?"; find depot/releases`
    const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, process.execPath, main], { cwd: scratch, encoding: 'utf8' })
    expect(stderr).toMatch(/bivouac: .* cannot be written: ENOSPC/)
    expect(stdout).toMatch(
      /^exit 4\ndepot\/releases\n(depot\/releases\/alpine\n(depot\/releases\/alpine\/3\.22\.2\n)?(depot\/releases\/alpine\/3\.22\.2\/x86_64\n)?)?$/,
    )
  })
})
