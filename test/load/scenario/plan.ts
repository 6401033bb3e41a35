// What every scenario gets and gives back, and the loop that measures all servers of a scenario in turn. Used by the scenario files and by run.
import type { Depot } from '../depot.ts'
import { type Figure, pickBest } from '../figure.ts'
import type { Peer } from '../peer/peer.ts'
import { findProgram } from '../peer/peer.ts'
import { otherCores, readCpuSeconds, readOtherWork } from '../usage.ts'
import type { Served, Stage } from '../stage.ts'

export type Effort = {
  readonly rounds: number
  /** Seconds of one measurement; counts scale with it. */
  readonly seconds: number
  readonly isQuick: boolean
}
export type Bench = {
  readonly stage: Stage
  readonly effort: Effort
  readonly depot: Depot
  /** Names of scenarios that are wanted. */
  readonly wants: (scenario: string) => boolean
  /** Names of servers that are wanted. */
  readonly wantsServer: (name: string) => boolean
  readonly say: (line: string) => void
  /** Where Bivouac is to write CPU profiles. */
  readonly profileFolder?: string | undefined
}
/** Measures one started server; the figures come without the server's name. */
export type Measure = (served: Served, peer: Peer, round: number) => Promise<readonly Omit<Figure, 'server'>[]>

/**
 * Every peer in turn, `rounds` times over, so that noise of the machine falls on all; answers the best round of each scenario. A peer that
 * is not installed, does not start or breaks is told and left out.
 */
export async function measureAll(bench: Bench, peers: readonly Peer[], measure: Measure): Promise<Figure[]> {
  const found = new Map<string, Figure[]>()
  const broken = new Set<string>()
  for (let round = 0; round < bench.effort.rounds; round += 1) {
    for (const peer of peers) {
      if (broken.has(peer.name) || !bench.wantsServer(peer.name)) continue
      const missing = peer.needs.filter((name) => !findProgram(name))
      if (missing.length) {
        broken.add(peer.name)
        bench.say(`left out: ${peer.name} (not installed: ${missing.join(', ')})`)
        continue
      }
      const ofRound: typeof measure = (served, one) => measure(served, one, round)
      for (const figure of await measureOne(bench, peer, ofRound, () => broken.add(peer.name))) {
        const key = `${figure.scenario} ${figure.server}`
        found.set(key, [...(found.get(key) ?? []), figure])
      }
    }
  }
  return [...found.values()].flatMap((rounds) => pickBest(rounds) ?? [])
}

async function measureOne(bench: Bench, peer: Peer, measure: Measure, onBroken: () => void): Promise<Figure[]> {
  let served: Served | undefined
  try {
    const before = readOtherWork()
    served = await bench.stage.serve(peer)
    const figures = await measure(served, peer, 0)
    const disturbance = otherCores(before, readOtherWork(), readCpuSeconds(served.meter))
    bench.say(`${peer.name}: ${figures.map(({ scenario }) => scenario).join(', ')}`)
    return figures.map((figure) => ({ ...figure, server: peer.name, disturbance }))
  } catch (error) {
    onBroken()
    bench.say(`left out: ${peer.name} (${(error as Error).message})`)
    return []
  } finally {
    await served?.stop()
  }
}
