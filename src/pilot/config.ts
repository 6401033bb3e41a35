// PXE Pilot's own configuration file, read as it is: hosts, boot loaders, the tree, the ways to switch machines. Used by `bivouac pilot server` and by serve.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { z } from 'zod'
import { findMac, type Mac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import { checkValue, formatPath, MistakesError } from '../store/mistake.ts'
import { readYaml } from '../store/yaml.ts'

/** PXE Pilot ignores keys that it does not know, and so do we: every block is loose. */
const text = z.union([z.string(), z.number(), z.boolean()]).transform(String)
const mac = z.string().transform((value, context): Mac => {
  const found = findMac(value)
  if (found) return found
  context.addIssue({ code: 'custom', message: `${JSON.stringify(value.slice(0, 40))} is not a MAC address` })
  return z.NEVER
})
const variables = z.array(z.looseObject({ name: text, value: text })).nullish()

const ipmi = z.looseObject({
  mac_address: mac.nullish(),
  hostname: text.nullish(),
  username: text.nullish(),
  password: text.nullish(),
  interface: text.nullish(),
  subnet: text.nullish(),
})
const management = z.looseObject({ mac_address: mac.nullish(), ip_address: text.nullish(), adapter: text, subnet: text.nullish(), vars: variables })

const host = z
  .looseObject({ name: text, mac_addresses: z.array(mac).min(1), ipmi: ipmi.nullish(), management: management.nullish() })
  .refine((one) => !one.ipmi || !one.management, { message: 'has ipmi and management; PXE Pilot takes one of them' })

const command = z.looseObject({ cmd: z.string().min(1) })
const adapter = z.looseObject({
  name: text,
  vars: variables,
  power_status: command.extend({ pattern_on: z.string(), pattern_off: z.string() }).nullish(),
  power_on: command.nullish(),
  power_off: command.nullish(),
  power_reset: command.nullish(),
})

const schema = z.looseObject({
  hosts: z.array(host).nullish(),
  tftp: z.looseObject({ root: z.string().min(1) }),
  configuration: z.looseObject({
    directory: z.string().min(1),
    bootloaders: z.array(z.looseObject({ name: text, file: text, config_path: text })).nullish(),
  }),
  server: z.looseObject({ port: z.coerce.number().int().min(0).max(65535).default(3478) }).nullish(),
  host_management_adapters: z.array(adapter).nullish(),
  discovery: z.looseObject({ cmd: z.string().nullish() }).nullish(),
  arp: z.looseObject({ cmd: z.string().nullish() }).nullish(),
  /** The README's spelling of what the program takes from the hosts. */
  subnets: z.array(text).nullish(),
})

export type PilotHost = z.output<typeof host>
export type PilotAdapter = z.output<typeof adapter>
export type Bootloader = { readonly name: string; readonly file: string; readonly config_path: string }

export type PilotConfig = {
  readonly hosts: readonly PilotHost[]
  readonly tftpRoot: string
  readonly directory: string
  /** Empty: configurations lie flat in the directory, as before 0.6.0. */
  readonly bootloaders: readonly Bootloader[]
  readonly port: number
  readonly adapters: readonly PilotAdapter[]
  readonly discoveryCommand?: string
  readonly arpCommand?: string
  readonly subnets: readonly string[]
}

export const defaultPilotFile = '/etc/pxe-pilot/pxe-pilot.yml'

/** Reads the text of such a file. Throws InputError (MistakesError) with every mistake and its line: a name or MAC twice, an adapter that is not there too. */
export function parsePilotConfig(source: string, file: string): PilotConfig {
  const yaml = readYaml(source, file)
  if ('mistakes' in yaml) throw new MistakesError(file, yaml.mistakes)
  const checked = checkValue(schema, yaml.value, (path) => ({ file, line: yaml.lineOf(path), path: formatPath(path) }))
  if ('mistakes' in checked) throw new MistakesError(file, checked.mistakes)
  const { hosts, tftp, configuration, server, host_management_adapters: adapters, discovery, arp, subnets } = checked.value
  const config: PilotConfig = {
    hosts: hosts ?? [],
    tftpRoot: tftp.root.replace(/(?<=.)\/+$/, ''),
    directory: configuration.directory.replace(/(?<=.)\/+$/, ''),
    bootloaders: (configuration.bootloaders ?? []).map(({ name, file: loader, config_path }) => ({ name, file: loader, config_path })),
    port: server?.port ?? 3478,
    adapters: adapters ?? [],
    ...(discovery?.cmd && { discoveryCommand: discovery.cmd }),
    ...(arp?.cmd && { arpCommand: arp.cmd }),
    subnets: subnets ?? [],
  }
  checkWhole(config, file)
  return config
}

function checkWhole({ hosts, bootloaders, adapters }: PilotConfig, file: string): void {
  const mistakes: string[] = []
  const twice = (values: readonly string[]): string[] => [...new Set(values.filter((value, index) => values.indexOf(value) !== index))]
  for (const name of twice(hosts.map(({ name }) => name))) mistakes.push(`host ${name} is there twice`)
  for (const one of twice(hosts.flatMap(({ mac_addresses: macs }) => macs))) mistakes.push(`MAC address ${one} is there twice`)
  for (const { name, management: managed } of hosts) {
    if (managed && !adapters.some((one) => one.name === managed.adapter))
      mistakes.push(`host ${name} names the adapter ${managed.adapter}, which is not there`)
  }
  for (const { name } of bootloaders)
    if (name !== basename(name) || name === '..' || name === '.') mistakes.push(`boot loader ${JSON.stringify(name)} is no name of a folder`)
  if (mistakes.length) throw new InputError('pilot-config', mistakes.join('; '), { file })
}

/** Reads the file. Throws InputError for one that cannot be read or is wrong. */
export function readPilotFile(file: string): PilotConfig {
  try {
    return parsePilotConfig(readFileSync(file, 'utf8'), file)
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError('pilot-file', `cannot be read: ${(error as Error).message}`, { file }, { cause: error })
  }
}
