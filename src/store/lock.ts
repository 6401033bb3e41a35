// One server to a state folder: a lock file `lock.<n>` that holds the process id. Used by embedded.ts. The lock of a dead process is passed:
// the next one takes the next number, and a number can be taken once. So no starter ever removes a lock that another has just taken.
import { randomUUID } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { link, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConflictError } from '../boot/error.ts'
import { codeOf } from './atomic.ts'

type Holder = { readonly pid: number; readonly startedAt: string }

/** Folders that this very process holds: after a container's restart the dead server had our own pid. */
const heldHere = new Set<string>()

/** Takes the folder's lock and answers the way to give it back. Throws ConflictError `state-locked`, which names the other process. */
export async function takeLock(folder: string): Promise<() => Promise<void>> {
  const home = realpathSync(folder)
  if (heldHere.has(home)) throw lockedBy(folder, process.pid)
  heldHere.add(home)
  try {
    const path = await claim(home, folder)
    return async () => {
      heldHere.delete(home)
      await unlink(path).catch(() => undefined)
    }
  } catch (error) {
    heldHere.delete(home)
    throw error
  }
}

async function claim(home: string, folder: string): Promise<string> {
  const draft = join(home, `.lock.${randomUUID().slice(0, 8)}.tmp`)
  const mine: Holder = { pid: process.pid, startedAt: startOf(process.pid) }
  await writeFile(draft, `${JSON.stringify(mine)}\n`, { mode: 0o600, flag: 'wx' })
  try {
    for (;;) {
      const seen = await listLocks(home)
      await refuseLiving(home, seen, folder)
      const path = join(home, `lock.${Math.max(0, ...seen) + 1}`)
      if (!(await linkNew(draft, path))) continue
      return await settle(home, path, folder)
    }
  } finally {
    await unlink(draft).catch(() => undefined)
  }
}

/** The number is ours. Whoever else came in between and lives goes first; what is left of the dead is removed. */
async function settle(home: string, path: string, folder: string): Promise<string> {
  const others = (await listLocks(home)).filter((number) => join(home, `lock.${number}`) !== path)
  try {
    await refuseLiving(home, others, folder)
  } catch (error) {
    await unlink(path)
    throw error
  }
  for (const number of others) await unlink(join(home, `lock.${number}`)).catch(() => undefined)
  return path
}

async function listLocks(home: string): Promise<number[]> {
  return (await readdir(home)).flatMap((name) => (/^lock\.[0-9]{1,9}$/.test(name) ? [Number(name.slice(5))] : []))
}

async function refuseLiving(home: string, numbers: readonly number[], folder: string): Promise<void> {
  for (const number of numbers) {
    const holder = await readHolder(join(home, `lock.${number}`))
    if (holder && isAlive(holder)) throw lockedBy(folder, holder.pid)
  }
}

/** A lock appears whole or not at all: it is written under another name and linked. */
async function linkNew(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    // Lore: CIFS, exFAT and some FUSE mounts have no hard links; there the exclusive write is the next best.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) throw error
    return writeFile(path, await readFile(draft), { mode: 0o600, flag: 'wx' }).then(
      () => true,
      () => false,
    )
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder>
    return Number.isInteger(value.pid) ? { pid: Number(value.pid), startedAt: String(value.startedAt ?? '') } : undefined
  } catch {
    return undefined
  }
}

/** Alive is a process of that id that began when the lock says: the number alone may be another's by now. */
function isAlive({ pid, startedAt }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const stat = statOf(pid)
  // Lore: in a container whose first process reaps nobody, a killed server stays as a zombie for ever.
  if (stat?.state === 'Z' || stat?.state === 'X') return false
  return !startedAt || !stat || startedAt === stat.startedAt
}

const startOf = (pid: number): string => statOf(pid)?.startedAt ?? ''

/** State and start of a process, as the kernel counts it (boot id and clock ticks; /proc/<pid>/stat fields 3 and 22); undefined where there is no /proc. */
function statOf(pid: number): { readonly state: string; readonly startedAt: string } | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startedAt: `${boot}/${fields[19]}` }
  } catch {
    return undefined
  }
}

function lockedBy(folder: string, pid: number): ConflictError {
  return new ConflictError(
    'state-locked',
    `the state folder ${folder} is in use by process ${pid}: stop that server, or give this one another folder (--state)`,
  )
}
