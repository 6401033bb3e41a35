// How a record says in which way its machine is switched, and the site's own adapters: schemas and types. Used by records, the configuration and power.
import { z } from 'zod'
import { ipv4Schema, macSchema, nameSchema } from './field.ts'

const hostSchema = z.union([ipv4Schema, z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?$/, 'an address or a name')])

/** Where a password stands: a file (mode 0600) or a variable of the server's environment. Never the password itself. */
const secretSchema = z
  .strictObject({
    file: z.string().min(1).max(4096).optional(),
    env: z
      .string()
      .regex(/^[A-Z_][A-Z0-9_]*$/, 'a variable such as IPMI_PASSWORD')
      .optional(),
  })
  .refine(({ file, env }) => (file === undefined) !== (env === undefined), {
    message: 'needs file or env, one of them',
    params: { code: 'secret-place' },
  })
export type SecretPlace = z.output<typeof secretSchema>

const ipmiSchema = z.strictObject({
  kind: z.literal('ipmi'),
  /** Absent: found by `mac` in the neighbour table. */
  address: hostSchema.optional(),
  mac: macSchema.optional(),
  user: z.string().min(1).max(64).default('ADMIN'),
  password: secretSchema,
  interface: z.enum(['lanplus', 'lan']).default('lanplus'),
  port: z.number().int().min(1).max(65535).default(623),
})

const redfishSchema = z.strictObject({
  kind: z.literal('redfish'),
  url: z.url({ protocol: /^https?$/ }),
  user: z.string().min(1).max(64),
  password: secretSchema,
  /** The system's id; absent: the only one there is. */
  system: z.string().max(128).optional(),
  /** Controllers mostly have certificates that nobody signed. */
  verifyTls: z.boolean().default(true),
})

const wakeSchema = z.strictObject({
  kind: z.literal('wake'),
  /** Absent: the station's first MAC. */
  mac: macSchema.optional(),
  /** Where the packet goes: a network's broadcast address. */
  broadcast: ipv4Schema.optional(),
  password: z
    .string()
    .regex(/^([0-9a-f]{2}[:-]?){5}[0-9a-f]{2}$/i, 'SecureOn: six bytes in hex')
    .optional(),
})

const commandSchema = z.strictObject({
  kind: z.literal('command'),
  /** An adapter of the configuration (`power.adapters`). */
  adapter: nameSchema,
  address: hostSchema.optional(),
  mac: macSchema.optional(),
  variables: z.record(nameSchema, z.string().max(1024)).default({}),
  /** Variables that are nobody's to read: each stands in a file or in the server's environment. */
  secrets: z.record(nameSchema, secretSchema).default({}),
})

/** The key `power` of a station. */
export const powerSchema = z.discriminatedUnion('kind', [ipmiSchema, redfishSchema, wakeSchema, commandSchema])
export type Power = z.output<typeof powerSchema>
export type IpmiPower = z.output<typeof ipmiSchema>
export type RedfishPower = z.output<typeof redfishSchema>
export type WakePower = z.output<typeof wakeSchema>
export type CommandPower = z.output<typeof commandSchema>

/** One command of an adapter: words with `{{ name }}` in them; no shell ever reads it. */
const commandLineSchema = z.strictObject({ cmd: z.string().min(1).max(4096) })

/** An adapter of the configuration: commands of the site's own for machines that have neither IPMI nor Redfish. */
export const adapterSchema = z.strictObject({
  name: nameSchema,
  variables: z.record(nameSchema, z.string().max(1024)).default({}),
  status: commandLineSchema.extend({ on: z.string().max(256), off: z.string().max(256) }).optional(),
  on: commandLineSchema.optional(),
  off: commandLineSchema.optional(),
  cycle: commandLineSchema.optional(),
})
export type Adapter = z.output<typeof adapterSchema>
