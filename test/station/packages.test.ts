// What is below apk/: from the depot, and from whoever can bring what is missing.
import { afterEach, expect, it } from 'vitest'
import { MissingError } from '../../src/boot/error.ts'
import { textContent } from '../../src/station/content.ts'
import { createRoom, type Room } from '../support/station.ts'

let room: Room
afterEach(() => room.remove())

it('comes from the depot where it is there; an index and what is missing from the package server', async () => {
  const asked: string[] = []
  room = createRoom({
    packages: {
      open: (path) => {
        asked.push(path)
        if (path.endsWith('/none.apk')) throw new MissingError('package-missing', 'nobody has it')
        return textContent(`pulled ${path}`)
      },
    },
  })
  const folder = 'apk/v3.22/main/x86_64'
  room.put(`${folder}/curl-8.0-r0.apk`, 'stored')
  room.put(`${folder}/APKINDEX.tar.gz`, 'of yesterday')
  expect(await room.fetch(`${folder}/curl-8.0-r0.apk`)).toBe('stored')
  expect(asked).toEqual([])
  expect(await room.fetch(`${folder}/APKINDEX.tar.gz`)).toBe(`pulled ${folder}/APKINDEX.tar.gz`)
  expect(await room.fetch(`${folder}/wget-1.0-r0.apk`)).toBe(`pulled ${folder}/wget-1.0-r0.apk`)
  await expect(room.open(`${folder}/none.apk`)).rejects.toMatchObject({ code: 'package-missing' })
  expect(room.events.map(({ kind }) => kind)).toEqual(['package', 'index', 'package', 'file-missing'])
  for (const path of ['apk/keys/site.rsa', 'apk/../stations/a.yaml', 'data/none.apk']) {
    const before = asked.length
    await expect(room.open(path)).rejects.toMatchObject({ code: 'file-missing' })
    expect(asked.length).toBe(before)
  }
})
