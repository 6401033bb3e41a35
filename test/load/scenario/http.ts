// HTTP: scripts, overlays and big files by wrk, scripts beside downloads, and stations that read slowly.
import { join } from 'node:path'
import type { SlowOrder, SlowResult } from '../client/slow.ts'
import type { Figure, Metrics } from '../figure.ts'
import { honoStatic, httpPort, nginx } from '../peer/http.ts'
import { ownServer } from '../peer/own.ts'
import { serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { readCpuSeconds, readMemoryMb } from '../usage.ts'
import { type Bench, measureAll } from './plan.ts'

type Wrk = {
  readonly done: number
  readonly seconds: number
  readonly bytes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
}
type Draft = Omit<Figure, 'server'>
type Ask = { readonly connections: number; readonly path: string; readonly what?: readonly string[]; readonly seconds: number }
type Case = { readonly scenario: string; readonly measure: (bench: Bench, served: Served) => Promise<Draft> }

const scripts = { path: '/boot/52-54-00-00-00-00.ipxe', what: ['macs', '10000'] }
const bigFile = '/data/big.bin'

const cases: readonly Case[] = [
  { scenario: 'http-hello', measure: (bench, served) => measureRate(bench, served, 'http-hello', { connections: 64, path: '/hello' }) },
  { scenario: 'http-script', measure: (bench, served) => measureRate(bench, served, 'http-script', { connections: 64, ...scripts }) },
  {
    scenario: 'http-overlay',
    measure: (bench, served) => measureRate(bench, served, 'http-overlay', { connections: 64, path: '/configs/52-54-00-00-00-07.tar.gz' }),
  },
  { scenario: 'http-big', measure: measureBig },
  { scenario: 'http-mixed', measure: measureMixed },
  { scenario: 'http-slow', measure: measureSlow },
]
const memoryScenario = 'http-memory'

export const httpScenarios = [...cases.map(({ scenario }) => scenario), memoryScenario]

export async function runHttp(bench: Bench): Promise<Figure[]> {
  const wanted = cases.filter(({ scenario }) => bench.wants(scenario))
  const peers = [ownServer(bench), nginx(bench.depot.folder), honoStatic(bench.depot.folder)]
  const figures: Figure[] = []
  if (wanted.length) figures.push(...(await measureAll(bench, peers, (served) => measureLoad(bench, served, wanted))))
  if (bench.wants(memoryScenario)) figures.push(...(await measureAll(bench, peers, async (served) => [await measureMemory(bench, served)])))
  return figures
}

async function measureLoad(bench: Bench, served: Served, wanted: readonly Case[]): Promise<Draft[]> {
  const drafts: Draft[] = []
  await ask(bench, { connections: 64, ...scripts, seconds: 1 })
  for (const { measure } of wanted) drafts.push(await measure(bench, served))
  return drafts
}

async function ask(bench: Bench, { connections, path, what = ['fixed'], seconds }: Ask): Promise<Wrk> {
  const lua = join(import.meta.dirname, '..', 'client', 'wrk.lua')
  const url = `http://${serverAddress}:${httpPort}${path}`
  const argv = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', lua, url, '--', ...what]
  const text = await bench.stage.load(argv, seconds + 60)
  return JSON.parse(text.trim().split('\n').at(-1) ?? '') as Wrk
}

async function meterAsk(bench: Bench, served: Served, one: Ask): Promise<Wrk & { cpuSeconds: number; memoryMb: number }> {
  const memory = served.watchMemory()
  const before = readCpuSeconds(served.meter)
  const result = await ask(bench, one)
  return { ...result, cpuSeconds: readCpuSeconds(served.meter) - before, memoryMb: memory() }
}

async function measureRate(bench: Bench, served: Served, scenario: string, one: Omit<Ask, 'seconds'>): Promise<Draft> {
  const result = await meterAsk(bench, served, { ...one, seconds: bench.effort.seconds })
  return { scenario, unit: 'request', metrics: { ...read(result), cpuMicroseconds: (result.cpuSeconds / result.done) * 1e6 } }
}

async function measureBig(bench: Bench, served: Served): Promise<Draft> {
  const result = await meterAsk(bench, served, { connections: 8, path: bigFile, seconds: bench.effort.seconds })
  const metrics = {
    megabytesPerSecond: result.bytes / 1e6 / result.seconds,
    cpuSecondsPerGb: result.cpuSeconds / (result.bytes / 1e9),
    memoryMb: result.memoryMb,
    failed: result.failed,
  }
  return { scenario: 'http-big', unit: 'GB', metrics }
}

/** Eight connections ask for scripts while sixteen download; both clients share the load core, so compare, do not read absolutely. */
async function measureMixed(bench: Bench, served: Served): Promise<Draft> {
  const { seconds } = bench.effort
  const downloads = ask(bench, { connections: 16, path: bigFile, seconds: seconds + 2 })
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const result = await meterAsk(bench, served, { connections: 8, ...scripts, seconds })
  const { bytes, seconds: downloadSeconds } = await downloads
  return { scenario: 'http-mixed', unit: 'request', metrics: { ...read(result), megabytesPerSecond: bytes / 1e6 / downloadSeconds } }
}

async function measureSlow(bench: Bench, served: Served): Promise<Draft> {
  const seconds = bench.effort.isQuick ? 4 : 10
  const order: SlowOrder = {
    server: serverAddress,
    port: httpPort,
    path: bigFile,
    meter: served.meter,
    stations: 200,
    bytesPerSecond: 100_000,
    seconds,
  }
  const { beforeMb, highestMb, open } = await bench.stage.client<SlowResult>('slow.ts', order, seconds + 30)
  const metrics = { memoryMb: highestMb, memoryGrowthMb: highestMb - beforeMb, failed: order.stations - open }
  return { scenario: 'http-slow', unit: 'station', metrics }
}

/** What a server that has just been started holds when it has sent 131 MB of files several times, and all is quiet again. */
async function measureMemory(bench: Bench, served: Served): Promise<Draft> {
  for (const path of [bigFile, '/data/boot30.bin']) await ask(bench, { connections: 4, path, seconds: 2 })
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return { scenario: memoryScenario, unit: 'process', metrics: { memoryMb: readMemoryMb(served.meter) } }
}

const read = (result: Wrk & { memoryMb: number }): Metrics => ({
  rate: result.done / result.seconds,
  p50Ms: result.p50Ms,
  p99Ms: result.p99Ms,
  memoryMb: result.memoryMb,
  failed: result.failed,
})
