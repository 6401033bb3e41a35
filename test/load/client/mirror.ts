// Stations that ask a package cache for what it does not have yet, and the upstream that has it, a round trip away. Run as a process of its own by
// scenario/mirror; prints how fast all had theirs, and how often the upstream was asked.
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { join } from 'node:path'
import { type Meter, readCpuSeconds } from '../usage.ts'
import { printResult, readOrder } from './common.ts'

export type MirrorOrder = {
  /** The upstream's files and its own place. */
  readonly files: string
  readonly port: number
  readonly delayMs: number
  /** Base URL of the cache; packages are below it as they are below `files`. */
  readonly url: string
  readonly folder: string
  /** Requests for each package, and how many are on their way at once. */
  readonly each: number
  readonly atOnce: number
  readonly meter: Meter
}
export type MirrorResult = {
  readonly done: number
  readonly failed: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuSeconds: number
  readonly upstreamHits: number
}

async function main(): Promise<void> {
  const order = readOrder<MirrorOrder>()
  const names = readdirSync(join(order.files, order.folder))
  const bytes = new Map(names.map((name) => [`/${order.folder}/${name}`, readFileSync(join(order.files, order.folder, name))]))
  const hits = new Map<string, number>()
  const upstream = createServer((request, response) => {
    const url = request.url ?? ''
    hits.set(url, (hits.get(url) ?? 0) + 1)
    const file = bytes.get(url)
    setTimeout(() => {
      if (file) response.writeHead(200, { 'Content-Length': file.length, 'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }).end(file)
      else response.writeHead(404, { 'Content-Length': 0 }).end()
    }, order.delayMs)
  })
  await new Promise<void>((resolve) => upstream.listen(order.port, '0.0.0.0', resolve))
  const agent = new Agent({ keepAlive: true, maxSockets: order.atOnce })
  const index = `/${order.folder}/APKINDEX.tar.gz`
  await ask(`${order.url}${index}`, agent)
  const paths = [...bytes.keys()].filter((path) => path !== index).flatMap((path) => Array.from({ length: order.each }, () => path))
  const times: number[] = []
  let failed = 0
  let at = 0
  const cpuBefore = readCpuSeconds(order.meter)
  const startedAt = performance.now()
  const station = async (): Promise<void> => {
    for (let path = paths[at++]; path !== undefined; path = paths[at++]) {
      const askedAt = performance.now()
      const got = await ask(`${order.url}${path}`, agent)
      times.push(performance.now() - askedAt)
      if (got !== bytes.get(path)?.length) failed++
    }
  }
  await Promise.all(Array.from({ length: order.atOnce }, station))
  const seconds = (performance.now() - startedAt) / 1000
  times.sort((one, other) => one - other)
  const quantile = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  hits.delete(index)
  printResult({
    done: times.length,
    failed,
    seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    cpuSeconds: readCpuSeconds(order.meter) - cpuBefore,
    upstreamHits: [...hits.values()].reduce((sum, count) => sum + count, 0),
  } satisfies MirrorResult)
  process.exit(0)
}

/** Bytes of the body; -1 for another status or a connection that ended early. */
function ask(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    get(url, { agent }, (response) => {
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
      })
      response.on('end', () => resolve(response.statusCode === 200 ? length : -1))
      response.on('error', () => resolve(-1))
    }).on('error', () => resolve(-1))
  })
}

if (import.meta.main) await main()
