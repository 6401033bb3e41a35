// Events as they happen, as server-sent events: for the page, `bivouac events --follow` and anybody's curl. Called by api.
// Bounded: so many streams, so many bytes waiting in each; a reader that is too slow is cut off and resumes by Last-Event-ID.
import type { BootEvent } from '../boot/event.ts'
import type { EventLog, EventQuery } from '../store/port.ts'
import type { AppDeps } from './deps.ts'

/** `past` is how many events a stream may begin with: all of them fit into what may wait. */
export const liveLimits = { streams: 32, waitingBytes: 1024 * 1024, past: 1000, heartbeatMs: 15_000 }

/** Where a reader stopped: the time of its last event, and how many of that millisecond it had. */
export type Resume = { readonly at: number; readonly count: number }

/** `1700000000000.2` as in our `id:` lines; undefined for anything else. */
export function parseResume(text: string | undefined): Resume | undefined {
  const found = /^(\d{1,15})\.(\d{1,6})$/.exec(text ?? '')
  return found ? { at: Number(found[1]), count: Number(found[2]) + 1 } : undefined
}

const encoder = new TextEncoder()

/** `open` answers a stream of the events that fit, from `resume` or `since` on, or undefined when too many streams are open. */
export function createLive(
  events: EventLog,
  every: NonNullable<AppDeps['every']> = everyByTimer,
): {
  open: (query: EventQuery, resume?: Resume) => ReadableStream<Uint8Array> | undefined
  count: () => number
} {
  let streams = 0

  const open = (query: EventQuery, resume?: Resume): ReadableStream<Uint8Array> | undefined => {
    if (streams >= liveLimits.streams) return undefined
    streams++
    let stop = (): void => {}
    const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      const write = (text: string): void => {
        controller.enqueue(encoder.encode(text))
        if ((controller.desiredSize ?? 0) > 0) return
        stop()
        controller.close()
      }
      const send = createFormatter(resume)
      const stopBeat = every(liveLimits.heartbeatMs, () => write(':\n\n'))
      let isOpen = true
      let stopListening = (): void => {}
      stop = () => {
        if (!isOpen) return
        isOpen = false
        streams--
        stopBeat()
        stopListening()
      }
      write('retry: 2000\n\n')
      for (const event of readPast(events, query, resume)) if (isOpen) write(send(event))
      if (isOpen) stopListening = events.listen((event) => fits(event, query) && write(send(event)))
    }
    return new ReadableStream({ start, cancel: () => stop() }, new ByteLengthQueuingStrategy({ highWaterMark: liveLimits.waitingBytes }))
  }
  return { open, count: () => streams }
}

/** What was missed: everything since the resume point, else since the time asked for, else nothing. */
function readPast(events: EventLog, query: EventQuery, resume: Resume | undefined): readonly BootEvent[] {
  const limit = Math.min(query.limit ?? liveLimits.past, liveLimits.past)
  if (!resume) return query.since === undefined ? [] : events.read({ ...query, limit })
  let skip = resume.count
  return events.read({ ...query, since: resume.at - 1, limit }).filter(({ at }) => at > resume.at || (at === resume.at && skip-- <= 0))
}

const fits = (event: BootEvent, { mac, kinds }: EventQuery): boolean =>
  (mac === undefined || event.mac === mac) && (kinds === undefined || kinds.includes(event.kind))

/** Numbers the events of one stream: `<at>.<how many before it in the same millisecond>`. */
function createFormatter(resume: Resume | undefined): (event: BootEvent) => string {
  let at = resume?.at ?? -1
  let count = resume?.count ?? 0
  return (event) => {
    count = event.at === at ? count : 0
    at = event.at
    return `id: ${at}.${count++}\ndata: ${JSON.stringify(event)}\n\n`
  }
}

function everyByTimer(intervalMs: number, run: () => void): () => void {
  const timer = setInterval(run, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}
