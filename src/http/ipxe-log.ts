// The log of one build as server-sent events: the lines so far, then what comes, up to the end. Called by ipxe.
// Bounded: a reader that is too slow is cut off.
import type { Build, Builds } from '../ipxe/build.ts'

const waitingBytes = 512 * 1024
const encoder = new TextEncoder()

/** `event: line` carries make's line, `event: state` the build; the stream ends with the build. @throws MissingError. */
export function streamBuild(builds: Builds, id: string, view: (build: Build) => object, isHead = false): Response {
  const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }
  builds.find(id)
  if (isHead) return new Response(null, { headers })
  let stop = (): void => {}
  const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    let isOpen = true
    const end = (): void => {
      if (!isOpen) return
      isOpen = false
      stop()
      controller.close()
    }
    const send = (event: string, data: unknown): void => {
      if (!isOpen) return
      controller.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
      if ((controller.desiredSize ?? 0) <= 0) end()
    }
    stop = builds.listen(id, (event) => {
      if (event.kind === 'line') return send('line', event.line)
      send('state', view(event.build))
      if (event.build.endedAt !== undefined) end()
    })
    if (!isOpen) stop()
  }
  const stream = new ReadableStream({ start, cancel: () => stop() }, new ByteLengthQueuingStrategy({ highWaterMark: waitingBytes }))
  return new Response(stream, { headers })
}
