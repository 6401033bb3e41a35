// From a station's record to its switch: which adapter, at which address, with which secret. Used by the API and by PXE Pilot's interface.
// Secrets are read at the moment of use and kept nowhere.
import { readFile, stat } from 'node:fs/promises'
import { broadcastAddress, contains, type Ipv4, type Mac } from '../boot/address.ts'
import { ConflictError, InputError, MissingError } from '../boot/error.ts'
import type { Network } from '../boot/network.ts'
import type { Adapter, Power, SecretPlace } from '../boot/power.ts'
import type { PowerSwitch } from './adapter.ts'
import { createCommand } from './command.ts'
import { createIpmi } from './ipmi.ts'
import { createRedfish } from './redfish.ts'
import type { Run } from './run.ts'
import { createWake } from './wake.ts'

export type OpenPowerOptions = {
  readonly adapters: readonly Adapter[]
  readonly networks: readonly Network[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** The neighbour table, for controllers that are known by their MAC. */
  readonly findAddress: (mac: Mac) => Ipv4 | undefined | Promise<Ipv4 | undefined>
  readonly run: Run
}

/** What a switch is opened for. */
export type Switched = { readonly name: string; readonly macs: readonly Mac[]; readonly address?: Ipv4; readonly power?: Power }

/** The switch of a station. Throws MissingError `power-none` where its record names none, InputError for a secret that cannot be had, ConflictError `power-address` while a controller's address is not known. */
export async function openPower({ name, macs, address, power }: Switched, options: OpenPowerOptions): Promise<PowerSwitch> {
  if (!power) throw new MissingError('power-none', `station ${name} has no key power; docs/power.md tells what it may say`)
  const { run } = options
  if (power.kind === 'ipmi') {
    const { user, port } = power
    return createIpmi({
      address: await addressOf(name, power, options),
      user,
      password: await readSecret(power.password, options.env),
      interface: power.interface,
      port,
      run,
    })
  }
  if (power.kind === 'redfish') {
    const { url, user, system, verifyTls } = power
    return createRedfish({ url, user, password: await readSecret(power.password, options.env), verifyTls, ...(system !== undefined && { system }) })
  }
  if (power.kind === 'wake') {
    const mac = power.mac ?? (macs[0] as Mac)
    return createWake({
      mac,
      broadcast: power.broadcast ?? broadcastOf(address, options.networks),
      ...(power.password && { password: power.password }),
    })
  }
  const adapter = options.adapters.find((one) => one.name === power.adapter)
  if (!adapter)
    throw new InputError(
      'power-adapter',
      `station ${name} names the adapter ${power.adapter}, which the configuration does not have (power.adapters)`,
    )
  const found = power.address ?? (power.mac && (await options.findAddress(power.mac)))
  const variables: Record<string, string> = { ...power.variables }
  for (const [key, place] of Object.entries(power.secrets)) variables[key] = await readSecret(place, options.env)
  return createCommand({ adapter, ...(found !== undefined && { address: found }), variables, run })
}

async function addressOf(
  name: string,
  { address, mac }: { address?: string | undefined; mac?: Mac | undefined },
  { findAddress }: OpenPowerOptions,
): Promise<string> {
  if (address !== undefined) return address
  if (!mac) throw new InputError('power-address', `the controller of ${name} needs address or mac in its key power`)
  const found = await findAddress(mac)
  if (found === undefined)
    throw new ConflictError('power-address', `the controller ${mac} of ${name} is in no neighbour table yet; "bivouac power refresh" looks for it`)
  return found
}

/** The directed broadcast of the station's network, which also relayed networks may let pass; else this wire's. */
function broadcastOf(address: Ipv4 | undefined, networks: readonly Network[]): string {
  const network =
    networks.find(({ subnet }) => address !== undefined && contains(subnet, address)) ?? (networks.length === 1 ? networks[0] : undefined)
  return network ? broadcastAddress(network.subnet) : '255.255.255.255'
}

/** The first line of the file, or the variable. Throws InputError when it is not there, or when others may read the file. */
export async function readSecret({ file, env: name }: SecretPlace, env: OpenPowerOptions['env']): Promise<string> {
  if (name !== undefined) {
    const value = env[name]
    if (!value) throw new InputError('secret-missing', `the variable ${name} is not set in the server's environment`)
    return value
  }
  const path = file ?? ''
  try {
    const { mode } = await stat(path)
    if (mode & 0o077) throw new InputError('secret-open', `${path} may be read by others: chmod 600 ${path}`)
    return ((await readFile(path, 'utf8')).split(/\r?\n/, 1)[0] ?? '').trim()
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError('secret-missing', `${path} cannot be read: ${(error as Error).message}`, {}, { cause: error })
  }
}
