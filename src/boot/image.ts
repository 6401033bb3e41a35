// What of profiles is a kernel with what belongs to it, and the entries of menus: their fields, the files that they name, markers in arguments.
// Used by record, station/linux and the lints. Pure.
import { z } from 'zod'
import { InputError } from './error.ts'
import { depotPathSchema, kernelWordSchema, nameSchema } from './field.ts'

/** A file below the depot, or an http(s) URL. */
export const placeSchema = z.union([z.string().regex(/^https?:\/\/[A-Za-z0-9._~:/%@,+?=&-]+$/, 'an http(s) URL'), depotPathSchema])

/** Free arguments. Markers in braces are filled in for each station: see `fillMarkers`. */
export const linuxArgumentsSchema = z.array(kernelWordSchema).max(64).default([])

/** A kernel and what is loaded with it. */
export const imageShape = {
  kernel: placeSchema,
  initrds: z.array(placeSchema).max(8).default([]),
  /** Multiboot modules, each with its own line: Xen's dom0 kernel and initrd. */
  modules: z
    .array(z.strictObject({ file: placeSchema, arguments: linuxArgumentsSchema }))
    .max(8)
    .default([]),
  arguments: linuxArgumentsSchema,
  /** Serial or other consoles, each as `console=…` at the line's end. */
  console: z.array(kernelWordSchema).max(4).default([]),
  /** `BOOTIF=01-<mac>`: which card it booted from. Absent: given, but not to a Multiboot kernel. */
  bootif: z.boolean().optional(),
} as const

const imageSchema = z.strictObject(imageShape)
export type Image = z.infer<typeof imageSchema>

const entryWays = ['profile', 'linux', 'chain', 'shell', 'local'] as const
const entrySchema = z
  .strictObject({
    label: z.string().min(1).max(100),
    /** What `default:` names it by; absent: its profile. */
    name: nameSchema.optional(),
    profile: nameSchema.optional(),
    linux: imageSchema.optional(),
    chain: placeSchema.optional(),
    shell: z.literal(true).optional(),
    local: z.literal(true).optional(),
  })
  .refine((entry) => entryWays.filter((way) => entry[way] !== undefined).length === 1, {
    message: `an entry leads to one thing: give one of ${entryWays.join(', ')}`,
  })
export type MenuEntry = z.infer<typeof entrySchema>

/** Absent entries: every profile that the station may boot without being told so by name. */
export const menuShape = {
  entries: z.array(entrySchema).min(1).max(64).optional(),
  /** The name of an entry, or its profile. Absent: the first. */
  default: nameSchema.optional(),
  /** 0: it waits for somebody. Absent: 30. */
  timeoutSeconds: z.number().int().min(0).max(3600).optional(),
} as const

/** What an entry is called by `default:`; undefined when it has neither name nor profile. */
export const nameOfEntry = ({ name, profile }: MenuEntry): string | undefined => name ?? profile

export const isUrl = (place: string): boolean => /^https?:/.test(place)

/** The files of the depot that an image names, in the order in which they are loaded. */
export const filesOfImage = ({ kernel, initrds, modules }: Pick<Image, 'kernel' | 'initrds' | 'modules'>): string[] =>
  [kernel, ...initrds, ...modules.map(({ file }) => file)].filter((place) => !isUrl(place))

const marker = /\{([a-z]+)(?::([^{}]*))?\}/g

/** Finds what a marker stands for; undefined when it is none. */
export type FindMarker = (kind: string, name: string | undefined) => string | undefined

/**
 * A word with its markers filled in: `{answer:preseed.cfg}`, `{base}`, `{server}`, `{up}`, `{mac}`, `{file:PATH}`, `{var:NAME}`. Other braces stay.
 * Throws InputError `marker-unknown` for one that stands for nothing, `kernel-word` when what came out cannot stand on a kernel line.
 */
export function fillMarkers(word: string, find: FindMarker): string {
  const filled = word.replace(marker, (text, kind: string, name: string | undefined) => {
    const found = find(kind, name)
    if (found === undefined) throw new InputError('marker-unknown', `${text} in the argument ${word} stands for nothing`, { path: 'arguments' })
    return found
  })
  if (kernelWordSchema.safeParse(filled).success) return filled
  throw new InputError('kernel-word', `${JSON.stringify(filled.slice(0, 120))} cannot stand on a kernel line`, { path: 'arguments' })
}

/** The markers of a word, for lints: `[kind, name]`. */
export const markersOf = (word: string): (readonly [string, string | undefined])[] =>
  [...word.matchAll(marker)].map((found) => [found[1] as string, found[2]] as const)
