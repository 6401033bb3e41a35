// What a station says of itself when it is up: `key=value` lines, as scripts-templates/report.sh writes them. Read by the report's route.
// It comes from anybody: whatever it holds, what comes out is short, printable and of known keys.

export type StationReport = {
  readonly release?: string
  /** What the overlay that it runs calls itself. */
  readonly overlay?: string
  readonly kernel?: string
  readonly hostname?: string
  readonly uptimeSeconds?: number
  readonly modloop?: 'mounted' | 'missing'
  /** Services that could not be started, or crashed. */
  readonly failed: readonly string[]
  /** Packages of its world that are not installed. */
  readonly missing: readonly string[]
  /** The first line of a report that has no key that we know. */
  readonly text?: string
}

/** What a report's body may have. */
export const maxReportBytes = 4096

const maxValueLength = 128
const maxTextLength = 200
const maxNames = 32
const printable = /^[ -~]+$/
const listed = /^[A-Za-z0-9][A-Za-z0-9._+:@-]{0,63}$/
const keys: ReadonlySet<string> = new Set(['release', 'overlay', 'kernel', 'hostname', 'uptime', 'modloop', 'failed', 'missing'])

/** Total: what cannot be understood is left out. Of each key the first line counts; of a list the first 32 names. */
export function parseReport(body: Uint8Array): StationReport {
  const lines = new TextDecoder('latin1').decode(body.subarray(0, maxReportBytes)).split(/\r?\n/)
  const values = new Map<string, string>()
  for (const line of lines) {
    const equals = line.indexOf('=')
    const key = line.slice(0, Math.max(0, equals)).trim()
    const value = line.slice(equals + 1).trim()
    if (keys.has(key) && !values.has(key) && printable.test(value)) values.set(key, value)
  }
  const text = (key: string): string | undefined => values.get(key)?.slice(0, maxValueLength)
  const uptime = /^\d{1,10}/.exec(values.get('uptime') ?? '')?.[0]
  const modloop = values.get('modloop')
  const first = lines[0]?.trim() ?? ''
  return {
    ...pick('release', text('release')),
    ...pick('overlay', text('overlay')),
    ...pick('kernel', text('kernel')),
    ...pick('hostname', text('hostname')),
    ...(uptime !== undefined && { uptimeSeconds: Number(uptime) }),
    ...(modloop !== undefined && { modloop: /^(mounted|yes|ok|present|1)$/i.test(modloop) ? 'mounted' : 'missing' }),
    failed: namesOf(values.get('failed')),
    missing: namesOf(values.get('missing')),
    ...(!values.size && printable.test(first) && { text: first.slice(0, maxTextLength) }),
  }
}

const pick = <K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: string }

const namesOf = (list: string | undefined): string[] =>
  (list ?? '')
    .split(/[\s,]+/)
    .filter((name) => listed.test(name))
    .slice(0, maxNames)

/** What is wrong with the station though it is up; undefined when nothing is. `givenOverlay` is what the overlay calls itself that it was given. */
export function findTrouble({ failed, missing, modloop, overlay }: StationReport, givenOverlay: string | undefined): string | undefined {
  const troubles = [
    ...(failed.length ? [`services failed: ${failed.join(' ')}`] : []),
    ...(missing.length ? [`packages are missing: ${missing.join(' ')}`] : []),
    ...(modloop === 'missing' ? ['the modloop is not mounted: no drivers beyond the initramfs'] : []),
    ...(overlay !== undefined && givenOverlay !== undefined && overlay !== givenOverlay ? ['it runs another overlay than it was given'] : []),
  ]
  return troubles.length ? troubles.join('; ') : undefined
}

/** A report as the small facts of an event. */
export function describeReport(report: StationReport, givenOverlay: string | undefined): Record<string, string | number> {
  const { failed, missing, text, ...facts } = report
  const trouble = findTrouble(report, givenOverlay)
  return {
    ...facts,
    ...(failed.length && { failed: failed.join(',') }),
    ...(missing.length && { missing: missing.join(',') }),
    ...(text !== undefined && { report: text }),
    ...(trouble !== undefined && { trouble }),
  }
}
