// What a server costs: processor time and memory of its processes. Used by the stage and by the load clients, which read it themselves at the
// first and last packet so that starting them is not counted.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Whose cost. The control group counts every process that ever was in it, to the microsecond; without one, utime and stime of those that live
 * or were waited for are taken from /proc/<pid>/stat, which misses the transfers of tftpd-hpa (it never waits for its children).
 */
export type Meter = { readonly pids: readonly number[]; readonly group?: string }

// USER_HZ is 100 on every Linux that Node runs on.
const ticksPerSecond = 100
const groupRoots = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup', '/sys/fs/cgroup/cpuacct']

const mark = 'bvc-bench-'
const findGroupRoot = (): string | undefined => groupRoots.find((path) => existsSync(join(path, 'cgroup.procs')))

/** A new control group, or undefined where the kernel has none that we may make. The path is readable from other mount namespaces too. */
export function createGroup(number: number): string | undefined {
  const root = findGroupRoot()
  if (!root) return undefined
  const group = join(`/proc/${process.pid}/root${root}`, `${mark}${process.pid}-${number}`)
  try {
    mkdirSync(group)
    return group
  } catch {
    return undefined
  }
}

/** Puts the process and what it has started into the group; what they start later is in it by itself. One that has ended stays out. */
export function joinGroup(group: string, pid: number): void {
  for (const one of [pid, ...listTree([pid]).keys()]) {
    try {
      writeFileSync(join(group, 'cgroup.procs'), String(one))
    } catch {
      // Whoever waits for its ports tells that it ended.
    }
  }
}

/** Waits up to a second for killed processes to leave it. Answers whether it is gone. */
export function removeGroup(group: string): boolean {
  for (let tries = 0; tries < 50; tries += 1) {
    try {
      rmdirSync(group)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') return !existsSync(group)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
  return false
}

/** Groups of a run that was killed. */
export function removeOrphanGroups(): void {
  const root = findGroupRoot()
  if (!root) return
  for (const name of readdirSync(root)) {
    const owner = name.startsWith(mark) && name.slice(mark.length).split('-')[0]
    if (owner && !existsSync(`/proc/${owner}`)) removeGroup(join(root, name))
  }
}

function readGroup(group: string): number | undefined {
  try {
    if (existsSync(join(group, 'cpuacct.usage'))) return Number(readFileSync(join(group, 'cpuacct.usage'), 'latin1')) / 1e9
    return Number(/^usage_usec ([0-9]+)/m.exec(readFileSync(join(group, 'cpu.stat'), 'latin1'))?.[1]) / 1e6
  } catch {
    return undefined
  }
}

type Stat = { readonly parent: number; readonly ticks: number }

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // utime, stime, cutime, cstime (proc(5)).
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0)
    return { parent: Number(fields[1]), ticks }
  } catch {
    return undefined
  }
}

/** The processes and all that descend from them, those that have ended left out. */
function listTree(roots: readonly number[]): Map<number, Stat> {
  const all = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const stat = /^[0-9]+$/.test(name) ? readStat(Number(name)) : undefined
    if (stat) all.set(Number(name), stat)
  }
  const isBelow = (pid: number): boolean => {
    if (roots.includes(pid)) return true
    const parent = all.get(pid)?.parent
    return parent !== undefined && parent > 1 && isBelow(parent)
  }
  return new Map([...all].filter(([pid]) => isBelow(pid)))
}

/** Proportional set size: pages that several processes share count once. */
function readMemoryKb(pid: number): number {
  try {
    return Number(/^Pss:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Processor seconds since the server began. */
export function readCpuSeconds({ pids, group }: Meter): number {
  const counted = group === undefined ? undefined : readGroup(group)
  if (counted !== undefined) return counted
  let ticks = 0
  for (const stat of listTree(pids).values()) ticks += stat.ticks
  return ticks / ticksPerSecond
}

export function readMemoryMb({ pids }: Meter): number {
  let kilobytes = 0
  for (const pid of listTree(pids).keys()) kilobytes += readMemoryKb(pid)
  return kilobytes / 1024
}

/** A moment of the whole machine: seconds that any core was busy with anything, those of ours among them, and when. */
export type Moment = { readonly busySeconds: number; readonly ownSeconds: number; readonly atMs: number }

export function readOtherWork(): Moment {
  // user nice system idle iowait irq softirq steal (proc(5)): steal is other work too.
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (readFileSync('/proc/stat', 'latin1').split('\n')[0] ?? '')
    .split(/ +/)
    .map(Number)
  return {
    busySeconds: (user + nice + system + irq + softirq + steal) / ticksPerSecond,
    ownSeconds: (readStat(process.pid)?.ticks ?? 0) / ticksPerSecond,
    atMs: performance.now(),
  }
}

/** Cores that neither we, nor our load clients that have ended, nor the server took between two moments. */
export function otherCores(before: Moment, after: Moment, serverSeconds: number): number {
  const own = after.ownSeconds - before.ownSeconds + serverSeconds
  return Math.max(0, (after.busySeconds - before.busySeconds - own) / ((after.atMs - before.atMs) / 1000))
}
