import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OutsideError } from '../../src/boot/error.ts'
import { draftPath, removeOldDrafts, writeAtomic } from '../../src/store/atomic.ts'
import { makeScratch } from '../support/scratch.ts'

describe('writeAtomic', () => {
  it('puts new bytes in place, with the mode asked for, and leaves nothing else behind', async () => {
    const folder = await makeScratch()
    const path = join(folder, 'a')
    await writeAtomic(path, 'old')
    await writeAtomic(path, new Uint8Array([1, 2, 3]), 0o644)
    expect([...(await readFile(path))]).toEqual([1, 2, 3])
    expect((await stat(path)).mode & 0o777).toBe(0o644)
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('uses mode 0600 unless told otherwise, whatever the file had before', async () => {
    const path = join(await makeScratch(), 'a')
    await writeFile(path, 'old')
    await chmod(path, 0o666)
    await writeAtomic(path, 'new')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('leaves the old file and no draft when the rename fails', async () => {
    const folder = await makeScratch()
    await mkdir(join(folder, 'taken'))
    await writeFile(join(folder, 'taken', 'inside'), 'old')
    await expect(writeAtomic(join(folder, 'taken'), 'new')).rejects.toBeInstanceOf(OutsideError)
    expect(await readdir(folder)).toEqual(['taken'])
    expect(await readFile(join(folder, 'taken', 'inside'), 'utf8')).toBe('old')
  })

  it('says which file and why when the folder is not there', async () => {
    const path = join(await makeScratch(), 'no', 'such')
    await expect(writeAtomic(path, 'new')).rejects.toMatchObject({ code: 'write-failed', message: expect.stringContaining(path) })
  })

  it('keeps one of the writers whole when many write at once', async () => {
    const path = join(await makeScratch(), 'a')
    const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(5000))
    await Promise.all(texts.map((text) => writeAtomic(path, text)))
    expect(texts).toContain(await readFile(path, 'utf8'))
  })
})

it('drafts that a killed process left are removed when they are old, and nothing else', async () => {
  const folder = await makeScratch()
  const [old, young] = [draftPath(join(folder, 'kiosk.tar.gz')), draftPath(join(folder, 'kiosk.tar.gz'))]
  for (const path of [old, young, join(folder, 'kiosk.tar.gz'), join(folder, '.hidden'), join(folder, 'plain.tmp')]) await writeFile(path, 'x')
  await mkdir(join(folder, '.folder.tmp'))
  const { mtimeMs } = await stat(young)
  await utimes(old, mtimeMs / 1000 - 3600, mtimeMs / 1000 - 3600)
  expect(await removeOldDrafts(folder, 1_800_000, () => mtimeMs)).toBe(1)
  expect((await readdir(folder)).toSorted()).toEqual([basename(young), '.folder.tmp', '.hidden', 'kiosk.tar.gz', 'plain.tmp'].toSorted())
  expect(await removeOldDrafts(join(folder, 'none'), 0, () => mtimeMs)).toBe(0)
})
