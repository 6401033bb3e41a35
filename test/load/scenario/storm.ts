// Boot storms: all stations of a site switched on in one instant, against whole stacks of servers.
import type { StormOrder, StormResult } from '../client/storm.ts'
import { romBytes } from '../depot.ts'
import type { Figure } from '../figure.ts'
import { httpPort } from '../peer/http.ts'
import { ownServer } from '../peer/own.ts'
import { stacks } from '../peer/stack.ts'
import { relayAddress, serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { type Bench, measureAll } from './plan.ts'

type Case = { readonly scenario: string; readonly stations: number; readonly paths: readonly string[]; readonly limitSeconds: number }

const cases: readonly Case[] = [
  { scenario: 'boot-storm', stations: 100, paths: ['/boot/MAC.ipxe', '/data/boot30.bin', '/configs/MAC.tar.gz'], limitSeconds: 60 },
  { scenario: 'boot-small', stations: 1000, paths: ['/boot/MAC.ipxe', '/configs/MAC.tar.gz'], limitSeconds: 60 },
]

export const stormScenarios = cases.map(({ scenario }) => scenario)

export async function runStorm(bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = []
  const peers = [ownServer(bench), ...stacks(bench.depot.folder)]
  // Each storm meets servers that have just been started and know no station yet.
  for (const one of cases) {
    if (bench.wants(one.scenario))
      figures.push(...(await measureAll(bench, peers, async (served, { name }) => [await measureStorm(bench, served, name, one)])))
  }
  return figures
}

async function measureStorm(bench: Bench, served: Served, server: string, one: Case): Promise<Omit<Figure, 'server'>> {
  const isPxe = !server.startsWith('npm')
  const order: StormOrder = {
    server: serverAddress,
    relay: relayAddress,
    replyPort: isPxe ? 67 : 68,
    isPxe,
    httpPort,
    meter: served.meter,
    stations: one.stations,
    rom: { file: bench.depot.romFile, sizeBytes: romBytes },
    paths: one.paths,
    limitSeconds: one.limitSeconds,
  }
  const memory = served.watchMemory()
  const result = await bench.stage.client<StormResult>('storm.ts', order, one.limitSeconds + 30)
  const metrics = {
    seconds: result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cpuMicroseconds: (result.cpuSeconds / Math.max(1, result.up)) * 1e6,
    resent: result.dhcpResent,
    failed: one.stations - result.up,
    memoryMb: memory(),
  }
  const note = [result.tftpResent ? `${result.tftpResent} TFTP resent` : '', ...result.reasons].filter(Boolean).join('; ')
  return { scenario: one.scenario, unit: 'station', metrics, ...(note && { note }) }
}
