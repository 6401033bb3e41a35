// One try from begin to end: a server process, a virtual machine, and the server's event log read step by step. Runs where its caller
// runs: in the process of the command, or inside the namespace that lab made.
import { type ChildProcess, spawn } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mac } from '../boot/address.ts'
import { OutsideError } from '../boot/error.ts'
import type { BootEvent } from '../boot/event.ts'
import { explainFailure } from './cause.ts'
import { followEvents, waitForServer } from './follow.ts'
import { type Machine, type MachineOptions, startMachine } from './machine.ts'

/** All that a session needs, as JSON: it crosses a process boundary. */
export type SessionPlan = {
  readonly machine: MachineOptions
  readonly mac: Mac
  /** The server's argv; absent when one runs already. */
  readonly serverCommand?: readonly string[]
  /** `http://127.0.0.1:8080`. */
  readonly serverBase: string
  /** A tap interface to wait for, which has a carrier once the machine holds it. */
  readonly tap?: string
  readonly timeoutMs: number
}

/** What a session tells while it runs. */
export type SessionReport =
  | { readonly kind: 'event'; readonly afterMs: number; readonly event: BootEvent }
  | { readonly kind: 'serial'; readonly line: string }

export type SessionResult = { readonly isUp: boolean; readonly tookMs: number; readonly cause?: string; readonly serialTail: string }

// A real Alpine tells nobody that it is up unless its overlay makes it: its login prompt on the serial line counts too.
const loginPrompt = /^[A-Za-z0-9.-]+ login:/m
// SeaBIOS and OVMF with nothing left to try: nothing more will come.
const hasGivenUp = /^No bootable device|^UEFI Interactive Shell/m

/** Runs the plan. Throws OutsideError `server-failed` with the server's words when it does not start; MissingError when QEMU is not there. */
export async function runSession(plan: SessionPlan, tell: (report: SessionReport) => void, signal: AbortSignal): Promise<SessionResult> {
  const ending = new AbortController()
  const stopAll = () => ending.abort()
  signal.addEventListener('abort', stopAll, { once: true })
  let server: ServerProcess | undefined
  // Paused: the tap interface needs its holder before the server can see it, and the server must be ready before the first DISCOVER.
  const machine = startMachine({ ...plan.machine, isPaused: true })
  try {
    machine.serial.onLine((line) => tell({ kind: 'serial', line }))
    if (plan.tap) await waitForCarrier(plan.tap, machine)
    if (plan.serverCommand) server = startServerProcess(plan.serverCommand)
    await waitUntilReady(plan, server, ending.signal)
    return await watchBoot(plan, machine, tell, ending)
  } finally {
    signal.removeEventListener('abort', stopAll)
    ending.abort()
    await machine.stop()
    await server?.stop()
  }
}

async function watchBoot(
  plan: SessionPlan,
  machine: Machine,
  tell: (report: SessionReport) => void,
  ending: AbortController,
): Promise<SessionResult> {
  const startedAt = Date.now()
  const events: BootEvent[] = []
  const limit = setTimeout(() => ending.abort(), plan.timeoutMs)
  let hasLogin = false
  const onLogin = () => {
    hasLogin = true
    ending.abort()
  }
  machine.waitFor(loginPrompt, plan.timeoutMs).then(onLogin, () => undefined)
  machine.waitFor(hasGivenUp, plan.timeoutMs).then(
    () => ending.abort(),
    () => undefined,
  )
  // The last events may be younger than the machine's end.
  machine.exited
    .then(() => sleep(1000))
    .then(
      () => ending.abort(),
      () => ending.abort(),
    )
  machine.resume()
  // A server of our own has this station alone; in QEMU's user network some of its events know no MAC.
  const mac = plan.serverCommand ? undefined : plan.mac
  for await (const event of followEvents(plan.serverBase, mac, startedAt - 1, ending.signal)) {
    events.push(event)
    tell({ kind: 'event', afterMs: event.at - startedAt, event })
    // A script that boots nothing waits for somebody to change the depot: nothing will change during a try.
    if (event.kind === 'up' || (event.kind === 'script' && event.detail?.boots === false)) ending.abort()
  }
  clearTimeout(limit)
  const isUp = hasLogin || events.some(({ kind }) => kind === 'up')
  const result = { isUp, tookMs: Date.now() - startedAt, serialTail: machine.serial.tail(25) }
  return isUp ? result : { ...result, cause: explainFailure(events, machine.serial.text()) }
}

// Node lists an interface only while it has a carrier. (/sys shows the interfaces of the namespace that mounted it, not of ours.)
async function waitForCarrier(tap: string, machine: Machine): Promise<void> {
  let isGone = false
  const onGone = () => {
    isGone = true
  }
  machine.exited.then(onGone, onGone)
  for (let turn = 0; turn < 200 && !isGone; turn++) {
    if (networkInterfaces()[tap]) return
    await sleep(50)
  }
  throw new OutsideError('qemu-failed', `QEMU did not take the interface ${tap}: ${machine.serial.tail(5)}`, false)
}

async function waitUntilReady({ serverBase, serverCommand }: SessionPlan, server: ServerProcess | undefined, signal: AbortSignal): Promise<void> {
  const gone = new AbortController()
  server?.exited.then(() => gone.abort())
  if (await waitForServer(serverBase, 30_000, AbortSignal.any([signal, gone.signal]))) return
  if (signal.aborted) return
  const words = server?.output().trim().split('\n').slice(-8).join('\n')
  throw new OutsideError(
    'server-failed',
    `the server (${serverCommand?.join(' ') ?? serverBase}) does not answer at ${serverBase}${words ? `:\n${words}` : ''}`,
    false,
  )
}

type ServerProcess = { readonly output: () => string; readonly exited: Promise<void>; readonly stop: () => Promise<void> }

function startServerProcess(command: readonly string[]): ServerProcess {
  const [program = '', ...words] = command
  // Its configuration is the file alone: the operator's variables are meant for the operator's server.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BIVOUAC_')))
  const child: ChildProcess = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let text = ''
  const keep = (chunk: string) => {
    text = (text + chunk).slice(-65_536)
  }
  child.stdout?.setEncoding('utf8').on('data', keep)
  child.stderr?.setEncoding('utf8').on('data', keep)
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      keep(error.message)
      resolve()
    })
    child.once('close', () => resolve())
  })
  const stop = async () => {
    child.kill('SIGTERM')
    const hard = setTimeout(() => child.kill('SIGKILL'), 3000)
    await exited
    clearTimeout(hard)
  }
  return { output: () => text, exited, stop }
}
