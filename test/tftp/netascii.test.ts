import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toNetascii, translate } from '../../src/tftp/netascii.ts'
import { createTables } from '../../src/tftp/table.ts'
import { memoryContent } from '../support/tftp-link.ts'

/** As tftp-hpa's client does it. */
const fromNetascii = (bytes: Buffer): Buffer => Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n').replaceAll('\r\0', '\r'), 'latin1')

describe('netascii', () => {
  it.each([
    ['', ''],
    ['one', 'one'],
    ['a\nb\n', 'a\r\nb\r\n'],
    ['a\rb', 'a\r\0b'],
    ['a\r\nb', 'a\r\0\r\nb'],
    ['\n\n', '\r\n\r\n'],
  ])('%j becomes %j (RFC 764)', (text, expected) => {
    expect(toNetascii(Buffer.from(text)).toString()).toBe(expected)
  })

  it('gives every file back to a client that translates', () => {
    const bytes = fc.array(fc.constantFrom(0, 10, 13, 65, 255)).map((all) => Buffer.from(all))
    fc.assert(
      fc.property(bytes, (one) => fromNetascii(toNetascii(one)).equals(one)),
      { seed: 764 },
    )
  })

  it('is a content of its own size, which closes the original', async () => {
    const original = memoryContent(Buffer.from('a\nb\n'))
    const text = await translate(original, 'a', createTables(1000))
    expect([text?.sizeBytes, text?.whole?.toString(), text?.etag === original.etag]).toEqual([6, 'a\r\nb\r\n', false])
    text?.close()
    expect(original.closed()).toBe(1)
  })

  it('waits for its turn when the memory is used up', () => {
    expect(translate(memoryContent(Buffer.from('a\nb\n')), 'a', createTables(7))).toBe(undefined)
  })
})
