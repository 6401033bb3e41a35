// The wiring: what is closed when something fails.
import { expect, it } from 'vitest'
import { closeAll } from '../src/server/door.ts'

it('closes everything, the last one first, though one of them fails, and tells of the failure', async () => {
  const closed: string[] = []
  const close = (name: string) => () => void closed.push(name)
  const fail = async () => {
    throw new Error('no space left on device')
  }
  await expect(closeAll([close('store'), close('http'), fail, close('records')])).rejects.toThrow('no space left')
  expect(closed).toEqual(['records', 'http', 'store'])
})
