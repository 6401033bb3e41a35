// What is below apk/: from the depot, and from whoever can bring what is missing.
import { afterEach, expect, it } from 'vitest'
import { MissingError } from '../../src/boot/error.ts'
import { repositoryUrl } from '../../src/station/repository.ts'
import { textContent } from '../../src/station/content.ts'
import { createRoom, type Room } from '../support/station.ts'

let room: Room
afterEach(() => room.remove())

it('comes from the mirror, which is asked only for what may be served', async () => {
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
  const folder = 'v3.22/main/x86_64'
  room.put(`apk/${folder}/curl-8.0-r0.apk`, 'the mirror itself knows')
  for (const name of ['curl-8.0-r0.apk', 'APKINDEX.tar.gz', 'wget-1.0-r0.apk'])
    expect(await room.fetch(`apk/${folder}/${name}`)).toBe(`pulled ${folder}/${name}`)
  await expect(room.open(`apk/${folder}/none.apk`)).rejects.toMatchObject({ code: 'package-missing' })
  expect(room.events.map(({ kind }) => kind)).toEqual(['package', 'index', 'package', 'file-missing'])
  for (const path of ['apk/keys/site.rsa', 'apk/../stations/a.yaml', 'data/none.apk']) {
    const before = asked.length
    await expect(room.open(path)).rejects.toMatchObject({ code: 'file-missing' })
    expect(asked.length).toBe(before)
  }
})

it('has URLs of its own where the mirror is another server', () => {
  const url = (place: string) => repositoryUrl(place, 'http://10.9.0.1:8080', 'http://10.9.0.2:8081')
  expect(url('apk/v3.22/main')).toBe('http://10.9.0.2:8081/v3.22/main')
  expect(url('apk/snapshots/spring/v3.22/main/')).toBe('http://10.9.0.2:8081/snapshots/spring/v3.22/main')
  expect(url('data/own')).toBe('http://10.9.0.1:8080/data/own')
  expect(url('https://dl-cdn.alpinelinux.org/alpine/v3.22/main')).toBe('https://dl-cdn.alpinelinux.org/alpine/v3.22/main')
})
