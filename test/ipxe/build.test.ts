import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Manifest } from '../../src/ipxe/artifact.ts'
import type { Build, BuildState } from '../../src/ipxe/build.ts'
import { parseRecipe, type RecipeInput } from '../../src/ipxe/recipe.ts'
import { runTool } from '../../src/ipxe/run.ts'
import { describeWith } from '../support/tool.ts'
import { authorityPem } from './support/certificate.ts'
import { type Camp, openCamp, standInRun, withoutTools, writeStandIn } from './support/stand-in.ts'

const script = { text: '#!ipxe\nshell\n' }
const plain: RecipeInput = { target: 'bin/undionly.kpxe', script }

describeWith(['make', 'nice'], 'builds, with a stand-in source tree', () => {
  let camp: Camp
  beforeEach(async () => {
    camp = await openCamp()
  })
  afterEach(() => camp.close())

  const start = (recipe: RecipeInput, publish: boolean | string[] = false): Build => camp.tools.builds.start(parseRecipe(recipe), publish)
  const build = (recipe: RecipeInput): Promise<Manifest> => camp.tools.builds.wait(start(recipe).id)
  const textOf = async (manifest: Manifest): Promise<string> => readFile(camp.tools.artifacts.pathOf(manifest), 'utf8')
  const stateOf = (id: string): BuildState => camp.tools.builds.find(id).state
  const until = async (id: string, state: BuildState): Promise<void> => {
    if (stateOf(id) === state) return
    await new Promise<void>((resolve) => {
      const stop = camp.tools.builds.listen(id, (event) => {
        if (event.kind !== 'state' || event.build.state !== state) return
        setImmediate(() => stop())
        resolve()
      })
    })
  }

  it('hands make the target, files by content, epoch, commit and build id, and keeps a manifest', async () => {
    const manifest = await build({
      ...plain,
      trust: [authorityPem],
      debug: ['tls:3'],
      config: 'cloud',
      options: { NET_TUNNEL: true, WAIT_TIMEOUT: 7 },
    })
    const text = await textOf(manifest)
    expect(text).toContain('binary bin/undionly.kpxe\n')
    expect(text).toContain('#undef NET_TUNNEL\n#define NET_TUNNEL\n#undef WAIT_TIMEOUT\n#define WAIT_TIMEOUT 7\n')
    expect(text).toContain('embed:\n#!ipxe\nshell\n')
    expect(text).toMatch(/^trust: \.\.\/\.\.\/in\/ca-[0-9a-f]{16}\.pem cert: {2}key: {2}debug: tls:3 config: cloud cross: $/m)
    expect(text).toContain(
      `epoch: 1577836800 version:  id: 0x${manifest.fingerprint.slice(0, 8)} goals: bin/undionly.kpxe bin/undionly.kpxe.bin bin/undionly.kpxe.zinfo`,
    )
    expect(text).toContain(authorityPem.trim())
    expect(text).not.toContain('LEFT_BEHIND')
    expect(manifest).toMatchObject({
      kind: 'built',
      target: 'bin/undionly.kpxe',
      announce: ['undionly.kpxe', 'gpxe.kpxe'],
      script: { text: script.text },
      settings: { NET_TUNNEL: true, WAIT_TIMEOUT: 7 },
      debug: ['tls:3'],
    })
    expect(manifest.source.pin).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(manifest.licence).toContain('GPL')
    expect(manifest.trust?.[0]?.subject).toContain('camp test authority')
    expect(manifest.sizeBytes).toBe(Buffer.byteLength(text))
  })

  it('does not build the same thing twice, and makes one tree for many scripts', async () => {
    const first = await build(plain)
    const second = start(plain)
    expect((await camp.tools.builds.wait(second.id)).fingerprint).toBe(first.fingerprint)
    expect(camp.tools.builds.find(second.id)).toMatchObject({ state: 'done', wasKnown: true, fingerprint: first.fingerprint })
    await build({ ...plain, script: { text: '#!ipxe\nreboot\n' } })
    expect(await camp.makes()).toEqual(['tree', 'job bin/undionly.kpxe', 'job bin/undionly.kpxe'])
  })

  it('shares one build among those who ask for the same at the same time', async () => {
    const asked = [start(plain), start(plain), start(plain)]
    const made = await Promise.all(asked.map((one) => camp.tools.builds.wait(one.id)))
    expect(new Set(made.map((one) => one.fingerprint)).size).toBe(1)
    expect(await camp.makes()).toEqual(['tree', 'job bin/undionly.kpxe'])
  })

  it('keeps builds of one tree apart: every binary has its own script', async () => {
    const scripts = ['one', 'two', 'three', 'four', 'five', 'six'].map((word) => `#!ipxe\necho ${word}\n`)
    const made = await Promise.all(scripts.map((text) => build({ ...plain, script: { text } })))
    for (const [index, manifest] of made.entries()) expect(await textOf(manifest)).toContain(`embed:\n${scripts[index]}trust`)
    expect((await camp.makes()).filter((line) => line === 'tree')).toHaveLength(1)
  })

  it('lets no header of one recipe into the next', async () => {
    const special = await build({ ...plain, options: { NET_TUNNEL: true, MAKER_NAME: 'Camp' } })
    const after = await build(plain)
    expect(await textOf(special)).toContain('#define MAKER_NAME "Camp"')
    expect(await textOf(after)).not.toMatch(/NET_TUNNEL|MAKER_NAME/)
  })

  it('gives the same bytes from clean folders', async () => {
    const other = await openCamp()
    try {
      const recipe = { ...plain, options: { WAIT_TIMEOUT: 3 } }
      const [one, two] = [await build(recipe), await other.tools.builds.wait(other.tools.builds.start(parseRecipe(recipe)).id)]
      expect(two.sha256).toBe(one.sha256)
      expect(two.fingerprint).toBe(one.fingerprint)
    } finally {
      await other.close()
    }
  })

  it("tells make's own error, and the next build is not hurt by it", async () => {
    const broken = start({ ...plain, options: { BREAK_IT: true } })
    await expect(camp.tools.builds.wait(broken.id)).rejects.toThrow(/core\/one\.c:7:1: error: 'BREAK_IT' is broken/)
    expect(camp.tools.builds.find(broken.id)).toMatchObject({ state: 'failed', error: { code: 'build-failed' } })
    expect(await textOf(await build(plain))).toContain('binary bin/undionly.kpxe')
    expect(await camp.tools.trees.list()).toHaveLength(1)
  })

  it('stops make with all its children on cancel', async () => {
    const slow = start({ ...plain, options: { SLOW_IT: true } })
    await until(slow.id, 'running')
    camp.tools.builds.cancel(slow.id)
    await expect(camp.tools.builds.wait(slow.id)).rejects.toMatchObject({ code: 'cancelled' })
    expect(stateOf(slow.id)).toBe('cancelled')
    expect(await camp.tools.trees.list()).toEqual([])
  })

  it('starts nothing for one that is cancelled at once', async () => {
    const slow = start({ ...plain, options: { SLOW_IT: true } })
    camp.tools.builds.cancel(slow.id)
    await expect(camp.tools.builds.wait(slow.id)).rejects.toMatchObject({ code: 'cancelled' })
    const before = Date.now()
    await camp.tools.close()
    expect(Date.now() - before).toBeLessThan(10_000)
    expect(await camp.tools.trees.list()).toEqual([])
  })

  it('goes on for the others when one of them gives up', async () => {
    const turns = await openCamp({ concurrency: 1 })
    try {
      const asked = [turns.tools.builds.start(parseRecipe(plain)), turns.tools.builds.start(parseRecipe(plain))]
      turns.tools.builds.cancel(asked[0]?.id ?? '')
      await expect(turns.tools.builds.wait(asked[0]?.id ?? '')).rejects.toMatchObject({ code: 'cancelled' })
      expect((await turns.tools.builds.wait(asked[1]?.id ?? '')).file).toBe('undionly.kpxe')
    } finally {
      await turns.close()
    }
  })

  it('gives up after the time-out', async () => {
    const short = await openCamp({ timeoutMs: 1500 })
    try {
      const slow = short.tools.builds.start(parseRecipe({ ...plain, options: { SLOW_IT: true } }))
      await expect(short.tools.builds.wait(slow.id)).rejects.toMatchObject({ code: 'tool-timeout' })
    } finally {
      await short.close()
    }
  })

  it('streams the log, the lines so far first, and says what step it is at', async () => {
    const one = start(plain)
    await camp.tools.builds.wait(one.id)
    const lines: string[] = []
    camp.tools.builds.listen(one.id, (event) => {
      if (event.kind === 'line') lines.push(event.line.trim())
    })()
    expect(lines).toEqual(['[BUILD] bin/one.o', '[LD] bin/undionly.kpxe', '[FINISH] bin/undionly.kpxe'])
    expect(camp.tools.builds.find(one.id).progress).toMatchObject({ step: 'finishing', current: 'bin/undionly.kpxe' })
  })

  it('announces names when done, and says while it is being built', async () => {
    const one = start({ target: 'bin-x86_64-efi/snponly.efi', script: { template: 'boot' } }, true)
    expect(one.publishAs).toEqual(['x86_64-efi/snponly.efi', 'snponly.efi'])
    expect([camp.tools.builds.isBeingBuilt('snponly.efi'), camp.tools.builds.isBeingBuilt('undionly.kpxe')]).toEqual([true, false])
    await camp.tools.builds.wait(one.id)
    expect(camp.tools.builds.isBeingBuilt('snponly.efi')).toBe(false)
    const text = await readFile(join(camp.folder, 'depot/ipxe/x86_64-efi/snponly.efi'), 'utf8')
    expect(text).toContain('chain http://10.0.0.1/boot.ipxe')
    expect(await readFile(join(camp.folder, 'depot/ipxe/snponly.efi'), 'utf8')).toBe(text)
  })

  it.each<[string, RecipeInput, string]>([
    ['an option that the source has not', { ...plain, options: { WARP_CMD: true } }, 'option-unknown'],
    ['a value that would be code', { ...plain, options: { WAIT_TIMEOUT: '1\n#include "/etc/passwd"' } }, 'option-value'],
    ['a source that is not there', { ...plain, source: 'other' }, 'source-missing'],
    ['a template that is not there', { target: 'bin/undionly.kpxe', script: { template: 'absent' } }, 'template-missing'],
    ['a slot that is too small', { ...plain, script: { text: `#!ipxe\n${'x'.repeat(600)}` }, slot: { scriptBytes: 512 } }, 'script-too-long'],
  ])('refuses %s before make runs', async (_, recipe, code) => {
    await expect(build(recipe)).rejects.toMatchObject({ code })
    expect(await camp.makes()).toEqual([])
  })

  it('names a missing tool with its package before make runs', async () => {
    const poor = await camp.open(withoutTools('lzma.h', 'perl'))
    const one = poor.builds.start(parseRecipe(plain))
    await expect(poor.builds.wait(one.id)).rejects.toThrow(
      'missing for this build: perl, lzma.h. Debian: apt install perl liblzma-dev. Alpine: apk add perl xz-dev.',
    )
    const cross = await camp.open(withoutTools('aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-ld', 'aarch64-linux-gnu-objcopy'))
    if (process.arch === 'x64') {
      const arm = cross.builds.start(parseRecipe({ ...plain, target: 'bin-arm64-efi/snponly.efi' }))
      await expect(cross.builds.wait(arm.id)).rejects.toThrow(/apt install gcc-aarch64-linux-gnu/)
    }
    expect(await camp.makes()).toEqual([])
  })

  it("ignores what the operator's shell tells make", async () => {
    process.env.MAKEFLAGS = '-n'
    try {
      expect(await textOf(await build(plain))).toContain('binary')
    } finally {
      delete process.env.MAKEFLAGS
    }
  })

  it('removes what a process left behind that was killed in the middle, and nothing of one that lives', async () => {
    const state = join(camp.folder, 'state/ipxe')
    const dead = 2 ** 22 + 1
    const left = [`jobs/${dead}/x`, `trees/.new-abc-0011-${dead}/tree`, `trees/.new-abc-0011-${process.ppid}/tree`]
    for (const path of left) mkdirSync(join(state, path), { recursive: true })
    await (await camp.open()).close()
    expect(left.map((path) => existsSync(join(state, path)))).toEqual([false, false, true])
  })

  it('leaves no job folders, and drops the trees that were not used for longest', async () => {
    const { createTrees } = await import('../../src/ipxe/tree.ts')
    await build(plain)
    expect(readdirSync(join(camp.folder, 'state/ipxe/jobs', String(process.pid)))).toEqual([])
    const source = await camp.tools.sources.find()
    const small = createTrees({ folder: join(camp.folder, 'small'), run: standInRun, jobs: 1, limitBytes: 1, timeoutMs: 10_000, now: () => 1 })
    const { binDir } = (await import('../../src/ipxe/target.ts')).parseTarget('bin/undionly.kpxe')
    for (const value of ['1', '2', '3']) {
      const ask = {
        source,
        sourceFolder: camp.tools.sources.folderOf(source),
        binDir,
        toolchainId: 't',
        crossPrefix: '',
        headers: { 'general.h': `#define X ${value}\n` },
      }
      await small.copyTo(ask, join(camp.folder, `copy-${value}`))
      expect(await readFile(join(camp.folder, `copy-${value}/src/config/local/general.h`), 'utf8')).toContain(value)
    }
    expect(await small.list()).toHaveLength(1)
  })
})

describeWith(['git', 'tar'], 'sources', () => {
  let camp: Camp
  beforeEach(async () => {
    camp = await openCamp()
  })
  afterEach(() => camp.close())

  it('come from a directory, pinned by content, without what was built there', async () => {
    const one = await camp.tools.sources.find('stand-in')
    expect(one).toMatchObject({ kind: 'directory', pin: expect.stringMatching(/^sha256:/) })
    expect(existsSync(join(camp.tools.sources.folderOf(one), 'src/config/local/general.h'))).toBe(false)
    const same = await camp.tools.sources.add({ from: camp.source, name: 'stand-in' })
    expect(same.pin).toBe(one.pin)
    await writeFile(join(camp.source, 'src/new.c'), 'int x;')
    await expect(camp.tools.sources.add({ from: camp.source, name: 'stand-in' })).rejects.toMatchObject({ code: 'source-name-taken' })
    expect((await camp.tools.sources.add({ from: camp.source, name: 'other' })).pin).not.toBe(one.pin)
    await expect(camp.tools.sources.find('absent')).rejects.toMatchObject({ code: 'source-missing' })
  })

  it('come from a tarball, pinned by its hash, with or without a folder around', async () => {
    const tarball = join(camp.folder, 'stand-1.0.tar.gz')
    await runTool(['tar', '-czf', tarball, '-C', camp.folder, 'given'])
    const one = await camp.tools.sources.add({ from: tarball })
    expect(one).toMatchObject({ name: 'stand-1.0', kind: 'tarball', pin: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) })
    expect(await readFile(join(camp.tools.sources.folderOf(one), 'src/Makefile'), 'utf8')).toContain('blib.a')
    await expect(camp.tools.sources.add({ from: tarball, name: 'x', sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'source-changed' })
    expect((await camp.tools.sources.list()).map((source) => source.name)).toEqual(['stand-1.0', 'stand-in'])
  })

  it('come from git, pinned by commit', async () => {
    const work = join(camp.folder, 'work')
    await writeStandIn(work, '# in git\n')
    const git = async (...words: string[]): Promise<string> =>
      (
        await runTool(['git', '-C', work, '-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { env: { GIT_COMMITTER_DATE: '1700000000 +0000' } })
      ).stdout.trim()
    await git('init', '-q', '-b', 'main')
    await git('add', '.')
    await git('commit', '-q', '-m', 'one')
    await git('tag', 'v1')
    const commit = await git('rev-parse', 'HEAD')
    const one = await camp.tools.sources.add({ from: work, revision: 'v1' })
    expect(one).toMatchObject({ name: 'work-v1', kind: 'git', pin: `commit:${commit}`, epoch: 1_700_000_000 })
    expect((await camp.tools.sources.add({ from: `file://${work}`, revision: 'main', name: 'again', commit })).pin).toBe(one.pin)
    await expect(camp.tools.sources.add({ from: work, revision: 'v1', name: 'wrong', commit: '1'.repeat(40) })).rejects.toThrow()
    await expect(camp.tools.sources.add({ from: work, revision: 'v9', name: 'wrong' })).rejects.toMatchObject({ code: 'source-revision' })
    expect(existsSync(join(camp.folder, 'state/ipxe/sources/wrong'))).toBe(false)
  })

  it.each([
    ['an option of git for a URL', { from: '--upload-pack=touch /tmp/x' }, 'source-url'],
    ['a transport that runs programs', { from: 'ext::sh -c id' }, 'source-url'],
    ['an option for a revision', { from: 'https://x.example/y.git', revision: '--all' }, 'source-revision'],
    ['a name with a path', { from: '/nowhere', name: '../x' }, 'source-name'],
    ['a tarball that is not there', { from: 'nowhere.tar.gz', name: 'x' }, 'source-url'],
  ])('refuse %s', async (_, ask, code) => {
    await expect(camp.tools.sources.add(ask)).rejects.toMatchObject({ code })
  })

  it("refuse a folder that is not iPXE's source", async () => {
    await expect(camp.tools.sources.add({ from: join(camp.source, 'src/config'), name: 'x' })).rejects.toMatchObject({ code: 'source-bad' })
  })
})
