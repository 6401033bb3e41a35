// Networks of our own for tests as root: namespaces, veth pairs, bridges, VLANs, and programs inside. Used by test/interop and test/qemu.
// Names begin with `bvc-<pid>-`; everything is taken down by close(), at exit, or by the next lab when the process was killed.
import { type ChildProcess, execFileSync, spawn as spawnProcess } from 'node:child_process'

/** What a program left behind. `code` is null when a signal (also the time limit's) ended it. */
export type Outcome = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** A program that goes on running inside a namespace. */
export type Running = {
  readonly pid: number
  /** All that it wrote so far, both streams in the order of arrival. */
  readonly output: () => string
  /** Resolves with the match when the output fits; rejects, with the output in the message, after `timeoutMs` or when the program ends first. */
  readonly waitFor: (pattern: RegExp, timeoutMs?: number) => Promise<RegExpMatchArray>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly exited: Promise<number | null>
  /** SIGTERM, then SIGKILL after two seconds. Resolves when it is gone. */
  readonly stop: () => Promise<void>
}

/** One end of a cable. `address` is `10.9.0.1/24`; `mac` fixes the hardware address. */
export type CableEnd = { readonly namespace: string; readonly name: string; readonly address?: string; readonly mac?: string }

export type RunOptions = {
  readonly input?: string | Uint8Array
  readonly timeoutMs?: number
  readonly env?: Record<string, string>
  readonly cwd?: string
}

export type Lab = {
  /** A new namespace with its loopback up; answers its full name, which the other calls take. */
  readonly namespace: (name: string) => string
  /** A cable between two namespaces (or twice the same), both ends up. */
  readonly veth: (one: CableEnd, other: CableEnd) => void
  /** A switch inside a namespace, without delays; `ports` are interfaces that are there already. */
  readonly bridge: (namespace: string, name: string, ports?: readonly string[], address?: string) => void
  /**
   * One cable that carries VLANs: interfaces `<name>.<id>` at both ends, up, without addresses. Answers whether frames are tagged:
   * a kernel without 802.1Q gets a cable for each VLAN under the same names.
   */
  readonly trunk: (one: CableEnd, other: CableEnd, ids: readonly number[]) => boolean
  readonly address: (namespace: string, interfaceName: string, address: string) => void
  /** `ip …` inside the namespace, at once; throws with ip's own message. */
  readonly ip: (namespace: string, ...words: string[]) => string
  /** Any program inside the namespace, to its end. Does not throw on a bad exit. */
  readonly run: (namespace: string, argv: readonly string[], options?: RunOptions) => Promise<Outcome>
  readonly spawn: (namespace: string, argv: readonly string[], options?: RunOptions) => Running
  /** Stops all that was spawned and removes all namespaces. */
  readonly close: () => Promise<void>
}

const mark = 'bvc-'

/** Needs root and iproute2. One process may have several labs, each with its own `label`, at the same time. */
export function createLab(label = ''): Lab {
  removeOrphans()
  const prefix = `${mark}${process.pid}-${label}`
  const namespaces: string[] = []
  const running = new Set<Running>()
  const ip = (namespace: string, ...words: string[]) => execFileSync('ip', ['-n', namespace, ...words], { encoding: 'utf8', stdio: 'pipe' })
  const removeAll = () => {
    for (const one of running) killQuietly(one.pid)
    for (const name of namespaces.splice(0)) removeNamespace(name)
  }
  process.once('exit', removeAll)

  const namespace = (name: string) => {
    const full = prefix + name
    execFileSync('ip', ['netns', 'add', full], { stdio: 'pipe' })
    namespaces.push(full)
    ip(full, 'link', 'set', 'lo', 'up')
    return full
  }
  const dress = ({ namespace: at, name, address: cidr, mac }: CableEnd) => {
    if (mac) ip(at, 'link', 'set', 'dev', name, 'address', mac)
    if (cidr) address(at, name, cidr)
    ip(at, 'link', 'set', 'dev', name, 'up')
  }
  const veth = (one: CableEnd, other: CableEnd) => {
    ip(one.namespace, 'link', 'add', 'name', one.name, 'type', 'veth', 'peer', 'name', other.name, 'netns', other.namespace)
    dress(one)
    dress(other)
  }
  const bridge = (at: string, name: string, ports: readonly string[] = [], cidr?: string) => {
    ip(at, 'link', 'add', 'name', name, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0')
    for (const port of ports) {
      ip(at, 'link', 'set', 'dev', port, 'master', name)
      ip(at, 'link', 'set', 'dev', port, 'up')
    }
    dress({ namespace: at, name, ...(cidr && { address: cidr }) })
  }
  const tag = (at: string, parent: string, id: number) => {
    ip(at, 'link', 'add', 'link', parent, 'name', `${parent}.${id}`, 'type', 'vlan', 'id', String(id))
    ip(at, 'link', 'set', 'dev', `${parent}.${id}`, 'up')
  }
  const trunk = (one: CableEnd, other: CableEnd, ids: readonly number[]) => {
    const hasTags = knowsVlans()
    if (hasTags) veth(one, other)
    for (const id of ids) {
      if (!hasTags) veth({ ...one, name: `${one.name}.${id}` }, { ...other, name: `${other.name}.${id}` })
      else for (const end of [one, other]) tag(end.namespace, end.name, id)
    }
    return hasTags
  }
  const address = (at: string, name: string, one: string) => void ip(at, 'address', 'add', one, 'brd', '+', 'dev', name)
  const spawn = (at: string, argv: readonly string[], options: RunOptions = {}) => {
    const one = start(at, argv, options)
    running.add(one)
    one.exited.then(() => running.delete(one))
    return one
  }
  const close = async () => {
    process.off('exit', removeAll)
    await Promise.all([...running].map((one) => one.stop()))
    removeAll()
  }
  return { namespace, veth, bridge, trunk, address, ip, run, spawn, close }
}

function launch(namespace: string, argv: readonly string[], { env, cwd, input }: RunOptions): ChildProcess {
  const child = spawnProcess('ip', ['netns', 'exec', namespace, ...argv], { env: { ...process.env, ...env }, stdio: 'pipe', ...(cwd && { cwd }) })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return child
}

function run(namespace: string, argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = launch(namespace, argv, options)
  const text = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    text.stdout += chunk
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    text.stderr += chunk
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    // A daemon that goes into the background keeps our pipes: the end of the program itself is what counts.
    child.once('exit', (code) => {
      clearTimeout(limit)
      setImmediate(() => resolve({ code, ...text }))
    })
  })
}

function start(namespace: string, argv: readonly string[], options: RunOptions): Running {
  const child = launch(namespace, argv, options)
  let text = ''
  const listeners = new Set<() => void>()
  const onData = (chunk: string) => {
    text += chunk
    for (const listener of [...listeners]) listener()
  }
  child.stdout?.setEncoding('utf8').on('data', onData)
  child.stderr?.setEncoding('utf8').on('data', onData)
  let isGone = false
  const exited = new Promise<number | null>((resolve) => {
    child.once('error', (error) => onData(String(error)))
    child.once('close', (code) => {
      isGone = true
      for (const listener of [...listeners]) listener()
      resolve(code)
    })
  })
  const waitFor = (pattern: RegExp, timeoutMs = 20_000) =>
    new Promise<RegExpMatchArray>((resolve, reject) => {
      const finish = (act: () => void) => {
        listeners.delete(look)
        clearTimeout(limit)
        act()
      }
      const fail = (why: string) => finish(() => reject(new Error(`${argv.join(' ')}: ${why} ${pattern}; it wrote:\n${text}`)))
      const look = () => {
        const found = text.match(pattern)
        if (found) finish(() => resolve(found))
        else if (isGone) fail('ended without')
      }
      const limit = setTimeout(() => fail(`${timeoutMs} ms without`), timeoutMs)
      listeners.add(look)
      look()
    })
  const stop = async () => {
    if (isGone) return
    child.kill('SIGTERM')
    // A program that its parent left behind (npm's child) may keep our pipes for ever: it is ended with the namespace.
    const hard = setTimeout(() => {
      child.kill('SIGKILL')
      child.stdout?.destroy()
      child.stderr?.destroy()
    }, 2000)
    await exited
    clearTimeout(hard)
  }
  return { pid: child.pid ?? -1, output: () => text, waitFor, signal: (signal) => void child.kill(signal), exited, stop }
}

/** Does this kernel have 802.1Q? Many small virtual machines do not. */
export function knowsVlans(): boolean {
  const name = `${mark}${process.pid}-probe`
  execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' })
  try {
    execFileSync('ip', ['-n', name, 'link', 'add', 'link', 'lo', 'name', 'lo.7', 'type', 'vlan', 'id', '7'], { stdio: 'pipe' })
    return true
  } catch (error) {
    return !/Unknown device type/.test(String(error))
  } finally {
    removeNamespace(name)
  }
}

const namespaceNames = (): string[] =>
  execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')

/** Programs that went into the background inside a namespace would keep it alive: they end with it. */
function removeNamespace(name: string): void {
  try {
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8', stdio: 'pipe' }).split('\n').filter(Boolean)
    for (const pid of pids) killQuietly(Number(pid))
    execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' })
  } catch {
    // Gone already.
  }
}

function killQuietly(pid: number): void {
  try {
    if (pid > 1) process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

function removeOrphans(): void {
  for (const name of namespaceNames()) {
    const owner = Number(/^bvc-(\d+)-/.exec(name)?.[1])
    if (owner && !isAlive(owner)) removeNamespace(name)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
