import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { createLive, liveLimits, parseResume } from '../../src/http/live.ts'
import { createEventRing } from '../../src/store/ring.ts'
import { callFrom, createRig, macA, macB, startedAt } from './rig.ts'

const here = callFrom('127.0.0.1', { host: 'localhost' })
const up = (at: number, mac = macA): BootEvent => ({ at: startedAt + at, kind: 'up', mac })
const decoder = new TextDecoder()

/** Reads from a stream until so many events came; answers their ids and times since the start. */
async function readEvents(reader: ReadableStreamDefaultReader<Uint8Array>, count: number): Promise<{ id: string; at: number }[]> {
  let text = ''
  const found = () => [...text.matchAll(/^id: (.+)\ndata: (.+)\n\n/gm)]
  while (found().length < count) {
    const { value, done } = await reader.read()
    if (done) break
    text += decoder.decode(value)
  }
  return found().map(([, id = '', data = '']) => ({ id, at: JSON.parse(data).at - startedAt }))
}

const openStream = async (rig: ReturnType<typeof createRig>, query = '', headers: Record<string, string> = {}) =>
  rig.app.request(`/api/v1/events${query}`, { headers: { accept: 'text/event-stream', ...headers } }, here)

const readerOf = (response: Response) => (response.body as ReadableStream<Uint8Array>).getReader()

describe('live events', () => {
  it('come as they happen, those that fit', async () => {
    const rig = createRig()
    rig.events.append(up(0))
    const response = await openStream(rig, `?mac=${macA}&kinds=up`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = readerOf(response)
    rig.events.append(up(1, macB))
    rig.events.append({ at: startedAt + 2, kind: 'kernel', mac: macA })
    rig.events.append(up(3))
    rig.events.append(up(4))
    expect(await readEvents(reader, 2)).toEqual([
      { id: `${startedAt + 3}.0`, at: 3 },
      { id: `${startedAt + 4}.0`, at: 4 },
    ])
    await reader.cancel()
  })

  it('begin with the past when asked since when', async () => {
    const rig = createRig()
    for (let at = 0; at < 5; at++) rig.events.append(up(at))
    const reader = readerOf(await openStream(rig, `?since=${startedAt + 2}`))
    rig.events.append(up(9))
    expect((await readEvents(reader, 4)).map(({ at }) => at)).toEqual([2, 3, 4, 9])
    await reader.cancel()
  })

  it('begin with a bounded past, however much is asked for', async () => {
    const rig = createRig()
    for (let at = 0; at < 5000; at++) rig.events.append({ ...up(at), detail: { report: 'x'.repeat(200), file: 'y'.repeat(200) } })
    const reader = readerOf(await openStream(rig, '?since=0&limit=10000'))
    rig.events.append(up(9999))
    const events = await readEvents(reader, liveLimits.past + 1)
    expect([events.length, events[0]?.at, events.at(-1)?.at]).toEqual([1001, 4000, 9999])
    await reader.cancel()
  })

  it('go on where a reader stopped, also in the middle of a millisecond', async () => {
    const rig = createRig()
    for (const at of [0, 1, 1, 1, 2]) rig.events.append(up(at))
    const all = await readEvents(readerOf(await openStream(rig, '?since=0')), 5)
    expect(new Set(all.map(({ id }) => id)).size).toBe(5)
    for (const [index, { id }] of all.entries()) {
      const rest = all.slice(index + 1)
      const reader = readerOf(await openStream(rig, '', { 'last-event-id': id }))
      rig.events.append(up(10 + index))
      expect((await readEvents(reader, rest.length + index + 1)).slice(0, rest.length)).toEqual(rest)
      await reader.cancel()
    }
  })

  it.each(['', 'x', '1', '1.', '.1', '1.2.3', '-1.0', '99999999999999999.0'])('does not resume from %j', (text) => {
    expect(parseResume(text)).toBeUndefined()
  })

  it('stop listening when the reader goes', async () => {
    const rig = createRig()
    const reader = readerOf(await openStream(rig))
    expect(rig.beats).toHaveLength(1)
    await reader.cancel()
    expect(rig.beats).toHaveLength(0)
  })

  it('send a heartbeat', async () => {
    const rig = createRig()
    const reader = readerOf(await openStream(rig))
    expect(decoder.decode((await reader.read()).value)).toBe('retry: 2000\n\n')
    rig.beats[0]?.()
    expect(decoder.decode((await reader.read()).value)).toBe(':\n\n')
    await reader.cancel()
  })

  it('do not open a stream for HEAD', async () => {
    const rig = createRig()
    const response = await rig.app.request('/api/v1/events', { method: 'HEAD', headers: { accept: 'text/event-stream' } }, here)
    expect([response.status, response.headers.get('content-type'), rig.beats.length]).toEqual([200, 'text/event-stream', 0])
  })

  it('cut off a reader that does not read, within the bound', async () => {
    const rig = createRig()
    const reader = readerOf(await openStream(rig))
    const big: BootEvent = { at: startedAt, kind: 'up', mac: macA, detail: { report: 'x'.repeat(1000) } }
    for (let round = 0; round < 5000; round++) rig.events.append(big)
    expect(rig.beats).toHaveLength(0)
    let received = 0
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) received += piece.value.length
    expect(received).toBeLessThan(liveLimits.waitingBytes + 2000)
  })

  it('are for so many readers, and for more when one goes', async () => {
    const rig = createRig()
    const readers = []
    for (let round = 0; round < liveLimits.streams; round++) readers.push(readerOf(await openStream(rig)))
    const refused = await openStream(rig)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    await readers.pop()?.cancel()
    const response = await openStream(rig)
    expect(response.status).toBe(200)
    for (const reader of [...readers, readerOf(response)]) await reader.cancel()
    expect(rig.beats).toHaveLength(0)
  })

  it('beat by a timer of its own where none is given', async () => {
    const live = createLive(createEventRing(10))
    const stream = live.open({})
    expect(live.count()).toBe(1)
    await stream?.cancel()
    expect(live.count()).toBe(0)
  })
})
