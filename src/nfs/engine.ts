// Real NFS servers behind one port: nfs-ganesha as a child of ours, or the kernel's by an exports file. Used by phase.
import { access, constants, readdir, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import { codeOf } from '../store/atomic.ts'
import type { NfsAccess, NfsFolder, NfsPlan } from './plan.ts'

/** An export that is in force. */
export type NfsExport = {
  readonly pid?: number
  /** Resolves when it ends without being asked to, with what was said last. */
  readonly ended: Promise<string>
  readonly stop: () => Promise<void>
}

export type NfsEngine = {
  /** Throws OutsideError or ConflictError when it cannot run here: program missing, no right, port taken. */
  readonly check: (plan: NfsPlan) => Promise<void>
  /** The file that the server would be given. */
  readonly render: (plan: NfsPlan, access: NfsAccess, folders: readonly NfsFolder[]) => Promise<string>
  /** Resolves when clients are answered. Throws OutsideError `nfs-start` with what the server said. */
  readonly start: (plan: NfsPlan, access: NfsAccess, folders: readonly NfsFolder[]) => Promise<NfsExport>
  /** Closes what a dead process of ours left behind; answers what that was, if anything. */
  readonly closeStale: () => Promise<string | undefined>
}

/** Throws OutsideError `nfs-root` unless we are root with what an NFS server in user space needs (capabilities(7): CAP_DAC_READ_SEARCH is 2). */
export async function checkRights(what: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new OutsideError('nfs-root', `${what} needs root: run the server (or this command) with sudo`, false)
  const status = await readFile('/proc/self/status', 'latin1').catch(() => '')
  const [, mask] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? []
  if (mask !== undefined && !(BigInt(`0x${mask}`) & 4n))
    throw new OutsideError('nfs-root', `${what} needs the capability DAC_READ_SEARCH (containers: --cap-add DAC_READ_SEARCH)`, false)
}

/** The first of the program's paths that can be run. Throws OutsideError `nfs-missing` with `remedy`. */
export async function findProgram(name: string, remedy: string): Promise<string> {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/usr/local/sbin', '/usr/local/bin']) {
    const path = join(folder || '.', name)
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  throw new OutsideError('nfs-missing', `there is no ${name} on this machine: ${remedy}`, false)
}

/** Processes of a program that were started with this word, ours of an earlier life among them. Reads /proc. */
export async function findProcesses(program: string, word: string): Promise<number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^[0-9]+$/.test(name)).map(Number)
  const isOne = async (pid: number): Promise<boolean> => {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    return words.some((one) => one === program || one.endsWith(`/${program}`)) && words.includes(word)
  }
  const found = await Promise.all(pids.map(async (pid) => ((await isOne(pid)) ? [pid] : [])))
  return found.flat().filter((pid) => pid !== process.pid)
}

/** SIGKILL; a process that has gone is well. */
export function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}
