import { describe, expect, it } from 'vitest'
import { createTables, type Loan } from '../../src/tftp/table.ts'

const bytes = (size: number) => () => Buffer.alloc(size)

function borrowNow(tables: ReturnType<typeof createTables>, key: string, size: number): Loan {
  const loan = tables.borrow(key, size, bytes(size))
  if (!loan || loan instanceof Promise) throw new Error('no loan at once')
  return loan
}

describe('tables', () => {
  it('makes the same bytes once, and again after they were pushed out', () => {
    const tables = createTables(100)
    let made = 0
    const make = () => Buffer.from([++made])
    const first = tables.borrow('a', 60, make) as Loan
    const second = tables.borrow('a', 60, make) as Loan
    expect([made, first.bytes === second.bytes, tables.sizeBytes()]).toEqual([1, true, 60])
    first.release()
    second.release()
    borrowNow(tables, 'b', 60).release()
    expect(tables.sizeBytes()).toBe(60)
    tables.borrow('a', 60, make)
    expect(made).toBe(2)
  })

  it('pushes out what was used least recently, and never what is in use', () => {
    const tables = createTables(100)
    const kept = borrowNow(tables, 'kept', 40)
    borrowNow(tables, 'old', 30).release()
    borrowNow(tables, 'new', 30).release()
    borrowNow(tables, 'old', 30).release()
    borrowNow(tables, 'more', 30)
    let made = false
    tables.borrow('old', 30, () => {
      made = true
      return Buffer.alloc(30)
    })
    expect([made, tables.sizeBytes()]).toEqual([false, 100])
    expect(tables.borrow('too much', 40, bytes(40))).toBe(undefined)
    kept.release()
    expect(tables.borrow('too much', 40, bytes(40))).toBeDefined()
  })

  it('counts a release once', () => {
    const tables = createTables(10)
    const one = borrowNow(tables, 'a', 10)
    borrowNow(tables, 'a', 10)
    one.release()
    one.release()
    expect(tables.borrow('b', 10, bytes(10))).toBe(undefined)
  })

  it('shares one making among all that wait, and forgets it when it fails', async () => {
    const tables = createTables(100)
    let made = 0
    const fail = async () => {
      made++
      throw new Error('disk')
    }
    const loans = [tables.borrow('a', 50, fail), tables.borrow('a', 50, fail)]
    for (const loan of loans) await expect(loan).rejects.toThrow('disk')
    expect([made, tables.sizeBytes()]).toEqual([1, 0])
    const late = await tables.borrow('a', 50, async () => Buffer.from('good'))
    expect([late?.bytes.toString(), tables.sizeBytes()]).toEqual(['good', 50])
    expect(() =>
      tables.borrow('b', 50, () => {
        throw new Error('at once')
      }),
    ).toThrow('at once')
    expect(tables.sizeBytes()).toBe(50)
  })
})
