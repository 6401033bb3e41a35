import { afterEach, expect, it } from 'vitest'
import { OutsideError } from '../../src/boot/error.ts'
import { statusOf } from '../../src/http/problem.ts'
import { createRoom, type Room } from '../support/station.ts'

let room: Room
afterEach(() => room.remove())

it('a loader that is being built is "again in a moment" (503), until it is there; others are missing as ever', async () => {
  let building = 'undionly.kpxe'
  room = createRoom({ stations: [], isBeingBuilt: (name) => name === building })
  for (const name of ['undionly.kpxe', 'ipxe/undionly.kpxe', '52-54-00-12-34-56/undionly.kpxe']) {
    const error = await room.open(name).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(OutsideError)
    expect([(error as OutsideError).code, statusOf(error)]).toEqual(['loader-being-built', 503])
  }
  await expect(room.open('x86_64-efi/snponly.efi')).rejects.toMatchObject({ code: expect.not.stringContaining('being-built') })
  room.put('ipxe/undionly.kpxe', 'a loader')
  expect(await room.fetch('undionly.kpxe')).toBe('a loader')
  building = ''
})
