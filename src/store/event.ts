// The event log on disk: the newest events in memory, all of them in two files that are rotated by size.
// Appending never waits and never throws: a queue is written ten times a second, and what a slow disk cannot take is dropped and counted.
import { basename } from 'node:path'
import { z } from 'zod'
import type { BootEvent, EventKind } from '../boot/event.ts'
import { openJournal } from './journal.ts'
import type { EventLog } from './port.ts'
import { replayJournal } from './replay.ts'
import { createEventRing } from './ring.ts'
import type { Report } from './trouble.ts'

export type EventLimits = {
  /** Events in memory, and read back at the start. */
  readonly memory: number
  /** Events that may wait for the disk. */
  readonly queue: number
  /** Size of each of the two files. */
  readonly fileBytes: number
  readonly flushMs: number
}

export const eventLimits: EventLimits = { memory: 20_000, queue: 10_000, fileBytes: 16 << 20, flushMs: 100 }

// A newer version's kinds and fields are kept as they are.
const eventSchema = z.looseObject({ at: z.number(), kind: z.string() })
const readEvent = (value: unknown): BootEvent => eventSchema.parse(value) as unknown as BootEvent

/** What is lost first when the disk is too slow: the small talk of DHCP, of which there is most and which tells least. */
const chatter: ReadonlySet<EventKind> = new Set(['discover', 'offer', 'request', 'ack', 'nak', 'inform', 'release', 'malformed'])

const groupEvents = 1000

export type EventOptions = { readonly now: () => number; readonly report: Report; readonly limits?: Partial<EventLimits> }

/** An event log whose queue can be waited for. */
export type DiskEventLog = EventLog & { flush(): Promise<void>; close(): Promise<void> }

/** Opens the log at `path`; its older half is `<path>.1`. Throws OutsideError when the disk refuses. */
export async function openEvents(path: string, { now, report, limits }: EventOptions): Promise<DiskEventLog> {
  const { memory, queue: maxQueue, fileBytes, flushMs } = { ...eventLimits, ...limits }
  const { journal, entries, bad } = await openJournal(path, { sync: false, read: readEvent, last: memory })
  if (bad.length)
    report({
      file: basename(path),
      line: bad[0]?.line ?? 0,
      reason: `${bad.length} lines cannot be understood and are passed over: ${bad[0]?.reason}`,
    })
  const older = entries.length < memory ? await replayJournal(`${path}.1`, { read: readEvent, last: memory - entries.length }) : undefined
  const ring = createEventRing(memory)
  for (const event of [...(older?.entries ?? []), ...entries]) ring.append(event)

  let queue: BootEvent[] = []
  let dropped = 0
  let flushing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let isFailing = false

  const flush = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    flushing ??= writeQueue().finally(() => {
      flushing = undefined
    })
    return flushing
  }

  async function writeQueue(): Promise<void> {
    while (queue.length || (dropped && !isFailing)) {
      if (dropped && !isFailing) tellDropped()
      await writeGroup(queue.splice(0, groupEvents))
    }
  }

  function tellDropped(): void {
    const event: BootEvent = { at: now(), kind: 'dropped', detail: { count: dropped } }
    dropped = 0
    ring.append(event)
    queue.push(event)
  }

  async function writeGroup(group: readonly BootEvent[]): Promise<void> {
    try {
      if (journal.figures().sizeBytes > fileBytes) await journal.rotate(`${path}.1`)
      await journal.append(group)
      isFailing = false
    } catch (error) {
      dropped += group.reduce((sum, { kind, detail }) => sum + (kind === 'dropped' ? Number(detail?.count) : 1), 0)
      if (!isFailing) report({ file: basename(path), reason: (error as Error).message })
      isFailing = true
    }
  }

  return {
    append(event) {
      queue.push(event)
      if (queue.length > maxQueue) {
        const kept = shed(queue, Math.ceil(maxQueue * 0.9))
        dropped += queue.length - kept.length
        queue = kept
      }
      timer ??= setTimeout(flush, flushMs).unref()
      ring.append(event)
    },
    read: ring.read,
    listen: ring.listen,
    flush,
    async close() {
      await flush()
      clearTimeout(timer)
      await journal.close()
    },
  }
}

/** The queue cut to `size`: the oldest chatter goes first, then the oldest of all. */
export function shed(queue: readonly BootEvent[], size: number): BootEvent[] {
  let excess = queue.length - size
  const kept = queue.filter(({ kind }) => {
    const isShed = excess > 0 && chatter.has(kind)
    if (isShed) excess--
    return !isShed
  })
  return kept.slice(Math.max(0, kept.length - size))
}
