// dnsmasq as the engine of DHCP and DNS: its files written and checked, the program started, kept running, signalled or restarted. Used by server.ts.
// It never lets an unchecked configuration near the running program.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BootEvent } from '../boot/event.ts'
import { writeAtomic } from '../store/atomic.ts'
import { parseDhcpHosts } from './dhcphosts.ts'
import { mustRestart, readVersion, testConf } from './version.ts'

/** The three files as they are to be. `conf` names the other two by the paths that it is given. */
export type EngineFiles = { readonly conf: string; readonly hosts: string; readonly dhcphosts: string }
export type EnginePaths = { readonly [K in keyof EngineFiles]: string } & { readonly leases: string }

/** What a reload did, and why. `changed` are the files whose bytes are others now. */
export type ReloadReport = { readonly changed: readonly (keyof EngineFiles)[]; readonly action: 'none' | 'signal' | 'restart'; readonly why: string }

export type Engine = {
  readonly version: string
  /** Writes what changed, after checking it, and makes the program read it. Throws InputError when dnsmasq refuses it: then all is as before. */
  readonly reload: () => Promise<ReloadReport>
  readonly pid: () => number | undefined
  readonly paths: EnginePaths
  readonly stop: () => Promise<void>
}

export type EngineOptions = {
  readonly program: string
  /** A folder of its own; made when it is not there. */
  readonly folder: string
  readonly render: (paths: EnginePaths) => Promise<EngineFiles> | EngineFiles
  readonly tell: (event: Omit<BootEvent, 'at'>) => void
  readonly onLine?: (line: string) => void
}

// A crash costs a tenth of a second; one that follows at once waits longer, so that a program that cannot run does not eat the machine.
const restartMs = 100
const restartMaxMs = 1500
const calmMs = 10_000

export const pathsIn = (folder: string): EnginePaths => ({
  conf: join(folder, 'dnsmasq.conf'),
  hosts: join(folder, 'hosts'),
  dhcphosts: join(folder, 'dhcphosts'),
  leases: join(folder, 'leases'),
})

/** Writes, checks and starts. Throws OutsideError without the program, InputError for what it refuses. */
export async function startEngine({ program, folder, render, tell, onLine = () => {} }: EngineOptions): Promise<Engine> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const paths = pathsIn(folder)
  const version = await readVersion(program)
  let child: ChildProcess | undefined
  let isStopped = false
  let waitMs = restartMs
  let timer: NodeJS.Timeout | undefined

  const run = () => {
    const startedAt = performance.now()
    const one = spawn(program, ['--keep-in-foreground', `--conf-file=${paths.conf}`, '--log-facility=-'], { stdio: ['ignore', 'pipe', 'pipe'] })
    child = one
    for (const stream of [one.stdout, one.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => text.split('\n').filter(Boolean).forEach(onLine))
    one.once('error', () => one.emit('exit', null, null))
    one.once('exit', (code, signal) => {
      if (child === one) child = undefined
      if (isStopped || isRestarting) return
      waitMs = performance.now() - startedAt > calmMs ? restartMs : Math.min(waitMs * 2, restartMaxMs)
      tell({
        kind: 'dropped',
        detail: { door: 'dnsmasq', reason: `dnsmasq ended (${signal ?? `exit ${code}`}); it is started again in ${waitMs} ms` },
      })
      timer = setTimeout(run, waitMs).unref()
    })
  }
  let isRestarting = false
  const end = async () => {
    clearTimeout(timer)
    const one = child
    if (!one || one.exitCode !== null || one.signalCode !== null) return
    const gone = new Promise((resolve) => one.once('exit', resolve))
    one.kill('SIGTERM')
    const hard = setTimeout(() => one.kill('SIGKILL'), 1000).unref()
    await gone
    clearTimeout(hard)
  }
  const restart = async () => {
    isRestarting = true
    await end()
    isRestarting = false
    if (!isStopped) run()
  }

  const write = async (): Promise<{ changed: (keyof EngineFiles)[]; files: EngineFiles; before: EngineFiles }> => {
    const files = await render(paths)
    const before = { conf: await readOr(paths.conf), hosts: await readOr(paths.hosts), dhcphosts: await readOr(paths.dhcphosts) }
    const changed = (['conf', 'hosts', 'dhcphosts'] as const).filter((name) => files[name] !== before[name])
    if (changed.includes('conf')) {
      const draft = `${paths.conf}.new`
      await writeAtomic(draft, files.conf, 0o644)
      await testConf(program, draft)
    }
    for (const name of changed) await writeAtomic(paths[name], files[name], 0o644)
    return { changed, files, before }
  }
  const reload = async (): Promise<ReloadReport> => {
    const { changed, files, before } = await write()
    const pid = child?.pid
    if (!changed.length && pid !== undefined) return { changed, action: 'none', why: 'nothing changed' }
    const isFragile = mustRestart(version, [parseDhcpHosts(before.dhcphosts, 'before'), parseDhcpHosts(files.dhcphosts, 'after')])
    if (pid !== undefined && !changed.includes('conf') && !isFragile) {
      child?.kill('SIGHUP')
      return { changed, action: 'signal', why: 'host files are read again on SIGHUP' }
    }
    await restart()
    const why = changed.includes('conf')
      ? 'the main file is read only at the start'
      : isFragile
        ? `${version} dies on SIGHUP when lines of host files have tags`
        : 'it was not running'
    return { changed, action: 'restart', why }
  }

  await write()
  run()
  const stop = async () => {
    isStopped = true
    await end()
  }
  // One after the other: two at once would write over each other.
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (): Promise<ReloadReport> => {
    const mine = last.then(reload)
    last = mine.catch(() => undefined)
    return mine
  }
  return { version, reload: inTurn, pid: () => child?.pid, paths, stop }
}

const readOr = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
