// `bivouac try`: boots a virtual station from a Bivouac server of its own, without root, and tells how far it comes. Called by the
// command line. It never touches the host's network and leaves only its folder below the state folder.
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Mac, parseMac } from '../boot/address.ts'
import { InputError, MissingError, OutsideError } from '../boot/error.ts'
import { canBootFrom, makeDepot } from './depot.ts'
import { findQemu, findUefi } from './firmware.ts'
import type { InsideLine, InsidePlan } from './inside.ts'
import type { Card, MachineFirmware, MachineOptions } from './machine.ts'
import { findNamespace, hasLoader, type Namespace, type Road } from './road.ts'
import { runSession, type SessionPlan, type SessionReport, type SessionResult } from './session.ts'
import { createStepFilter, formatStep } from './step.ts'
import { installHint } from './tool.ts'

/** The virtual station's MAC: QEMU's prefix and "bvc". A depot with a release and an overlay for it boots it as a real station. */
export const tryMac: Mac = parseMac('52:54:00:62:76:63')

export type TryOptions = {
  /** The operator's depot. It is taken when it can boot this station; else a stand-in is made below `stateFolder`. */
  readonly depot: string
  /** The site's gate gives this station a system, so its overlay need not be an archive. */
  readonly isServed?: boolean
  /** What of the site's configuration decides what stations boot; for a server on the operator's depot. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly stateFolder: string
  readonly firmware: MachineFirmware
  readonly road: 'auto' | Road
  /** argv that starts `serve`; `--config <file>` is added. */
  readonly serverCommand: readonly string[]
  /** The port of a server that runs already and whose depot can boot this station; only for the road `http`. */
  readonly httpPort?: number
  readonly timeoutMs: number
  readonly accel?: 'tcg' | 'kvm'
  readonly onStep: (line: string) => void
  /** Every line of the serial console. */
  readonly onSerial?: (line: string) => void
  /** A file that keeps the serial console. */
  readonly keepSerial?: string
  readonly signal?: AbortSignal
}

export type TryResult = SessionResult & { readonly road: Road; readonly isStandIn: boolean }

/** Network and addresses inside the namespace; nobody else can see them. */
const wire = { tap: 'bvctry', subnet: '10.213.0.0/24', address: '10.213.0.1', prefix: 24, pool: '10.213.0.100-10.213.0.199', httpPort: 8080 }

/**
 * Boots it once. Resolves also when the station did not come up: `cause` and `serialTail` say more. Throws MissingError when QEMU, its
 * firmware or a kernel is not there, with what to install; InputError when the road cannot be gone; OutsideError when the server does not start.
 */
export async function runTry(options: TryOptions): Promise<TryResult> {
  const { firmware, onStep } = options
  findQemu()
  if (firmware !== 'bios') findUefi()
  const folder = join(options.stateFolder, 'try')
  rmSync(join(folder, 'state'), { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const namespace: Namespace = options.road === 'http' ? { refused: 'the road "http" was asked for' } : await findNamespace()
  const road = chooseRoad(options, namespace)
  const { depot, isStandIn } = await chooseDepot(options, folder)
  onStep(`a virtual ${firmwareNames[firmware]} PC, MAC ${tryMac}, ${road === 'whole' ? 'in a network of its own' : "in QEMU's user network"}`)
  const setup: Setup = { options, folder, depot, isStandIn, canLoad: hasLoader(firmware, depot) }
  const tell = createTeller(options)
  const signal = options.signal ?? new AbortController().signal
  const result =
    road === 'whole' && 'argv' in namespace
      ? await runInside(namespace.argv, planWhole(setup), tell, signal)
      : await runSession(await planHttp(setup), tell, signal)
  return { ...result, road, isStandIn }
}

const firmwareNames: Record<MachineFirmware, string> = { bios: 'BIOS', uefi: 'UEFI', 'uefi-http': 'UEFI (HTTP Boot)' }

function chooseRoad({ road, firmware, onStep }: TryOptions, namespace: Namespace): Road {
  if ('argv' in namespace) return 'whole'
  if (road === 'whole') throw new InputError('road', `the road "whole" cannot be gone here: ${namespace.refused}`)
  if (firmware === 'uefi-http') {
    throw new InputError('road', `UEFI HTTP Boot needs our own DHCP, and there is no place for it: ${namespace.refused}. Try --firmware uefi or bios`)
  }
  if (road === 'auto') onStep(`DHCP and TFTP are left out: ${namespace.refused}`)
  return 'http'
}

type Setup = { readonly options: TryOptions; readonly folder: string; readonly depot: string; readonly isStandIn: boolean; readonly canLoad: boolean }

async function chooseDepot(options: TryOptions, folder: string): Promise<{ depot: string; isStandIn: boolean }> {
  const { depot, stateFolder, onStep } = options
  if (canBootFrom(depot, tryMac, options.isServed)) return { depot, isStandIn: false }
  const own = join(folder, 'depot')
  const release = await makeDepot({ folder: own, cache: join(stateFolder, 'stand-in'), mac: tryMac, hostname: 'try', tell: onStep })
  onStep(`boots a stand-in, not Alpine (kernel ${release.version} from ${release.from}): the depot has no x86_64 release`)
  onStep(`  that this MAC would get. For the real thing (docs/alpine.md):  echo 'mac: ${tryMac}' > ${join(depot, 'stations/try.yaml')}`)
  return { depot: own, isStandIn: true }
}

function machineOf({ options, folder, isStandIn }: Setup, card: Card): MachineOptions {
  const { firmware, accel = 'tcg' } = options
  // Alpine keeps packages and modloop in half of its memory.
  return { firmware, accel, folder: join(folder, 'machine'), memoryMiB: isStandIn ? 512 : 2048, cards: [card] }
}

/** DHCP, TFTP and HTTP by our own server, in the namespace. */
function planWhole(setup: Setup): InsidePlan {
  const { options, folder, canLoad } = setup
  if (!canLoad && options.firmware === 'uefi-http') throw new MissingError('loader-missing', `no snponly.efi: ${ipxeHint()}`)
  if (!canLoad) options.onStep(`no loader here, the card's own iPXE takes its place: ${ipxeHint()}`)
  const network = { name: 'try', interface: wire.tap, subnet: wire.subnet, serverAddress: wire.address, pool: [wire.pool] }
  const config = writeConfig(setup, {
    http: { address: '0.0.0.0', port: wire.httpPort },
    tftp: { enabled: true, address: '0.0.0.0', port: 69 },
    networks: [network],
    foreignIpxe: canLoad ? 'loader' : 'script',
  })
  const card: Card = { mac: tryMac, link: { kind: 'tap', interface: wire.tap }, hasRom: !canLoad }
  return {
    machine: machineOf({ ...setup, folder }, card),
    mac: tryMac,
    serverCommand: [...options.serverCommand, '--config', config],
    serverBase: `http://127.0.0.1:${wire.httpPort}`,
    tap: wire.tap,
    address: `${wire.address}/${wire.prefix}`,
    timeoutMs: options.timeoutMs,
  }
}

const ipxeHint = (): string => installHint({ apt: 'ipxe', apk: 'ipxe', dnf: 'ipxe-bootimgs-x86' })

/** QEMU gives address and boot file; the server runs beside it on a free port, or runs already. */
async function planHttp(setup: Setup): Promise<SessionPlan> {
  const { options, isStandIn } = setup
  const isRunning = options.httpPort !== undefined && !isStandIn
  const port = isRunning ? (options.httpPort as number) : await findFreePort()
  const config = isRunning ? undefined : writeConfig(setup, { http: { address: '127.0.0.1', port }, tftp: { enabled: false }, networks: [] })
  const card: Card = { mac: tryMac, link: { kind: 'user', bootfile: `http://10.0.2.2:${port}/boot.ipxe` }, hasRom: true }
  return {
    machine: machineOf(setup, card),
    mac: tryMac,
    ...(config && { serverCommand: [...options.serverCommand, '--config', config] }),
    serverBase: `http://127.0.0.1:${port}`,
    timeoutMs: options.timeoutMs,
  }
}

/** JSON is YAML. Answers the file's path. */
function writeConfig({ folder, depot, isStandIn, options }: Setup, rest: Record<string, unknown>): string {
  const path = join(folder, 'bivouac.yaml')
  writeFileSync(path, `${JSON.stringify({ ...(!isStandIn && options.settings), depot, state: join(folder, 'state'), ...rest }, null, 2)}\n`)
  return path
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Steps as lines, the serial console to whoever wants it. */
function createTeller({ onStep, onSerial, keepSerial }: TryOptions): (report: SessionReport) => void {
  const isNew = createStepFilter()
  const file = keepSerial ? createWriteStream(keepSerial) : undefined
  file?.on('error', (error) => onStep(`the serial console is not kept: ${error.message}`))
  return (report) => {
    if (report.kind === 'event') {
      if (isNew(report.event)) onStep(formatStep(report.event, report.afterMs))
      return
    }
    onSerial?.(report.line)
    file?.write(`${report.line}\n`)
  }
}

/** The session in a process inside the namespace; it ends when its standard input does, so also when we are killed. */
async function runInside(
  argv: readonly string[],
  plan: InsidePlan,
  tell: (report: SessionReport) => void,
  signal: AbortSignal,
): Promise<SessionResult> {
  const [program = '', ...words] = [...argv, process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'inside.ts')]
  const child: ChildProcess = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'] })
  const stop = () => child.stdin?.end()
  signal.addEventListener('abort', stop, { once: true })
  child.stdin?.on('error', () => {})
  child.stdin?.write(`${JSON.stringify(plan)}\n`)
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(-4096)
  })
  let last: InsideLine | undefined
  try {
    for await (const text of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const line = JSON.parse(text) as InsideLine
      if (line.kind === 'event' || line.kind === 'serial') tell(line)
      else last = line
    }
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
  if (last?.kind === 'result') return last.result
  throw new OutsideError('try-failed', last?.kind === 'failure' ? last.message : `the virtual station's network failed: ${complaint.trim()}`, false)
}
