// The machines behind PXE Pilot's hosts: addresses learnt from the neighbour table, power by IPMI or by the file's adapters. Held in memory only, as the original does.
import type { Ipv4, Mac } from '../boot/address.ts'
import { adapterSchema } from '../boot/power.ts'
import type { PowerAction, PowerState, PowerSwitch } from '../power/adapter.ts'
import { type Neighbours, parseNeighbours, sweep } from '../power/arp.ts'
import { createCommand, expandWords } from '../power/command.ts'
import { createIpmi } from '../power/ipmi.ts'
import type { Run } from '../power/run.ts'
import type { PilotConfig, PilotHost } from './config.ts'
import { PilotError } from './deploy.ts'

export type Machines = {
  /** '' for a host without a way to switch it; unknown without an address, or when asking failed twice. */
  readonly state: (host: PilotHost) => Promise<PowerState | ''>
  /** Throws PilotError 409 where there is no way or it failed. `cycle` switches on what is off. */
  readonly act: (host: PilotHost, action: PowerAction) => Promise<void>
  /** The address of its controller, as far as it is known. */
  readonly addressOf: (host: PilotHost) => Promise<string>
  /** Forgets all addresses, asks every subnet once and reads the neighbour table again. */
  readonly refresh: () => Promise<void>
}

export function createMachines(config: () => PilotConfig, run: Run): Machines {
  let known: Promise<Neighbours> | undefined
  const neighbours = (): Promise<Neighbours> => {
    known ??= readNeighbours(config(), run)
    return known
  }

  async function addressOf({ ipmi, management }: PilotHost): Promise<string> {
    const fixed = ipmi?.hostname ?? management?.ip_address
    const mac = ipmi?.mac_address ?? management?.mac_address
    return fixed || (mac ? await findAddress(mac) : '')
  }

  /** A table that lacks the address is read again: it may have come since. */
  async function findAddress(mac: Mac): Promise<Ipv4 | ''> {
    const found = (await neighbours()).get(mac)
    if (found) return found
    known = undefined
    return (await neighbours()).get(mac) ?? ''
  }

  async function open(host: PilotHost): Promise<PowerSwitch | undefined> {
    const { ipmi, management } = host
    const address = await addressOf(host)
    if (ipmi) {
      if (!address) return undefined
      const options = { address, user: ipmi.username ?? '', password: ipmi.password ?? '', run }
      return createIpmi({ ...options, ...(ipmi.interface && { interface: ipmi.interface }) })
    }
    const adapter = config().adapters.find(({ name }) => name === management?.adapter)
    if (!management || !adapter || !address) return undefined
    const variables = Object.fromEntries((management.vars ?? []).map(({ name, value }) => [name, value]))
    return createCommand({ adapter: adaptAdapter(adapter), address, variables, run })
  }

  return {
    addressOf,
    async state(host) {
      if (!host.ipmi && !host.management) return ''
      const machine = await open(host).catch(() => undefined)
      if (!machine) return 'unknown'
      return machine.status().catch(() => machine.status().catch(() => 'unknown' as const))
    },
    async act(host, action) {
      const machine = await open(host).catch(() => undefined)
      if (!machine) throw new PilotError(409)
      try {
        if (action === 'cycle' && (await machine.status()) === 'off') await machine.act('on')
        else await machine.act(action)
      } catch (error) {
        throw new PilotError(409, (error as Error).message)
      }
    },
    async refresh() {
      known = undefined
      await sweepAll(config(), run)
      known = undefined
      await neighbours()
    },
  }
}

type FileAdapter = PilotConfig['adapters'][number]

/** The same in our own words: power_reset is cycle, patterns and all. */
const adaptAdapter = ({ name, vars, power_status: status, power_on: on, power_off: off, power_reset: reset }: FileAdapter) =>
  adapterSchema.parse({
    name,
    variables: Object.fromEntries((vars ?? []).map((one) => [one.name, one.value])),
    ...(status && { status: { cmd: status.cmd, on: status.pattern_on, off: status.pattern_off } }),
    ...(on && { on: { cmd: on.cmd } }),
    ...(off && { off: { cmd: off.cmd } }),
    ...(reset && { cycle: { cmd: reset.cmd } }),
  })

/** Every subnet of the hosts once; the file's own command in place of fping. Failures are no failure of the refresh. */
async function sweepAll({ hosts, subnets, discoveryCommand }: PilotConfig, run: Run): Promise<void> {
  const named = hosts.flatMap(({ ipmi, management }) => ipmi?.subnet ?? management?.subnet ?? [])
  const all = [...new Set([...named, ...subnets])]
  if (!discoveryCommand) return sweep(all, run).catch(() => undefined)
  const commands = /\{\{/.test(discoveryCommand)
    ? all.map((subnet) => expandWords(discoveryCommand, { subnet, cidr: subnet }))
    : [discoveryCommand.split(/ +/)]
  await Promise.all(commands.map((argv) => run(argv, { timeoutMs: 120_000 }).catch(() => undefined)))
}

/** arp, else the newer tool; the file's own command first. */
async function readNeighbours({ arpCommand }: PilotConfig, run: Run): Promise<Neighbours> {
  const ways = [...(arpCommand ? [arpCommand.split(/ +/)] : []), ['arp', '-an'], ['ip', 'neigh']]
  for (const argv of ways) {
    const ran = await run(argv).catch(() => undefined)
    if (ran) return parseNeighbours(ran.stdout)
  }
  return new Map()
}
