import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { loadConfig } from '../../src/config.ts'
import { leaveEvents, takeEvents } from '../../src/server/told.ts'
import { makeScratch } from '../support/scratch.ts'

const synced = (at: number): BootEvent => ({ at, kind: 'mirror-synced', detail: { name: 'kiosks', downloaded: 3, by: 'command' } })

async function makeSite() {
  const folder = await makeScratch()
  const { config } = loadConfig({ flags: { depot: join(folder, 'depot'), state: join(folder, 'state') }, env: {}, cwd: folder })
  const events: BootEvent[] = []
  const take = () => takeEvents(config, (event) => void events.push(event))
  return { config, events, take, told: join(folder, 'state/mirror/told') }
}

describe('what commands leave for the event log', () => {
  it('is told once, the oldest first', async () => {
    const { config, events, take, told } = await makeSite()
    await take()
    await leaveEvents(config, [synced(2)])
    await leaveEvents(config, [synced(1), synced(3)])
    await leaveEvents(config, [])
    await take()
    await take()
    expect(events).toEqual([synced(1), synced(2), synced(3)])
    expect(readdirSync(told)).toEqual([])
  })

  it('is not much, and nothing that anybody may make up', async () => {
    const { config, events, take, told } = await makeSite()
    for (let at = 1; at <= 105; at++) await leaveEvents(config, [synced(at)])
    expect(readdirSync(told).length).toBe(100)
    await take()
    expect(events.length).toBe(100)
    const name = '00000000-0000-4000-8000-000000000000.json'
    for (const text of [
      '{',
      '[{"at":1,"kind":"up","mac":"52:54:00:00:00:01"}]',
      JSON.stringify([{ ...synced(1), detail: { x: 'y'.repeat(70_000) } }]),
    ]) {
      writeFileSync(join(told, name), text)
      await take()
      expect([events.length, existsSync(join(told, name))]).toEqual([100, false])
    }
  })
})
