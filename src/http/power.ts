// Switching stations over the operator API. Called by app; the ways are power's, the records say which one a station has.
import { z } from 'zod'
import { findMac } from '../boot/address.ts'
import { BivouacError, MissingError } from '../boot/error.ts'
import type { Records, Station } from '../boot/record.ts'
import type { BootEvent } from '../boot/event.ts'
import { powerActions, powerStates } from '../power/adapter.ts'
import { mapBounded } from '../power/bounded.ts'
import type { PowerDesk } from '../power/desk.ts'
import type { Switched } from '../power/open.ts'
import { subnetSchema } from '../boot/field.ts'
import type { RouteTable } from './route.ts'

export type PowerDeps = {
  readonly desk: PowerDesk
  readonly records: () => Records
  readonly emit: (event: BootEvent) => void
  readonly now: () => number
}

const stationNames = z.array(z.string().max(64)).min(1).max(1000)
const result = z.object({ station: z.string(), state: z.enum(powerStates).nullable(), error: z.string().nullable() })
type Result = z.output<typeof result>

/** Controllers asked at one time. */
const parallel = 16

export function addPower({ add }: RouteTable, { desk, records, emit, now }: PowerDeps): void {
  add(
    {
      method: 'GET',
      path: '/stations/:station/power',
      right: 'read',
      summary: 'Is the station on? Asks its controller',
      answer: z.object({ state: z.enum(powerStates) }),
    },
    async ({ part }) => ({
      state: await desk.status(switched(findStation(records(), part('station')))),
    }),
  )
  add(
    {
      method: 'POST',
      path: '/power',
      right: 'operate',
      summary: 'Ask or switch stations; each has its own result',
      body: z.strictObject({
        stations: stationNames,
        action: z.enum([...powerActions, 'status']),
        bootFrom: z.enum(['network', 'disk']).optional(),
        bootFromIfPossible: z.boolean().default(false).describe('no error where the way knows no boot device'),
      }),
      answer: z.array(result),
    },
    ({ body: { stations, action, bootFrom, bootFromIfPossible }, by }) => {
      const all = stations.map((name) => findStation(records(), name))
      return mapBounded(all, parallel, async (station): Promise<Result> => {
        try {
          if (action === 'status') return { station: station.name, state: await desk.status(switched(station)), error: null }
          await desk.act(switched(station), action, bootFrom, bootFromIfPossible)
          emit({ at: now(), kind: 'power', mac: station.macs[0] as Station['macs'][number], detail: { action, by, ...(bootFrom && { bootFrom }) } })
          return { station: station.name, state: null, error: null }
        } catch (error) {
          if (!(error instanceof BivouacError)) throw error
          return { station: station.name, state: action === 'status' ? 'unknown' : null, error: error.message }
        }
      })
    },
  )
  add(
    {
      method: 'POST',
      path: '/power/refresh',
      right: 'operate',
      summary: 'Look for controllers that are known by their MAC',
      body: z.strictObject({ subnets: z.array(subnetSchema).min(1).max(16) }),
      answer: z.object({ neighbours: z.number() }),
    },
    async ({ body }) => ({ neighbours: await desk.refresh(body.subnets) }),
  )
}

function findStation(records: Records, text: string): Station {
  const mac = findMac(text)
  const station = mac ? records.stationByMac.get(mac) : records.stations.find(({ name }) => name === text)
  if (!station) throw new MissingError('station', `there is no station "${text.slice(0, 64)}"`)
  return station
}

const switched = ({ name, macs, address, power }: Station): Switched => ({ name, macs, ...(address && { address }), ...(power && { power }) })
