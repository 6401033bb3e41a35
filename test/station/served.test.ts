// What the history is told: each overlay once, in order, and never in a station's way; and what of tickets outlives a restart.
import { describe, expect, it } from 'vitest'
import type { AppendAsk, History } from '../../src/overlay/history.ts'
import { createServed } from '../../src/station/served.ts'
import type { FoundOverlay } from '../../src/station/shelf.ts'
import { openTicketStore } from '../../src/station/ticket-store.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { mac, otherMac } from '../support/station.ts'

const report = { entries: 1, inflatedBytes: 1, world: [], repositories: [], services: [], hasDefaultServices: true, warnings: [] }
const archive: FoundOverlay = { path: 'configs/default.tar.gz', from: 'default', identity: 'a1', report }
const composed: FoundOverlay = { path: 'configs/x.tar.gz', from: 'layers', identity: 'c1', report, file: '/state/c1', digest: 'd1', isSecret: true }

function stage(fails = 0) {
  const told: string[] = []
  const faults: unknown[] = []
  let left = fails
  const history: Pick<History, 'append' | 'noteBooted' | 'list'> = {
    list: async (who) => {
      if (who === otherMac) throw new Error('disk gone')
      return { versions: told.filter((line) => line.startsWith(who)).map((line) => ({ isSecret: line.endsWith('secret') })) as never }
    },
    append: async ({ mac: who, kind, source, isSecret }: AppendAsk) => {
      if (left-- > 0) throw new Error('disk full')
      told.push(`${who} ${kind} ${JSON.stringify(source)}${isSecret ? ' secret' : ''}`)
      return { digest: 'digest' in source ? source.digest : 'of-file' } as never
    },
    noteBooted: async (who, digest) => void told.push(`${who} booted ${digest}`),
  }
  return { told, faults, served: createServed({ history, depot: '/depot', onFault: (error) => void faults.push(error) }) }
}

describe('what was served', () => {
  it('is told once, whole archives by their file and then by their digest', async () => {
    const { served, told } = stage()
    for (const who of [mac, mac, otherMac]) served.give(who, archive)
    served.give(mac, archive)
    served.come(mac)
    await served.settle()
    expect(told).toEqual([`${mac} found {"file":"/depot/configs/default.tar.gz"}`, `${otherMac} found {"digest":"of-file"}`, `${mac} booted of-file`])
    served.give(mac, archive)
    await served.settle()
    expect(told).toHaveLength(3)
    expect(await served.hasSecrets(mac)).toBe(false)
  })

  it('of layers keeps its secrets marked, and is what the report is held against', async () => {
    const { served, told } = stage()
    served.give(mac, composed)
    served.come(mac)
    served.come(otherMac)
    await served.settle()
    expect(told).toEqual([`${mac} composed {"digest":"d1"} secret`, `${mac} booted d1`])
    expect([served.last(mac), served.last(otherMac)]).toEqual([composed, undefined])
    expect([await served.hasSecrets(mac), await served.hasSecrets(otherMac)]).toEqual([true, true])
  })

  it('is tried again with the next boot when the disk refused it', async () => {
    const { served, told, faults } = stage(1)
    served.give(mac, composed)
    served.come(mac)
    await served.settle()
    expect([told, faults.length]).toEqual([[], 1])
    served.give(mac, composed)
    await served.settle()
    expect(told).toHaveLength(1)
  })
})

describe('the ticket store', () => {
  it('makes its key once, and forgets used tickets when their time is over', async () => {
    const { marks } = createMemoryStore()
    let clock = 1_000_000
    const open = () =>
      openTicketStore(
        marks,
        () => clock,
        () => {},
      )
    const first = await open()
    first.used.add('one', clock + 1000)
    first.used.add('two', clock + 200_000)
    const again = await open()
    expect(Buffer.from(again.key).equals(Buffer.from(first.key))).toBe(true)
    expect(again.key).toHaveLength(32)
    expect(again.used.all()).toEqual([
      ['one', 1_001_000],
      ['two', 1_200_000],
    ])
    clock += 100_000
    again.used.add('three', clock + 1000)
    expect((await open()).used.all().map(([id]) => id)).toEqual(['three', 'two'])
  })

  it('makes a new key in place of one that is spoiled', async () => {
    const { marks } = createMemoryStore()
    await marks.set('ticket-key', 'short')
    expect(
      (
        await openTicketStore(
          marks,
          () => 0,
          () => {},
        )
      ).key,
    ).toHaveLength(32)
    expect(marks.get('ticket-key')).toMatch(/^[0-9a-f]{64}$/)
  })
})
