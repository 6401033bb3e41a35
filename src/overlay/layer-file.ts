// `layer.yaml`: what a layer asks for beside its files. One schema gives the type and checks the text. Pure.
import { z } from 'zod'
import { nameSchema } from '../boot/field.ts'
import { checkValue, formatPath, type Mistake } from '../store/mistake.ts'
import { readYaml } from '../store/yaml.ts'

/** A package as in a world file: a name, perhaps `<`, `>`, `=`, `~` and a version, perhaps `@tag`; `!name` keeps one away. */
const packageSchema = z
  .string()
  .regex(
    /^!?[A-Za-z0-9_][A-Za-z0-9._+:/-]*(([<>~=]|[<>]=)[A-Za-z0-9._~+-]+)?(@[A-Za-z0-9_-]+)?$/,
    'a package as in /etc/apk/world, such as openssh or nginx~1.26',
  )

const serviceSchema = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, 'the name of a service in /etc/init.d')
const servicesSchema = z.array(serviceSchema).max(200).optional()

/** A path in the station: relative to its root, with at least one folder, printable, no `.` and `..`. */
const pathSchema = z
  .string()
  .max(4096)
  .transform((path) => path.replace(/^\/+/, '').replace(/\/+$/, ''))
  .refine((path) => isMemberPath(path) && path.includes('/'), 'a path in the station such as etc/motd: without ".." and not right at the top')

/** May a member have this path? apk reads the list of names line by line. */
export const isMemberPath = (path: string): boolean =>
  path.length > 0 &&
  path.length <= 4096 &&
  !/[\x00-\x1f\x7f\ufffd]/.test(path) &&
  path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= 255)

const modeSchema = z.union([z.string(), z.number()]).transform((given, context): number => {
  const text = String(given)
  const mode = Number.parseInt(text, 8)
  if (/^0?[0-7]{3,4}$/.test(text) && (typeof given === 'string' || isPlain(mode))) return mode
  context.addIssue({ code: 'custom', message: `${text} is not a mode: write it in octal and quotes, such as "0640"` })
  return z.NEVER
})

/** YAML reads 0644 as the number 644, but 0o644 as 420, which nobody means: others never have more than the owner. */
const isPlain = (mode: number): boolean => mode <= 0o777 && ((mode >> 3) & 7 & ~(mode >> 6)) === 0 && (mode & 7 & ~(mode >> 3)) === 0

const ownerSchema = z
  .string()
  .regex(/^[0-9]{1,7}:[0-9]{1,7}$/, 'numbers, such as "0:0": names of users are not known when the overlay is unpacked')
  .transform((text) => {
    const [uid = 0, gid = 0] = text.split(':').map(Number)
    return { uid, gid }
  })

const sources = ['content', 'secret', 'link', 'folder'] as const
const fileSchema = z
  .strictObject({
    mode: modeSchema.optional(),
    owner: ownerSchema.optional(),
    content: z
      .string()
      .max(1 << 20)
      .optional(),
    /** A name below `secrets/`. */
    secret: nameSchema.optional(),
    link: z
      .string()
      .min(1)
      .max(4096)
      .regex(/^[^\x00-\x1f\x7f]+$/, 'printable text')
      .optional(),
    folder: z.literal(true).optional(),
  })
  .refine((file) => sources.filter((source) => file[source] !== undefined).length <= 1, `only one of ${sources.join(', ')}`)
  .refine((file) => Object.keys(file).length > 0, `says nothing: give it mode, owner, or one of ${sources.join(', ')}`)
  .refine((file) => file.link === undefined || (file.mode === undefined && file.owner === undefined), 'a link has neither mode nor owner')

const sshKeySchema = z
  .string()
  .regex(
    /^([^\n\r#]* )?(ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]{16,}( [^\n\r]*)?$/,
    'a public key as in authorized_keys: ssh-ed25519 AAAA… name',
  )

const cryptSchema = z.string().regex(/^\$(1|2[aby]|5|6|7|y|gy)\$[A-Za-z0-9./$=,]{8,500}$/, 'a hash as in /etc/shadow: openssl passwd -6 makes one')

export const layerSchema = z.strictObject({
  description: z.string().max(1000).optional(),
  /** Layers that come before this one. */
  extends: z.array(nameSchema).max(16).default([]),
  packages: z.array(packageSchema).max(2000).default([]),
  /** By run level. */
  services: z
    .strictObject({
      sysinit: servicesSchema,
      boot: servicesSchema,
      default: servicesSchema,
      nonetwork: servicesSchema,
      shutdown: servicesSchema,
    })
    .prefault({}),
  /** Taken away from what lower layers bring, and from what Bivouac would put in. */
  remove: z
    .strictObject({
      files: z.array(pathSchema).max(2000).default([]),
      packages: z.array(packageSchema).max(2000).default([]),
      services: z
        .array(
          z.string().regex(/^(sysinit|boot|default|nonetwork|shutdown)\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, 'level/service, such as boot/syslog'),
        )
        .max(200)
        .default([]),
    })
    .prefault({}),
  files: z.record(pathSchema, fileSchema).default({}),
  /** Lines of /etc/apk/repositories. Better left out: then the station gets those of its release. */
  repositories: z
    .array(
      z
        .string()
        .regex(/^(@[A-Za-z0-9_-]+ )?(https?:\/\/|\/)[A-Za-z0-9._~:/%@,+-]+$/, 'an http(s) URL or an absolute path, perhaps with "@tag " before it'),
    )
    .max(32)
    .optional(),
  /** Files of the layer that go to /etc/apk/keys. */
  keys: z
    .array(z.string().regex(/^[A-Za-z0-9_@.+-]+\.pub$/, 'the name of a .pub file at the top of the layer'))
    .max(32)
    .default([]),
  hostname: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, 'a host name is letters, digits and inner dashes')
    .optional(),
  sshKeys: z.array(sshKeySchema).max(256).default([]),
  root: z.union([z.enum(['locked', 'open']), cryptSchema, z.strictObject({ secret: nameSchema })]).optional(),
  defaultServices: z.boolean().optional(),
})
export type LayerSettings = Readonly<z.output<typeof layerSchema>>

/** A layer without `layer.yaml`. */
export const emptySettings: LayerSettings = layerSchema.parse({})

/** The settings, or every mistake with its line. `file` is as it is to be named in messages. */
export function readLayerFile(text: string, file: string): { readonly value: LayerSettings } | { readonly mistakes: readonly Mistake[] } {
  const yaml = readYaml(text, file)
  if ('mistakes' in yaml) return yaml
  return checkValue(layerSchema, yaml.value ?? {}, (path) => ({ file, line: yaml.lineOf(path), path: formatPath(path) }))
}
