// Virtual stations for test/qemu: the stand-in release, built once and kept, and a lab in which a real server process and QEMU meet.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { describe } from 'vitest'
import { formatMacHyphen, type Mac } from '../../src/boot/address.ts'
import type { BootEvent, EventKind } from '../../src/boot/event.ts'
import { packOverlay, standInProfile, standInRelease } from '../../src/qemu/depot.ts'
import { type Card, type Machine, type MachineFirmware, startMachine } from '../../src/qemu/machine.ts'
import { buildStandIn, type StandIn } from '../../src/qemu/release.ts'
import { createLab, type Lab, type Outcome, type Running } from './netns.ts'
import { describeWith } from './tool.ts'

const project = resolve(import.meta.dirname, '../..')
const mainFile = join(project, 'src/cli/main.ts')
/** Kernel, busybox and stand-in release of earlier runs. */
export const standInCache = join(project, 'node_modules/.cache/bivouac-stand-in')

/** Builds the stand-in release, or takes the one of an earlier run. */
export const findStandIn = (): Promise<StandIn> => buildStandIn({ folder: join(standInCache, 'release'), cache: standInCache })

let trouble: string | undefined
try {
  mkdirSync(standInCache, { recursive: true })
  await findStandIn()
} catch (error) {
  trouble = (error as Error).message.split('\n')[0]
}

/** `describeWith`, for tests that boot: without a kernel to boot they are skipped aloud too, or fail where nothing may be missing. */
export function describeBoot(tools: string[], name: string, body: () => void): void {
  if (trouble !== undefined && process.env.BIVOUAC_REQUIRE_TOOLS !== '1') describe.skip(`${name} (SKIPPED: ${trouble})`, body)
  else describeWith(['qemu-system-x86_64', ...(tools.includes('root') ? ['/dev/net/tun'] : []), ...tools], name, body)
}

/** The server's place in every scene: its address on the station's wire and the ports that firmware expects. */
export const serverAddress = '10.9.0.1'
const httpPort = 8080

/** One network of the configuration: a server on the station's wire. */
export const wireNetwork = { name: 'wire', interface: 'eth0', subnet: '10.9.0.0/24', pool: ['10.9.0.100-10.9.0.150'], router: [serverAddress] }

export type SceneOptions = {
  readonly name: string
  /** The configuration besides depot, state, http and tftp. */
  readonly config?: Record<string, unknown>
  /** Depot files besides the stand-in release and its profile. */
  readonly files?: Record<string, string | Uint8Array>
  /** More of the network, before the server starts. */
  readonly prepare?: (scene: Pick<Scene, 'lab' | 'serverRoom' | 'stationRoom' | 'folder'>) => void
}

export type Scene = {
  readonly lab: Lab
  /** The namespace of the server: interface eth0, a cable to the switch `br0` of the other. */
  readonly serverRoom: string
  /** The namespace of the stations: the switch, and tap interfaces on it. */
  readonly stationRoom: string
  readonly folder: string
  readonly server: Running
  /** Puts a file into the depot while the server runs. */
  readonly put: (name: string, content: string | Uint8Array) => void
  /** A tap interface, on the switch unless another one is named. */
  readonly tap: (name: string, bridge?: string) => string
  readonly boot: (firmware: MachineFirmware, cards: readonly Card[]) => Machine
  /** `bivouac <words>` to its end, beside the server, with its configuration and its operator token. */
  readonly command: (...words: string[]) => Promise<Outcome>
  /** The server's events of this station, read over its API. */
  readonly events: (mac: Mac) => Promise<BootEvent[]>
  /** Events until one of this kind is there. */
  readonly waitForEvent: (mac: Mac, kind: EventKind, timeoutMs: number) => Promise<BootEvent[]>
  readonly close: () => Promise<void>
}

/** Starts the real server process (`serve`) in a namespace of its own, with a wire to put stations on. */
export async function createScene(options: SceneOptions): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), `bvc-${options.name}-`))
  const lab = createLab(`${options.name}-`)
  const machines: Machine[] = []
  const close = async () => {
    await Promise.all(machines.map((machine) => machine.stop()))
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const [serverRoom, stationRoom] = [lab.namespace('server'), lab.namespace('room')]
    lab.veth({ namespace: serverRoom, name: 'eth0', address: `${serverAddress}/24` }, { namespace: stationRoom, name: 'port0' })
    lab.bridge(stationRoom, 'br0', ['port0'])
    const put = (name: string, content: string | Uint8Array) => writeInto(join(folder, 'depot'), name, content)
    layDepot(folder, options.files ?? {}, put)
    options.prepare?.({ lab, serverRoom, stationRoom, folder })
    const server = await startServer(lab, serverRoom, folder, options.config ?? {})
    const events = (mac: Mac) => readEvents(lab, serverRoom, mac)
    const boot = (firmware: MachineFirmware, cards: readonly Card[]) => {
      const launcher = ['ip', 'netns', 'exec', stationRoom]
      const machine = startMachine({ firmware, cards, folder: join(folder, `machine-${machines.length}`), launcher })
      machines.push(machine)
      return machine
    }
    const waitForEvent = async (mac: Mac, kind: EventKind, timeoutMs: number) => {
      const deadline = Date.now() + timeoutMs
      while (true) {
        const found = await events(mac)
        if (found.some((event) => event.kind === kind)) return found
        if (Date.now() > deadline) throw new Error(`no event ${kind} of ${mac}; there are: ${kindsOf(found).join(' ')}\n${server.output()}`)
        await new Promise((done) => setTimeout(done, 250))
      }
    }
    const tap = (name: string, bridge = 'br0') => {
      lab.ip(stationRoom, 'tuntap', 'add', 'dev', name, 'mode', 'tap')
      lab.ip(stationRoom, 'link', 'set', name, 'master', bridge)
      lab.ip(stationRoom, 'link', 'set', name, 'up')
      return name
    }
    const command = (...words: string[]) =>
      lab.run(serverRoom, [process.execPath, mainFile, '--config', join(folder, 'bivouac.yaml'), ...words], {
        cwd: folder,
        timeoutMs: 30_000,
        env: { BIVOUAC_TOKEN: /operator token.*: (bvc_\S+)/.exec(server.output())?.[1] ?? '' },
      })
    return { lab, serverRoom, stationRoom, folder, server, put, tap, boot, command, events, waitForEvent, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The kinds of events, in their order. */
export const kindsOf = (events: readonly BootEvent[]): EventKind[] => events.map(({ kind }) => kind)

/** The first event of the kind. Throws when there is none. */
export function eventOf(events: readonly BootEvent[], kind: EventKind): BootEvent {
  const found = events.find((event) => event.kind === kind)
  if (!found) throw new Error(`no event ${kind} among ${kindsOf(events).join(' ')}`)
  return found
}

/** What a depot needs for one station: its record and its overlay. */
export const stationFiles = (mac: Mac, name: string, record = ''): Record<string, string | Uint8Array> => ({
  [`stations/${name}.yaml`]: `macs: ["${mac}"]\nhostname: ${name}\n${record}`,
  [`configs/${formatMacHyphen(mac)}.tar.gz`]: packOverlay(name),
})

/** A card on the tap interface. */
export const cardOn = (mac: Mac, tap: string, more: Partial<Card> = {}): Card => ({ mac, link: { kind: 'tap', interface: tap }, ...more })

function layDepot(folder: string, files: Record<string, string | Uint8Array>, put: Scene['put']): void {
  const release = join(folder, 'depot/releases', standInRelease)
  mkdirSync(dirname(release), { recursive: true })
  cpSync(join(standInCache, 'release'), release, { recursive: true })
  put('profiles/default.yaml', standInProfile)
  put('sshkeys.pub', 'ssh-ed25519 AAAAone one@test\nssh-ed25519 AAAAtwo two@test\n')
  for (const [name, content] of Object.entries(files)) put(name, content)
}

function writeInto(folder: string, name: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), content)
}

async function startServer(lab: Lab, room: string, folder: string, more: Record<string, unknown>): Promise<Running> {
  const config = {
    depot: join(folder, 'depot'),
    state: join(folder, 'state'),
    http: { address: '0.0.0.0', port: httpPort },
    tftp: { address: '0.0.0.0', port: 69 },
    ...more,
  }
  writeInto(folder, 'bivouac.yaml', JSON.stringify(config, null, 2))
  const server = lab.spawn(room, [process.execPath, mainFile, '--config', join(folder, 'bivouac.yaml'), 'serve'], { cwd: folder })
  await server.waitFor(/^Next:/m, 30_000)
  return server
}

// Asked from inside the server's namespace: its loopback may read without a token.
async function readEvents(lab: Lab, room: string, mac: Mac): Promise<BootEvent[]> {
  const url = `http://127.0.0.1:${httpPort}/api/v1/events?mac=${mac}&limit=10000`
  const { code, stdout, stderr } = await lab.run(room, ['curl', '-sS', '--fail', '--max-time', '10', url])
  if (code !== 0) throw new Error(`the events cannot be read: ${stderr}`)
  return JSON.parse(stdout) as BootEvent[]
}
