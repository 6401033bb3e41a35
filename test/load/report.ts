// The tables that the benchmark prints: what was measured, and what of it reaches the goals. Used by run; pure.
import type { Figure, Metric, Metrics } from './figure.ts'
import { formatGap, formatNumber, formatResult, goals, type Judged, judge } from './goal.ts'

type Column = { readonly metric: Metric; readonly title: string }

const columns: readonly Column[] = [
  { metric: 'rate', title: 'per s' },
  { metric: 'megabytesPerSecond', title: 'MB/s' },
  { metric: 'seconds', title: 's' },
  { metric: 'p50Ms', title: 'p50 ms' },
  { metric: 'p99Ms', title: 'p99 ms' },
  { metric: 'cpuMicroseconds', title: 'CPU us' },
  { metric: 'cpuSecondsPerGb', title: 'CPU s/GB' },
  { metric: 'memoryMb', title: 'RSS MB' },
  { metric: 'memoryGrowthMb', title: '+ MB' },
  { metric: 'duplicates', title: 'duplicates' },
  { metric: 'packetsPerAbsent', title: 'packets/absent' },
  { metric: 'resent', title: 'resent' },
  { metric: 'refused', title: 'nak' },
  { metric: 'lost', title: 'lost' },
  { metric: 'failed', title: 'failed' },
]
const metricTitles = new Map(columns.map(({ metric, title }) => [metric, title]))

/** One table per scenario, with the columns that have something to say. */
export function formatFigures(figures: readonly Figure[]): string {
  const scenarios = [...new Set(figures.map(({ scenario }) => scenario))]
  return scenarios.map((scenario) => formatScenario(figures.filter((figure) => figure.scenario === scenario))).join('\n')
}

function formatScenario(figures: readonly Figure[]): string {
  const used = columns.filter(({ metric }) => figures.some(({ metrics }) => isTold(metrics, metric)))
  const { scenario, unit } = figures[0] as Figure
  const head = [`${scenario} (${unit})`, ...used.map(({ title }) => title), 'other work', '']
  const rows = figures.map(({ server, metrics, disturbance = 0, note = '' }) => [
    server,
    ...used.map(({ metric }) => (metrics[metric] === undefined ? '' : formatNumber(metrics[metric]))),
    disturbance < 0.05 ? '' : `${formatNumber(disturbance)} cores`,
    note,
  ])
  return formatTable([head, ...rows])
}

// Zeros say nothing in columns that count trouble.
const isTold = (metrics: Metrics, metric: Metric): boolean => metrics[metric] !== undefined && (metric === 'memoryGrowthMb' || metrics[metric] !== 0)

/** The ratios, with goal and must, of all scenarios that were run. */
export function formatGoals(figures: readonly Figure[]): string {
  const judged = goals.filter(({ scenario }) => figures.some((figure) => figure.scenario === scenario)).map((goal) => judge(goal, figures))
  if (!judged.length) return ''
  const head = ['goal', 'ours', 'peer', '', 'ratio', 'by CPU', 'must', 'goal', '']
  return formatTable([head, ...judged.map(formatJudged)])
}

function formatJudged(one: Judged): string[] {
  const { goal, ours, peer, byCpu } = one
  const isValue = goal.form === 'value'
  const title = `${goal.scenario} ${metricTitles.get(goal.metric)}${goal.server ? `, ${goal.server.split('-')[1]}` : ''}`
  const limit = (value: number) => `${isLeast(one) ? '>=' : '<='} ${formatNumber(value)}`
  const number = (value: number | undefined) => (value === undefined ? '-' : formatNumber(value))
  return [
    title,
    number(ours),
    isValue ? '' : (peer?.server ?? (goal.against ?? []).join(', ')),
    isValue ? '' : number(peer?.value),
    formatResult(one),
    byCpu === undefined ? '' : `${formatNumber(byCpu)} x`,
    limit(goal.must),
    limit(goal.goal),
    formatGap(one),
  ]
}

const isLeast = ({ goal: { form } }: Judged): boolean => form === 'rate' || form === 'faster'

/** Columns of equal width; the first is flush left, the others right, except text at the end. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const count = rows[0]?.length ?? 0
  const widths = Array.from({ length: count }, (_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const format = (row: readonly string[]) =>
    row
      .map((cell, at) => (at === 0 || at === count - 1 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${rows.map(format).join('\n')}\n`
}
