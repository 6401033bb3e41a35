// The process inside a try's namespace: makes the tap interface, runs the session, writes one JSON line per report. Started by lab alone;
// the plan comes on standard input, whose end is the order to stop.
import { execFileSync } from 'node:child_process'
import { runSession, type SessionPlan, type SessionReport, type SessionResult } from './session.ts'
import { findTool } from './tool.ts'

/** The plan as lab sends it: one line of JSON. `address` is ours on the tap interface, `10.213.0.1/24`. */
export type InsidePlan = SessionPlan & { readonly tap: string; readonly address: string }

/** What comes back: reports, then one result or one failure. */
export type InsideLine =
  | SessionReport
  | { readonly kind: 'result'; readonly result: SessionResult }
  | { readonly kind: 'failure'; readonly message: string }

/** The commands that make the network, in the namespace. Pure. */
export function networkCommands(tap: string, address: string): string[][] {
  return [
    ['link', 'set', 'lo', 'up'],
    ['tuntap', 'add', 'dev', tap, 'mode', 'tap'],
    ['address', 'add', address, 'broadcast', '+', 'dev', tap],
    ['link', 'set', tap, 'up'],
  ]
}

async function main(): Promise<void> {
  const ending = new AbortController()
  const end = () => ending.abort()
  process.on('SIGTERM', end).on('SIGINT', end)
  const write = (line: InsideLine) => void process.stdout.write(`${JSON.stringify(line)}\n`)
  try {
    const plan = await readPlan(end)
    for (const words of networkCommands(plan.tap, plan.address)) execFileSync(findTool('ip') ?? 'ip', words, { stdio: 'pipe' })
    write({ kind: 'result', result: await runSession(plan, write, ending.signal) })
  } catch (error) {
    write({ kind: 'failure', message: (error as Error).message })
  }
  process.stdin.destroy()
}

/** The first line of standard input. What comes after it is nothing but its end. */
function readPlan(onEnd: () => void): Promise<InsidePlan> {
  return new Promise((resolve, reject) => {
    let text = ''
    process.stdin.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n')) resolve(JSON.parse(text) as InsidePlan)
    })
    process.stdin.on('end', () => {
      reject(new Error('no plan'))
      onEnd()
    })
  })
}

if (process.argv[1] === import.meta.filename) await main()
