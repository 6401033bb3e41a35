// The stage of the benchmark: two private namespaces joined by one cable, the server on one core, the load on another. Used by run and the
// scenarios. Never touches an interface that it has not made; all goes with close(), at exit, or with the next run after a kill.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createLab, type Running } from '../support/netns.ts'
import type { Peer } from './peer/peer.ts'
import { loadAddress, relayAddress, serverAddress, serverInterface, stationNet } from './place.ts'
import { createGroup, joinGroup, type Meter, readMemoryMb, removeGroup, removeOrphanGroups } from './usage.ts'

export type Served = {
  readonly meter: Meter
  /** Samples memory until it is called; answers the highest in MB. */
  readonly watchMemory: () => () => number
  readonly stop: () => Promise<void>
}
export type Stage = {
  /** Starts the servers of one peer and waits until their ports are bound. Rejects with their output when that takes over 30 s. */
  readonly serve: (peer: Peer) => Promise<Served>
  /** A program on the load side, to its end; answers what it wrote. Rejects when it ends with another code than `goodCodes`, or takes longer. */
  readonly load: (argv: readonly string[], limitSeconds: number, goodCodes?: readonly number[]) => Promise<string>
  /** A client of ours with its order; answers the JSON that it printed. */
  readonly client: <T>(file: string, order: unknown, limitSeconds: number) => Promise<T>
  readonly folder: string
  readonly close: () => Promise<void>
}

const serverCore = '0'
const loadCore = '1'

export type StageOptions = {
  /** Server and load go before other work of the machine, which suffers from it. */
  readonly hasPriority: boolean
}

const niceness = 10

/** Where the kernel groups processes by session (sched(7), autogroup), niceness counts only within the group: then the group gets one too. */
function setGroupPriority(nice: number): void {
  try {
    writeFileSync('/proc/self/autogroup', String(nice))
  } catch {
    // No autogroups here.
  }
}

/** Needs root, iproute2 and two cores. */
export function createStage({ hasPriority }: StageOptions): Stage {
  if (cpus().length < 2) throw new Error('the benchmark needs two cores: one for the server, one for the load')
  const folder = mkdtempSync(join(tmpdir(), 'bvc-bench-'))
  const groups = new Set<string>()
  const lab = createLab('bench-')
  // Behind the lab's own exit handler, which has killed the servers by then.
  const clear = () => {
    for (const group of groups) removeGroup(group)
    rmSync(folder, { recursive: true, force: true })
    if (hasPriority) setGroupPriority(0)
  }
  process.once('exit', clear)
  removeOrphanGroups()
  const [serverSide, loadSide] = [lab.namespace('server'), lab.namespace('load')]
  lab.veth(
    { namespace: serverSide, name: serverInterface, address: `${serverAddress}/24` },
    { namespace: loadSide, name: serverInterface, address: `${loadAddress}/24` },
  )
  lab.ip(serverSide, 'route', 'add', stationNet, 'via', loadAddress)
  lab.ip(loadSide, 'route', 'add', 'local', stationNet, 'dev', 'lo')
  // perfdhcp wants to find its relay address on an interface.
  lab.ip(loadSide, 'address', 'add', `${relayAddress}/32`, 'dev', serverInterface)
  if (hasPriority) setGroupPriority(-niceness)
  const pin = (core: string) => [...(hasPriority ? ['nice', '-n', `-${niceness}`] : []), 'taskset', '-c', core]
  let serveCount = 0

  const serve = async (peer: Peer): Promise<Served> => {
    serveCount += 1
    const own = join(folder, `${serveCount}-${peer.name.replaceAll(' ', '')}`)
    mkdirSync(own)
    const group = createGroup(serveCount)
    if (group) groups.add(group)
    const running: Running[] = []
    const stop = async () => {
      await Promise.all(running.map((one) => one.stop()))
      if (group && removeGroup(group)) groups.delete(group)
      rmSync(own, { recursive: true, force: true })
    }
    for (const { argv, env, ports } of peer.launch(own)) {
      const one = lab.spawn(serverSide, [...pin(serverCore), ...argv], { cwd: own, ...(env && { env }) })
      running.push(one)
      if (group) joinGroup(group, one.pid)
      await waitForPorts(peer.name, one, ports).catch(async (error) => {
        await stop()
        throw error
      })
      // A daemon may have started its workers before it was put into the group.
      if (group) joinGroup(group, one.pid)
    }
    const meter = { pids: running.map(({ pid }) => pid), ...(group && { group }) }
    return { meter, watchMemory: () => watchMemory(meter), stop }
  }
  const load = async (argv: readonly string[], limitSeconds: number, goodCodes: readonly number[] = [0]) => {
    const outcome = await lab.run(loadSide, [...pin(loadCore), ...argv], { timeoutMs: limitSeconds * 1000 })
    if (outcome.code === null || !goodCodes.includes(outcome.code))
      throw new Error(`${argv.slice(0, 2).join(' ')} ended with ${outcome.code ?? 'a signal'}: ${outcome.stderr.slice(-600)}`)
    return outcome.stdout
  }
  const client = async <T>(file: string, order: unknown, limitSeconds: number) => {
    const argv = [process.execPath, '--disable-warning=ExperimentalWarning', resolve(import.meta.dirname, 'client', file), JSON.stringify(order)]
    return JSON.parse(await load(argv, limitSeconds)) as T
  }
  const close = async () => {
    await lab.close()
    process.off('exit', clear)
    clear()
  }
  return { serve, load, client, folder, close }
}

function watchMemory(meter: Meter): () => number {
  let highest = readMemoryMb(meter)
  const timer = setInterval(() => {
    highest = Math.max(highest, readMemoryMb(meter))
  }, 400)
  return () => {
    clearInterval(timer)
    return Math.max(highest, readMemoryMb(meter))
  }
}

/** `udp:67`: bound in the namespace of the process, as its own /proc/<pid>/net tells; no packet is sent for it. */
function hasPort(pid: number, port: string): boolean {
  const [protocol, number] = port.split(':') as [string, string]
  const hex = Number(number).toString(16).toUpperCase().padStart(4, '0')
  const listens = protocol === 'tcp' ? ' 0A ' : ' 07 '
  try {
    const lines = readFileSync(`/proc/${pid}/net/${protocol}`, 'latin1').split('\n')
    return lines.some((line) => new RegExp(`^ *[0-9]+: [0-9A-F]{8}:${hex} `).test(line) && line.includes(listens))
  } catch {
    return false
  }
}

async function waitForPorts(name: string, running: Running, ports: readonly string[]): Promise<void> {
  let isGone = false
  running.exited.then(() => {
    isGone = true
  })
  for (let tries = 0; tries < 600; tries += 1) {
    if (isGone) break
    if (ports.every((port) => hasPort(running.pid, port))) return
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`${name} ${isGone ? 'ended' : `did not bind ${ports.join(', ')}`}; it wrote: ${running.output().slice(-800)}`)
}
