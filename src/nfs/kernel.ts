// The kernel's NFS server by a file of exports, put there and taken away with exportfs. Made by open; used by phase.
// A guard takes the file away when we are gone, so that a crash leaves nothing open.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OutsideError } from '../boot/error.ts'
import { writeAtomic } from '../store/atomic.ts'
import { checkRights, findProgram, type NfsEngine, type NfsExport } from './engine.ts'
import { type Guarded, startGuarded, startUndo } from './guard.ts'
import type { NfsLog } from './log.ts'
import type { NfsAccess, NfsFolder, NfsPlan } from './plan.ts'

const header = '# Written by bivouac (nfs open); it takes this file away when the phase ends.'
const remedy = 'install it (Debian: apt install nfs-kernel-server), or use --engine ganesha'
export const exportsPath = '/etc/exports.d/bivouac.exports'

/** The exports file (exports(5)): one line per folder, everything as the folder's owner. */
export function renderExports(plan: Pick<NfsPlan, 'clients'>, access: NfsAccess, folders: readonly NfsFolder[]): string {
  const lineOf = ({ path, uid, gid }: NfsFolder): string => {
    const options = [access === 'read-write' ? 'rw' : 'ro', 'sync', 'no_subtree_check', 'all_squash', `anonuid=${uid}`, `anongid=${gid}`].join(',')
    return `"${path}" ${plan.clients.map((client) => `${client}(${options})`).join(' ')}`
  }
  return `${[header, ...folders.map(lineOf)].join('\n')}\n`
}

export type KernelOptions = {
  readonly log: NfsLog
  readonly file?: string
  /** The program that makes the kernel read its exports again. */
  readonly program?: string
}

/** The engine `kernel`. It needs the distribution's NFS server to be running; it never starts or stops that. */
export function createKernel({ log, file = exportsPath, program = 'exportfs' }: KernelOptions): NfsEngine {
  const render: NfsEngine['render'] = async (plan, access, folders) => renderExports(plan, access, folders)
  const apply = async (): Promise<void> => {
    const lines: string[] = []
    const run = await startGuarded([await findProgram(program, remedy), '-ra'], (line) => {
      lines.push(line)
      log.write(line)
    })
    const code = await run.ended
    if (code !== 0) throw new OutsideError('nfs-start', `exportfs -ra ended with ${code}: ${lines.slice(-3).join(' | ')}`, false)
  }
  const start = async (plan: NfsPlan, access: NfsAccess, folders: readonly NfsFolder[]): Promise<NfsExport> => {
    // The guard first: from the moment that the file is there, something will take it away.
    const guard = await startUndo(undo(file, await findProgram(program, remedy)), log.write)
    try {
      await mkdir(dirname(file), { recursive: true })
      await writeAtomic(file, await render(plan, access, folders), 0o644)
      await apply()
    } catch (error) {
      await guard.stop()
      throw error
    }
    return { pid: guard.pid, ended: endOf(guard), stop: guard.stop }
  }
  const check = async (): Promise<void> => {
    await findProgram(program, remedy)
    await checkRights("the kernel's NFS server")
  }
  const closeStale = async (): Promise<string | undefined> => {
    const text = await readFile(file, 'utf8').catch(() => '')
    if (!text.startsWith(header)) return undefined
    await rm(file, { force: true })
    await apply()
    return `${file} of a server that has gone`
  }
  return { check, render, start, closeStale }
}

const undo = (file: string, program: string): string[] => ['/bin/sh', '-c', 'rm -f "$1"; exec "$2" -ra', 'bivouac-nfs', file, program]

/** Our guard is not the server: when it ends by itself, the exports went with it. */
const endOf = (guard: Guarded): Promise<string> => guard.ended.then(() => 'the guard of the exports file was ended; the file was taken away')
