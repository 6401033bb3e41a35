// The records that people keep in the depot: stations, profiles, releases, and the site's settings for decisions.
// One schema each: it checks files and API bodies alike and gives the type. Pure: reading files is store's work.
import { z } from 'zod'
import type { Ipv4, Mac } from './address.ts'
import { macSchema, ipv4Schema, nameSchema, depotPathSchema, kernelWordSchema, urlOrPathSchema, uuidSchema } from './field.ts'
import { imageShape, linuxArgumentsSchema, menuShape, placeSchema } from './image.ts'
import type { Quirk } from './firmware.ts'
import type { ReservationTable } from './reservation.ts'
import type { NextBoot } from './next.ts'
import { powerSchema } from './power.ts'

/** What templates of layers may use as `it.variables.<name>`. */
const variablesSchema = z.record(nameSchema, z.union([z.string().max(4096), z.number(), z.boolean()])).default({})

/** Folders or archives below `overlays/`, lowest first: the station's overlay is composed from the profile's layers and then the station's. */
const layersSchema = z.array(nameSchema).max(32).default([])

/** One device that boots from us: `stations/<name>.yaml`. */
export const stationSchema = z.strictObject({
  name: nameSchema,
  macs: z.array(macSchema).min(1).max(16),
  uuid: uuidSchema.optional(),
  address: ipv4Schema.optional(),
  hostname: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, 'a host name is letters, digits and inner dashes')
    .optional(),
  group: nameSchema.optional(),
  profile: nameSchema.optional(),
  power: powerSchema.optional(),
  layers: layersSchema,
  variables: variablesSchema,
  arguments: z.array(kernelWordSchema).max(64).default([]),
  labels: z.record(nameSchema, z.string().max(128)).default({}),
})
export type Station = z.infer<typeof stationSchema>

const labelSchema = z.string().max(128)
/** Labels that must all fit, each one value or a list of which one must fit. */
const conditionsSchema = z.record(nameSchema, z.union([labelSchema, z.array(labelSchema).min(1).max(64)]))
export type Conditions = z.infer<typeof conditionsSchema>

/** Such a block, or a list of blocks of which one must fit. */
const matchSchema = z.union([conditionsSchema, z.array(conditionsSchema).min(1).max(16)])
/** Where several profiles match: the highest goes first, then one that names the station itself, then the most labels. Absent is 0. */
const prioritySchema = z.number().int().min(-1000).max(1000)

/** What we put on a kernel line by ourselves and an operator may leave out. Not `apkovl`: whether there is one is `overlay`'s to say. */
const kernelWordNames = ['ip', 'ssh_key', 'modloop', 'modules', 'alpine_dev', 'alpine_repo', 'BOOTIF', 'initrd'] as const
export type KernelWordName = (typeof kernelWordNames)[number]

const alpineSchema = z.strictObject({
  name: nameSchema,
  kind: z.literal('alpine'),
  match: matchSchema.optional(),
  priority: prioritySchema.optional(),
  /** A folder below `releases/`. Absent: the one release of the depot that fits the station. */
  release: depotPathSchema.optional(),
  /** Single files in place of a release: the layout of the source document, boot files at the depot's root. */
  kernel: depotPathSchema.optional(),
  initramfs: depotPathSchema.optional(),
  modloop: depotPathSchema.optional(),
  /** `required`: no script without an overlay that can be served. `none`: a bare Alpine, root without password, asked for by this word. */
  overlay: z.enum(['required', 'none']).default('required'),
  layers: layersSchema,
  variables: variablesSchema,
  /** Folders below `additions/`, each packed as one more initrd after the stock one: keys, a CA, modules. */
  additions: z.array(nameSchema).max(8).default([]),
  /** Absent or empty: those of the release, if it names any. */
  repositories: z.array(urlOrPathSchema).max(8).default([]),
  sshKeys: z.boolean().default(true),
  modules: z.array(z.string().regex(/^[A-Za-z0-9_-]+$/, 'a module name')).default(['loop', 'squashfs', 'sd-mod', 'usb-storage']),
  /** `alpine_dev=`: ignored by every Alpine since 3.3; kept for scripts of that time. */
  alpineDev: kernelWordSchema.optional(),
  /** Arguments of ours that are left out. */
  omit: z.array(z.enum(kernelWordNames)).max(kernelWordNames.length).default([]),
  arguments: z.array(kernelWordSchema).max(64).default([]),
  template: depotPathSchema.optional(),
})
export type AlpineProfile = z.infer<typeof alpineSchema>

/** What every kind has. */
const common = { name: nameSchema, match: matchSchema.optional(), priority: prioritySchema.optional() }

const linuxSchema = z.strictObject({
  ...common,
  kind: z.literal('linux'),
  ...imageShape,
  /** File name → template of the depot's `templates/` by its name without `.ejs`: rendered per station, at `answers/<mac>/<file name>`. */
  answers: z.record(nameSchema, depotPathSchema).default({}),
  variables: variablesSchema,
})
export type LinuxProfile = z.infer<typeof linuxSchema>

const rescueSchema = z.strictObject({
  ...common,
  kind: z.literal('rescue'),
  kernel: placeSchema,
  initrd: placeSchema,
  /** Where the image fetches the rest, as `fullroot=`: a folder of the depot or a URL. Absent: the server itself. */
  fullroot: placeSchema.optional(),
  arguments: linuxArgumentsSchema,
})
export type RescueProfile = z.infer<typeof rescueSchema>

/** Another loader or script. */
const chainSchema = z.strictObject({ ...common, kind: z.literal('chain'), target: placeSchema })
export type ChainProfile = z.infer<typeof chainSchema>

const menuSchema = z.strictObject({ ...common, kind: z.literal('menu'), template: depotPathSchema.optional(), ...menuShape })
export type MenuProfile = z.infer<typeof menuSchema>

const plainKinds = ['local', 'shell', 'wait', 'ignore'] as const
const plainSchema = <K extends (typeof plainKinds)[number]>(kind: K) =>
  z.strictObject({
    name: nameSchema,
    kind: z.literal(kind),
    match: matchSchema.optional(),
    priority: prioritySchema.optional(),
    template: depotPathSchema.optional(),
  })
const scriptSchema = z.strictObject({
  name: nameSchema,
  kind: z.literal('script'),
  match: matchSchema.optional(),
  priority: prioritySchema.optional(),
  /** A template of the depot's or our `scripts-templates/`, by its name without `.ejs`. */
  template: depotPathSchema,
})

/** What a station boots: `profiles/<name>.yaml`. */
export const profileSchema = z.discriminatedUnion('kind', [
  alpineSchema,
  plainSchema('local'),
  menuSchema,
  linuxSchema,
  rescueSchema,
  chainSchema,
  plainSchema('shell'),
  plainSchema('wait'),
  plainSchema('ignore'),
  scriptSchema,
])
export type Profile = z.infer<typeof profileSchema>

/**
 * Profiles that are always there; a file of the same name replaces one. `alpine` boots the depot's one release with the station's overlay; `bare`
 * the same without an overlay, hence with root and no password: it is had only by this name.
 */
export const builtInProfiles: readonly Profile[] = [
  alpineSchema.parse({ name: 'alpine', kind: 'alpine' }),
  alpineSchema.parse({ name: 'bare', kind: 'alpine', overlay: 'none' }),
  { name: 'local', kind: 'local' },
  { name: 'menu', kind: 'menu' },
  ...(['shell', 'wait', 'ignore'] as const).map((kind) => ({ name: kind, kind })),
]

/** Kernel, initramfs and modloop that belong together: one folder below `releases/`, found by store. Paths are below the depot. */
export type Release = {
  readonly id: string
  readonly kernel: string
  readonly initramfs: string
  readonly modloop?: string
  readonly flavour: string
  /** As in Alpine's folder names; the folder's part, when one is a known architecture. */
  readonly arch?: string
  /** `v3.22` or `edge`, and `3.22.2`: what its manifest says. */
  readonly branch?: string
  readonly version?: string
  /** Where its packages come from, as in a profile: the mirror's branch, or the snapshot that is frozen with it. */
  readonly repositories?: readonly string[]
}

/** The settings of the configuration on which decisions rest. */
export type Site = {
  /** Profile of a known station that names none and that no `match` fits. */
  readonly defaultProfile: string
  /** Profile of a station that has no record. */
  readonly unknown: string
  /** Profile in place of one whose overlay cannot be served. */
  readonly withoutOverlay: string
  /** An iPXE that is not ours: give it the script at once, or our loader first. One without HTTP always gets our loader. */
  readonly foreignIpxe: 'script' | 'loader'
  /** Option 93 code → loader name in the library, over the built-in table. */
  readonly loaders: ReadonlyMap<number, string>
  readonly quirks: readonly Quirk[]
}

/** All records in force, made by store after each change; never changed in place. */
export type Records = {
  readonly stations: readonly Station[]
  readonly stationByMac: ReadonlyMap<Mac, Station>
  /** Stations with an address of their own; DHCP asks for each address that it gives. */
  readonly stationByAddress: ReadonlyMap<Ipv4, Station>
  readonly profiles: ReadonlyMap<string, Profile>
  readonly releases: readonly Release[]
  /** Orders for next boots, under the MAC that they were given for. */
  readonly nextByMac?: ReadonlyMap<Mac, NextBoot>
  /** Lines of dnsmasq's host files, where the site has such. */
  readonly reservations?: ReservationTable
  /** Stations that no record but such a line makes: name → where it stands (`dhcphosts:12`). */
  readonly stationSources?: ReadonlyMap<string, string>
}

/** Builds the look-up tables. Built-in profiles are added where no record has their name. */
export function indexRecords(
  stations: readonly Station[],
  profiles: readonly Profile[],
  releases: readonly Release[],
  { reservations, stationSources }: Pick<Records, 'reservations' | 'stationSources'> = {},
): Records {
  const byName = new Map([...builtInProfiles, ...profiles].map((profile) => [profile.name, profile]))
  const stationByMac = new Map(stations.flatMap((station) => station.macs.map((mac) => [mac, station] as const)))
  // The first of two with the same address, which is a mistake that lintNetworks tells.
  const stationByAddress = new Map([...stations].reverse().flatMap((station) => (station.address ? [[station.address, station] as const] : [])))
  return {
    stations,
    stationByMac,
    stationByAddress,
    profiles: byName,
    releases,
    ...(reservations && { reservations }),
    ...(stationSources && { stationSources }),
  }
}
