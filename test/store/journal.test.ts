import type { FileHandle } from 'node:fs/promises'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createAppender } from '../../src/store/appender.ts'
import { openJournal } from '../../src/store/journal.ts'
import { readJournalBytes } from '../../src/store/replay.ts'
import { seededRandom } from '../support/random.ts'
import { makeScratch } from '../support/scratch.ts'

type Entry = { n: number; text?: string }

const read = (value: unknown): Entry => {
  const entry = value as Entry | null
  if (typeof entry?.n !== 'number') throw new Error('no number n')
  return entry
}
const open = (path: string, sync = false) => openJournal(path, { sync, read })
const numbers = (entries: readonly Entry[]) => entries.map(({ n }) => n)
async function readBack(path: string): Promise<number[]> {
  const { journal, entries, bad } = await open(path)
  await journal.close()
  expect(bad).toEqual([])
  return numbers(entries)
}
const linesOf = async (path: string) => (await readFile(path, 'utf8')).split('\n').filter(Boolean)

describe('openJournal', () => {
  it('makes a new file that only its owner may read, and reads back what was appended', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal, entries } = await open(path, true)
    expect(entries).toEqual([])
    await journal.append([{ n: 1 }, { n: 2 }])
    await journal.append([{ n: 3, text: 'ü\n"' }])
    await journal.close()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const again = await open(path)
    expect(again.bad).toEqual([])
    expect(again.entries).toEqual([{ n: 1 }, { n: 2 }, { n: 3, text: 'ü\n"' }])
    expect(again.journal.figures()).toMatchObject({ lines: 3, sizeBytes: (await stat(path)).size })
    await again.journal.close()
  })

  const whole = '{"n":1}\n{"n":2}\n'
  const torn: [string, string][] = [
    ['half an object', '{"n":3'],
    ['one byte', '{'],
    ['zeros, as a power cut leaves them', '\0\0\0\0\0\0'],
    ['half a character', '{"n":3,"text":"\xc3'],
  ]
  it.each(torn)('cuts off a torn last line: %s', async (_, tail) => {
    const path = join(await makeScratch(), 'j')
    await writeFile(path, Buffer.from(whole + tail, 'latin1'))
    const { journal, entries, tornBytes, bad } = await open(path)
    expect([numbers(entries), tornBytes, bad]).toEqual([[1, 2], tail.length, []])
    expect(await readFile(path, 'utf8')).toBe(whole)
    await journal.append([{ n: 3 }])
    await journal.close()
    expect(await linesOf(path)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}'])
  })

  it('keeps a last line that is whole but for its newline', async () => {
    const path = join(await makeScratch(), 'j')
    await writeFile(path, `${whole}{"n":3}`)
    const { journal, entries, tornBytes } = await open(path)
    expect([numbers(entries), tornBytes]).toEqual([[1, 2, 3], 0])
    await journal.append([{ n: 4 }])
    await journal.close()
    expect(await readBack(path)).toEqual([1, 2, 3, 4])
  })

  it('sets bad lines in the middle aside, says where they stood, and finds the rest good the next time', async () => {
    const path = join(await makeScratch(), 'j')
    await writeFile(path, '{"n":1}\nnonsense\n{"n":2}\n{"m":9}\n\n{"n":3}')
    const first = await open(path)
    expect(numbers(first.entries)).toEqual([1, 2, 3])
    expect(first.bad.map(({ line, text }) => [line, text])).toEqual([
      [2, 'nonsense'],
      [4, '{"m":9}'],
      [5, ''],
    ])
    expect(first.bad[1]?.reason).toBe('no number n')
    await first.journal.append([{ n: 4 }])
    await first.journal.close()
    expect(await readFile(`${path}.bad`, 'utf8')).toBe('nonsense\n{"m":9}\n\n')
    const second = await open(path)
    expect([numbers(second.entries), second.bad]).toEqual([[1, 2, 3, 4], []])
    await second.journal.close()
  })

  it('reads only the newest lines where that is asked, and leaves the others in the file', async () => {
    const path = join(await makeScratch(), 'j')
    const text = Array.from({ length: 100 }, (_, n) => `{"n":${n}}\n`).join('')
    for (const [last, expected] of [
      [1, [99]],
      [3, [97, 98, 99]],
      [100, Array.from({ length: 100 }, (_, n) => n)],
      [500, Array.from({ length: 100 }, (_, n) => n)],
    ] as const) {
      await writeFile(path, text)
      const { journal, entries } = await openJournal(path, { sync: false, read, last })
      expect(numbers(entries)).toEqual(expected)
      await journal.close()
      expect(await readFile(path, 'utf8')).toBe(text)
    }
  })

  it('survives 20,000 files of random bytes, and what it leaves is a good journal', async () => {
    const folder = await makeScratch()
    const random = seededRandom(4)
    const pieces = ['{"n":1}', '{"n":2}\n', '\n', '{"n":', '\0', '"', '}', '{"m":1}\n', '[1]\n', 'é', '\xff']
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: Math.floor(random() * 12) }, () => pieces[Math.floor(random() * pieces.length)]).join('')
      const bytes = Buffer.from(text, 'latin1')
      const replay = readJournalBytes(bytes, { read })
      const mended = replay.clean()
      const again = readJournalBytes(mended, { read })
      expect([again.entries, again.bad.length, again.goodBytes]).toEqual([replay.entries, 0, mended.length])
      if (round % 1000) continue
      const path = join(folder, String(round))
      await writeFile(path, bytes)
      const first = await open(path)
      await first.journal.close()
      const second = await open(path)
      await second.journal.close()
      expect([second.entries, second.bad, second.tornBytes]).toEqual([replay.entries, [], 0])
    }
  })
})

describe('append', () => {
  it('gathers all of one turn in one write', async () => {
    const { journal } = await open(join(await makeScratch(), 'j'), true)
    await Promise.all(Array.from({ length: 500 }, (_, n) => journal.append([{ n }])))
    expect(journal.figures()).toMatchObject({ writes: 1, lines: 500, backlogBytes: 0 })
    await journal.close()
  })

  it('gathers the next group while the disk is busy: far fewer writes than turns', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal } = await open(path, true)
    const done: Promise<void>[] = []
    for (let n = 0; n < 300; n++) {
      done.push(journal.append([{ n }]))
      await new Promise(setImmediate)
    }
    await Promise.all(done)
    expect(journal.figures().writes).toBeLessThan(300)
    await journal.close()
    expect(await readBack(path)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })

  it('writes 100,000 lines in groups in well under two seconds', async () => {
    const { journal } = await open(join(await makeScratch(), 'j'), true)
    const startedAt = performance.now()
    for (let group = 0; group < 1000; group++) {
      let done: Promise<void> | undefined
      for (let n = 0; n < 100; n++) done = journal.append([{ n, text: 'x'.repeat(60) }])
      if (group % 10 === 9) await done
    }
    await journal.close()
    expect(journal.figures().lines).toBe(100_000)
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })

  it('refuses a line that is too long, and all when too much waits for the disk, without touching the others', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal } = await openJournal(path, { sync: false, read, maxBacklogBytes: 100_000 })
    await expect(journal.append([{ n: 1, text: 'x'.repeat(70_000) }])).rejects.toMatchObject({ code: 'line-too-long' })
    const first = journal.append([{ n: 2, text: 'x'.repeat(60_000) }])
    await expect(journal.append([{ n: 3, text: 'x'.repeat(60_000) }])).rejects.toMatchObject({ code: 'write-failed', mayRetry: true })
    await first
    await journal.append([{ n: 4 }])
    await journal.close()
    expect(await readBack(path)).toEqual([2, 4])
  })

  it('refuses after close, and close twice is close once', async () => {
    const { journal } = await open(join(await makeScratch(), 'j'))
    const last = journal.append([{ n: 1 }])
    await Promise.all([journal.close(), journal.close(), last])
    await expect(journal.append([{ n: 2 }])).rejects.toMatchObject({ code: 'store-closed' })
  })
})

describe('a disk that refuses', () => {
  /** A file in memory; `room` bytes may be written before it is full. */
  function createFullFile(room: number) {
    const disk = { bytes: Buffer.alloc(0), room }
    const file = {
      async write(bytes: Buffer, offset: number, length: number) {
        const fits = Math.min(length, disk.room - disk.bytes.length)
        if (fits <= 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
        disk.bytes = Buffer.concat([disk.bytes, bytes.subarray(offset, offset + fits)])
        return { bytesWritten: fits }
      },
      async datasync() {},
      async truncate(size: number) {
        disk.bytes = disk.bytes.subarray(0, size)
      },
    }
    return { disk, file: file as unknown as FileHandle }
  }

  it('rejects the group, cuts its half-written lines off and goes on when there is room again', async () => {
    const { disk, file } = createFullFile(30)
    const appender = createAppender({ file, sizeBytes: 0, lines: 0 }, { path: 'j', sync: true, maxBacklogBytes: 1000 })
    await appender.append([{ n: 1 }])
    await expect(appender.append([{ n: 2, text: 'does not fit in' }])).rejects.toMatchObject({ code: 'write-failed', mayRetry: true })
    expect(disk.bytes.toString()).toBe('{"n":1}\n{"n":2,"text":"does no')
    disk.room = 1000
    await appender.append([{ n: 3 }])
    expect(disk.bytes.toString()).toBe('{"n":1}\n{"n":3}\n')
    expect(appender.figures()).toMatchObject({ lines: 2, sizeBytes: 16, backlogBytes: 0 })
  })

  it('does not end the process when nobody waits for the refused group', async () => {
    const { file } = createFullFile(0)
    const appender = createAppender({ file, sizeBytes: 0, lines: 0 }, { path: 'j', sync: true, maxBacklogBytes: 1000 })
    appender.append([{ n: 1 }])
    await expect(appender.append([{ n: 2 }])).rejects.toMatchObject({ code: 'write-failed' })
  })
})

describe('rewrite', () => {
  it('replaces the contents and keeps what is appended meanwhile, in order', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal } = await open(path, true)
    for (let n = 0; n < 50; n++) await journal.append([{ n }])
    const values = Array.from({ length: 10_000 }, (_, n) => ({ n: 1000 + n }))
    const rewritten = journal.rewrite(values)
    const late: Promise<void>[] = []
    for (let n = 0; n < 200; n++) {
      late.push(journal.append([{ n: 50_000 + n }]))
      await new Promise(setImmediate)
    }
    await Promise.all([rewritten, ...late])
    await journal.append([{ n: 99_999 }])
    expect(journal.figures()).toMatchObject({ lines: 10_201, sizeBytes: (await stat(path)).size })
    await journal.close()
    expect(await readBack(path)).toEqual([...values.map(({ n }) => n), ...Array.from({ length: 200 }, (_, n) => 50_000 + n), 99_999])
  })

  it('to nothing makes an empty file, and leaves no draft', async () => {
    const folder = await makeScratch()
    const { journal } = await open(join(folder, 'j'))
    await journal.append([{ n: 1 }])
    await journal.rewrite([])
    await journal.append([{ n: 2 }])
    await journal.close()
    expect(await linesOf(join(folder, 'j'))).toEqual(['{"n":2}'])
    expect(await readdir(folder)).toEqual(['j'])
  })

  it('joins a rewrite that is under way, and close waits for it', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal } = await open(path)
    await journal.append([{ n: 1 }])
    const first = journal.rewrite([{ n: 2 }])
    expect(journal.rewrite([{ n: 3 }])).toBe(first)
    await journal.close()
    expect(await linesOf(path)).toEqual(['{"n":2}'])
  })

  it('that fails leaves the old file in force and appends going on', async () => {
    const { journal } = await open(join(await makeScratch(), 'j'))
    await journal.append([{ n: 1 }])
    const circular: { n: number; self?: object } = { n: 2 }
    circular.self = circular
    await expect(journal.rewrite([circular])).rejects.toMatchObject({ code: 'write-failed' })
    await journal.append([{ n: 3 }])
    expect(journal.figures().lines).toBe(2)
    await journal.close()
  })
})

describe('rotate', () => {
  it('moves the file aside over an older one and begins an empty one', async () => {
    const path = join(await makeScratch(), 'j')
    const { journal } = await open(path)
    for (const n of [1, 2, 3]) {
      await journal.append([{ n }])
      if (n < 3) await journal.rotate(`${path}.1`)
    }
    expect(journal.figures().lines).toBe(1)
    await journal.close()
    expect([await linesOf(path), await linesOf(`${path}.1`)]).toEqual([['{"n":3}'], ['{"n":2}']])
  })
})
