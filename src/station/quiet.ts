// Keeps floods out of the event log: the same thing is told once in a while, and one peer cannot say everything. Used by gate and door.
import { isWithin } from '../boot/age.ts'

export type Quiet = {
  /** May this be told now? `peer` is who caused it. */
  readonly mayTell: (key: string, peer?: string) => boolean
}

/** The same key once per `everyMs`; at most `perPeer` different ones of one peer in that time. */
export function createQuiet({ now, everyMs = 10_000, perPeer = 20 }: { now: () => number; everyMs?: number; perPeer?: number }): Quiet {
  const maxKeys = 10_000
  const toldAt = new Map<string, number>()
  const peers = new Map<string, { since: number; count: number }>()

  function hasRoom(peer: string, at: number): boolean {
    const seen = peers.get(peer)
    if (seen && isWithin(everyMs, seen.since, at)) return ++seen.count <= perPeer
    if (peers.size >= maxKeys) peers.clear()
    peers.set(peer, { since: at, count: 1 })
    return true
  }

  function mayTell(key: string, peer?: string): boolean {
    const at = now()
    const last = toldAt.get(key)
    if (last !== undefined && isWithin(everyMs, last, at)) return false
    if (peer !== undefined && !hasRoom(peer, at)) return false
    if (toldAt.size >= maxKeys) toldAt.clear()
    toldAt.set(key, at)
    return true
  }

  return { mayTell }
}
