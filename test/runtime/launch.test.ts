// The launcher with stand-in Nodes and npms: what it picks, what it installs, and how it ends. No network.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const source = resolve(import.meta.dirname, '../../src/runtime')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bivouac-launch-'))
  mkdirSync(join(folder, 'src/runtime'), { recursive: true })
  mkdirSync(join(folder, 'bin'))
  for (const name of ['launch.mjs', 'package.json']) cpSync(join(source, name), join(folder, 'src/runtime', name))
  writeFileSync(join(folder, 'package-lock.json'), '{}')
  script('npm', 'echo "npm $* in $PWD" >> "$LOG"; mkdir -p node_modules')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function script(name: string, body: string): string {
  const path = join(folder, 'bin', name)
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}

const environment = (more: Record<string, string> = {}) => ({ PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, LOG: join(folder, 'log'), ...more })

function launch(args: readonly string[], more: Record<string, string> = {}) {
  return spawnSync(process.execPath, [join(folder, 'src/runtime/launch.mjs'), ...args], { encoding: 'utf8', env: environment(more), timeout: 10_000 })
}

const log = () => readFileSync(join(folder, 'log'), 'utf8').trim().split('\n')

describe('the launcher', () => {
  it('installs once, runs a script with its arguments and gives back its exit code', () => {
    writeFileSync(join(folder, 'job.mjs'), 'console.log(process.argv.slice(2).join(" ")); process.exitCode = 3')
    expect(launch(['job.mjs', 'one', '--two'])).toMatchObject({ status: 3, stdout: 'one --two\n' })
    expect(launch(['job.mjs'])).toMatchObject({ status: 3 })
    expect(log()).toEqual([`npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error in ${folder}`])
  })

  it('installs again when the lock file has changed', () => {
    writeFileSync(join(folder, 'job.mjs'), '')
    launch(['job.mjs'])
    writeFileSync(join(folder, 'package-lock.json'), '{"changed":true}')
    launch(['job.mjs'])
    expect(log()).toHaveLength(2)
  })

  it('puts its Node first on the path of what it runs', () => {
    writeFileSync(join(folder, 'job.mjs'), 'console.log(process.env.PATH.split(":")[0])')
    expect(launch(['job.mjs']).stdout.trim()).toBe(join(process.execPath, '..'))
  })

  it('ends with 69 and a remedy when npm fails, and tries again the next time', () => {
    script('npm', 'echo "no network" >&2; exit 1')
    writeFileSync(join(folder, 'job.mjs'), 'console.log("ran")')
    expect(launch(['job.mjs'])).toMatchObject({ status: 69, stdout: '' })
    script('npm', 'mkdir -p node_modules')
    expect(launch(['job.mjs']).stdout).toBe('ran\n')
  })

  it('takes over the lock of a start that was killed', () => {
    writeFileSync(join(folder, 'src/runtime/.lock-dependencies'), '4194304')
    writeFileSync(join(folder, 'job.mjs'), 'console.log("ran")')
    expect(launch(['job.mjs']).stdout).toBe('ran\n')
  })

  it('refuses a BIVOUAC_NODE that is too old or does not run', () => {
    const old = script('old-node', 'echo v20.20.2')
    expect(launch(['job.mjs'], { BIVOUAC_NODE: old })).toMatchObject({ status: 69, stderr: expect.stringContaining('22.19 or newer') })
    expect(launch(['job.mjs'], { BIVOUAC_NODE: '/nowhere/node' })).toMatchObject({ status: 69, stderr: expect.stringContaining('does not run') })
  })

  it('uses BIVOUAC_NODE when it is new enough', () => {
    const own = script('own-node', 'if [ "$1" = --version ]; then echo v26.1.0; else echo "own $*"; fi')
    expect(launch(['job.mjs', 'x'], { BIVOUAC_NODE: own }).stdout).toContain('job.mjs x')
  })

  it('passes SIGTERM on and ends as its child ends', async () => {
    writeFileSync(join(folder, 'job.mjs'), 'process.on("SIGTERM", () => process.exit(7)); console.log("ready"); setInterval(() => {}, 1000)')
    const child = spawn(process.execPath, [join(folder, 'src/runtime/launch.mjs'), 'job.mjs'], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((ready) => child.stdout.once('data', ready))
    child.kill('SIGTERM')
    expect(await new Promise((ended) => child.once('exit', (code) => ended(code)))).toBe(7)
  })

  it('says how it is used when it is given nothing', () => {
    expect(launch([])).toMatchObject({ status: 64 })
  })
})
