// PXE Pilot's service over its tree and our records: lists, deploys (all or nothing), power. Called by http/pilot; its words and shapes are the original's.
import type { Transactions } from '../store/transaction.ts'
import type { PilotConfig, PilotHost } from './config.ts'
import { type DeployAsk, findTargets, PilotError } from './deploy.ts'
import { mapBounded } from '../power/bounded.ts'
import { createMachines } from './machine.ts'
import type { Run } from '../power/run.ts'
import { type Configuration, findConfiguration, listConfigurations, planLinks, readContent, readDeployed } from './tree.ts'

/** One line of a host's history. */
export type PilotChange = { readonly at: number; readonly host: string; readonly configuration: string; readonly by: string }

export type PilotOptions = {
  readonly config: () => PilotConfig
  readonly transactions: Transactions
  readonly run: Run
  readonly now: () => number
  /** Told of a deploy before its links are made: stations of ours get the profile of that name. Rejects to stop the deploy. */
  readonly onDeploy?: (hosts: readonly PilotHost[], configuration: string, by: string) => Promise<void>
  /** Keeps a change; resolves when durable. */
  readonly remember?: (changes: readonly PilotChange[]) => Promise<void>
  /** Passwords and variables of adapters in answers, as the original gives them. */
  readonly showsSecrets?: boolean
}

/** Lists of hosts are asked so many at a time. */
const parallel = 32

const powerWords = { on: 'On', off: 'Off', unknown: 'Unknown', '': '' } as const
export type Rebooted = 'NO' | 'YES' | 'ERROR'

export type Pilot = ReturnType<typeof createPilot>

export function createPilot(options: PilotOptions) {
  const { config, transactions, run, now, onDeploy, remember, showsSecrets = false } = options
  const machines = createMachines(config, run)

  async function findNamed(name: string): Promise<Configuration> {
    const found = findConfiguration(await listConfigurations(config()), name)
    if (!found) throw new PilotError(404, `Configuration '${name}' does not exists`)
    return found
  }

  function findHost(name: string): PilotHost {
    const host = config().hosts.find((one) => one.name === name)
    if (!host) throw new PilotError(404)
    return host
  }

  async function viewHost(host: PilotHost, configurations: readonly Configuration[], withState: boolean): Promise<object> {
    const { name, mac_addresses: macAddresses, ipmi, management } = host
    const [{ configuration }, address, state] = await Promise.all([
      readDeployed(config(), host, configurations).catch(() => ({ configuration: undefined })),
      withState ? machines.addressOf(host) : '',
      withState ? machines.state(host) : ('' as const),
    ])
    const hidden = (text: string | null | undefined): string => (showsSecrets ? (text ?? '') : '')
    return {
      name,
      macAddresses,
      configuration: configuration ? viewConfiguration(configuration) : null,
      powerState: powerWords[state],
      ipmi: ipmi
        ? {
            macAddress: ipmi.mac_address ?? '',
            username: ipmi.username ?? '',
            password: hidden(ipmi.password),
            interface: ipmi.interface ?? '',
            hostname: ipmi.hostname ?? address,
            subnet: ipmi.subnet ?? '',
          }
        : null,
      management: management
        ? {
            macAddress: management.mac_address ?? '',
            ipAddress: management.ip_address ?? address,
            adapter: management.adapter,
            subnet: management.subnet ?? '',
            vars: management.vars?.length ? management.vars.map((one) => ({ name: one.name, value: hidden(one.value) })) : null,
          }
        : null,
    }
  }

  return {
    /** `null` where none is declared, as the original says it. */
    bootloaders: () => (config().bootloaders.length ? config().bootloaders : null),
    configurations: async () => (await listConfigurations(config())).map(viewConfiguration),
    /** Throws PilotError 404, or 500 where it cannot be read. */
    async content(name: string) {
      const found = await findNamed(name)
      const content = await readContent(found).catch(() => {
        throw new PilotError(500)
      })
      return { name, content }
    },
    async hosts(withState: boolean) {
      const configurations = await listConfigurations(config())
      return mapBounded(config().hosts, parallel, (host) => viewHost(host, configurations, withState))
    },
    /** All links of all hosts, or none; then the reboots, each with its own result. Throws PilotError. */
    async deploy(name: string, asks: readonly DeployAsk[], by: string): Promise<{ name: string; configuration: ''; rebooted: Rebooted }[]> {
      const configuration = await findNamed(name)
      const targets = findTargets(asks, config().hosts)
      await onDeploy?.(
        targets.map(({ host }) => host),
        name,
        by,
      )
      try {
        await transactions.commit(targets.flatMap(({ host }) => planLinks(config(), host, configuration)))
      } catch (error) {
        throw new PilotError(500, 'Unable to create symlink', { cause: error })
      }
      await remember?.(targets.map(({ host }) => ({ at: now(), host: host.name, configuration: name, by })))
      return mapBounded(targets, parallel, async ({ host, ask }) => ({
        // Ours reboots a host that was named by its MAC alone; the original answers 500 after the link was made.
        name: ask.name ?? '',
        configuration: '' as const,
        rebooted: ask.isReboot
          ? await machines.act(host, 'cycle').then(
              () => 'YES' as const,
              () => 'ERROR' as const,
            )
          : ('NO' as const),
      }))
    },
    power: (name: string, action: 'on' | 'off' | 'cycle') => machines.act(findHost(name), action),
    refresh: () => machines.refresh().catch(() => undefined),
    /** What stands where links should be and no deploy made: for `doctor` and the log. */
    async oddities(): Promise<{ host: string; odd: string }[]> {
      const configurations = await listConfigurations(config())
      const found = await mapBounded(config().hosts, parallel, async (host) => ({
        host: host.name,
        odd: (await readDeployed(config(), host, configurations)).odd,
      }))
      return found.flatMap(({ host, odd }) => (odd ? [{ host, odd }] : []))
    },
    /** Makes the links of one host, for a station of ours whose profile changed. Nothing where no configuration has that name. */
    async follow(host: PilotHost, name: string): Promise<void> {
      const configurations = await listConfigurations(config())
      const configuration = findConfiguration(configurations, name)
      if (!configuration || (await readDeployed(config(), host, configurations)).configuration?.name === name) return
      await transactions.commit(planLinks(config(), host, configuration))
    },
    findHost,
  }
}

const viewConfiguration = ({ name, bootloader }: Configuration): object => ({ name, bootloader })
