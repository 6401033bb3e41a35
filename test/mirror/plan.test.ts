import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { groupPlans, planParts, type SyncPlan } from '../../src/mirror/plan.ts'
import { createSchedule, isDue, readTimes } from '../../src/mirror/schedule.ts'
import { makeScratch } from '../support/scratch.ts'

const plan = (name: string, more: Partial<SyncPlan> = {}): SyncPlan => ({ name, branch: 'v3.22', repositories: ['main'], arch: 'x86_64', ...more })
const hourMs = 3600_000

describe('plans', () => {
  it('that share a repository are one part, for they share its index', async () => {
    const plans = [
      plan('all-main'),
      plan('kiosks', { repositories: ['main', 'community'], packages: 'stations' }),
      plan('tools', { repositories: ['community'], packages: ['htop', 'nginx~1.2'] }),
      plan('arm', { arch: 'aarch64' }),
      plan('older', { branch: 'v3.21' }),
    ]
    expect(groupPlans(plans).map((group) => group.map(({ name }) => name))).toEqual([['all-main', 'kiosks', 'tools'], ['arm'], ['older']])
    const [part] = await planParts(plans, ['tools'], async () => [['openssh'], ['htop']])
    expect(part).toMatchObject({ name: 'all-main+kiosks+tools', repositories: ['main', 'community'], whole: new Set(['main']) })
    expect(part?.worlds).toEqual([['alpine-base'], ['alpine-base', 'openssh'], ['alpine-base', 'htop'], ['alpine-base', 'htop', 'nginx~1.2']])
  })

  it('asks for the stations’ worlds only where they matter', async () => {
    const never = async (): Promise<never> => {
      throw new Error('asked')
    }
    expect(await planParts([plan('a'), plan('b', { arch: 'aarch64', packages: 'stations' })], ['a'], never)).toHaveLength(1)
    await expect(planParts([plan('a')], ['b'], never)).rejects.toMatchObject({
      code: 'sync-unknown',
      message: expect.stringContaining('there are: a'),
    })
  })
})

describe('the schedule', () => {
  it.each<[string, Partial<SyncPlan>, object, boolean]>([
    ['by command only', {}, {}, false],
    ['never run', { every: 'day' }, {}, true],
    ['an hour ago', { every: 'day' }, { okAt: -hourMs, triedAt: -hourMs }, false],
    ['a day ago', { every: 'day' }, { okAt: -24 * hourMs, triedAt: -24 * hourMs }, true],
    ['a day ago, weekly', { every: 'week' }, { okAt: -24 * hourMs, triedAt: -24 * hourMs }, false],
    ['failed ten minutes ago', { every: 'day' }, { okAt: -30 * hourMs, triedAt: -hourMs / 6 }, false],
    ['failed two hours ago', { every: 'day' }, { okAt: -30 * hourMs, triedAt: -2 * hourMs }, true],
    ['never good, failed just now', { every: 'week' }, { triedAt: -1000 }, false],
    ['good in the future: the clock was set back', { every: 'week' }, { okAt: 99 * hourMs, triedAt: 99 * hourMs }, true],
  ])('%s', (_, more, offsets, due) => {
    const now = 1_700_000_000_000
    const times = Object.fromEntries(Object.entries(offsets).map(([name, offset]) => [name, now + (offset as number)]))
    expect(isDue(plan('a', more), times, now)).toBe(due)
  })

  it('runs what is due, once at a time, and keeps the times', async () => {
    const file = join(await makeScratch(), 'mirror/sync.json')
    const runs: string[] = []
    let at = 1_700_000_000_000
    let isBad = false
    const schedule = createSchedule({
      plans: [plan('a', { every: 'day' }), plan('b', { branch: 'v3.21', every: 'week' }), plan('c', { branch: 'v3.20' })],
      file,
      now: () => at,
      run: async (names) => {
        runs.push(names.join())
        if (isBad) throw new Error('upstream is away')
      },
    })
    await Promise.all([schedule.tick(), schedule.tick()])
    expect(runs).toEqual(['a', 'b'])
    at += 25 * hourMs
    isBad = true
    await schedule.tick()
    expect(runs).toEqual(['a', 'b', 'a'])
    expect((await readTimes(file)).a).toEqual({ okAt: 1_700_000_000_000, triedAt: at, reason: 'upstream is away' })
    await schedule.tick()
    expect(runs).toHaveLength(3)
    at += 2 * hourMs
    isBad = false
    await schedule.tick()
    expect((await readTimes(file)).a).toEqual({ okAt: at, triedAt: at })
  })
})
