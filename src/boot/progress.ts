// Events → how far a boot has come and what is due next. Used by trace, the try command and the stall alarm. Pure.
import type { BootEvent, BootStep } from './event.ts'
import { bootSteps } from './event.ts'

/** One boot of one station. `seen` holds the first event of each step, `due` the steps that must still come, in order. */
export type Boot = {
  readonly startedAt: number
  readonly lastAt: number
  readonly seen: ReadonlyMap<BootStep, BootEvent>
  readonly due: readonly BootStep[]
  readonly isUp: boolean
  /** Events out of the ordinary in this boot: nak, overlay-missing, transfer-failed… and an `up` that tells of trouble. */
  readonly trouble: readonly BootEvent[]
  /** Why it is not up, or what is wrong though it is. Absent when all is well, and while it goes on as it should. */
  readonly reason?: string
  /** The newest `up`: what the station says of itself. */
  readonly report?: BootEvent
}

const isStep = (kind: string): kind is BootStep => (bootSteps as readonly string[]).includes(kind)

// Without these a boot can be whole: proxy mode and iPXE in flash skip the first ones, a profile may ask for no modloop or keys.
const optional: ReadonlySet<BootStep> = new Set([
  'discover',
  'offer',
  'request',
  'ack',
  'loader',
  'ssh-keys',
  'index',
  'package',
  'modloop',
  'overlay',
])

/** A discover by a boot ROM, or a script after an `up`, begins a new boot; so does anything after an hour of silence. */
const silenceMs = 3_600_000

/** All boots in the events of one station, oldest first; the events are in the order of their time. */
export function splitBoots(events: readonly BootEvent[]): Boot[] {
  const groups: BootEvent[][] = []
  for (const event of events) {
    const current = groups.at(-1)
    if (!current || beginsBoot(event, current)) groups.push([event])
    else current.push(event)
  }
  return groups.map(readBoot)
}

function beginsBoot(event: BootEvent, current: readonly BootEvent[]): boolean {
  const last = current.at(-1) as BootEvent
  if (event.at - last.at > silenceMs) return true
  const hasScript = current.some(({ kind }) => kind === 'script')
  return (
    (hasScript && event.kind === 'discover' && event.detail?.stage === 'firmware') ||
    (current.some(({ kind }) => kind === 'up') && event.kind === 'script')
  )
}

function readBoot(events: readonly BootEvent[]): Boot {
  const seen = new Map<BootStep, BootEvent>()
  for (const event of events) if (isStep(event.kind) && !seen.has(event.kind)) seen.set(event.kind, event)
  const boot = {
    startedAt: (events[0] as BootEvent).at,
    lastAt: (events.at(-1) as BootEvent).at,
    seen,
    due: findDue(
      seen,
      events.findLast(({ kind }) => kind === 'script'),
    ),
    isUp: seen.has('up'),
    trouble: events.filter(({ kind, detail }) => (isStep(kind) ? detail?.trouble !== undefined : !ordinary.has(kind))),
  }
  const report = events.findLast(({ kind }) => kind === 'up')
  const reason = findReason(boot, report)
  return { ...boot, ...(reason !== undefined && { reason }), ...(report && { report }) }
}

const ordinary: ReadonlySet<string> = new Set(['inform', 'release', 'script-offered', 'saved', 'save-refused'])

/** The newest report's trouble of a station that is up; else the step that was passed over; else what went wrong last. */
function findReason(boot: Boot, report: BootEvent | undefined): string | undefined {
  if (report) return textOf(report.detail?.trouble)
  const last = boot.trouble.at(-1)
  const skipped = findSkipped(boot)
  const skippedText = skipped && `${skipped} never came, though later steps did${skipped === 'overlay' ? ': the station may stand open' : ''}`
  const why = last && `${last.kind}: ${textOf(last.detail?.reason) ?? textOf(last.detail?.file) ?? 'see the event'}`
  return [skippedText, why].filter((part) => part !== undefined).join('; ') || undefined
}

const textOf = (value: string | number | boolean | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

/** What must still come: all steps that are not optional, and those that the newest script promised (its detail `offers` lists them): a station may have waited before. */
function findDue(seen: ReadonlyMap<BootStep, BootEvent>, script: BootEvent | undefined): BootStep[] {
  if (script && script.detail?.boots === false) return []
  const promised = String(script?.detail?.offers ?? '').split(',')
  return bootSteps.filter((step) => !seen.has(step) && (!optional.has(step) || promised.includes(step)))
}

/** The step that should have come before others that did come: an overlay that was promised and never fetched. */
export function findSkipped(boot: Boot): BootStep | undefined {
  const lastSeen = Math.max(...[...boot.seen.keys()].map((step) => bootSteps.indexOf(step)))
  return boot.due.find((step) => bootSteps.indexOf(step) < lastSeen)
}
