// `npm run bench`: measures Bivouac and its peers side by side in private network namespaces and prints ratios. Never part of `npm test`.
// Starts nothing outside the namespaces that it makes, ends all that it starts.
import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { missingTools } from '../support/tool.ts'
import { makeDepot } from './depot.ts'
import type { Figure } from './figure.ts'
import { goals, judge } from './goal.ts'
import { extraFolders } from './peer/peer.ts'
import { formatFigures, formatGoals } from './report.ts'
import { composeScenarios, runCompose } from './scenario/compose.ts'
import { dhcpScenarios, runDhcp } from './scenario/dhcp.ts'
import { httpScenarios, runHttp } from './scenario/http.ts'
import { mirrorScenarios, runMirror } from './scenario/mirror.ts'
import type { Bench } from './scenario/plan.ts'
import { runStorm, stormScenarios } from './scenario/storm.ts'
import { runTftp, tftpScenarios } from './scenario/tftp.ts'
import { createStage, type Stage } from './stage.ts'

const scenarios = [...dhcpScenarios, ...tftpScenarios, ...httpScenarios, ...composeScenarios, ...mirrorScenarios, ...stormScenarios]

export const help = `usage: npm run bench -- [options]

Measures Bivouac beside the servers that are installed here: dnsmasq, Kea, ISC dhcpd, tftpd-hpa, atftpd, nginx and the npm packages
dhcp, tftp and hono. Needs root, two cores, iproute2 and wrk; a peer that is missing is named and left out. A full run takes about
fifteen minutes, --quick about four.

  --only <scenario,…>   these scenarios; a name such as "tftp" stands for all that begin with it
  --server <name,…>     these servers; "bivouac" is this project, "bivouac-synced" the same with dhcp.sync
  --quick               one short round in place of two long ones
  --rounds <n>          rounds of which the best counts (default 2)
  --seconds <n>         length of one measurement (default 4)
  --peers <folder>      where to look for programs that are not installed (packages unpacked by dpkg-deb -x)
  --priority            run server and load at a higher priority, against noise of other work on the machine
  --profile <folder>    have Bivouac write a CPU profile of each server process there (node --cpu-prof)
  --json                print all figures and verdicts as JSON
  --help

Scenarios: ${scenarios.join(', ')}
`

const say = (line: string): void => void process.stderr.write(`${line}\n`)

type Flags = {
  readonly only: string[]
  readonly server: string[]
  readonly isQuick: boolean
  readonly isJson: boolean
  readonly rounds: number
  readonly seconds: number
  readonly hasPriority: boolean
  readonly profile?: string
}

function readFlags(argv: readonly string[]): Flags | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const options = {
    only: text,
    server: text,
    rounds: text,
    seconds: text,
    peers: text,
    profile: text,
    quick: flag,
    priority: flag,
    json: flag,
    help: flag,
  }
  const { values } = parseArgs({ args: [...argv], options })
  if (values.help) return undefined
  if (values.peers) extraFolders.push(...['', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((below) => `${values.peers}${below}`))
  const list = (given?: string) => given?.split(',').filter(Boolean) ?? []
  const only = list(values.only)
  const unknown = only.filter((name) => !scenarios.some((scenario) => scenario.startsWith(name)))
  if (unknown.length) throw new Error(`no such scenario: ${unknown.join(', ')}; there are ${scenarios.join(', ')}`)
  return {
    only,
    server: list(values.server),
    isQuick: values.quick,
    isJson: values.json,
    rounds: readNumber('rounds', values.rounds, values.quick ? 1 : 2, 10),
    seconds: readNumber('seconds', values.seconds, values.quick ? 2 : 4, 60),
    hasPriority: values.priority,
    ...(values.profile && { profile: values.profile }),
  }
}

function readNumber(name: string, given: string | undefined, otherwise: number, most: number): number {
  const value = given === undefined ? otherwise : Number(given)
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name} is a whole number from 1 to ${most}`)
  return value
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2))
  if (!flags) return void process.stdout.write(help)
  const missing = missingTools('root', 'ip', 'taskset', 'nice', 'wrk')
  if (missing.length) throw new Error(`missing: ${missing.join(', ')} (Debian: apt-get install iproute2 util-linux wrk; run as root)`)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
  const stage = createStage({ hasPriority: flags.hasPriority })
  try {
    const startedAt = performance.now()
    const figures = await measure(stage, flags)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    print(figures, flags, seconds)
  } finally {
    await stage.close()
  }
}

async function measure(stage: Stage, flags: Flags): Promise<Figure[]> {
  const bench: Bench = {
    stage,
    depot: makeDepot(stage.folder),
    effort: { rounds: flags.rounds, seconds: flags.seconds, isQuick: flags.isQuick },
    wants: (scenario) => !flags.only.length || flags.only.some((name) => scenario.startsWith(name)),
    wantsServer: (name) => !flags.server.length || flags.server.includes(name),
    say,
    profileFolder: flags.profile,
  }
  const figures: Figure[] = []
  for (const run of [runDhcp, runTftp, runHttp, runCompose, runMirror, runStorm]) figures.push(...(await run(bench)))
  return figures
}

function print(figures: readonly Figure[], { isJson, rounds, seconds: each, hasPriority }: Flags, seconds: number): void {
  const machine = {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? '',
    kernel: release(),
    node: process.version,
    congestion: readText('/proc/sys/net/ipv4/tcp_congestion_control'),
    load: readLoad(),
  }
  const judged = goals.map((goal) => judge(goal, figures))
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ machine, rounds, seconds, figures, goals: judged }, null, 2)}\n`)
    return
  }
  const settings = `${rounds} rounds of ${each} s${hasPriority ? ', at a higher priority' : ''}`
  process.stdout.write(
    `\n${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, TCP ${machine.congestion}; ${settings}; ${seconds} s in all; load ${machine.load}\n\n`,
  )
  process.stdout.write(`${formatFigures(figures)}\n${formatGoals(figures)}`)
}

const readText = (path: string): string => readFileSync(path, 'latin1').trim()
const readLoad = (): string => readText('/proc/loadavg').split(' ').slice(0, 3).join(' ')

if (import.meta.main) {
  main().catch((error: Error) => {
    say(`bench: ${error.message}`)
    process.exitCode = 1
  })
}
