// The API of next boots: ordered, listed, cleared. Called by manage; the rules are boot/next's.
import { z } from 'zod'
import type { Mac } from '../boot/address.ts'
import { InputError, MissingError } from '../boot/error.ts'
import { nameSchema } from '../boot/field.ts'
import { describeNext, type NextAsk, type NextBoot, orderNext } from '../boot/next.ts'
import type { Records } from '../boot/record.ts'
import { type ManageDeps, macsOf, sayNoProfile } from './manage-find.ts'
import { dryRun } from './manage-dry-run.ts'
import type { RouteTable } from './route.ts'

const stationName = z.string().max(64)

const nextSchema = z.strictObject({
  profile: nameSchema,
  times: z.number().int().min(1).max(1000).default(1).describe('boots that must call back'),
  attempts: z.number().int().min(1).max(1000).nullable().default(3).describe('boots that may begin without a call-back; null: any number'),
  forSeconds: z.number().int().min(60).max(31_536_000).default(86_400),
  fallback: nameSchema.optional().describe('what is booted once the order has failed; absent: the usual profile'),
})

export const nextView = z
  .object({ mac: z.string(), station: z.string().nullable(), profile: z.string(), state: z.enum(['active', 'failed']), text: z.string() })
  .loose()

/** Adds the routes. */
export function addNextRoutes({ add }: RouteTable, deps: ManageDeps): void {
  const { records, next } = deps
  const ask = ({ profile, times, attempts, forSeconds, fallback }: z.output<typeof nextSchema>, by: string): NextAsk => {
    for (const name of [profile, fallback])
      if (name !== undefined && !records.current().profiles.has(name))
        throw new InputError('profile', sayNoProfile(records.current(), name), { path: 'profile' })
    return { profile, times, attemptsMax: attempts, forMs: forSeconds * 1000, ...(fallback && { fallback }), by }
  }
  const firstMac = (text: string): Mac => macsOf(records.current(), text)[0] as Mac
  add({ method: 'GET', path: '/next', right: 'read', summary: 'All orders for next boots', answer: z.array(nextView) }, () =>
    [...next.current()].map(([mac, order]) => viewNext(records.current(), mac, order)),
  )
  add(
    {
      method: 'POST',
      path: '/next',
      right: 'operate',
      summary: 'Order what stations boot next, all of them or none; only their call-back ends it',
      query: dryRun,
      body: nextSchema.extend({ stations: z.array(stationName).min(1).max(1000) }),
      answer: z.array(nextView),
    },
    async ({ c, body: { stations, ...wish }, by }) => {
      const macs = stations.map(firstMac)
      const order = ask(wish, by)
      if (c.req.query('dryRun') === 'true') return macs.map((mac) => viewNext(records.current(), mac, orderNext(order, Date.now())))
      await next.order(macs, order)
      return macs.map((mac) => viewNext(records.current(), mac, next.current().get(mac)))
    },
  )
  add(
    { method: 'DELETE', path: '/stations/:station/next', right: 'operate', summary: 'Take the order for the next boot away' },
    async ({ part, by }) => {
      if (!(await next.clear(macsOf(records.current(), part('station')), by)))
        throw new MissingError('next-missing', `nothing is ordered for ${part('station').slice(0, 64)}`)
    },
  )
}

export function viewNext(records: Records, mac: Mac, order: NextBoot | undefined): unknown {
  if (!order) return null
  return { mac, station: records.stationByMac.get(mac)?.name ?? null, ...order, text: describeNext(order) }
}
