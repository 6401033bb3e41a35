// The configuration's keys: what each may hold and what it is when nothing is said. Reference for people: docs/configuration.md.
import { isIP } from 'node:net'
import { z } from 'zod'
import { firmwareByArch, type Quirk } from '../boot/firmware.ts'
import { type Network, networkSchema } from '../boot/network.ts'
import { depotPathSchema, nameSchema, type Site } from '../boot/record.ts'

const folderSchema = z.string().min(1).max(4096)
const portSchema = z.number().int().min(0).max(65535)
const addressSchema = z.string().refine((text) => isIP(text) !== 0, 'an address of this machine such as 10.9.0.1, or 0.0.0.0 for all of them')
const urlSchema = z
  .string()
  .regex(
    /^https?:\/\/([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[1-9][0-9]{0,4})?$/,
    'http:// or https://, a host and perhaps a port, and no slash at the end, such as http://10.9.0.1:8080',
  )
  .refine(URL.canParse, 'a URL with a port up to 65535')

const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-+$/, '')

/** Names by which a kind of firmware may be called: its code, its name, or that in small letters with dashes (`x86-64-uefi`). */
const archByName = new Map([...firmwareByArch].flatMap(([code, { name }]) => [[String(code), code] as const, [slug(name), code] as const]))

/** The option 93 code of a firmware's name or number. */
const findArch = (text: string): number | undefined => archByName.get(slug(text))

const archList = [...firmwareByArch].map(([code, { name }]) => `${code} (${slug(name)})`).join(', ')

const loadersSchema = z.record(z.string(), depotPathSchema).transform((table, context): ReadonlyMap<number, string> => {
  const loaders = new Map<number, string>()
  for (const [name, loader] of Object.entries(table)) {
    const arch = findArch(name)
    const refuse = (code: string, message: string) => context.addIssue({ code: 'custom', path: [name], message, params: { code } })
    if (arch === undefined) refuse('loader-arch', `"${name}" is no firmware that we know (allowed: ${archList})`)
    else if (loaders.has(arch)) refuse('loader-twice', `firmware ${arch} has a loader already`)
    else loaders.set(arch, loader)
  }
  return loaders
})

const ouiSchema = z
  .string()
  .regex(/^[0-9a-f]{2}([:-]?)[0-9a-f]{2}\1[0-9a-f]{2}$/i, 'the first three bytes of a MAC, such as 52:54:00')
  .transform((text) => (text.toLowerCase().replace(/[:-]/g, '').match(/../g) ?? []).join(':'))

const archSchema = z.union([z.number(), z.string()]).transform((given, context): number => {
  const arch = findArch(String(given))
  if (arch === undefined)
    context.addIssue({ code: 'custom', message: `"${given}" is no firmware that we know (allowed: ${archList})`, params: { code: 'quirk-arch' } })
  return arch ?? z.NEVER
})

const quirkSchema = z
  .strictObject({
    name: nameSchema,
    when: z
      .strictObject({ oui: ouiSchema.optional(), vendorClass: z.string().min(1).max(255).optional(), arch: archSchema.optional() })
      .refine((when) => Object.keys(when).length > 0, { message: 'needs at least one of oui, vendorClass, arch', params: { code: 'quirk-when' } }),
    offer: z.enum(['complete', 'bypass', 'ask4011']).optional(),
    loader: depotPathSchema.optional(),
  })
  .refine(({ offer, loader }) => offer !== undefined || loader !== undefined, {
    message: 'does nothing: give it offer or loader',
    params: { code: 'quirk-idle' },
  })
  .transform(({ name, when, offer, loader }): Quirk => {
    const { oui, vendorClass, arch } = when
    return {
      name,
      when: { ...(oui !== undefined && { oui }), ...(vendorClass !== undefined && { vendorClass }), ...(arch !== undefined && { arch }) },
      ...(offer && { offer }),
      ...(loader !== undefined && { loader }),
    }
  })

/** The whole of `bivouac.yaml`. */
export const configSchema = z.strictObject({
  depot: folderSchema.default('./depot'),
  state: folderSchema.default('./state'),
  http: z.strictObject({ address: addressSchema.default('0.0.0.0'), port: portSchema.default(8080), url: urlSchema.optional() }).prefault({}),
  tftp: z
    .strictObject({
      enabled: z.boolean().default(true),
      address: addressSchema.default('0.0.0.0'),
      /** Absent: 69 when networks are declared, else 6969. */
      port: portSchema.optional(),
      blksizeMax: z.number().int().min(512).max(65464).default(1468),
      windowsizeMax: z.number().int().min(1).max(65535).default(64),
      sessionsMax: z.number().int().min(1).max(65535).default(4096),
      sessionsPerAddressMax: z.number().int().min(1).max(65535).default(32),
    })
    .prefault({}),
  dhcp: z.strictObject({ sync: z.boolean().default(true) }).prefault({}),
  cacheMegabytes: z.number().int().min(0).max(1_048_576).default(128),
  networks: z.array(networkSchema).max(256).default([]),
  default: nameSchema.default('alpine'),
  unknown: nameSchema.default('wait'),
  withoutOverlay: nameSchema.default('wait'),
  foreignIpxe: z.enum(['script', 'loader']).default('script'),
  loaderScript: z.enum(['site', 'station']).default('site'),
  loaders: loadersSchema.default(() => new Map()),
  quirks: z.array(quirkSchema).max(256).default([]),
})
export type RawConfig = z.output<typeof configSchema>

/** Everything that an operator can set. Folders are absolute. */
export type Config = {
  readonly depot: string
  readonly state: string
  readonly http: { readonly address: string; readonly port: number; readonly url?: string }
  readonly tftp: {
    readonly enabled: boolean
    readonly address: string
    readonly port: number
    readonly blksizeMax: number
    readonly windowsizeMax: number
    readonly sessionsMax: number
    readonly sessionsPerAddressMax: number
  }
  readonly dhcp: { readonly sync: boolean }
  readonly cacheMegabytes: number
  /** Whose script a loader under a station's path carries: the one it was built with, or the station's own. */
  readonly loaderScript: 'site' | 'station'
  readonly networks: readonly Network[]
  /** What decisions rest on: profiles by default, loaders, quirks. */
  readonly site: Site
}
