// A dnsmasq that somebody else runs: finding its process, also in a container, and making it read its files again. Used by `dnsmasq reload`.
import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { MissingError, OutsideError } from '../boot/error.ts'
import type { DhcpHostsFile } from './dhcphosts.ts'
import { mustRestart, readVersion, testConf } from './version.ts'

const runProgram = promisify(execFile)

/** By its pid file, or by the container engine's word. Throws MissingError when there is no such process. */
export async function findProcess({ pidFile, container }: { pidFile?: string; container?: string }): Promise<{ readonly pid: number }> {
  const pid = container === undefined ? await readPid(pidFile ?? '/run/dnsmasq/dnsmasq.pid') : await askEngine(container)
  if (!(await nameOf(pid))) throw new MissingError('no-process', `there is no process ${pid}`)
  return { pid }
}

async function readPid(path: string): Promise<number> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  const pid = Number(text?.trim())
  if (!Number.isInteger(pid) || pid < 2) throw new MissingError('no-process', `${path} names no process; give --pid-file or --container`)
  return pid
}

/** The document's `docker inspect … State.Pid`; podman knows the same words. */
async function askEngine(container: string): Promise<number> {
  for (const engine of ['docker', 'podman']) {
    try {
      const { stdout } = await runProgram(engine, ['inspect', '--format', '{{.State.Pid}}', '--', container], { timeout: 10_000 })
      if (Number(stdout) > 1) return Number(stdout)
      throw new MissingError('no-process', `container ${container} does not run`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      if (error instanceof MissingError) throw error
      throw new OutsideError('container-engine', `${engine} knows no container ${container}: ${(error as Error).message.slice(0, 200)}`, false, {
        cause: error,
      })
    }
  }
  throw new OutsideError('container-engine', 'neither docker nor podman is there to ask for the container’s process', false)
}

const nameOf = (pid: number): Promise<string | undefined> =>
  readFile(`/proc/${pid}/comm`, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )

export type ForeignReload = { readonly action: 'signal' | 'restart-needed'; readonly text: string }

/** Checks the main file, then sends SIGHUP; where that would not do, or would kill it, says that a restart is needed. Throws InputError for a bad main file. */
export async function reloadProcess(ask: {
  readonly pid: number
  readonly conf: string
  readonly program: string
  readonly files: readonly DhcpHostsFile[]
  readonly isDryRun: boolean
}): Promise<ForeignReload> {
  const { pid, conf, program, files, isDryRun } = ask
  await testConf(program, conf)
  const [changedAt, startedAt] = [(await stat(conf)).mtimeMs, await readStartMs(pid)]
  if (startedAt !== undefined && changedAt > startedAt)
    return { action: 'restart-needed', text: `restart needed: ${conf} was changed after the start, and is read only then` }
  const version = await readVersion(program)
  if (mustRestart(version, files))
    return { action: 'restart-needed', text: `restart needed: dnsmasq ${version} dies on SIGHUP when lines of host files have tags` }
  if (!isDryRun) process.kill(pid, 'SIGHUP')
  return { action: 'signal', text: 'host files are read again (SIGHUP)' }
}

/** When the process started, in milliseconds since 1970 (proc(5), fields btime and starttime). */
async function readStartMs(pid: number): Promise<number | undefined> {
  const [own, all] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''), readFile('/proc/stat', 'utf8').catch(() => '')])
  const ticks = Number(own.slice(own.lastIndexOf(')') + 2).split(' ')[19])
  const bootSeconds = Number(/^btime (\d+)/m.exec(all)?.[1])
  // Lore: Linux tells these times in hundredths of a second on every architecture that we run on.
  return Number.isFinite(ticks) && Number.isFinite(bootSeconds) ? bootSeconds * 1000 + ticks * 10 : undefined
}
