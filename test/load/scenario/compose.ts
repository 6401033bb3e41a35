// Overlays composed from layers: each station's first one, made while it waits, and those that were made before. Beside `tar | gzip` over the
// same tree, as a script that makes overlays on request would run it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { seededRandom } from '../../support/random.ts'
import { type Depot, scriptMacs } from '../depot.ts'
import type { Figure } from '../figure.ts'
import { httpPort } from '../peer/http.ts'
import { ownServer } from '../peer/own.ts'
import { nodeProgram, type Peer } from '../peer/peer.ts'
import { serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { readCpuSeconds } from '../usage.ts'
import { type Bench, measureAll } from './plan.ts'

export const composeScenarios = ['compose-cold', 'compose-kept']

/** More than can be composed in one measurement; those that were composed are asked for again. */
const stations = 5000
const keptStations = 200

export async function runCompose(bench: Bench): Promise<Figure[]> {
  if (!composeScenarios.some(bench.wants)) return []
  const depot = makeComposeDepot(bench.stage.folder, bench.depot)
  const peers = [ownServer({ ...bench, depot }), tarGzip(join(depot.folder, 'overlays'))]
  return measureAll(bench, peers, (served, peer) => measure(bench, served, peer))
}

async function measure(bench: Bench, served: Served, { name }: Peer): Promise<Omit<Figure, 'server'>[]> {
  const { seconds } = bench.effort
  const run = async (scenario: string, connections: number, macs: readonly [first: number, count: number], forSeconds: number) => {
    const memory = served.watchMemory()
    const before = readCpuSeconds(served.meter)
    const { done, seconds: took, p50Ms, p99Ms, failed } = await ask(bench, connections, macs, forSeconds)
    const cpuMicroseconds = ((readCpuSeconds(served.meter) - before) / done) * 1e6
    const metrics = { rate: done / took, p50Ms, p99Ms, cpuMicroseconds, memoryMb: memory(), failed }
    return { scenario, unit: 'overlay', metrics }
  }
  // The layers are read, and the code is warm.
  await ask(bench, 4, [0, keptStations], 2)
  const cold = await run('compose-cold', 8, [keptStations, stations - keptStations], seconds)
  // Whoever makes each one anew has no other figure.
  return name === tarGzipName ? [cold] : [cold, await run('compose-kept', 64, [0, keptStations], seconds)]
}

type Wrk = { readonly done: number; readonly seconds: number; readonly p50Ms: number; readonly p99Ms: number; readonly failed: number }

async function ask(bench: Bench, connections: number, [first, count]: readonly [number, number], seconds: number): Promise<Wrk> {
  const lua = join(import.meta.dirname, '..', 'client', 'wrk.lua')
  const url = `http://${serverAddress}:${httpPort}/`
  const argv = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', lua, url, '--', 'overlays', `${first}`, `${count}`]
  return JSON.parse((await bench.stage.load(argv, seconds + 60)).trim().split('\n').at(-1) ?? '') as Wrk
}

const tarGzipName = 'tar-gzip'

const tarGzip = (tree: string): Peer => ({
  name: tarGzipName,
  needs: ['tar', 'gzip'],
  launch: () => [{ argv: nodeProgram('tar-gzip.ts', tree), ports: [`tcp:${httpPort}`] }],
})

/** Three layers as a site has them: what all have, what those of a role have, what the place has; sixty files, four of them templates. */
function makeComposeDepot(parent: string, { romFile, loaderFile, tenMbFile }: Depot): Depot {
  const folder = join(parent, 'compose')
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const random = seededRandom(21)
  const text = (sizeBytes: number) => Array.from({ length: sizeBytes / 8 }, () => random().toString(36).slice(2, 9)).join('\n')
  for (const name of ['vmlinuz-lts', 'initramfs-lts', 'modloop-lts']) write(`data/${name}`, text(4000))
  write(
    'profiles/bench.yaml',
    'kind: alpine\nkernel: data/vmlinuz-lts\ninitramfs: data/initramfs-lts\nmodloop: data/modloop-lts\nlayers: [base, desk]\n',
  )
  write('overlays/base/layer.yaml', 'packages: [openssh, chrony]\nservices: { default: [sshd, chronyd] }\nroot: locked\n')
  write('overlays/desk/layer.yaml', 'packages: [firefox, sway]\nservices: { default: [seatd] }\n')
  write('overlays/site/layer.yaml', 'packages: [tzdata]\n')
  for (const layer of ['base', 'desk', 'site']) {
    for (let at = 0; at < 19; at += 1) write(`overlays/${layer}/etc/${layer}/part-${at}.conf`, text(1200))
  }
  const own = '<%= it.station.hostname %> <%= it.station.mac %> <%= it.variables.room %>\n'
  for (const name of ['base/etc/motd', 'base/etc/hosts', 'desk/etc/desk/name', 'site/etc/site/name']) write(`overlays/${name}.ejs`, own.repeat(10))
  for (const mac of scriptMacs(stations)) {
    write(`stations/s${mac}.yaml`, `mac: ${mac}\nhostname: s${mac}\nlayers: [site]\nvariables: { room: r${mac} }\n`)
  }
  return { folder, romFile, loaderFile, tenMbFile }
}
