import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BootEvent } from '../../src/boot/event.ts'
import { loadConfig } from '../../src/config.ts'
import { listWorlds, startMirrorSchedule, syncMirror, syncTimesFile, withMirrorLock } from '../../src/server/mirror.ts'
import { MissingError } from '../../src/boot/error.ts'
import type { Station } from '../../src/boot/record.ts'
import { community, main, makeRig } from '../mirror/rig.ts'

const sync = '[{name: kiosks, branch: v3.22, packages: stations, every: day}, {name: gone, branch: v3.9, repositories: [main]}]'

async function makeSite() {
  const rig = await makeRig()
  const folder = join(rig.root, '..')
  const flags = {
    depot: join(folder, 'depot'),
    state: join(folder, 'state'),
    'packages.root': rig.root,
    'mirror.upstream': rig.upstream.url,
    'mirror.sync': sync,
  }
  const { config } = loadConfig({ flags, env: {}, cwd: folder })
  const events: BootEvent[] = []
  const parts = { listWorlds: async () => [['nginx']], emit: (event: BootEvent) => void events.push(event), now: () => rig.clock.at }
  return { ...rig, config, events, parts }
}

describe('the mirror’s own work', () => {
  it('syncs by the clock what the stations ask for, and notes when', async () => {
    const { root, config, events, parts, clock } = await makeSite()
    const stop = startMirrorSchedule(config, parts)
    await expect.poll(() => events.length, { timeout: 15_000 }).toBe(1)
    await expect.poll(() => existsSync(syncTimesFile(config)), { timeout: 15_000 }).toBe(true)
    await stop()
    expect(events[0]).toMatchObject({ kind: 'mirror-synced', detail: { name: 'kiosks', downloaded: 5 } })
    expect(existsSync(join(root, community, 'nginx-1.0-r0.apk'))).toBe(true)
    expect(existsSync(join(root, main, 'alpine-base-1.0-r0.apk'))).toBe(true)
    expect(existsSync(join(root, community, 'htop-1.0-r0.apk'))).toBe(false)
    expect(JSON.parse(readFileSync(syncTimesFile(config), 'utf8'))).toEqual({ kiosks: { okAt: clock.at, triedAt: clock.at } })
  })

  it('one part that fails does not keep the others from being synced', async () => {
    const { config, events, parts } = await makeSite()
    await expect(syncMirror(config, { names: [], ...parts })).rejects.toMatchObject({ code: 'upstream-missing' })
    expect(events.map(({ kind }) => kind).sort()).toEqual(['mirror-failed', 'mirror-synced'])
    expect(JSON.parse(readFileSync(syncTimesFile(config), 'utf8')).gone).toMatchObject({ reason: expect.stringContaining('v3.9/main') })
  })

  it('one at a time: a second one is told who is at it', async () => {
    const { config, parts } = await makeSite()
    await withMirrorLock(config, async () => {
      await expect(syncMirror(config, { names: ['kiosks'], ...parts })).rejects.toMatchObject({ code: 'state-locked' })
    })
    expect(await syncMirror(config, { names: ['kiosks'], ...parts })).toHaveLength(1)
  })

  it('a station without an overlay has no world; a broken one is told', async () => {
    const stations = [{ macs: ['52:54:00:00:00:01'] }, { macs: ['52:54:00:00:00:02'] }] as unknown as Station[]
    const show = async (mac: string): Promise<never> => {
      if (mac.endsWith('1')) throw new MissingError('overlay-missing', 'none')
      return { packages: ['openssh'] } as never
    }
    expect(await listWorlds(stations, { show })).toEqual([['openssh']])
    await expect(listWorlds(stations, { show: async () => Promise.reject(new Error('broken')) })).rejects.toThrow('broken')
  })
})
