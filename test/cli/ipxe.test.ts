import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addIpxeCommand } from '../../src/cli/ipxe.ts'
import { createProgressView, formatProgress } from '../../src/cli/ipxe-show.ts'
import { type Camp, openCamp } from '../ipxe/support/stand-in.ts'
import { describeWith } from '../support/tool.ts'

describeWith(['make', 'nice'], 'bivouac ipxe', () => {
  let camp: Camp
  beforeEach(async () => {
    camp = await openCamp()
    writeFileSync(join(camp.tools.recipesFolder, 'fleet.yaml'), 'script: { template: boot }\nslot: { scriptBytes: 1024 }\n')
    writeFileSync(join(camp.tools.recipesFolder, 'snponly.yaml'), 'extends: fleet\ntarget: bin-x86_64-efi/snponly.efi\n')
  })
  afterEach(() => camp.close())

  const run = async (...words: string[]): Promise<{ said: string; shown: string }> => {
    const said: string[] = []
    const shown: string[] = []
    const program = new Command('bivouac').exitOverride()
    addIpxeCommand(program, {
      open: () => camp.open(),
      json: () => words.includes('--json-for-test'),
      say: (line) => void said.push(line),
      screen: { isTerminal: false, columns: 80, write: (text) => void shown.push(text) },
    })
    await program.parseAsync(['ipxe', ...words.filter((word) => word !== '--json-for-test')], { from: 'user' })
    return { said: said.join('\n'), shown: shown.join('') }
  }

  it('builds from flags, announces, lists, shows, patches, compares and goes back', async () => {
    const out = join(camp.folder, 'out.efi')
    const built = await run('build', 'snponly', '--set', 'NET_TUNNEL=on', '--set', 'WAIT_TIMEOUT=0', '--publish', '--out', out)
    expect(built.said).toMatch(/^snponly\.efi: \d+ bytes, artifact [0-9a-f]{12}, announced, in /)
    expect(built.shown).toMatch(/bin-x86_64-efi\/snponly\.efi: compiling .*\n.*linking .*\n.*finishing/)
    expect(readFileSync(out, 'utf8')).toContain('#define WAIT_TIMEOUT 0')
    expect((await run('list')).said).toMatch(/snponly\.efi +\d+ +built .* x86_64-efi\/snponly\.efi snponly\.efi/)
    expect((await run('show', 'snponly.efi')).said).toContain('options:      NET_TUNNEL WAIT_TIMEOUT=0')

    const patched = await run('patch', 'snponly.efi', '--base', 'http://10.7.7.7', '--publish')
    expect(patched.said).toMatch(/announced$/)
    expect(readFileSync(join(camp.folder, 'depot/ipxe/snponly.efi'), 'utf8')).toContain('chain http://10.7.7.7/boot.ipxe')
    const again = await run('patch', 'snponly.efi', '--base', 'http://10.8.8.8', '--json-for-test')
    expect(JSON.parse(again.said)).toMatchObject({ kind: 'patched', script: { text: expect.stringContaining('10.8.8.8') } })
    const first = /artifact ([0-9a-f]{12})/.exec(built.said)?.[1] ?? ''
    expect((await run('diff', first, 'snponly.efi')).said).toContain('script.text')
    await run('publish', '--rollback')
    expect(readFileSync(join(camp.folder, 'depot/ipxe/snponly.efi'), 'utf8')).toContain('chain http://10.0.0.1/boot.ipxe')
    expect((await run('prune', '--keep', '0')).said).toMatch(/^1 removed/)
  })

  it("builds a target without a recipe, with a script of one's own", async () => {
    const script = join(camp.folder, 'my.ipxe')
    writeFileSync(script, '#!ipxe\nshell\n')
    const { said } = await run('build', '--target', 'bin/undionly.kpxe', '--script', script, '--json-for-test')
    expect(JSON.parse(said)).toMatchObject({ target: 'bin/undionly.kpxe', script: { text: '#!ipxe\nshell\n' } })
    expect((await run('build', '--target', 'bin/undionly.kpxe', '--set', 'NET_TUNNEL=off', '--url')).said).toBe(
      'target=bin%2Fundionly.kpxe&template=boot&slot=1024%2C0&o.NET_TUNNEL=off',
    )
  })

  it.each<[string[], RegExp]>([
    [['build', '--target', 'bin/undionly.kpxe', '--set', 'NET_TUNNEL'], /--set takes NAME=value/],
    [['build', '--target', 'bin/undionly.kpxe', '--trust', '/nowhere.pem'], /there is no file/],
    [['build', 'absent'], /there is no recipe absent/],
    [['show', 'ffffff'], /there is no artifact/],
    [['publish', '--rollback'], /nothing was announced before/],
    [['options', '--folder', 'bin-mips'], /folders: bin /],
  ])('%j is refused with a reason', async (words, reason) => {
    await expect(run(...words)).rejects.toThrow(reason)
  })

  it('shows what there is to choose from', async () => {
    expect((await run('options', 'tunnel')).said).toMatch(/NET_TUNNEL +off +general\.h +The long tunnel/)
    expect((await run('options', 'download', '--folder', 'bin-x86_64-efi')).said).toMatch(/DOWNLOAD_FILE +on/)
    expect((await run('targets', 'bin/undionly.kpxe')).said).toBe('undionly.kpxe\ngpxe.kpxe')
    expect((await run('recipes')).said).toContain('snponly')
    expect((await run('source', 'list')).said).toContain('stand-in')
    const { said } = await run('source', 'add', camp.source, '--name', 'second', '--json-for-test')
    expect(JSON.parse(said)).toMatchObject({ name: 'second', kind: 'directory' })
  })
})

describe('progress', () => {
  const build = {
    id: '1',
    state: 'running',
    what: 'bin/undionly.kpxe',
    askedAt: 0,
    progress: { step: 'compiling', done: 1450, total: 2900, current: 'bin/tcp.o' },
  } as const

  it('is one line that renews itself on a terminal', () => {
    const shown: string[] = []
    const view = createProgressView({ isTerminal: true, columns: 60, write: (text) => void shown.push(text) }, () => 4000)
    view.show(build)
    view.end()
    expect(shown.join('')).toBe('\r\x1b[Kbin/undionly.kpxe: compiling 1450 of about 2900 (50 %) bin/\r\x1b[K')
  })

  it('never says a hundred before the end, and nothing of a share that is not known', () => {
    expect(formatProgress({ step: 'compiling', done: 4000, total: 2900, current: 'x' })).toBe('compiling 2900 of about 2900 (99 %) x')
    expect(formatProgress({ step: 'linking', done: 3, current: 'y', part: 'bin/ipxe.usb' })).toBe('bin/ipxe.usb: linking 3 y')
  })
})
