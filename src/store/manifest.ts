// What stands in a release's manifest.json: schema and reading. Used by store/release for what is in the depot, and by the release room,
// which writes it. It touches no disk.
import { z } from 'zod'
import { depotPathSchema, urlOrPathSchema } from '../boot/field.ts'
import { checkValue, type Mistake } from './mistake.ts'

/** The name of the file in a release's folder. */
export const manifestName = 'manifest.json'
/** What is longer is no manifest of ours. */
export const maxManifestBytes = 256 * 1024

export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')
const bootFileName = /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/

const manifestSchema = z.strictObject({
  format: z.literal(1),
  id: depotPathSchema,
  version: z.string().min(1).max(64),
  branch: z.string().regex(/^(v[1-9][0-9]*\.[0-9]+|edge)$/, 'a branch such as v3.22, or edge'),
  arch: z.string().regex(/^[a-z0-9_]{2,16}$/, 'an architecture as Alpine names it'),
  flavour: z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'a flavour such as lts'),
  /** `6.12.31-0-lts`; absent where neither kernel nor initramfs tell. */
  kernelVersion: z.string().max(128).optional(),
  /** What it was imported from, as the operator named it; never with a password. */
  source: z.string().max(1024),
  /** The archive that it came in, where it came in one. */
  archive: z.strictObject({ name: z.string().max(256), sizeBytes: z.number().int().min(0), sha256: sha256Schema }).optional(),
  /** Milliseconds since 1970. */
  importedAt: z.number().int().min(0),
  verified: z.strictObject({
    checksum: z.enum(['sha256', 'sha512', 'none']),
    /** Where the checksum came from: `latest-releases.yaml`, or the file beside the archive. */
    checksumFrom: z.string().max(256).optional(),
    signature: z.enum(['good', 'none']),
    /** Of the key that signed, in capitals. */
    fingerprint: z.string().max(64).optional(),
    /** What was not verified, and why. */
    note: z.string().max(1024).optional(),
  }),
  /** Were the members' kernel versions seen to agree? `modloop` false: nothing was there to look into it. */
  agreed: z.strictObject({ kernel: z.boolean(), initramfs: z.boolean(), modloop: z.boolean() }).optional(),
  /** Modules below `modules/` of the modloop, where it could be looked into. */
  modules: z.number().int().min(0).optional(),
  /** Signing keys that the initramfs brings, as file names of /etc/apk/keys. */
  keys: z.array(z.string().max(128)).max(64).default([]),
  files: z
    .array(z.strictObject({ name: z.string().regex(bootFileName, 'a file name'), sizeBytes: z.number().int().min(0), sha256: sha256Schema }))
    .min(2)
    .max(64),
  repositories: z.array(urlOrPathSchema).max(8).default([]),
})

export type ReleaseManifest = z.output<typeof manifestSchema>

/** The manifest in this text, or every mistake in it. `file` is the path to name. */
export function readManifestText(text: string, file: string): { readonly value: ReleaseManifest } | { readonly mistakes: readonly Mistake[] } {
  if (text.length > maxManifestBytes) return { mistakes: [{ code: 'manifest', message: `is longer than ${maxManifestBytes} bytes`, file }] }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { mistakes: [{ code: 'manifest', message: `is not JSON: ${(error as Error).message.slice(0, 120)}`, file }] }
  }
  return checkValue(manifestSchema, value, (path) => ({ file, ...(path.length && { path: path.join('.') }) }))
}
