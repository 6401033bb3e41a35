// TFTP: boot files to many stations at once, with options and without, with loss, and beside stations that vanish.
import type { TftpOrder, TftpResult } from '../client/tftp.ts'
import { loaderBytes, romBytes, tenMb } from '../depot.ts'
import type { Figure, Metrics } from '../figure.ts'
import { ownServer } from '../peer/own.ts'
import { atftpd, dnsmasqTftp, npmTftp, tftpdHpa } from '../peer/tftp.ts'
import { firstTftpStation, serverAddress } from '../place.ts'
import type { Served } from '../stage.ts'
import { type Bench, measureAll } from './plan.ts'

type Case = {
  readonly scenario: string
  readonly order: (bench: Bench) => Partial<TftpOrder>
  /** Takes long and hardly depends on the machine: the first round is enough. */
  readonly isOnce?: boolean
}
const absentStations = 300

const cases: readonly Case[] = [
  { scenario: 'tftp-rom', order: () => ({ options: { tsize: 0, blksize: 1456 } }) },
  { scenario: 'tftp-plain', order: () => ({ options: {} }) },
  {
    scenario: 'tftp-win',
    order: ({ depot }) => ({ file: depot.tenMbFile, sizeBytes: tenMb, options: { blksize: 1456, windowsize: 16 }, atOnce: 8 }),
  },
  {
    scenario: 'tftp-loss',
    isOnce: true,
    order: ({ depot }) => ({ ...oneEach(8), file: depot.loaderFile, sizeBytes: loaderBytes, options: { blksize: 1456, windowsize: 16 }, loss: 0.01 }),
  },
  {
    scenario: 'tftp-uefi',
    isOnce: true,
    order: ({ depot }) => ({
      ...oneEach(8),
      file: depot.tenMbFile,
      sizeBytes: tenMb,
      options: { blksize: 1456, windowsize: 16 },
      lostBlocks: 4,
      acksAll: true,
    }),
  },
  {
    scenario: 'tftp-absent',
    isOnce: true,
    order: ({ effort }) => ({ options: { tsize: 0, blksize: 1456 }, absent: absentStations, countSeconds: effort.isQuick ? 6 : 16 }),
  },
]

export const tftpScenarios = cases.map(({ scenario }) => scenario)
const oneEach = (stations: number) => ({ atOnce: stations, count: stations, limitSeconds: 30 })

export async function runTftp(bench: Bench): Promise<Figure[]> {
  const wanted = cases.filter(({ scenario }) => bench.wants(scenario))
  if (!wanted.length) return []
  const { folder } = bench.depot
  const peers = [ownServer(bench), dnsmasqTftp(folder), tftpdHpa(folder), atftpd(folder), npmTftp(folder)]
  return await measureAll(bench, peers, async (served, _, round) => {
    const figures: Omit<Figure, 'server'>[] = []
    await measureCase(bench, served, { scenario: 'warm-up', order: () => ({ options: { blksize: 1456 }, seconds: 1 }) })
    for (const one of wanted) if (round === 0 || !one.isOnce) figures.push(await measureCase(bench, served, one))
    return figures
  })
}

async function measureCase(bench: Bench, served: Served, { scenario, order }: Case): Promise<Omit<Figure, 'server'>> {
  const { seconds } = bench.effort
  const whole: TftpOrder = {
    server: serverAddress,
    meter: served.meter,
    firstAddress: firstTftpStation,
    file: bench.depot.romFile,
    sizeBytes: romBytes,
    options: {},
    atOnce: 32,
    count: 1_000_000,
    seconds,
    limitSeconds: seconds + 10,
    ...order(bench),
  }
  const memory = served.watchMemory()
  const result = await bench.stage.client<TftpResult>('tftp.ts', whole, whole.limitSeconds + 40)
  const metrics = { ...read(result), memoryMb: memory() }
  const note = result.failed ? `${result.failed} failed: ${result.reasons.join('; ')}` : undefined
  return { scenario, unit: 'transfer', metrics, ...(note && { note }) }
}

const read = (result: TftpResult): Metrics => ({
  rate: result.done / result.seconds,
  megabytesPerSecond: result.megabytes / result.seconds,
  seconds: result.seconds,
  p50Ms: result.p50Ms,
  p99Ms: result.p99Ms,
  cpuMicroseconds: (result.cpuSeconds / Math.max(1, result.done)) * 1e6,
  failed: result.failed,
  duplicates: result.duplicates,
  packetsPerAbsent: result.packetsPerAbsent,
})
