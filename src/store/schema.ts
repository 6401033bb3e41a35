// Looking into a zod schema: which keys an object of it may have, and which known word somebody meant. Used for messages and by the configuration.
import type { z } from 'zod'

type Definition = {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly element?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
  readonly options?: readonly z.core.$ZodType[]
  readonly discriminator?: string
}

const definitionOf = (schema: z.core.$ZodType): Definition => schema._zod.def as unknown as Definition

/** The schema without what stands around it: defaults, optional, transformations. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const { innerType, in: input } = definitionOf(schema)
  const inner = innerType ?? input
  return inner ? unwrap(inner) : schema
}

/** The keys of an object schema with their schemas; empty for all others. */
export const shapeOf = (schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> => definitionOf(unwrap(schema)).shape ?? {}

/** zod's word for what the schema takes (`string`, `number`, `array`…). */
export const typeOf = (schema: z.core.$ZodType): string => definitionOf(unwrap(schema)).type

/** The keys that are allowed in the object at `path`; of a union, those of the kind that the value has. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[], value: unknown): string[] {
  const [part, ...rest] = path
  const inner = definitionOf(unwrap(schema))
  if (inner.options) {
    const kind = inner.discriminator === undefined ? undefined : (value as Record<string, unknown> | null)?.[inner.discriminator]
    const fitting = inner.options.filter((option) => kind === undefined || literalsOf(shapeOf(option)[inner.discriminator ?? '']).includes(kind))
    return [...new Set(fitting.flatMap((option) => keysAt(option, path, value)))]
  }
  if (part === undefined) return Object.keys(inner.shape ?? {})
  const next = inner.shape?.[String(part)] ?? inner.element ?? inner.valueType
  return next ? keysAt(next, rest, (value as Record<PropertyKey, unknown> | null)?.[part]) : []
}

const literalsOf = (schema: z.core.$ZodType | undefined): readonly unknown[] =>
  schema ? ((definitionOf(unwrap(schema)) as { values?: readonly unknown[] }).values ?? []) : []

/** The word that somebody may have meant: at most a third of its letters differ. */
export function findClosest(word: string, known: readonly string[]): string | undefined {
  const ranked = known.map((one) => ({ one, distance: editDistance(word.toLowerCase(), one.toLowerCase()) })).sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.max(1, Math.floor(best.one.length / 3)) ? best.one : undefined
}

/** Letters to add, take out, replace or swap with the next one; beyond 60 letters nothing is near. */
function editDistance(one: string, other: string): number {
  if (one.length > 60 || other.length > 60) return 60
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= one.length; row++) {
    const next = [row]
    for (let column = 1; column <= other.length; column++) {
      const cell = (up: number, left: number) => rows[row - up]?.[column - left] ?? 0
      const replaced = cell(1, 1) + (one[row - 1] === other[column - 1] ? 0 : 1)
      const isSwap = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      next.push(Math.min(replaced, cell(1, 0) + 1, (next[column - 1] ?? 0) + 1, isSwap ? cell(2, 2) + 1 : 60))
    }
    rows.push(next)
  }
  return rows[one.length]?.[other.length] ?? 0
}
