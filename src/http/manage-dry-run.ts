// What a change that is only tried takes and answers. Used by the managing routes.
import { z } from 'zod'

/** Checked in full, nothing written: the answer is the files as they would be. */
export const dryRun = z.object({ dryRun: z.enum(['true', 'false']).optional() })
export const previewShape = z.object({
  dryRun: z.literal(true),
  files: z.array(z.object({ file: z.string(), before: z.string().optional(), after: z.string().optional() })),
})
