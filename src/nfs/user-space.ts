// nfs-ganesha as our child: its folder, its start, what went wrong, what an earlier process left. Made by open; used by phase.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import { writeAtomic } from '../store/atomic.ts'
import { checkRights, findProcesses, findProgram, killHard, type NfsEngine, type NfsExport } from './engine.ts'
import { explainFault, findFault, isReadyLine, renderGaneshaConfig } from './ganesha.ts'
import { type Guarded, startGuarded } from './guard.ts'
import type { NfsLog } from './log.ts'
import type { NfsAccess, NfsFolder, NfsPlan } from './plan.ts'
import { checkPort } from './port.ts'

const program = 'ganesha.nfsd'
const remedy = "install it (Debian: apt install nfs-ganesha nfs-ganesha-vfs), or use the kernel's server with --engine kernel"

export type UserSpaceOptions = {
  /** Its configuration, process file and what its clients hold. */
  readonly folder: string
  readonly log: NfsLog
  readonly startTimeoutMs?: number
}

/** The engine `ganesha`. It touches nothing before `start`. */
export function createUserSpace({ folder, log, startTimeoutMs = 20_000 }: UserSpaceOptions): NfsEngine {
  const configPath = join(folder, 'ganesha.conf')
  const recovery = join(folder, 'recovery')
  const render: NfsEngine['render'] = async (plan, access, folders) => renderGaneshaConfig(plan, access, { folders, recovery })

  const check = async (plan: NfsPlan): Promise<void> => {
    await findProgram(program, remedy)
    await checkRights('nfs-ganesha')
    await checkPort(plan.address, plan.port)
    if (plan.versions.includes(3)) await checkPort(plan.address, plan.mountPort)
  }
  const start = async (plan: NfsPlan, access: NfsAccess, folders: readonly NfsFolder[]): Promise<NfsExport> => {
    const path = await findProgram(program, remedy)
    await mkdir(recovery, { recursive: true, mode: 0o700 })
    await writeAtomic(configPath, await render(plan, access, folders))
    return launch([path, '-F', '-f', configPath, '-L', 'STDERR', '-p', join(folder, 'ganesha.pid')], log, startTimeoutMs)
  }
  const closeStale = async (): Promise<string | undefined> => {
    const pids = await findProcesses(program, configPath)
    for (const pid of pids) killHard(pid)
    return pids.length ? `${program} (process ${pids.join(', ')}) of a server that has gone` : undefined
  }
  return { check, render, start, closeStale }
}

async function launch(argv: readonly string[], log: NfsLog, timeoutMs: number): Promise<NfsExport> {
  const faults: string[] = []
  let becomeReady = (): void => {}
  const ready = new Promise<void>((resolve) => {
    becomeReady = resolve
  })
  const guarded = await startGuarded(argv, (line) => {
    log.write(line)
    const fault = findFault(line)
    if (fault && faults.length < 20) faults.push(fault)
    if (isReadyLine(line)) becomeReady()
  })
  const isUp = await settle(guarded, ready, timeoutMs)
  // It goes on without an export that it cannot give: to us that is no start.
  if (!isUp || faults.length) {
    await guarded.stop()
    const what = faults[0] ? explainFault(faults[0]) : isUp === false ? 'it ended at once' : `it was not ready in ${timeoutMs / 1000} s`
    throw new OutsideError('nfs-start', `nfs-ganesha does not start: ${what} (log: ${log.path})`, false)
  }
  const ended = guarded.ended.then((code) => `nfs-ganesha ended with ${code}${faults.at(-1) ? `: ${faults.at(-1)}` : ''} (log: ${log.path})`)
  return { pid: guarded.pid, ended, stop: guarded.stop }
}

/** true: ready; false: ended; undefined: neither in time. */
async function settle(guarded: Guarded, ready: Promise<void>, timeoutMs: number): Promise<boolean | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs)
  })
  try {
    return await Promise.race([ready.then(() => true), guarded.ended.then(() => false), late])
  } finally {
    clearTimeout(timer)
  }
}
