// Runs the real command line as a child process in a folder of its own, on free ports of loopback.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
const node = [process.execPath, '--disable-warning=ExperimentalWarning', main] as const

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

export type CliFolder = {
  readonly path: string
  /** One command to its end. */
  readonly run: (...args: string[]) => Ended
  /** `serve` on free ports; resolves when it says that it is ready. Its base URL and all that it printed. */
  readonly serve: (...args: string[]) => Promise<{
    readonly base: string
    readonly output: () => string
    readonly child: ChildProcess
    readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
  }>
  /** One command that goes on until the folder is removed. */
  readonly start: (...args: string[]) => { readonly output: () => string }
  readonly remove: () => Promise<void>
}

export function createCliFolder(): CliFolder {
  const path = mkdtempSync(join(tmpdir(), 'bivouac-cli-'))
  const running = new Set<() => Promise<unknown>>()
  const env = { PATH: process.env.PATH, HOME: path, TZ: 'UTC' }
  const run = (...args: string[]): Ended => {
    const { status, stdout, stderr } = spawnSync(node[0], [...node.slice(1), ...args], { cwd: path, env, encoding: 'utf8', timeout: 15_000 })
    return { code: status, stdout, stderr }
  }
  const serve: CliFolder['serve'] = async (...args) => {
    const port = await findFreePort()
    const ports = ['--http.address=127.0.0.1', `--http.port=${port}`, '--tftp.address=127.0.0.1', '--tftp.port=0']
    const child = spawn(node[0], [...node.slice(1), ...ports, ...args, 'serve'], { cwd: path, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    const ended = new Promise<number | null>((done) => child.once('exit', (code) => done(code)))
    const ready = new Promise<void>((done, fail) => {
      const look = (chunk: Buffer) => {
        text += chunk
        if (/^Next: /m.test(text) || text.includes('"token"')) done()
      }
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      child.once('exit', () => fail(new Error(`serve ended: ${text}`)))
    })
    const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
      running.delete(stop)
      child.kill(signal)
      return ended
    }
    running.add(stop)
    await ready
    return { base: `http://127.0.0.1:${port}`, output: () => text, child, stop }
  }
  const start: CliFolder['start'] = (...args) => {
    const child = spawn(node[0], [...node.slice(1), ...args], { cwd: path, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
    })
    const ended = new Promise((done) => child.once('exit', done))
    running.add(() => {
      child.kill('SIGKILL')
      return ended
    })
    return { output: () => text }
  }
  const remove = async () => {
    await Promise.all([...running].map((stop) => stop()))
    rmSync(path, { recursive: true, force: true })
  }
  return { path, run, serve, start, remove }
}

async function findFreePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done))
  const address = probe.address()
  await new Promise((done) => probe.close(done))
  return typeof address === 'object' && address ? address.port : 0
}
