// Follows a server's event log over its HTTP API. Used by session. Never writes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mac } from '../boot/address.ts'
import type { BootEvent } from '../boot/event.ts'

/** Resolves when the server answers; false when it has not after `timeoutMs` or `signal` came. */
export async function waitForServer(base: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (!signal.aborted && Date.now() < deadline) {
    try {
      const answer = await fetch(`${base}/api/v1/events?limit=1`, { signal: AbortSignal.timeout(5000) })
      await answer.arrayBuffer()
      return true
    } catch {
      await pause(100, signal)
    }
  }
  return false
}

/**
 * Every event since `since` (ms since 1970), once each, until the signal: the station's, or everybody's without a `mac`. A server that
 * does not answer is asked again.
 */
export async function* followEvents(base: string, mac: Mac | undefined, since: number, signal: AbortSignal): AsyncGenerator<BootEvent> {
  let seen = 0
  while (true) {
    const isLast = signal.aborted
    const events = await readEvents(`${base}/api/v1/events?since=${since}&limit=10000${mac ? `&mac=${mac}` : ''}`)
    for (const event of events.slice(seen)) yield event
    seen = Math.max(seen, events.length)
    if (isLast) return
    await pause(200, signal)
  }
}

async function readEvents(url: string): Promise<readonly BootEvent[]> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
    return answer.ok ? ((await answer.json()) as BootEvent[]) : []
  } catch {
    return []
  }
}

/** Ends early, without an error, when the signal comes. */
const pause = (ms: number, signal: AbortSignal): Promise<unknown> => sleep(ms, undefined, { signal }).catch(() => undefined)
