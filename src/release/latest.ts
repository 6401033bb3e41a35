// Alpine's latest-releases.yaml: which netboot archive is the newest of a branch, and its checksums. Parsed here, fetched by upstream-source.
import { z } from 'zod'
import { DecodeError } from '../boot/error.ts'
import { readYaml } from '../store/yaml.ts'

const entrySchema = z.object({
  flavor: z.string(),
  branch: z.string().regex(/^(v[1-9][0-9]*\.[0-9]+|edge)$/),
  version: z.string().regex(/^[0-9]+\.[0-9]+\.[0-9]+(_[a-z]+[0-9]*)?$|^[0-9]{8}$/),
  arch: z.string().regex(/^[a-z0-9_]{2,16}$/),
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,200}$/),
  size: z.coerce.number().int().min(1).optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  sha512: z
    .string()
    .regex(/^[0-9a-f]{128}$/)
    .optional(),
})
export type LatestRelease = z.output<typeof entrySchema>

/** The entry of this flavor (`alpine-netboot`), or undefined. Throws DecodeError `latest-releases` for a file that is none, or an entry that is wrong. */
export function readLatestReleases(text: string, flavor = 'alpine-netboot'): LatestRelease | undefined {
  const outcome = readYaml(text, 'latest-releases.yaml')
  if ('mistakes' in outcome) throw new DecodeError('latest-releases', `latest-releases.yaml cannot be read: ${outcome.mistakes[0]?.message}`)
  if (!Array.isArray(outcome.value)) throw new DecodeError('latest-releases', 'latest-releases.yaml is no list')
  const entry = outcome.value.find((one: unknown) => typeof one === 'object' && one !== null && (one as { flavor?: unknown }).flavor === flavor)
  if (!entry) return undefined
  const checked = entrySchema.safeParse(entry)
  if (!checked.success) {
    const [issue] = checked.error.issues
    throw new DecodeError('latest-releases', `latest-releases.yaml: ${flavor}: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  return checked.data
}
