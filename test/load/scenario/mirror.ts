// Packages through the mirror: those that only the upstream has, those that were fetched before, and a modloop that a whole hall pulls at once.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeApkKey, makePackage, trustKey, writeRepository } from '../../support/apk.ts'
import { seededRandom } from '../../support/random.ts'
import type { MirrorOrder, MirrorResult } from '../client/mirror.ts'
import type { Depot } from '../depot.ts'
import type { Figure } from '../figure.ts'
import { httpPort, nginx } from '../peer/http.ts'
import { nginxCache, ownCache, upstreamPort } from '../peer/mirror.ts'
import { ownServer } from '../peer/own.ts'
import { serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { readCpuSeconds, readMemoryMb } from '../usage.ts'
import { type Bench, measureAll } from './plan.ts'

const hall = 'modloop-hall'
export const mirrorScenarios = ['apk-cold', 'apk-hot', hall]

type Draft = Omit<Figure, 'server'>

const folder = 'v3.22/main/x86_64'
const packages = 100
const packageBytes = 1_000_000
const stations = 200

export async function runMirror(bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = []
  if (bench.wants('apk-cold') || bench.wants('apk-hot')) {
    const { depot, files, first } = makeMirrorDepot(bench)
    // Each start of a server is a start with an empty cache.
    const own = { ...ownCache(depot, bench.profileFolder), launch: freshLaunch(bench, depot) }
    figures.push(...(await measureAll(bench, [own, nginxCache()], (served) => measureCache(bench, served, files, first))))
  }
  if (bench.wants(hall)) {
    const peers = [ownServer(bench), nginx(bench.depot.folder)]
    figures.push(...(await measureAll(bench, peers, async (served) => [await measureHall(bench, served)])))
  }
  return figures
}

/** The upstream's folder with a signed index, and a depot that trusts its key and has no package. */
function makeMirrorDepot(bench: Bench): { depot: Depot; files: string; first: string } {
  const files = join(bench.stage.folder, 'upstream')
  const depot = { ...bench.depot, folder: join(bench.stage.folder, 'mirror') }
  mkdirSync(files)
  const key = makeApkKey()
  const random = seededRandom(11)
  const noise = Buffer.from(Array.from({ length: packageBytes }, () => Math.floor(random() * 256)))
  const all = Array.from({ length: packages }, (_, at) => {
    noise.writeUInt32LE(at, 0)
    return makePackage({ name: `package${at}`, key, files: { [`usr/share/package${at}`]: noise } })
  })
  writeRepository(files, folder, all, key)
  return { depot, files, first: all[0]?.fileName ?? '' }
}

let launches = 0

const freshLaunch =
  (bench: Bench, depot: Depot) =>
  (own: string): ReturnType<ReturnType<typeof ownCache>['launch']> => {
    const fresh = { ...depot, folder: `${depot.folder}-${launches++}` }
    mkdirSync(join(fresh.folder, 'apk'), { recursive: true })
    trustKey(join(fresh.folder, 'apk'), makeApkKey())
    return ownCache(fresh, bench.profileFolder).launch(own)
  }

async function measureCache(bench: Bench, served: Served, files: string, first: string): Promise<Draft[]> {
  const url = `http://${serverAddress}:${httpPort}/apk`
  const order: MirrorOrder = { files, port: upstreamPort, delayMs: 20, url, folder, each: 10, atOnce: 40, meter: served.meter }
  const memory = served.watchMemory()
  const { done, failed, seconds, p50Ms, p99Ms, cpuSeconds, upstreamHits } = await bench.stage.client<MirrorResult>('mirror.ts', order, 120)
  const cold: Draft = {
    scenario: 'apk-cold',
    unit: 'package',
    metrics: { rate: done / seconds, p50Ms, p99Ms, cpuMicroseconds: (cpuSeconds / done) * 1e6, memoryMb: memory(), failed },
    note: `upstream asked ${upstreamHits} times for ${packages}`,
  }
  const hot = await wrk(bench, 8, `/apk/${folder}/${first}`, bench.effort.seconds, served)
  return [cold, { scenario: 'apk-hot', unit: 'GB', metrics: hot }]
}

/** All of them from the beginning, at full speed; what is held for them beyond what the server held before. */
async function measureHall(bench: Bench, served: Served): Promise<Draft> {
  const path = '/data/big.bin'
  await wrk(bench, 1, path, 1, served)
  const beforeMb = readMemoryMb(served.meter)
  const metrics = await wrk(bench, stations, path, Math.max(10, bench.effort.seconds), served)
  return { scenario: hall, unit: 'GB', metrics: { ...metrics, memoryGrowthMb: metrics.memoryMb - beforeMb } }
}

async function wrk(bench: Bench, connections: number, path: string, seconds: number, served: Served) {
  const lua = join(import.meta.dirname, '..', 'client', 'wrk.lua')
  const url = `http://${serverAddress}:${httpPort}${path}`
  const memory = served.watchMemory()
  const before = readCpuSeconds(served.meter)
  const argv = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '60s', '-s', lua, url, '--', 'fixed']
  const text = await bench.stage.load(argv, seconds + 60)
  const { bytes, seconds: took, failed } = JSON.parse(text.trim().split('\n').at(-1) ?? '') as { bytes: number; seconds: number; failed: number }
  return {
    megabytesPerSecond: bytes / 1e6 / took,
    cpuSecondsPerGb: (readCpuSeconds(served.meter) - before) / (bytes / 1e9),
    memoryMb: memory(),
    failed,
  }
}
