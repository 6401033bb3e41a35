// What of tickets outlives a restart, as marks of the store: the key that seals them, and which ones were used. Used by server.ts.
import { randomBytes } from 'node:crypto'
import type { MarkStore } from '../store/port.ts'
import type { TicketOptions } from './ticket.ts'

const keyMark = 'ticket-key'
const usedPrefix = 'ticket-used/'

/** The key, made at the first start. Used tickets are forgotten when their time is over. Resolves when the key is durable. */
export async function openTicketStore(
  marks: MarkStore,
  now: () => number,
  onFault: (error: unknown) => void,
  random: (size: number) => Buffer = randomBytes,
): Promise<Required<Pick<TicketOptions, 'key' | 'used'>>> {
  const known = marks.get(keyMark)
  const key = /^[0-9a-f]{64}$/.test(known ?? '') ? Buffer.from(known ?? '', 'hex') : random(32)
  if (key.toString('hex') !== known) await marks.set(keyMark, key.toString('hex'))
  const all = (): (readonly [string, number])[] => marks.entries(usedPrefix).map(([name, until]) => [name.slice(usedPrefix.length), Number(until)])
  const set = (id: string, until: string | undefined): void => void marks.set(usedPrefix + id, until).catch(onFault)
  let sweepAt = 0

  function add(id: string, until: number): void {
    set(id, String(until))
    if (now() < sweepAt) return
    sweepAt = now() + sweepMs
    for (const [old, end] of all()) if (!(end > now())) set(old, undefined)
  }
  return { key, used: { all, add } }
}

const sweepMs = 60_000
