// Switching stations by their records: the switches opened when they are needed, controllers found by their MAC. One for the whole server; used by the API.
import type { Ipv4, Mac } from '../boot/address.ts'
import { InputError } from '../boot/error.ts'
import type { Network } from '../boot/network.ts'
import type { Adapter } from '../boot/power.ts'
import type { BootDevice, PowerAction, PowerState } from './adapter.ts'
import { type Neighbours, parseNeighbours, sweep } from './arp.ts'
import { openPower, type Switched } from './open.ts'
import type { Run } from './run.ts'

export type PowerDesk = {
  /** Throws MissingError `power-none`, InputError, ConflictError or OutsideError, as openPower and the switch do. */
  readonly status: (station: Switched) => Promise<PowerState>
  /** The boot device first, then the action. Throws InputError where the way knows no boot device, unless that is optional. */
  readonly act: (station: Switched, action: PowerAction, bootFrom?: BootDevice, isOptional?: boolean) => Promise<void>
  /** Asks every address of these subnets once, so that controllers are known by their MAC; answers how many are in the neighbour table. */
  readonly refresh: (subnets: readonly string[]) => Promise<number>
}

export type DeskOptions = {
  readonly adapters: readonly Adapter[]
  readonly networks: readonly Network[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run: Run
}

export function createPowerDesk({ run, ...options }: DeskOptions): PowerDesk {
  let known: Neighbours = new Map()
  const look = async (): Promise<Neighbours> => {
    const { stdout } = await run(['ip', 'neigh']).catch(() => run(['arp', '-an']))
    known = parseNeighbours(stdout)
    return known
  }
  const findAddress = async (mac: Mac): Promise<Ipv4 | undefined> => known.get(mac) ?? (await look()).get(mac)
  const open = (station: Switched) => openPower(station, { ...options, run, findAddress })
  return {
    status: async (station) => (await open(station)).status(),
    async act(station, action, bootFrom, isOptional = false) {
      const machine = await open(station)
      if (bootFrom !== undefined && !machine.bootFrom && !isOptional)
        throw new InputError('power-boot-device', `${station.power?.kind} cannot say what ${station.name} boots from; leave that out`)
      if (bootFrom !== undefined) await machine.bootFrom?.(bootFrom)
      await machine.act(action)
    },
    async refresh(subnets) {
      await sweep(subnets, run)
      return (await look()).size
    },
  }
}
