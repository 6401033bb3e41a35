// The configuration's keys: what each may hold and what it is when nothing is said. Reference for people: docs/configuration.md.
import { isIP } from 'node:net'
import { z } from 'zod'
import type { Ipv4 } from '../boot/address.ts'
import { firmwareByArch, type Quirk } from '../boot/firmware.ts'
import { type Network, networkSchema } from '../boot/network.ts'
import { type Adapter, adapterSchema } from '../boot/power.ts'
import { depotPathSchema, ipv4Schema, nameSchema } from '../boot/field.ts'
import type { Site } from '../boot/record.ts'

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

const upstreamSchema = z
  .string()
  .regex(
    /^https?:\/\/([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[1-9][0-9]{0,4})?(\/[A-Za-z0-9._~-]+)*$/,
    'http:// or https://, a host, perhaps a port and a path, no slash at the end, such as https://dl-cdn.alpinelinux.org/alpine',
  )
  .refine(URL.canParse, 'a URL with a port up to 65535')

/** As folders of Alpine's mirrors are named. */
const branchSchema = z.string().regex(/^(v[1-9][0-9]*\.[0-9]+|edge)$/, 'a branch such as v3.22, or edge')
const archNameSchema = z.string().regex(/^[a-z0-9_]{2,16}$/, 'an architecture as Alpine names it, such as x86_64')

/** One part of the mirror that is brought up to date as a whole. */
const syncSchema = z.strictObject({
  name: nameSchema,
  branch: branchSchema,
  repositories: z.array(nameSchema).min(1).max(16).default(['main', 'community']),
  arch: archNameSchema.default('x86_64'),
  /** Only these packages and all that they need; `stations`: what the overlays of all stations ask for. Absent: everything. */
  packages: z
    .union([z.literal('stations'), z.array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+:@~<>=-]*$/, 'a package as in a world file')).min(1)])
    .optional(),
  /** Absent: by command only. */
  every: z.enum(['day', 'week']).optional(),
})

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
  packages: z
    .strictObject({
      /** Absent: packages are served by the one HTTP server. */
      port: portSchema.optional(),
      address: addressSchema.default('0.0.0.0'),
      /** Absent: `apk/` of the depot. */
      root: folderSchema.optional(),
      url: upstreamSchema.optional(),
    })
    .prefault({}),
  mirror: z
    .strictObject({
      /** Absent: nothing is ever asked of the internet. */
      upstream: upstreamSchema.optional(),
      proxy: upstreamSchema.optional(),
      /** A file with `user:password`, mode 0600. */
      credentials: folderSchema.optional(),
      indexMinutes: z.number().int().min(1).max(10_080).default(10),
      maxGigabytes: z.number().min(0.01).max(100_000).default(50),
      sync: z.array(syncSchema).max(64).default([]),
    })
    .prefault({}),
  overlays: z
    .strictObject({
      archive: z.enum(['first', 'last']).default('last'),
      access: z.enum(['open', 'ticket']).default('open'),
      report: z.boolean().default(true),
      keep: z.number().int().min(2).max(1000).default(20),
      saveMegabytes: z.number().int().min(1).max(1024).default(64),
    })
    .prefault({}),
  dhcp: z.strictObject({ sync: z.boolean().default(true) }).prefault({}),
  power: z.strictObject({ adapters: z.array(adapterSchema).max(64).default([]) }).prefault({}),
  pilot: z
    .strictObject({
      /** PXE Pilot's own file; absent: its interface is off. */
      file: folderSchema.optional(),
      address: addressSchema.default('0.0.0.0'),
      /** Absent: the file's. */
      port: portSchema.optional(),
      needsToken: z.boolean().default(false),
      showsSecrets: z.boolean().default(false),
    })
    .prefault({}),
  dnsmasq: z
    .strictObject({
      /** Files or folders. */
      hosts: z.array(folderSchema).max(64).default([]),
      dhcphosts: z.array(folderSchema).max(64).default([]),
      /** `true`: DHCP and DNS are dnsmasq's, which we write for, start and keep running. */
      engine: z.boolean().default(false),
      program: folderSchema.default('dnsmasq'),
      /** Name servers that dnsmasq asks; none: those of /etc/resolv.conf. */
      servers: z.array(ipv4Schema).max(16).default([]),
    })
    .prefault({}),
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

export type SyncPlan = z.output<typeof syncSchema>

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
  /** `port` absent: no second server, packages come from the first. `root` is absolute. */
  readonly packages: { readonly port?: number; readonly address: string; readonly root: string; readonly url?: string }
  readonly mirror: {
    readonly upstream?: string
    readonly proxy?: string
    readonly credentials?: string
    readonly indexMinutes: number
    readonly maxGigabytes: number
    readonly sync: readonly SyncPlan[]
  }
  readonly overlays: {
    /** Where a station's own archive comes among its layers. */
    readonly archive: 'first' | 'last'
    /** `open`: whoever asks with a MAC gets what is not secret. `ticket`: only who comes with the ticket of its boot. */
    readonly access: 'open' | 'ticket'
    /** Composed overlays make the station say what became of it. */
    readonly report: boolean
    /** Versions kept of each overlay. */
    readonly keep: number
    readonly saveMegabytes: number
  }
  readonly dhcp: { readonly sync: boolean }
  readonly power: { readonly adapters: readonly Adapter[] }
  /** PXE Pilot's interface. `file` is absolute. */
  readonly pilot: {
    readonly file?: string
    readonly address: string
    readonly port?: number
    readonly needsToken: boolean
    readonly showsSecrets: boolean
  }
  /** Host files in dnsmasq's form, absolute; and dnsmasq as the engine of DHCP and DNS. */
  readonly dnsmasq: {
    readonly hosts: readonly string[]
    readonly dhcphosts: readonly string[]
    readonly engine: boolean
    readonly program: string
    readonly servers: readonly Ipv4[]
  }
  readonly cacheMegabytes: number
  /** Whose script a loader under a station's path carries: the one it was built with, or the station's own. */
  readonly loaderScript: 'site' | 'station'
  readonly networks: readonly Network[]
  /** What decisions rest on: profiles by default, loaders, quirks. */
  readonly site: Site
}
