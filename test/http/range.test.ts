import { describe, expect, it } from 'vitest'
import { type Conditions, judge, type Verdict } from '../../src/http/range.ts'
import { seededRandom } from '../support/random.ts'

const modifiedAt = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const file = { etag: 'abc', modifiedAt, sizeBytes: 1000 }
const sent = 'Fri, 02 Jan 2026 03:04:05 GMT'

const cases: [string, Conditions, Verdict][] = [
  ['nothing asked', {}, { status: 200 }],
  ['the tag matches', { ifNoneMatch: '"abc"' }, { status: 304 }],
  ['one of several tags', { ifNoneMatch: '"x", W/"abc" ,"y"' }, { status: 304 }],
  ['any tag', { ifNoneMatch: '*' }, { status: 304 }],
  ['another tag', { ifNoneMatch: '"abcd"' }, { status: 200 }],
  ['a tag without quotes is none', { ifNoneMatch: 'abc' }, { status: 200 }],
  ['not changed since', { ifModifiedSince: sent }, { status: 304 }],
  ['changed since', { ifModifiedSince: 'Fri, 02 Jan 2026 03:04:04 GMT' }, { status: 200 }],
  ['a date that is none', { ifModifiedSince: 'yesterday' }, { status: 200 }],
  ['the tag wins over the date', { ifNoneMatch: '"x"', ifModifiedSince: sent }, { status: 200 }],
  ['If-Match holds', { ifMatch: '"abc"' }, { status: 200 }],
  ['If-Match does not hold', { ifMatch: '"x"' }, { status: 412 }],
  ['If-Match is strong', { ifMatch: 'W/"abc"' }, { status: 412 }],
  ['a range', { range: 'bytes=10-19' }, { status: 206, first: 10, last: 19 }],
  ['the first byte', { range: 'bytes=0-0' }, { status: 206, first: 0, last: 0 }],
  ['an open range', { range: 'bytes=990-' }, { status: 206, first: 990, last: 999 }],
  ['the last bytes', { range: 'bytes=-10' }, { status: 206, first: 990, last: 999 }],
  ['more last bytes than there are', { range: 'bytes=-5000' }, { status: 206, first: 0, last: 999 }],
  ['an end beyond the end', { range: 'bytes=10-5000' }, { status: 206, first: 10, last: 999 }],
  ['another case of the unit', { range: 'Bytes=1-2' }, { status: 206, first: 1, last: 2 }],
  ['a start at the end', { range: 'bytes=1000-' }, { status: 416 }],
  ['a start beyond the end', { range: 'bytes=5000-6000' }, { status: 416 }],
  ['no last bytes', { range: 'bytes=-0' }, { status: 416 }],
  ['several ranges', { range: 'bytes=0-1,5-6' }, { status: 200 }],
  ['a range backwards', { range: 'bytes=9-5' }, { status: 200 }],
  ['another unit', { range: 'lines=1-2' }, { status: 200 }],
  ['no number at all', { range: 'bytes=-' }, { status: 200 }],
  ['numbers too long', { range: 'bytes=0-99999999999999999999' }, { status: 200 }],
  ['If-Range holds', { range: 'bytes=10-', ifRange: '"abc"' }, { status: 206, first: 10, last: 999 }],
  ['If-Range with another tag', { range: 'bytes=10-', ifRange: '"old"' }, { status: 200 }],
  ['If-Range with a weak tag', { range: 'bytes=10-', ifRange: 'W/"abc"' }, { status: 200 }],
  ['If-Range with a date', { range: 'bytes=10-', ifRange: sent }, { status: 200 }],
  ['304 before the range', { range: 'bytes=10-', ifNoneMatch: '"abc"' }, { status: 304 }],
]

describe('conditions and ranges', () => {
  it.each(cases)('%s', (_, asked, verdict) => {
    expect(judge(true, asked, file)).toEqual(verdict)
  })

  it('ignores a range of HEAD', () => {
    expect(judge(false, { range: 'bytes=10-19' }, file)).toEqual({ status: 200 })
  })

  it('has no part of an empty file', () => {
    expect(judge(true, { range: 'bytes=0-' }, { ...file, sizeBytes: 0 })).toEqual({ status: 416 })
    expect(judge(true, { range: 'bytes=-1' }, { ...file, sizeBytes: 0 })).toEqual({ status: 416 })
  })

  it('never leaves the file, whatever is asked (20,000)', () => {
    const random = seededRandom(41)
    const alphabet = 'bytes=-0123456789, W/"abc*'
    const pick = (length: number) => Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join('')
    const number = () => (random() < 0.3 ? '' : String(Math.floor(random() * 10 ** Math.floor(random() * 17))))
    for (let round = 0; round < 20_000; round++) {
      const sizeBytes = Math.floor(random() * 2000)
      const range = random() < 0.5 ? `bytes=${number()}-${number()}` : pick(Math.floor(random() * 20))
      const verdict = judge(true, { range, ...(random() < 0.2 && { ifRange: pick(5), ifNoneMatch: pick(5) }) }, { ...file, sizeBytes })
      if (verdict.status !== 206) continue
      expect(verdict.first).toBeGreaterThanOrEqual(0)
      expect(verdict.last).toBeGreaterThanOrEqual(verdict.first)
      expect(verdict.last).toBeLessThan(sizeBytes)
    }
  })
})
