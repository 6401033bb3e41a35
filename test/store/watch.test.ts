import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLossWatch } from '../../src/store/depot.ts'
import { type FolderWatch, watchFolders } from '../../src/store/watch.ts'
import { makeScratch } from '../support/scratch.ts'

const never = 3_600_000

/** A watch whose calls can be waited for, one after the other. */
function openWatch(debounceMs: number, recheckMs = never): FolderWatch & { told: () => Promise<void>; calls: () => number } {
  let calls = 0
  let seen = 0
  let wake: (() => void) | undefined
  const watch = watchFolders(
    () => {
      calls++
      wake?.()
    },
    { debounceMs, recheckMs },
  )
  onTestFinished(() => watch.close())
  const told = async () => {
    while (calls === seen) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    seen = calls
  }
  return { ...watch, told, calls: () => calls }
}

describe('watchFolders', () => {
  it('tells once after a folder is taken up, for what came before', async () => {
    const watch = openWatch(5)
    watch.follow([await makeScratch()])
    await watch.told()
    expect(watch.calls()).toBe(1)
  })

  it('tells of changes in each folder, and no more of one that is let go', async () => {
    const [one, other] = [await makeScratch(), await makeScratch()]
    const watch = openWatch(5)
    watch.follow([one, other])
    await watch.told()
    await writeFile(join(other, 'a'), '')
    await watch.told()
    watch.follow([one])
    await writeFile(join(other, 'b'), '')
    await writeFile(join(one, 'a'), '')
    await watch.told()
  })

  it('tells in the middle of changes that do not end', async () => {
    const folder = await makeScratch()
    const watch = openWatch(200)
    watch.follow([folder])
    let number = 0
    const writer = setInterval(() => void writeFile(join(folder, String(number++ % 5)), 'x').catch(() => undefined), 10)
    onTestFinished(() => clearInterval(writer))
    await watch.told()
    await watch.told()
  })

  it('waits above a folder that is not there, and takes one up anew that was made again', async () => {
    const folder = join(await makeScratch(), 'a', 'b')
    const watch = openWatch(5)
    watch.follow([folder])
    await watch.told()
    for (let round = 0; round < 3; round++) {
      await mkdir(folder, { recursive: true })
      await watch.told()
      watch.follow([folder])
      await watch.told()
      await writeFile(join(folder, 'x'), '')
      await watch.told()
      await rm(join(folder, '..'), { recursive: true })
      await watch.told()
      watch.follow([folder])
      await watch.told()
    }
  })

  it('tells at intervals without any notice, and not after close', async () => {
    const watch = openWatch(never, 1)
    await watch.told()
    await watch.told()
    watch.close()
    const calls = watch.calls()
    watch.follow([await makeScratch()])
    await new Promise(setImmediate)
    expect(watch.calls()).toBe(calls)
  })
})

describe('createLossWatch', () => {
  /** Devices by path; what is absent is not there. */
  const looks: [string, Record<string, number>, boolean][] = [
    ['the depot as it was', { '/d': 1, '/d/stations': 1 }, false],
    ['nothing at all', {}, true],
    ['an empty mount point: another device, no folders', { '/d': 9 }, true],
    ['the depot on another device, with its folders', { '/d': 9, '/d/profiles': 9 }, false],
    ['the same device without folders: somebody took them out', { '/d': 1 }, false],
  ]
  it.each(looks)('after a first look, %s', async (_, devices, isLost) => {
    let now: Record<string, number> = { '/d': 1, '/d/stations': 1 }
    const find = createLossWatch('/d', async (path) => {
      const dev = now[path]
      if (dev === undefined) throw new Error('ENOENT')
      return { dev }
    })
    expect(await find()).toBeUndefined()
    now = devices
    expect((await find())?.code).toBe(isLost ? 'depot-lost' : undefined)
    now = { '/d': 1, '/d/stations': 1 }
    if (isLost) expect(await find()).toBeUndefined()
  })

  it('does not call a depot lost that was never there', async () => {
    const find = createLossWatch('/d', async () => {
      throw new Error('ENOENT')
    })
    expect([await find(), await find()]).toEqual([undefined, undefined])
  })
})
