import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EventKind } from '../../src/boot/event.ts'
import { type EventLimits, openEvents, shed } from '../../src/store/event.ts'
import type { Trouble } from '../../src/store/trouble.ts'
import { event } from '../contract/store.ts'
import { makeScratch } from '../support/scratch.ts'

// The timer never fires by itself here: the tests flush.
const calm = { flushMs: 3_600_000 }
const openLog = (path: string, limits: Partial<EventLimits> = {}, told: Trouble[] = []) =>
  openEvents(path, { now: () => 77, report: (trouble) => void told.push(trouble), limits: { ...calm, ...limits } })
const kindsIn = async (path: string) =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).kind)

describe('the event log on disk', () => {
  it('writes by itself after a moment', async () => {
    const path = join(await makeScratch(), 'events.jsonl')
    const log = await openLog(path, { flushMs: 1 })
    log.append(event(1, 'up'))
    await expect.poll(() => kindsIn(path)).toEqual(['up'])
    await log.close()
  })

  it('reads back the newest of both files, in order, and no more than its memory', async () => {
    const path = join(await makeScratch(), 'events.jsonl')
    const log = await openLog(path, { fileBytes: 1500 })
    for (let at = 0; at < 100; at++) {
      log.append(event(at, 'script'))
      await log.flush()
    }
    await log.close()
    expect((await stat(`${path}.1`)).size).toBeGreaterThan(1500)
    expect((await stat(path)).size + (await stat(`${path}.1`)).size).toBeLessThan(2 * 1500 + 200)
    const whole = await openLog(path)
    const ats = whole.read({}).map(({ at }) => at)
    expect(ats.length).toBeGreaterThan(50)
    expect(ats).toEqual(Array.from({ length: ats.length }, (_, index) => 100 - ats.length + index))
    await whole.close()
    const small = await openLog(path, { memory: 5 })
    expect(small.read({}).map(({ at }) => at)).toEqual([95, 96, 97, 98, 99])
    await small.close()
  })

  it('passes over lines that it cannot understand, and says so', async () => {
    const path = join(await makeScratch(), 'events.jsonl')
    await writeFile(path, '{"at":1,"kind":"up"}\nnoise\n{"at":"x","kind":"up"}\n{"at":2,"kind":"of-tomorrow","more":1}\n{"at":3')
    const told: Trouble[] = []
    const log = await openLog(path, {}, told)
    expect(log.read({})).toEqual([
      { at: 1, kind: 'up' },
      { at: 2, kind: 'of-tomorrow', more: 1 },
    ])
    expect(told).toEqual([{ file: 'events.jsonl', line: 2, reason: expect.stringContaining('2 lines') }])
    await log.close()
  })

  it('drops the oldest chatter first when the disk is too slow, and says how many', async () => {
    const path = join(await makeScratch(), 'events.jsonl')
    const log = await openLog(path, { queue: 100 })
    for (let at = 0; at < 40; at++) log.append(event(at, 'up'))
    for (let at = 40; at < 300; at++) log.append(event(at, 'discover'))
    await log.close()
    const kinds = await kindsIn(path)
    expect(kinds.filter((kind) => kind === 'up').length).toBe(40)
    const lines = (await readFile(path, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const dropped = lines.filter(({ kind }) => kind === 'dropped')
    expect(dropped.map(({ at }) => at)).toEqual([77])
    expect(dropped[0].detail.count + lines.length - 1).toBe(300)
    expect(lines.filter(({ kind }) => kind === 'discover').at(-1).at).toBe(299)
  })

  it('still shows everything in memory and to listeners', async () => {
    const log = await openLog(join(await makeScratch(), 'events.jsonl'), { queue: 10 })
    const heard: number[] = []
    log.listen(({ at }) => void heard.push(at))
    for (let at = 0; at < 50; at++) log.append(event(at, 'discover'))
    expect([heard.length, log.read({}).length]).toEqual([50, 50])
    await log.close()
  })

  it('reports a disk that fails once, keeps running, and tells what was lost when it is back', async () => {
    const scratch = await makeScratch()
    const folder = join(scratch, 'state')
    await mkdir(folder)
    const told: Trouble[] = []
    const log = await openLog(join(folder, 'events.jsonl'), { fileBytes: 10 }, told)
    await rename(folder, join(scratch, 'away'))
    for (let at = 0; at < 3; at++) {
      log.append(event(at, 'up'))
      await log.flush()
    }
    expect(told.length).toBe(1)
    await rm(folder, { recursive: true, force: true })
    await rename(join(scratch, 'away'), folder)
    log.append(event(9, 'up'))
    await log.flush()
    expect(log.read({ kinds: ['dropped'] }).length).toBe(1)
    await log.close()
  })

  it('never throws, not even for what JSON cannot hold', async () => {
    const log = await openLog(join(await makeScratch(), 'events.jsonl'))
    log.append(event(1, 'up', { detail: { big: 10n as unknown as number } }))
    await log.flush()
    log.append(event(2, 'up'))
    await log.close()
    expect(log.read({ kinds: ['up'] }).length).toBe(2)
  })
})

describe('shed', () => {
  const make = (kinds: readonly EventKind[]) => kinds.map((kind, at) => event(at, kind))
  const rows: [string, EventKind[], number, number[]][] = [
    ['nothing when it fits', ['up', 'ack'], 2, [0, 1]],
    ['the oldest chatter', ['ack', 'up', 'ack', 'ack'], 2, [1, 3]],
    ['then the oldest of all', ['up', 'ack', 'script', 'kernel'], 2, [2, 3]],
    ['everything for no room', ['up', 'ack'], 0, []],
  ]
  it.each(rows)('takes away %s', (_, kinds, size, expected) => {
    expect(shed(make(kinds), size).map(({ at }) => at)).toEqual(expected)
  })
})
