// The nine cases of PXE Pilot's own suite, with our server and our command line as processes: same steps, same tables, same exit codes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatPilotTable } from '../../src/cli/pilot-table.ts'
import { makePilotFixture, type PilotFixture } from './fixture.ts'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
const node = [process.execPath, '--disable-warning=ExperimentalWarning', main] as const

describe('the suite of PXE Pilot', () => {
  let fixture: PilotFixture
  let port: number
  let server: ChildProcess
  let env: Record<string, string | undefined>

  beforeEach(async () => {
    port = await findFreePort()
    fixture = makePilotFixture({ port })
    env = { PATH: `${fixture.bin}:${process.env.PATH}`, HOME: fixture.folder }
    server = spawn(node[0], [...node.slice(1), 'pilot', 'server', '--config', fixture.file, '--state', join(fixture.folder, 'state')], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((ready) => server.stdout?.once('data', ready))
  })
  afterEach(() => {
    server.kill('SIGKILL')
    fixture.remove()
  })

  const pilot = (...words: string[]) => {
    const { status, stdout } = spawnSync(node[0], [...node.slice(1), 'pilot', '--server', `http://127.0.0.1:${port}`, ...words], {
      env,
      encoding: 'utf8',
    })
    return { status, stdout: stdout.trimEnd() }
  }
  const linkOf = (mac: string) => {
    const path = join(fixture.root, `pxelinux.cfg/01-${mac}`)
    return existsSync(path) ? readlinkSync(path).replace(fixture.root, 'T') : undefined
  }

  it('1: hosts are listed while the neighbour table is empty', () => {
    expect(pilot('host', 'list').stdout).toBe(
      [
        '+------+---------------+-----------------------------------------------------------+-------------------+---------+-------------+',
        '| NAME | CONFIGURATION |                            MAC                            |     MGMT MAC      | MGMT IP | POWER STATE |',
        '+------+---------------+-----------------------------------------------------------+-------------------+---------+-------------+',
        '| h1   |               | 00:00:00:00:00:01                                         | 00:00:00:00:00:a1 |         | Unknown     |',
        '| h2   |               | 00:00:00:00:00:02                                         | 00:00:00:00:00:a2 |         | Unknown     |',
        '| h3   |               | 00:00:00:00:00:31 | 00:00:00:00:00:32 | 00:00:00:00:00:33 |                   |         |             |',
        '| h4   |               | 00:00:00:00:00:04                                         | 00:00:00:00:00:a4 |         | Unknown     |',
        '+------+---------------+-----------------------------------------------------------+-------------------+---------+-------------+',
      ].join('\n'),
    )
  })

  it('2 and 3: a refresh finds them; on and off are seen', () => {
    expect(pilot('host', 'refresh')).toEqual({ status: 0, stdout: '+---------+\n| REFRESH |\n+---------+\n| OK      |\n+---------+' })
    expect(pilot('host', 'list').stdout).toContain(
      '| h4   |               | 00:00:00:00:00:04                                         | 00:00:00:00:00:a4 | 10.69.70.14 | Off         |',
    )
    expect(pilot('host', 'on', 'h4')).toEqual({ status: 0, stdout: '+------+----+\n| NAME | ON |\n+------+----+\n| h4   | OK |\n+------+----+' })
    expect(pilot('host', 'list').stdout).toMatch(/\| h4 .*\| On {10}\|/)
    expect(pilot('host', 'off', 'h4').status).toBe(0)
    expect(pilot('host', 'list').stdout).toMatch(/\| h4 .*\| Off {9}\|/)
    expect(pilot('host', 'on', 'h3')).toEqual({
      status: 1,
      stdout: '+------+-------+\n| NAME |  ON   |\n+------+-------+\n| h3   | ERROR |\n+------+-------+',
    })
  })

  it('4 to 6: boot loaders, configurations, one configuration', () => {
    expect(pilot('bootloader', 'list').stdout).toBe(
      [
        '+----------+--------------+---------------+',
        '|   NAME   |     FILE     |  CONFIG PATH  |',
        '+----------+--------------+---------------+',
        '| pxelinux | pxelinux.0   | pxelinux.cfg  |',
        '| syslinux | syslinux.efi | pxelinux.cfg  |',
        '| grub     | grubx64.efi  | grub/grub.cfg |',
        '+----------+--------------+---------------+',
      ].join('\n'),
    )
    const names = pilot('config', 'list')
      .stdout.split('\n')
      .slice(3, -1)
      .map((line) => line.split('|')[1]?.trim())
    expect(names).toEqual(['local', 'sheep', 'a', 'b', 'c', 'grml', 'z'])
    expect(pilot('config', 'show', 'sheep')).toEqual({ status: 0, stdout: '# sheep\nDEFAULT sheep <&>' })
    expect(pilot('config', 'show', 'gone')).toEqual({ status: 1, stdout: 'Error : configuration does not exist' })
  })

  it('7: a deploy makes the link, and a link removed by hand is no configuration', () => {
    pilot('host', 'refresh')
    expect(pilot('config', 'deploy', 'sheep', 'h1').stdout).toContain('| h1   | sheep         | NO       |')
    expect(pilot('host', 'list').stdout).toMatch(/\| h1 {3}\| sheep/)
    expect(linkOf('00-00-00-00-00-01')).toBe('T/pxelinux.cfg/conf/pxelinux/sheep')
    rmSync(join(fixture.root, 'pxelinux.cfg/01-00-00-00-00-00-01'))
    expect(pilot('host', 'list').stdout).toMatch(/\| h1 {3}\| {15}\|/)
  })

  it('8: a deploy with --now reboots', () => {
    pilot('host', 'refresh')
    expect(pilot('config', 'deploy', '--now', 'sheep', 'h1').stdout).toContain('| h1   | sheep         | YES      |')
    expect(pilot('host', 'list').stdout).toMatch(/\| h1 {3}\| sheep .*\| On {10}\|/)
  })

  it('9: a deploy to a host with three MACs makes three links', () => {
    expect(pilot('config', 'deploy', 'local', 'h3').status).toBe(0)
    expect(readdirSync(join(fixture.root, 'pxelinux.cfg')).filter((name) => name.startsWith('01-'))).toHaveLength(3)
    expect([linkOf('00-00-00-00-00-31'), linkOf('00-00-00-00-00-33')]).toEqual([
      'T/pxelinux.cfg/conf/pxelinux/local',
      'T/pxelinux.cfg/01-00-00-00-00-00-31',
    ])
    expect(pilot('config', 'deploy', 'local', 'h3', 'x')).toEqual({ status: 1, stdout: '' })
  })

  it("ends with the original's codes where nothing answers", () => {
    server.kill('SIGKILL')
    expect(pilot('host', 'list')).toEqual({ status: 1, stdout: 'Error : server unavailable...Error...' })
    expect(pilot('config', 'list')).toEqual({ status: 2, stdout: '' })
  })
})

it('a table wraps at 30 characters where the original does', () => {
  expect(formatPilotTable(['Name'], [['one two three four five six seven eight']], { wrap: true })).toBe(
    [
      '+-----------------------------+',
      '|            NAME             |',
      '+-----------------------------+',
      '| one two three four five six |',
      '| seven eight                 |',
      '+-----------------------------+',
    ].join('\n'),
  )
})

function findFreePort(): Promise<number> {
  return new Promise((found) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => found(port))
    })
  })
}
