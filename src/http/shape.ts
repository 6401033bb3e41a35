// What answers of the operator API hold, for its document: events, stations, boots, leases, explanations, phases, mirror.
// Used by the route files; the values are made by view, station/explain and server/packages. Keys may be added to all of them.
import { z } from 'zod'
import { bootSteps } from '../boot/event.ts'

/** A time. */
export const ms = z.number().describe('milliseconds since 1970')
const step = z.enum(bootSteps)
const detail = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).describe('small facts: file, sizeBytes, durationMs, arch, reason')
const macs = z.array(z.string())
const name = z.string().nullable().describe('of the record; null for a MAC without one')
const reason = z.string().nullable().describe('why it is not up, or what is wrong though it is')

export const eventShape = z.looseObject({
  at: ms,
  kind: z.string().describe('a step of a boot, or what is out of the ordinary'),
  mac: z.string().optional(),
  ip: z.string().optional(),
  network: z.string().optional(),
  detail: detail.optional(),
})

export const stationLine = z.looseObject({
  name,
  macs,
  hasRecord: z.boolean(),
  profile: z.string().nullable(),
  group: z.string().nullable(),
  address: z.string().nullable().describe('of its lease, else of its record'),
  lastAt: ms.nullable(),
  step: step.nullable().describe('the last step of the last boot'),
  due: step.nullable().describe('what must come next'),
  missing: step.nullable().describe('the step that was passed over'),
  isUp: z.boolean(),
  reason,
  report: detail.nullable().describe('what it said of itself in its last boot'),
})

const sequenceStep = z.looseObject({
  number: z.int().min(1),
  name: z.string(),
  state: z
    .enum(['seen', 'implied', 'missing', 'due', 'open'])
    .describe('seen by an event of its own; implied or missing, since a later step was seen; due next; open: not yet'),
  at: ms.optional(),
  events: z.array(eventShape),
  lacks: z.array(step).describe('what is still to come in this step'),
})

const bootShape = z.looseObject({
  startedAt: ms,
  lastAt: ms,
  isUp: z.boolean(),
  steps: z.array(z.looseObject({ step, at: ms, afterMs: z.number(), event: eventShape })),
  due: z.array(step),
  missing: step.nullable(),
  trouble: z.array(eventShape),
  reason,
  sequence: z.array(sequenceStep).describe('the same boot in ten steps'),
  report: detail.nullable(),
})

export const traceShape = z.looseObject({ name, macs, boots: z.array(bootShape).describe('oldest first') })

export const leaseShape = z.looseObject({
  network: z.string(),
  ip: z.string(),
  mac: z.string(),
  state: z.enum(['bound', 'released', 'declined']),
  expiresAt: z.number().nullable().describe('seconds since 1970; null: without end'),
  hostname: z.string().optional(),
  clientId: z.string().optional().describe('option 61 as hex'),
})

/** A problem of the records or the server. `code` and the place where that is known. */
export const problemLine = z.looseObject({ message: z.string(), code: z.string().optional(), file: z.string().optional(), line: z.int().optional() })

export const problemsShape = z.looseObject({ records: z.array(problemLine), server: z.array(problemLine) })
export const countsShape = z.record(z.string(), z.int())

export const statusShape = z.looseObject({
  version: z.string(),
  startedAt: ms,
  uptimeSeconds: z.int(),
  listening: z.array(
    z.looseObject({
      service: z.string().describe('http, packages, tftp, dhcp or pilot'),
      address: z.string().optional(),
      port: z.int(),
      network: z.string().optional(),
      mode: z.enum(['server', 'proxy']).optional(),
    }),
  ),
  counts: countsShape,
  problems: z.array(problemLine),
  troubled: z
    .array(z.looseObject({ station: z.string().nullable(), isUp: z.boolean(), reason, lastAt: ms.nullable() }))
    .describe('stations that something is wrong with, up to 100'),
})

const why = z.array(z.looseObject({ rule: z.string(), held: z.boolean(), text: z.string() }))
/** Something that a station will lack or suffer from. */
export const warning = z.looseObject({ code: z.string(), text: z.string(), remedy: z.string().optional() })

const explanationShape = z.looseObject({
  mac: z.string(),
  station: z.string().optional(),
  place: z
    .looseObject({
      network: z.string(),
      mode: z.enum(['server', 'proxy']),
      serverAddress: z.string().optional(),
      httpBase: z.string().optional(),
      leaseIp: z.string().optional(),
    })
    .optional()
    .describe('absent when DHCP is off'),
  dhcp: z.array(
    z.looseObject({
      stage: z.string().describe('who asks: firmware, ipxe, bivouac or system'),
      arch: z.int().describe('option 93'),
      firmware: z.string(),
      decision: z.looseObject({ kind: z.string(), why }),
      loader: z.looseObject({ path: z.string(), source: z.enum(['depot', 'distribution']) }).optional(),
    }),
  ),
  script: z.looseObject({
    name: z.string(),
    profile: z.string(),
    kind: z.string(),
    boots: z.boolean().describe('does it lead to a running system that is heard of?'),
    offers: z.array(z.string()),
    files: z.looseObject({}).optional(),
    why,
    refused: z.string().optional(),
    text: z.string().optional().describe('absent for profile kind ignore'),
  }),
  overlay: z.union([
    z.looseObject({
      path: z.string(),
      from: z.string(),
      warnings: z.array(warning),
      layers: z.array(z.string()).optional().describe('of a composed one, the lowest first'),
      digest: z.string().optional(),
      isSecret: z.boolean().describe('given only with the ticket of a boot'),
      passed: z.array(z.string()).describe('more exact places, where there is none'),
    }),
    z.looseObject({ missing: z.string(), broken: z.string().optional() }),
  ]),
})

export const explainShape = z.looseObject({ name, macs, explanations: z.array(explanationShape).describe('one for each MAC') })

const phaseFields = { station: name, macs, openedAt: ms, until: ms }
export const phaseView = z.looseObject(phaseFields)
export const openedPhase = z.looseObject({
  ...phaseFields,
  token: z.string().describe('told only now'),
  command: z.string().describe('for the station, which is known by its address'),
  tokenCommand: z.string().describe('for a station that is not'),
})

export const mirrorShape = z.looseObject({
  root: z.string(),
  url: z.string().optional(),
  port: z.int().optional(),
  upstream: z.string().nullable(),
  pull: z
    .looseObject({
      isReachable: z.boolean().optional(),
      problem: z.string().optional(),
      hits: z.int(),
      misses: z.int(),
      joined: z.int().describe('asked for what was just being fetched'),
      failures: z.int(),
      running: z.int(),
      waiting: z.int(),
      keptFiles: z.int(),
      keptBytes: z.int(),
      maxBytes: z.int(),
      lastFailure: z.looseObject({ at: ms, text: z.string() }).optional(),
      indexes: z.array(
        z.looseObject({ path: z.string(), ageSeconds: z.int().optional(), packages: z.int().optional(), stale: z.string().optional() }),
      ),
    })
    .nullable()
    .describe('what was fetched through it; null without an upstream'),
})

export const nfsShape = z.looseObject({
  mode: z.string().describe('closed, or who may what'),
  plan: z.looseObject({}).optional(),
  mounts: z.array(z.string()).optional().describe('what clients mount, one line for each folder'),
  until: ms.optional().describe('when writing ends'),
  note: z.string().optional(),
})
