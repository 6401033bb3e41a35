// How a try tells its progress: one line for each step of the boot. Pure; used by lab.
import { type BootEvent, type BootStep, bootSteps } from '../boot/event.ts'

const wide = Math.max(...bootSteps.map((step) => step.length))
const told = ['file', 'path', 'url', 'hostname', 'arch', 'stage', 'via', 'reason'] as const

/** `  3.2 s  loader     undionly.kpxe, tftp, 70 KB`. `afterMs` counts from the moment the machine was switched on. */
export function formatStep(event: BootEvent, afterMs: number): string {
  const seconds = (Math.max(0, afterMs) / 1000).toFixed(1).padStart(6)
  return `${seconds} s  ${event.kind.padEnd(wide)}  ${describe(event)}`.trimEnd()
}

function describe({ kind, ip, detail = {} }: BootEvent): string {
  const facts = told.flatMap((key) => (detail[key] === undefined || detail[key] === '' ? [] : [`${key === 'arch' ? 'arch ' : ''}${detail[key]}`]))
  const size = typeof detail.sizeBytes === 'number' ? [formatSize(detail.sizeBytes)] : []
  const isAboutAddress = kind === 'ack' || kind === 'request' || kind === 'up'
  return isAboutAddress ? (ip ?? '') : [...new Set([...facts, ...size])].join(', ')
}

function formatSize(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} bytes`
  return sizeBytes < 1024 * 1024 ? `${Math.round(sizeBytes / 1024)} KB` : `${(sizeBytes / 1024 / 1024).toFixed(1)} MB`
}

const quiet: ReadonlySet<string> = new Set(['inform', 'release', 'script-offered', 'started', 'stopped'])

/** Steps once each, and whatever is out of the ordinary always: the initramfs and the system ask for an address again, and packages are many. */
export function createStepFilter(): (event: BootEvent) => boolean {
  const seen = new Set<string>()
  return (event) => {
    if (!(bootSteps as readonly string[]).includes(event.kind as BootStep)) return !quiet.has(event.kind)
    if (seen.has(event.kind)) return false
    seen.add(event.kind)
    return true
  }
}
