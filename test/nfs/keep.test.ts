import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseMac } from '../../src/boot/address.ts'
import { openOverlays } from '../../src/overlay/open.ts'
import { keepArchives } from '../../src/server/nfs.ts'
import { makeScratch } from '../support/scratch.ts'

it('keeps every archive before a phase begins, and each content once', async () => {
  const scratch = await makeScratch()
  const [depot, state] = [join(scratch, 'depot'), join(scratch, 'state')]
  await mkdir(join(depot, 'configs/groups'), { recursive: true })
  const put = (name: string, text: string) => writeFile(join(depot, 'configs', name), text)
  await put('52-54-00-12-34-56.tar.gz', 'mine')
  await put('525400123457.apkovl.tar.gz', 'other')
  await put('default.tar.gz', 'everybody')
  await put('groups/xl.tar.gz', 'xl')
  await put('notes.txt', 'no overlay')
  const { history } = openOverlays(
    { depot, state, packages: { root: join(depot, 'apk') }, overlays: { archive: 'last', report: true, keep: 20, saveMegabytes: 64 } },
    Date.now,
  )
  await keepArchives(depot, state, history)
  await put('52-54-00-12-34-56.tar.gz', 'written over')
  await put('default.tar.gz', 'written over too')
  await keepArchives(depot, state, history)
  await keepArchives(depot, state, history)
  const digest = (text: string) => createHash('sha256').update(text).digest('hex')
  const { versions } = await history.list(parseMac('52:54:00:12:34:56'))
  expect(versions.map((one) => one.digest)).toEqual([digest('mine'), digest('written over')])
  expect((await history.list(parseMac('52:54:00:12:34:57'))).versions).toHaveLength(1)
  const kept = (await readdir(join(state, 'nfs/kept'))).sort()
  expect(kept.map((name) => name.slice(13)).sort()).toEqual(['default.tar.gz', 'default.tar.gz', 'groups-xl.tar.gz'])
  expect(await readFile(join(state, 'nfs/kept', `${digest('everybody').slice(0, 12)}-default.tar.gz`), 'utf8')).toBe('everybody')
})
