import { expect, it } from 'vitest'
import { createMemoryStore } from '../../src/store/memory.ts'
import { describeStore, event } from '../contract/store.ts'

describeStore('memory store', async () => createMemoryStore())

it('forgets the oldest events beyond its bound', () => {
  const { events } = createMemoryStore({ memory: 3 })
  for (let at = 0; at < 10; at++) events.append(event(at))
  expect(events.read({}).map(({ at }) => at)).toEqual([7, 8, 9])
  expect(events.read({ limit: 2 }).map(({ at }) => at)).toEqual([8, 9])
})
