import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openStore } from '../../src/store/embedded.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createToken, ensureToken, listTokens, mayDo, revokeToken, roles, verifyToken } from '../../src/store/token.ts'
import { makeScratch } from '../support/scratch.ts'

describe('the operator token', () => {
  it('is made once, known by its prefix, and right only whole', async () => {
    const { marks } = createMemoryStore()
    const text = (await ensureToken(marks)) ?? ''
    expect(text).toMatch(/^bvc_[A-Za-z0-9_-]{43}$/)
    expect(await ensureToken(marks)).toBeUndefined()
    expect(verifyToken(marks, text)).toEqual({ name: 'operator', role: 'admin' })
    for (const wrong of ['', 'bvc_', text.slice(0, -1), `${text}x`, text.toLowerCase(), ` ${text}`, text.slice(4), 'x'.repeat(100_000)]) {
      expect(verifyToken(marks, wrong), JSON.stringify(wrong.slice(0, 60))).toBeUndefined()
    }
  })

  it('is right for nobody while there is none, nor is its hash', async () => {
    const { marks } = createMemoryStore()
    expect(verifyToken(marks, '')).toBeUndefined()
    const text = await createToken(marks)
    expect(verifyToken(marks, createHash('sha256').update(text).digest('hex'))).toBeUndefined()
  })

  it('made anew takes the place of the old one; others stay; a revoked one is wrong', async () => {
    const { marks } = createMemoryStore()
    const first = await createToken(marks)
    const ci = await createToken(marks, { name: 'ci', role: 'operate' })
    const second = await createToken(marks)
    expect([first, second, ci].map((text) => verifyToken(marks, text)?.name)).toEqual([undefined, 'operator', 'ci'])
    await revokeToken(marks, 'ci')
    expect(verifyToken(marks, ci)).toBeUndefined()
  })

  it('is 32 random bytes', async () => {
    const { marks } = createMemoryStore()
    const sizes: number[] = []
    const random = (size: number) => {
      sizes.push(size)
      return Buffer.alloc(size, 0xff)
    }
    const text = await createToken(marks, { random })
    expect([sizes, text]).toEqual([[32], `bvc_${'_'.repeat(42)}8`])
  })

  it('survives a restart, and is not written anywhere', async () => {
    const folder = await makeScratch()
    const options = { sync: true, now: () => 0 }
    const store = await openStore(folder, options)
    const text = (await ensureToken(store.marks)) ?? ''
    await store.close()
    expect(await readFile(join(folder, 'marks.jsonl'), 'utf8')).not.toContain(text.slice(4))
    const again = await openStore(folder, options)
    expect([verifyToken(again.marks, text)?.name, await ensureToken(again.marks)]).toEqual(['operator', undefined])
    await again.close()
  })

  it('has a role, and is listed without its text', async () => {
    const { marks } = createMemoryStore()
    const text = await createToken(marks, { name: 'kiosk-script', role: 'operate', by: 'anna', now: 7 })
    expect(verifyToken(marks, text)).toEqual({ name: 'kiosk-script', role: 'operate' })
    expect(listTokens(marks)).toEqual([{ name: 'kiosk-script', role: 'operate', madeAt: 7, by: 'anna' }])
    expect([await revokeToken(marks, 'kiosk-script'), await revokeToken(marks, 'kiosk-script')]).toEqual([true, false])
    await expect(createToken(marks, { name: 'a/b' })).rejects.toThrow(/a name is letters/)
  })

  it('of the first versions, a bare hash, is an admin', async () => {
    const { marks } = createMemoryStore()
    await marks.set('token/operator', createHash('sha256').update('bvc_old').digest('hex'))
    expect(verifyToken(marks, 'bvc_old')).toEqual({ name: 'operator', role: 'admin' })
  })

  it('of a lower role may less', () => {
    const table = roles.map((role) => roles.map((needed) => mayDo(role, needed)))
    expect(table).toEqual([
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ])
  })

  it('with a damaged hash in the store is wrong, not an error', async () => {
    const { marks } = createMemoryStore()
    await marks.set('token/operator', 'zz')
    expect(verifyToken(marks, 'bvc_x')).toBeUndefined()
  })
})
