// What the answers about overlays hold, for the API's document. Used by overlay; the values are overlay/desk's.
import { z } from 'zod'
import { ms, warning } from './shape.ts'

const version = z.looseObject({
  version: z.int().min(1),
  at: ms,
  kind: z.enum(['found', 'uploaded', 'saved', 'rollback', 'composed']),
  digest: z.string(),
  sizeBytes: z.int(),
  who: z.string().describe("an operator, a station's address, or bivouac"),
  note: z.string().optional(),
  isSecret: z.boolean().optional(),
})
const pinned = z.looseObject({ version: z.int(), at: ms, who: z.string() })
const booted = z.looseObject({ digest: z.string(), at: ms })
const change = z.looseObject({ added: z.array(z.string()), removed: z.array(z.string()) })

export const overlayShape = z.looseObject({
  mac: z.string(),
  path: z.string(),
  from: z.string(),
  digest: z.string().describe('SHA-256'),
  contentId: z.string().nullable(),
  sizeBytes: z.int(),
  inflatedBytes: z.int(),
  isSecret: z.boolean(),
  layers: z.array(z.string()),
  hostname: z.string().nullable(),
  packages: z.array(z.string()),
  services: z.array(z.string()),
  repositories: z.array(z.string()),
  warnings: z.array(warning),
  files: z.array(
    z.looseObject({
      path: z.string(),
      mode: z.string().describe('as ls -l shows it'),
      owner: z.string(),
      sizeBytes: z.int(),
      origin: z.string().optional().describe('the layer that it came from'),
      target: z.string().optional(),
      isSecret: z.literal(true).optional(),
    }),
  ),
  pinned: pinned.nullable().describe('the version that a rollback holds in force'),
  booted: booted.nullable(),
})

export const warningsShape = z.array(warning)
export const overlayHistory = z.looseObject({ mac: z.string(), versions: z.array(version), booted: booted.optional(), pin: pinned.optional() })
export const overlayDiff = z.looseObject({
  from: z.string(),
  to: z.string(),
  packages: change,
  services: change,
  files: z.array(
    z.looseObject({
      path: z.string(),
      change: z.enum(['added', 'removed', 'changed']),
      before: z.string().optional(),
      after: z.string().optional(),
      text: z.string().optional().describe('hunks of a unified diff, of small text files'),
      isMasked: z.literal(true).optional().describe('it may hold secrets, so its text is not shown'),
    }),
  ),
  isSame: z.boolean(),
})
export const rollbackShape = z.looseObject({
  version,
  by: z
    .enum(['archive', 'pin', 'none'])
    .describe('archive: put back into configs/; pin: stays in force until it is released; none: it is in force already'),
  path: z.string().optional(),
})
export const releasedShape = z.looseObject({ mac: z.string(), released: z.boolean() })
