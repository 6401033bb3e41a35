// The command line as a person meets it: without a server, exit codes, messages that help.
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseAge } from '../../src/cli/watch.ts'
import type { Command } from 'commander'
import { takeKeys } from '../../src/cli/context.ts'
import { createProgram } from '../../src/cli/main.ts'
import { formatTable } from '../../src/cli/output.ts'
import { isConfigKey } from '../../src/config.ts'
import { createArtifacts } from '../../src/ipxe/artifact.ts'
import { createPublisher } from '../../src/ipxe/publish.ts'
import { type CliFolder, createCliFolder } from '../support/cli.ts'

let folder: CliFolder
beforeEach(() => {
  folder = createCliFolder()
})
afterEach(() => folder.remove())

const write = (name: string, text: string): void => {
  mkdirSync(join(folder.path, name, '..'), { recursive: true })
  writeFileSync(join(folder.path, name), text)
}

describe('exit codes and messages', () => {
  it.each([
    [['--version'], 0, /^\d+\.\d+\.\d+$/m],
    [['--help'], 0, /Examples:/],
    [['serve', '--help'], 0, /Examples:/],
    [['explain', '--help'], 0, /Examples:/],
    [['events', '--help'], 0, /Examples:/],
    [['try', '--help'], 0, /Examples:/],
    [['config', 'check', '--help'], 0, /Examples:/],
    [['frobnicate'], 1, /unknown command/],
    [['serve', '--http.port'], 2, /needs a value/],
    [['--config', 'nowhere.yaml', 'config', 'check'], 2, /nowhere\.yaml: there is no such file/],
    [['--http.port', 'abc', 'config', 'check'], 2, /http\.port/],
    [['explain', 'zz', '--local'], 4, /neither a MAC address nor the name/],
    [['events', '--since', 'yesterday'], 2, /not an age/],
    [['--server', 'http://127.0.0.1:9', 'status'], 4, /no Bivouac answers at http:\/\/127\.0\.0\.1:9; start one/],
    [['try', '--firmware', 'coreboot'], 1, /Allowed choices are bios, uefi, uefi-http/],
  ] as const)('bivouac %s', (args, code, text) => {
    const ended = folder.run(...args)
    expect(`${ended.stdout}${ended.stderr}`).toMatch(text)
    expect(ended.code).toBe(code)
  })

  it('tells errors as JSON when asked to', () => {
    const { stderr } = folder.run('--json', '--server', 'http://127.0.0.1:9', 'status')
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'no-server' } })
  })
})

describe('--help', () => {
  const leavesOf = (command: Command): Command[] => (command.commands.length ? command.commands.flatMap(leavesOf) : [command])
  const nameOf = (command: Command): string => (command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name())
  const leaves = leavesOf(createProgram({}, {})).map((command) => [nameOf(command), command] as const)
  const helpOf = (command: Command): string => {
    const pieces: string[] = []
    command.configureOutput({ writeOut: (piece) => void pieces.push(piece) }).outputHelp()
    return pieces.join('')
  }
  it.each(leaves)('shows examples of %s, and that it answers machines too', (name, command) => {
    expect(helpOf(command)).toMatch(new RegExp(`Examples:\\n[\\s\\S]*bivouac (--\\S+ (\\S+ )?)*${name}`))
    if (!name.startsWith('pilot ')) expect(helpOf(command)).toMatch(/^ {2}--json /m)
  })

  // PXE Pilot's own command line is as it ever was.
  const ours = leaves.filter(([name]) => !name.startsWith('pilot '))
  // `try` boots in folders of its own below the state, `edit` shows a person's own change in an editor; the others only look.
  const onlyLook = /(^| )(list|show|status|check|history|diff|verify|lint|resolve|targets|options|recipes)$/
  const exempt = /^(try|explain|events|trace|leases|power refresh|(station|profile) edit)$/
  it.each(ours)('has --dry-run for %s, unless it changes nothing', (name, command) => {
    const hasDryRun = command.options.some(({ long }) => long === '--dry-run')
    expect(hasDryRun).toBe(!onlyLook.test(name) && !exempt.test(name))
  })
})

describe('a dry run', () => {
  it('makes nothing, binds nothing and ends well', () => {
    for (const words of [
      ['serve'],
      ['depot', 'init'],
      ['token', 'new'],
      ['ipxe', 'source', 'add', './none.tar.gz'],
      ['ipxe', 'build', 'undionly', '--publish'],
    ]) {
      expect(folder.run(...words, '--dry-run'), words.join(' ')).toMatchObject({ code: 0, stdout: expect.stringMatching(/would/) })
      expect(() => JSON.parse(folder.run('--json', ...words, '--dry-run').stdout), words.join(' ')).not.toThrow()
    }
    expect(readdirSync(folder.path)).toEqual([])
  }, 60_000)
})

describe('depot init', () => {
  it('makes a depot once and never overwrites', () => {
    expect(folder.run('depot', 'init').stdout).toMatch(/made configs, configs\/groups/)
    write('depot/profiles/alpine.yaml', 'kind: local\n')
    expect(folder.run('depot', 'init').stdout).toMatch(/nothing to do/)
    expect(folder.run('--json', 'explain', '52:54:00:12:34:56', '--local').code).toBe(0)
    expect(folder.run('config', 'check')).toMatchObject({ code: 0, stdout: expect.stringMatching(/good\n$/) })
  })
})

describe('config check', () => {
  it('tells the mistakes of records too, with file, line and a guess', () => {
    folder.run('depot', 'init')
    write('depot/stations/a.yaml', 'mac: 52:54:00:12:34:56\nprofil: local\n')
    const ended = folder.run('config', 'check')
    expect(ended.code).toBe(2)
    expect(ended.stdout).toMatch(/stations\/a\.yaml:2: profil: .*did you mean "?profile/)
  })
  it('looks at the depot as well: releases, files, templates, loaders, and what is named and not there', () => {
    folder.run('depot', 'init')
    expect(folder.run('config', 'check')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^warning release-none: profiles\/alpine\.yaml:2: /),
    })
    write('bivouac.yaml', 'unknown: nobody\nloaders: {0: own.kpxe}\n')
    write('depot/profiles/alpine.yaml', 'kind: alpine\nkernel: vmlinuz-lts\ninitramfs: initramfs-lts\nrepositories: [apk/main]\n')
    write('depot/profiles/kiosk.yaml', 'kind: script\ntemplate: kiosk.ipxe\n')
    write('depot/templates/wait.ipxe.ejs', '#!ipxe\n<% if (x { %>\n')
    write('depot/vmlinuz-lts', '')
    const ended = folder.run('--json', 'config', 'check')
    const { findings } = JSON.parse(ended.stdout) as { findings: { code: string; file: string; line?: number }[] }
    expect(findings.map(({ code, file, line }) => `${code} ${file}:${line}`).sort()).toEqual([
      'file-missing profiles/alpine.yaml:3',
      'loader-missing bivouac.yaml:2',
      'profile-missing bivouac.yaml:1',
      'repository-missing profiles/alpine.yaml:4',
      'template-bad templates/wait.ipxe.ejs:2',
      'template-missing profiles/kiosk.yaml:2',
    ])
    expect(ended.code).toBe(2)
  })
  it('carries the templates out: what fails only when a station asks is told before', () => {
    folder.run('depot', 'init')
    write('depot/templates/station.ipxe.ejs', '#!ipxe\necho <%= it.hostname.toUpperCase() %>\nboot\n')
    write('depot/templates/kiosk.ipxe.ejs', '#!ipxe\n\necho <%= it.nothing %>\n')
    write('depot/templates/local.ipxe.ejs', '#!ipxe\nexit\n')
    write('depot/templates/wait.ipxe.ejs', '#!ipxe\n<% for (;;) { } %>\n')
    write('depot/profiles/kiosk.yaml', 'kind: script\ntemplate: kiosk.ipxe\n')
    const ended = folder.run('--json', 'config', 'check')
    const { findings } = JSON.parse(ended.stdout) as { findings: { code: string; file: string; line?: number }[] }
    expect(
      findings
        .filter(({ code }) => code === 'template-bad')
        .map(({ file, line }) => `${file}:${line}`)
        .sort(),
    ).toEqual(['templates/kiosk.ipxe.ejs:3', 'templates/station.ipxe.ejs:2', 'templates/wait.ipxe.ejs:undefined'])
    expect(ended.code).toBe(2)
  })
  it('checks records and networks together', () => {
    folder.run('depot', 'init')
    write('bivouac.yaml', 'networks:\n  - {name: lab, interface: eth1, subnet: 10.9.0.0/24, pool: [10.9.0.10-10.9.0.20]}\n')
    write('depot/stations/a.yaml', 'mac: 52:54:00:12:34:56\naddress: 10.8.0.5\n')
    const ended = folder.run('--json', 'config', 'check')
    expect(JSON.parse(ended.stdout)).toMatchObject({
      errors: 1,
      findings: expect.arrayContaining([expect.objectContaining({ code: 'station-outside' })]),
    })
    expect(ended.code).toBe(2)
  })
})

describe('explain without a server', () => {
  it('gives every step and the losing reasons', () => {
    folder.run('depot', 'init')
    write('depot/stations/kiosk.yaml', 'mac: 52:54:00:12:34:56\nprofile: local\n')
    const { stdout, code } = folder.run('explain', 'kiosk')
    expect(code).toBe(0)
    expect(stdout).toMatch(/1\. Its firmware asks by DHCP \(x86 BIOS\)/)
    expect(stdout).toMatch(/profile local, kind local/)
    expect(folder.run('explain', '52-54-00-12-34-56', '--script').stdout).toMatch(/^#!ipxe\n/)
  })
  it('asks on the network where the station would ask, and names addresses as the station sees them', () => {
    folder.run('depot', 'init')
    write('depot/stations/kiosk.yaml', 'mac: 52:54:00:12:34:56\naddress: 10.8.0.50\n')
    const office = '{name: office, interface: eth1, mode: proxy, subnet: 192.168.1.0/24, serverAddress: 192.168.1.5}'
    const lab = '{name: lab, interface: eth0, subnet: 10.8.0.0/24, serverAddress: 10.8.0.1, pool: [10.8.0.100-10.8.0.120]}'
    write('bivouac.yaml', `networks:\n  - ${office}\n  - ${lab}\n`)
    const { stdout } = folder.run('explain', 'kiosk')
    expect(stdout).toMatch(/^52:54:00:12:34:56, station kiosk, network lab \(server\)$/m)
    expect(stdout).toMatch(/Our iPXE asks .*: address 10\.8\.0\.50 by its record, script http:\/\/10\.8\.0\.1:8080\/boot\.ipxe$/m)
    expect(stdout).not.toContain('127.0.0.1')
    expect(folder.run('explain', '52:54:00:99:99:99').stdout).toMatch(/network office \(proxy\)[\s\S]*its address from another server/)
    expect(folder.run('explain', '52:54:00:99:99:99', '--network', 'lab').stdout).toMatch(/network lab \(server\)[\s\S]*an address of the pool/)
    expect(folder.run('explain', 'kiosk', '--network', 'moon')).toMatchObject({ code: 2, stderr: expect.stringMatching(/there are: office, lab/) })
  })
  it('says so when DHCP is off', () => {
    expect(folder.run('explain', '52:54:00:12:34:56').stdout).toMatch(/^52:54:00:12:34:56, no record, DHCP is off/)
  })
  it('says which artifact a loader is', async () => {
    folder.run('depot', 'init')
    write('depot/stations/kiosk.yaml', 'mac: 52:54:00:12:34:56\nprofile: local\n')
    const depot = join(folder.path, 'depot')
    const artifacts = createArtifacts({ depot })
    const manifest = await artifacts.add(
      {
        ...{ fingerprint: '17ad26a0a2a0'.padEnd(64, '0'), kind: 'built', name: 'kiosk', target: 'bin/undionly.kpxe', file: 'undionly.kpxe' },
        ...{ announce: ['undionly.kpxe', 'gpxe.kpxe'], source: { name: 's', from: '/s', pin: 'commit:1' }, settings: {}, toolchain: [] },
        ...{ durationMs: 1, builtAt: Date.UTC(2026, 2, 4, 5, 6) },
      },
      { 'undionly.kpxe': Buffer.from('loader') },
    )
    await createPublisher({ depot, artifacts, now: () => 0 }).publish(manifest)
    const text = folder.run('explain', 'kiosk', '--arch', '0').stdout
    const told = text.slice(0, text.indexOf('\n3. '))
    await expect(told.replaceAll(realpathSync(folder.path), '<folder>').replaceAll(folder.path, '<folder>')).toMatchFileSnapshot(
      join(import.meta.dirname, '../golden/explain-artifact.txt'),
    )
    const [{ dhcp }] = JSON.parse(folder.run('--json', 'explain', 'kiosk', '--arch', '0').stdout).explanations
    expect(dhcp[0].loader.artifact).toEqual({
      ...{ fingerprint: '17ad26a0a2a0', kind: 'built', target: 'bin/undionly.kpxe', recipe: 'kiosk', builtAt: Date.UTC(2026, 2, 4, 5, 6) },
    })
  })
  it('takes architectures', () => {
    const answer = JSON.parse(folder.run('--json', 'explain', '52:54:00:12:34:56', '--arch', '11').stdout)
    expect(answer.explanations[0].dhcp.map((one: { arch: number }) => one.arch)).toContain(11)
  })
})

describe('small parts', () => {
  it.each([
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['3d', 259_200_000],
  ] as const)('%s is an age', (text, ageMs) => expect(parseAge(text)).toBe(ageMs))

  it('takes configuration keys from anywhere in the arguments', () => {
    expect(takeKeys(['serve', '--http.port=1', '--quiet', '--depot', '/x'], isConfigKey)).toEqual({
      keys: { 'http.port': '1', depot: '/x' },
      rest: ['serve', '--quiet'],
    })
  })
  it('lays out tables', () => {
    expect(formatTable(['a', 'long'], [['xx', 'y']])).toBe('A   LONG\nxx  y')
  })
})
