// The benchmark's pure parts: what it tells of itself, how it judges and formats. The measuring itself is `npm run bench`, never a test.
import { execFileSync, spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeRequest, readReply, requestedAt, serverIdAt } from './load/client/dhcp.ts'
import { addressAfter, encodeRequest } from './load/client/tftp.ts'
import { type Figure, type Metrics, pickBest } from './load/figure.ts'
import { formatGap, formatNumber, formatResult, type Goal, goals, judge } from './load/goal.ts'
import { formatFigures, formatTable } from './load/report.ts'
import { help } from './load/run.ts'
import { composeScenarios } from './load/scenario/compose.ts'
import { dhcpScenarios } from './load/scenario/dhcp.ts'
import { httpScenarios } from './load/scenario/http.ts'
import { mirrorScenarios } from './load/scenario/mirror.ts'
import { stormScenarios } from './load/scenario/storm.ts'
import { tftpScenarios } from './load/scenario/tftp.ts'

const run = resolve(import.meta.dirname, 'load', 'run.ts')
const figure = (scenario: string, server: string, metrics: Metrics): Figure => ({ scenario, server, unit: 'unit', metrics })

describe('the command', () => {
  it('tells its options and every scenario, and measures nothing', () => {
    expect(execFileSync(process.execPath, [run, '--help'], { encoding: 'utf8' })).toBe(help)
    for (const scenario of [...dhcpScenarios, ...tftpScenarios, ...httpScenarios, ...composeScenarios, ...mirrorScenarios, ...stormScenarios])
      expect(help).toContain(scenario)
  })

  it.each([
    [['--only', 'smoke'], 'no such scenario: smoke'],
    [['--rounds', '0'], '--rounds is a whole number from 1 to 10'],
    [['--fast'], '--fast'],
  ])('refuses %j', (argv, message) => {
    const { status, stderr } = spawnSync(process.execPath, [run, ...argv], { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stderr).toContain(message)
  })
})

describe('the goals', () => {
  it('are of scenarios that exist', () => {
    const known = [...dhcpScenarios, ...tftpScenarios, ...httpScenarios, ...composeScenarios, ...mirrorScenarios, ...stormScenarios]
    expect(goals.filter(({ scenario, beside }) => ![scenario, beside ?? scenario].every((name) => known.includes(name)))).toEqual([])
  })

  it.each(goals)('$scenario $metric: the goal is not easier than what must be', ({ form, must, goal }) => {
    if (form === 'rate' || form === 'faster') expect(goal).toBeGreaterThanOrEqual(must)
    else expect(goal).toBeLessThanOrEqual(must)
  })

  const rate: Goal = { scenario: 's', metric: 'rate', form: 'rate', against: ['a', 'b'], must: 0.5, goal: 2 }
  const faster: Goal = { scenario: 's', metric: 'seconds', form: 'faster', against: ['a', 'b'], must: 1, goal: 3 }
  const share: Goal = { scenario: 's', metric: 'cpuMicroseconds', form: 'share', against: ['a'], must: 1, goal: 0.5 }
  const value: Goal = { scenario: 's', metric: 'duplicates', form: 'value', must: 20_000, goal: 2000 }
  const beside: Goal = { scenario: 's', metric: 'rate', form: 'rate', beside: 'calm', must: 0.9, goal: 1 }

  it.each<[string, Goal, Metrics, Metrics, string, string]>([
    ['a higher rate', rate, { rate: 300 }, { rate: 100 }, '3.00 x', 'reached'],
    ['a rate between must and goal', rate, { rate: 100 }, { rate: 100 }, '1.00 x', 'must only, 50 % short'],
    ['a rate below must', rate, { rate: 20 }, { rate: 100 }, '0.200 x', 'missed, 90 % short'],
    ['a shorter time', faster, { seconds: 1 }, { seconds: 4 }, '4.00 x', 'reached'],
    ['a longer time', faster, { seconds: 8 }, { seconds: 4 }, '0.500 x', 'missed, 83 % short'],
    ['a smaller share', share, { cpuMicroseconds: 10 }, { cpuMicroseconds: 40 }, '0.250 x', 'reached'],
    ['a bigger share', share, { cpuMicroseconds: 30 }, { cpuMicroseconds: 40 }, '0.750 x', 'must only, 50 % over'],
    ['a value', value, { duplicates: 3000 }, {}, '3 000', 'must only, 50 % over'],
    ['a run of ours that failed', faster, { seconds: 1, failed: 3 }, { seconds: 4 }, '4.00 x', 'missed, 3 failed'],
  ])('judges %s', (_, goal, ours, peers, result, gap) => {
    const judged = judge(goal, [figure('s', 'bivouac', ours), figure('s', 'a', peers)])
    expect([formatResult(judged), formatGap(judged)]).toEqual([result, gap])
  })

  it('takes the best peer, but none that failed some stations', () => {
    const peers = [figure('s', 'a', { seconds: 2, failed: 1 }), figure('s', 'b', { seconds: 6 }), figure('s', 'c', { seconds: 1 })]
    expect(judge(faster, [figure('s', 'bivouac', { seconds: 2 }), ...peers])).toMatchObject({ peer: { server: 'b', value: 6 }, result: 3 })
  })

  it('tells the ratio by CPU time for rates', () => {
    const ours = figure('s', 'bivouac', { rate: 50, cpuMicroseconds: 20 })
    expect(judge(rate, [ours, figure('s', 'a', { rate: 100, cpuMicroseconds: 30 })]).byCpu).toBe(1.5)
    expect(judge(rate, [ours, figure('s', 'a', { rate: 100 })]).byCpu).toBeUndefined()
  })

  it('compares with another scenario of ours', () => {
    const figures = [figure('s', 'bivouac', { rate: 95 }), figure('calm', 'bivouac', { rate: 100 }), figure('calm', 'a', { rate: 1 })]
    expect(judge(beside, figures)).toMatchObject({ verdict: 'must only', result: 0.95 })
  })

  it('says when there is nothing to judge', () => {
    expect(judge(rate, [figure('s', 'bivouac', { rate: 1 })]).verdict).toBe('not measured')
    expect(judge(rate, [figure('s', 'a', { rate: 1 })]).verdict).toBe('not measured')
    expect(judge(value, []).verdict).toBe('not measured')
  })
})

describe('the tables', () => {
  it.each([
    [0, '0.00'],
    [0.01234, '0.012'],
    [0.8125, '0.813'],
    [1.5, '1.50'],
    [54.321, '54.3'],
    [999.6, '1 000'],
    [19_679, '19 679'],
    [1_234_567, '1 234 567'],
    [Number.NaN, '-'],
  ])('writes %d as %s', (number, text) => expect(formatNumber(number)).toBe(text))

  it('aligns columns', () => {
    const rows = [
      ['server', 'per s', ''],
      ['nginx', '1', 'a note'],
    ]
    expect(formatTable(rows)).toBe('server  per s\nnginx       1  a note\n')
  })

  it('shows only columns that say something', () => {
    const figures = [figure('s', 'a', { rate: 10, failed: 0 }), { ...figure('s', 'b', { rate: 20 }), disturbance: 0.5, note: 'slow' }]
    expect(formatFigures(figures)).toBe('s (unit)  per s   other work\na          10.0\nb          20.0  0.500 cores  slow\n')
  })

  it('keeps the best round, and one that failed only for want of another', () => {
    const rounds = [figure('s', 'a', { rate: 30, failed: 1 }), figure('s', 'a', { rate: 10 }), figure('s', 'a', { rate: 20 })]
    expect(pickBest(rounds)?.metrics.rate).toBe(20)
    expect(pickBest([figure('s', 'a', { seconds: 3 }), figure('s', 'a', { seconds: 2 })])?.metrics.seconds).toBe(2)
  })
})

describe('the load clients', () => {
  it('ask as a BIOS ROM does', () => {
    const discover = makeRequest(1, true, '10.78.0.1')
    expect(discover.length).toBeGreaterThanOrEqual(300)
    expect([...discover.subarray(24, 28)]).toEqual([10, 78, 0, 1])
    expect(readReply(discover)).toEqual({ kind: 1, serverIdAt: 0 })
    expect(discover.toString('latin1')).toContain('PXEClient:Arch:00000:UNDI:002001')
  })

  it('leave room for the address asked for and the server in a request', () => {
    const request = makeRequest(3, false, '10.78.0.1')
    expect([...request.subarray(requestedAt - 2, requestedAt)]).toEqual([50, 4])
    expect(readReply(request)).toEqual({ kind: 3, serverIdAt })
  })

  it('write read requests with options', () => {
    expect(encodeRequest('rom', { blksize: 1456 }).toString('latin1')).toBe('\0\x01rom\0octet\0blksize\x001456\0')
    expect(addressAfter('10.78.251.250', 10)).toBe('10.78.252.4')
  })
})
