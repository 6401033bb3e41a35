// The orders for next boots, kept as marks: made by operators, counted and ended by what stations do. Used by server.ts and the API.
// The rules are boot/next's; here they meet the event log, the clock and the disk.
import { z } from 'zod'
import { findMac, type Mac } from '../boot/address.ts'
import type { BootEvent, Emit } from '../boot/event.ts'
import { describeNext, judgeNext, type NextAsk, type NextBoot, orderNext, stepNext } from '../boot/next.ts'
import type { Records } from '../boot/record.ts'
import type { MarkStore } from './port.ts'

export type NextBoots = {
  /** All orders, by MAC; another map after each change of who gets what. */
  readonly current: () => ReadonlyMap<Mac, NextBoot>
  /** Orders for all of these MACs, or for none of them when the disk refuses (OutsideError). Resolves when durable. */
  readonly order: (macs: readonly Mac[], ask: NextAsk) => Promise<void>
  /** Takes orders away; answers of how many MACs. */
  readonly clear: (macs: readonly Mac[], by: string) => Promise<number>
  /** What a station did. To be called for every event, in order. */
  readonly see: (event: BootEvent) => void
  /** Fails the orders whose time is over. To be called now and then. */
  readonly sweep: () => void
  readonly onChange: (listener: () => void) => () => void
}

type Change = readonly [Mac, NextBoot | undefined]

const prefix = 'next/'

const schema = z.object({
  profile: z.string(),
  times: z.number().int().min(1),
  doneTimes: z.number().int().min(0),
  attempts: z.number().int().min(0),
  attemptsMax: z.number().int().min(1).optional(),
  fallback: z.string().optional(),
  setAt: z.number(),
  expiresAt: z.number(),
  attemptAt: z.number().optional(),
  state: z.enum(['active', 'failed']),
  reason: z.string().optional(),
  by: z.string(),
})

export type NextOptions = {
  readonly marks: MarkStore
  readonly emit: Emit
  readonly now: () => number
  /** All MACs of the station that has this one: an order for one card holds for the others. */
  readonly macsOf: (mac: Mac) => readonly Mac[]
  readonly onFault?: (error: unknown) => void
}

export function createNextBoots({ marks, emit, now, macsOf, onFault = () => undefined }: NextOptions): NextBoots {
  let orders: ReadonlyMap<Mac, NextBoot> = new Map(marks.entries(prefix).flatMap(readMark))
  const listeners = new Set<() => void>()

  function publish(changes: readonly Change[]): void {
    const copy = new Map(orders)
    for (const [mac, next] of changes) {
      if (next) copy.set(mac, next)
      else copy.delete(mac)
    }
    orders = copy
    for (const listener of listeners) listener()
  }

  // Marks of one event-loop turn share one write: all of them are durable, or none.
  const write = async (changes: readonly Change[]): Promise<void> => {
    await Promise.all(changes.map(([mac, next]) => marks.set(prefix + mac, next && JSON.stringify(next))))
  }

  /** What the station did is so, whatever the disk says. */
  function keep(mac: Mac, next: NextBoot | undefined): void {
    publish([[mac, next]])
    write([[mac, next]]).catch(onFault)
  }

  function see(event: BootEvent): void {
    const mac = event.mac && findOrder(event.mac)
    const next = mac && orders.get(mac)
    if (!mac || !next) return
    // A boot begins with the firmware's discover, or with a script where another server gives addresses.
    const begins = (event.kind === 'discover' && event.detail?.stage === 'firmware') || event.kind === 'script-offered'
    const judged = begins ? judgeNext(next, event.at, true) : next
    if (judged !== next) return fail(mac, judged)
    const step = stepNext(next, event)
    if (step.kind === 'changed' && step.next.state === 'failed') fail(mac, step.next)
    else if (step.kind === 'changed') keep(mac, step.next)
    else if (step.kind === 'done') {
      keep(mac, undefined)
      emit({ at: now(), kind: 'next-done', mac, detail: { profile: next.profile, by: next.by } })
    }
  }

  function fail(mac: Mac, next: NextBoot): void {
    keep(mac, next)
    emit({ at: now(), kind: 'next-failed', mac, detail: { profile: next.profile, reason: describeNext(next) } })
  }

  const findOrder = (mac: Mac): Mac | undefined => [mac, ...macsOf(mac)].find((one) => orders.has(one))

  return {
    current: () => orders,
    async order(macs, ask) {
      const changes = macs.map((mac): Change => [mac, orderNext(ask, now())])
      await write(changes)
      publish(changes)
      for (const mac of macs) emit({ at: now(), kind: 'next-ordered', mac, detail: { profile: ask.profile, by: ask.by } })
    },
    async clear(macs, by) {
      const held = macs.filter((mac) => orders.has(mac))
      const changes = held.map((mac): Change => [mac, undefined])
      await write(changes)
      publish(changes)
      for (const mac of held) emit({ at: now(), kind: 'next-cleared', mac, detail: { by } })
      return held.length
    },
    see,
    sweep() {
      for (const [mac, next] of orders) {
        const judged = judgeNext(next, now())
        if (judged !== next) fail(mac, judged)
      }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** The records with the orders in them, the same value for as long as neither changes: plans are remembered by it. */
export function recordsWithNext(records: () => Records, next: Pick<NextBoots, 'current'>): () => Records {
  let made: { readonly from: Records; readonly orders: ReadonlyMap<Mac, NextBoot>; readonly records: Records } | undefined
  return () => {
    const [from, orders] = [records(), next.current()]
    if (made?.from !== from || made.orders !== orders) made = { from, orders, records: orders.size ? { ...from, nextByMac: orders } : from }
    return made.records
  }
}

/** A mark that cannot be read is no order: the station boots as usual. */
function readMark([key, value]: readonly [string, string]): [Mac, NextBoot][] {
  const mac = findMac(key.slice(prefix.length))
  try {
    const parsed = schema.safeParse(JSON.parse(value))
    return mac && parsed.success ? [[mac, parsed.data as NextBoot]] : []
  } catch {
    return []
  }
}
