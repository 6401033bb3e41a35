// One version of a station's overlay, as the history keeps it, and the lines of its journal. Pure.
import { z } from 'zod'

/**
 * How a version came to be: `found` put into `configs/` by hand, `uploaded` by an operator, `saved` by the station, `rollback` by an operator,
 * `composed` from layers.
 */
export const versionKinds = ['found', 'uploaded', 'saved', 'rollback', 'composed'] as const
export type VersionKind = (typeof versionKinds)[number]

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/)

const versionSchema = z.object({
  version: z.number().int().min(1),
  /** Milliseconds since 1970. */
  at: z.number(),
  kind: z.enum(versionKinds),
  digest: digestSchema,
  sizeBytes: z.number().int().min(0),
  who: z.string(),
  note: z.string().optional(),
  isSecret: z.boolean().optional(),
  secretPaths: z.array(z.string()).optional(),
})
/** One version. `who`: an operator, a station's address, or `bivouac`. */
export type OverlayVersion = Readonly<z.output<typeof versionSchema>>

const bootedSchema = z.object({ booted: digestSchema, at: z.number() })
/** `pin` 0: none any more. */
const pinSchema = z.object({ pin: z.number().int().min(0), at: z.number(), who: z.string() })

export type HistoryLine = OverlayVersion | z.output<typeof bootedSchema> | z.output<typeof pinSchema>

/** What the lines of one journal say together. */
export type HistoryState = {
  readonly versions: readonly OverlayVersion[]
  readonly booted?: { readonly digest: string; readonly at: number }
  readonly pin?: { readonly version: number; readonly at: number; readonly who: string }
}

const lineSchema = z.union([versionSchema, bootedSchema, pinSchema])

/** Reads a journal. Lines that cannot be understood, such as one that a crash cut off, are passed over. */
export function readHistory(text: string): HistoryState {
  let state: HistoryState = { versions: [] }
  for (const line of text.split('\n')) {
    const entry = line && lineSchema.safeParse(parse(line)).data
    if (entry) state = applyLine(state, entry)
  }
  return state
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** The state after one more line. */
export function applyLine(state: HistoryState, line: HistoryLine): HistoryState {
  if ('booted' in line) return { ...state, booted: { digest: line.booted, at: line.at } }
  if ('pin' in line) {
    const { pin: _, ...rest } = state
    return line.pin ? { ...rest, pin: { version: line.pin, at: line.at, who: line.who } } : rest
  }
  return { ...state, versions: [...state.versions.filter(({ version }) => version !== line.version), line] }
}

/** The same state as lines, for a journal that is written anew. */
export function linesOf({ versions, booted, pin }: HistoryState): HistoryLine[] {
  return [
    ...versions,
    ...(booted ? [{ booted: booted.digest, at: booted.at }] : []),
    ...(pin ? [{ pin: pin.version, at: pin.at, who: pin.who }] : []),
  ]
}

export const isArchive = ({ kind }: OverlayVersion): boolean => kind !== 'composed'

/** The versions that stay: the newest `keep`, the last booted, the pinned one, and of archives and compositions the last each. */
export function chooseKept({ versions, booted, pin }: HistoryState, keep: number): OverlayVersion[] {
  const lastArchive = versions.findLast(isArchive)
  const lastComposed = versions.findLast((one) => !isArchive(one))
  const isHeld = (one: OverlayVersion): boolean =>
    one.digest === booted?.digest || one.version === pin?.version || one === lastArchive || one === lastComposed
  const room = Math.max(0, keep - versions.filter(isHeld).length)
  const others = versions.filter((one) => !isHeld(one))
  const newest = new Set(room ? others.slice(-room) : [])
  return versions.filter((one) => isHeld(one) || newest.has(one))
}
