// A dnsmasq that somebody else runs: found by pid file or container, signalled, or said to need a restart. Stand-ins for dnsmasq and docker.
import { type ChildProcess, spawn } from 'node:child_process'
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseDhcpHosts } from '../../src/dnsmasq/dhcphosts.ts'
import { findProcess, reloadProcess } from '../../src/dnsmasq/process.ts'
import { makeScratch } from '../support/scratch.ts'

const writeScript = (path: string, body: string) => writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 })

/** A process that says so when it is signalled. */
async function startTarget(): Promise<{ child: ChildProcess; output: () => string }> {
  const child = spawn('sh', ['-c', 'trap "echo HUP" HUP; echo ready; while :; do sleep 0.05; done'], { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await expect.poll(() => text, { timeout: 10_000 }).toMatch(/ready/)
  return { child, output: () => text }
}

async function makeSite(version = '2.91') {
  const folder = await makeScratch()
  const [program, conf] = [join(folder, 'dnsmasq'), join(folder, 'dnsmasq.conf')]
  writeScript(program, `case $1 in --version) echo "Dnsmasq version ${version}";; --test) ! grep -q broken "\${2#*=}";; esac`)
  writeFileSync(conf, 'port=0\n')
  const { child, output } = await startTarget()
  const old = new Date(Date.now() - 3_600_000)
  utimesSync(conf, old, old)
  const pid = child.pid as number
  return { folder, program, conf, pid, output, ask: { pid, conf, program, files: [parseDhcpHosts('a,set:x\n', 'd')], isDryRun: false } }
}

describe('a dnsmasq that somebody else runs', () => {
  it('is signalled; with --dry-run it is not', async () => {
    const { ask, output } = await makeSite()
    expect(await reloadProcess({ ...ask, isDryRun: true })).toMatchObject({ action: 'signal' })
    expect(output()).not.toMatch(/HUP/)
    await reloadProcess(ask)
    await expect.poll(output, { timeout: 10_000 }).toMatch(/HUP/)
  })
  it('needs a restart when its main file is newer than it', async () => {
    const { ask, conf, output } = await makeSite()
    const later = new Date(Date.now() + 60_000)
    utimesSync(conf, later, later)
    expect(await reloadProcess(ask)).toMatchObject({ action: 'restart-needed', text: expect.stringMatching(/changed after the start/) })
    expect(output()).not.toMatch(/HUP/)
  })
  it('needs a restart when the signal would kill it', async () => {
    const { ask } = await makeSite('2.90')
    expect(await reloadProcess(ask)).toMatchObject({ action: 'restart-needed', text: expect.stringMatching(/2\.90 dies on SIGHUP/) })
  })
  it('is left alone when its main file is broken', async () => {
    const { ask, conf } = await makeSite()
    writeFileSync(conf, 'broken\n')
    await expect(reloadProcess(ask)).rejects.toMatchObject({ code: 'dnsmasq-conf' })
  })
  it('is found by its pid file, or by its container', async () => {
    const { folder, pid } = await makeSite()
    writeFileSync(join(folder, 'pid'), `${pid}\n`)
    expect(await findProcess({ pidFile: join(folder, 'pid') })).toEqual({ pid })
    await expect(findProcess({ pidFile: join(folder, 'none') })).rejects.toMatchObject({ code: 'no-process' })
    writeScript(join(folder, 'docker'), `echo "$*" > ${folder}/argv; echo ${pid}`)
    const path = process.env.PATH
    process.env.PATH = `${folder}:${path}`
    try {
      expect(await findProcess({ container: 'pxeboot' })).toEqual({ pid })
    } finally {
      process.env.PATH = path
    }
  })
})
