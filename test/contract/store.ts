// What every adapter of src/store/port.ts must do. Run by test/store/embedded.test.ts and test/store/memory.test.ts.
import { describe, expect, it } from 'vitest'
import type { Ipv4, Mac } from '../../src/boot/address.ts'
import type { BootEvent, EventKind } from '../../src/boot/event.ts'
import type { Lease, Store } from '../../src/store/port.ts'

export const mac = (number: number) => `52:54:00:00:00:${number.toString(16).padStart(2, '0')}` as Mac

export const lease = (number: number, more: Partial<Lease> = {}): Lease => ({
  network: 'lab',
  ip: `10.9.0.${number}` as Ipv4,
  mac: mac(number),
  state: 'bound',
  expiresAt: 1_800_000_000 + number,
  ...more,
})

export const event = (at: number, kind: EventKind = 'ack', more: Partial<BootEvent> = {}): BootEvent => ({ at, kind, ...more })

/** `open` makes an empty store; where the adapter remembers, `reopen` closes it and opens the same one again. */
export function describeStore(name: string, open: () => Promise<Store>, reopen?: (store: Store) => Promise<Store>): void {
  describe(`${name}: leases`, () => {
    it('begins empty, and answers the last written of each address in the order of first writing', async () => {
      const store = await open()
      expect(store.leases.all()).toEqual([])
      await store.leases.put([lease(1), lease(2)])
      await store.leases.put([lease(3), lease(1, { state: 'released' })])
      expect(store.leases.all()).toEqual([lease(1, { state: 'released' }), lease(2), lease(3)])
      await store.close()
    })

    it('keeps the same address of two networks apart', async () => {
      const store = await open()
      await store.leases.put([lease(1), lease(1, { network: 'hall', mac: mac(9) })])
      expect(store.leases.all().map(({ network, mac: holder }) => [network, holder])).toEqual([
        ['lab', mac(1)],
        ['hall', mac(9)],
      ])
      await store.close()
    })

    it('takes an empty list, and a thousand at once', async () => {
      const store = await open()
      await store.leases.put([])
      const many = Array.from({ length: 1000 }, (_, index) => lease(0, { ip: `10.8.${index >> 8}.${index & 255}` as Ipv4 }))
      await store.leases.put(many)
      expect(store.leases.all()).toEqual(many)
      await store.close()
    })

    it('refuses after close', async () => {
      const store = await open()
      await store.close()
      await store.close()
      await expect(store.leases.put([lease(1)])).rejects.toMatchObject({ code: 'store-closed' })
      await expect(store.marks.set('a', 'b')).rejects.toMatchObject({ code: 'store-closed' })
    })
  })

  describe(`${name}: events`, () => {
    const queries: [string, Parameters<Store['events']['read']>[0], number[]][] = [
      ['all', {}, [1, 2, 3, 4, 5]],
      ['the newest two, oldest first', { limit: 2 }, [4, 5]],
      ['none', { limit: 0 }, []],
      ['since, that moment included', { since: 3 }, [3, 4, 5]],
      ['of one station', { mac: mac(1) }, [1, 3]],
      ['of one station, the newest', { mac: mac(1), limit: 1 }, [3]],
      ['of some kinds', { kinds: ['script', 'up'] }, [2, 3, 5]],
      ['of no kind', { kinds: [] }, []],
      ['of a station without events', { mac: mac(7) }, []],
      ['all conditions together', { mac: mac(1), since: 2, kinds: ['script'] }, [3]],
    ]
    it.each(queries)('reads %s', async (_, query, expected) => {
      const store = await open()
      for (const one of [
        event(1, 'ack', { mac: mac(1) }),
        event(2, 'script', { mac: mac(2) }),
        event(3, 'script', { mac: mac(1) }),
        event(4, 'pool-full', { network: 'lab' }),
        event(5, 'up', { mac: mac(2) }),
      ]) {
        store.events.append(one)
      }
      expect(store.events.read(query).map(({ at }) => at)).toEqual(expected)
      await store.close()
    })

    it('answers at most a thousand unless asked for more', async () => {
      const store = await open()
      for (let at = 0; at < 1500; at++) store.events.append(event(at))
      expect(store.events.read({}).length).toBe(1000)
      expect(store.events.read({})[0]?.at).toBe(500)
      expect(store.events.read({ limit: 2000 }).length).toBe(1500)
      await store.close()
    })

    it('tells listeners from now on until they stop; one that throws is dropped and harms nobody', async () => {
      const store = await open()
      store.events.append(event(1))
      const heard: [string, number][] = []
      const stop = store.events.listen(({ at }) => void heard.push(['first', at]))
      store.events.listen(({ at }) => {
        heard.push(['bad', at])
        throw new Error('a bad listener')
      })
      store.events.listen(({ at }) => void heard.push(['last', at]))
      store.events.append(event(2))
      store.events.append(event(3))
      stop()
      stop()
      store.events.append(event(4))
      expect(heard).toEqual([
        ['first', 2],
        ['bad', 2],
        ['last', 2],
        ['first', 3],
        ['last', 3],
        ['last', 4],
      ])
      expect(store.events.read({}).length).toBe(4)
      await store.close()
    })

    it('lets a listener append and stop itself', async () => {
      const store = await open()
      const stop = store.events.listen(({ at, kind }) => {
        stop()
        if (kind === 'script') store.events.append(event(at, 'stalled'))
      })
      store.events.append(event(1, 'script'))
      expect(store.events.read({}).map(({ kind }) => kind)).toEqual(['script', 'stalled'])
      await store.close()
    })
  })

  describe(`${name}: marks`, () => {
    it('sets, replaces, removes and lists by prefix in the order of the keys', async () => {
      const store = await open()
      await store.marks.set('once/b', '1')
      await store.marks.set('once/a', '2')
      await store.marks.set('token/x', '3')
      await store.marks.set('once/b', '4')
      await store.marks.set('once/none', undefined)
      expect(store.marks.get('once/b')).toBe('4')
      expect(store.marks.get('toString')).toBeUndefined()
      expect(store.marks.entries('once/')).toEqual([
        ['once/a', '2'],
        ['once/b', '4'],
      ])
      await store.marks.set('once/b', undefined)
      expect(store.marks.get('once/b')).toBeUndefined()
      expect(store.marks.entries('').map(([key]) => key)).toEqual(['once/a', 'token/x'])
      await store.close()
    })

    const refused: [string, string, string][] = [
      ['an empty key', '', 'x'],
      ['a long key', 'k'.repeat(257), 'x'],
      ['a long value', 'k', 'v'.repeat(4097)],
    ]
    it.each(refused)('refuses %s', async (_, key, value) => {
      const store = await open()
      await expect(store.marks.set(key, value)).rejects.toMatchObject({ code: 'mark-size' })
      expect(store.marks.entries('')).toEqual([])
      await store.close()
    })
  })

  if (!reopen) return

  describe(`${name}: after it was opened again`, () => {
    it('knows leases as they were, one without end included', async () => {
      let store = await open()
      const kept = [
        lease(1, { state: 'declined', hostname: 'kiosk', clientId: '01525400000001' }),
        lease(2, { expiresAt: Number.POSITIVE_INFINITY }),
        lease(3, { expiresAt: 0 }),
      ]
      await store.leases.put([lease(1), lease(2)])
      await store.leases.put(kept)
      for (let round = 0; round < 3; round++) {
        store = await reopen(store)
        expect(store.leases.all()).toEqual(kept)
      }
      await store.close()
    })

    it('knows events in their order, details included, and marks', async () => {
      let store = await open()
      const events = Array.from({ length: 50 }, (_, at) =>
        event(at, 'script', { mac: mac(1), ip: '10.9.0.1' as Ipv4, detail: { file: 'ä\n', sizeBytes: at, ok: true } }),
      )
      for (const one of events) store.events.append(one)
      await store.marks.set('once/a', 'ü\n"')
      await store.marks.set('once/b', 'x')
      await store.marks.set('once/b', undefined)
      store = await reopen(store)
      expect(store.events.read({})).toEqual(events)
      expect(store.marks.entries('')).toEqual([['once/a', 'ü\n"']])
      store.events.append(event(99))
      store = await reopen(store)
      expect(store.events.read({ limit: 2 }).map(({ at }) => at)).toEqual([49, 99])
      await store.close()
    })
  })
}
