// The configuration's keys as flags and variables: `http.port`, `--http.port`, `BIVOUAC_HTTP_PORT`. Made from the schema.
import type { z } from 'zod'
import { shapeOf, typeOf } from '../store/schema.ts'
import { configSchema } from './schema.ts'

/** One key that can be set by itself. `kind` is zod's word for its type; lists and tables are given as YAML. */
export type ConfigKey = {
  readonly path: readonly string[]
  readonly name: string
  readonly flag: string
  readonly variable: string
  readonly kind: string
}

const listKeys = (schema: z.core.$ZodType, path: readonly string[]): ConfigKey[] =>
  Object.entries(shapeOf(schema)).flatMap(([part, inner]) => {
    const full = [...path, part]
    return typeOf(inner) === 'object' ? listKeys(inner, full) : [describeKey(full, typeOf(inner))]
  })

function describeKey(path: readonly string[], kind: string): ConfigKey {
  const name = path.join('.')
  const variable = `BIVOUAC_${path.map((part) => part.replace(/[A-Z]/g, '_$&').toUpperCase()).join('_')}`
  return { path, name, flag: `--${name}`, variable, kind }
}

/** All keys, in the order of the schema. */
export const configKeys: readonly ConfigKey[] = listKeys(configSchema, [])

const byName = new Map(configKeys.map((key) => [key.name, key]))
const byVariable = new Map(configKeys.map((key) => [key.variable, key]))

export const findKey = (name: string): ConfigKey | undefined => byName.get(name)
export const findVariable = (variable: string): ConfigKey | undefined => byVariable.get(variable)

/** Variables of ours that are no keys: of the launcher, the command line and the tests. */
export const otherVariables: ReadonlySet<string> = new Set([
  'BIVOUAC_CONFIG',
  'BIVOUAC_NODE',
  'BIVOUAC_REQUIRE_TOOLS',
  'BIVOUAC_SERVER',
  'BIVOUAC_TOKEN',
])
