import { describe, expect, it } from 'vitest'
import { BivouacError, InputError, MissingError } from '../../src/boot/error.ts'
import { fillAuthorities, fillSlot, findSlot, readSlot, renderAuthorities, renderSlot } from '../../src/ipxe/slot.ts'
import { seededRandom } from '../support/random.ts'

const script = '#!ipxe\necho one\nexit 1\n'
const random = seededRandom(8)
const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
const binary = Buffer.concat([noise(1000), renderSlot(script, 1024), noise(1000)])

describe('the script slot', () => {
  it('has exactly its size and reads as a script', () => {
    const slot = Buffer.from(renderSlot(script, 1024))
    expect(slot.length).toBe(1024)
    expect(slot.toString()).toMatch(/^#!ipxe\n#bivouac-slot-begin 001024\necho one\nexit 1\n\n+#bivouac-slot-end\n$/)
  })

  it('can be filled again and again, and nothing else changes', () => {
    const filled = fillSlot(fillSlot(binary, '#!ipxe\necho two\n'), '#!ipxe\r\necho three\r\n')
    expect(filled.length).toBe(binary.length)
    expect(readSlot(filled)).toBe('#!ipxe\necho three\n')
    expect(Buffer.compare(filled.subarray(0, 1000), binary.subarray(0, 1000))).toBe(0)
    expect(Buffer.compare(filled.subarray(2024), binary.subarray(2024))).toBe(0)
    expect(readSlot(binary)).toBe(script)
  })

  it('takes a script that fills it to the last byte, and not one more', () => {
    const room = 1024 - 53
    const longest = `#!ipxe\n${'x'.repeat(room)}`
    expect(readSlot(fillSlot(binary, longest))).toBe(`${longest}\n`)
    expect(() => fillSlot(binary, `${longest}x`)).toThrow(/has room for 971/)
  })

  it.each<[string, Uint8Array, string]>([
    ['no slot', noise(5000), 'slot-missing'],
    ['two slots', Buffer.concat([binary, binary]), 'slot-damaged'],
    ['a slot without end', binary.subarray(0, 1500), 'slot-damaged'],
    ['a size that is none', Buffer.from(binary.toString('latin1').replace('001024', '00x024'), 'latin1'), 'slot-damaged'],
    ['a wrong size', Buffer.from(binary.toString('latin1').replace('001024', '001000'), 'latin1'), 'slot-damaged'],
  ])('is an error with %s, never an unpatched file', (_, bytes, code) => {
    expect(() => fillSlot(bytes, script)).toThrow(expect.objectContaining({ code }))
  })

  it.each(['dhcp', '#!ipxe\n#bivouac-slot-begin 1', '#!ipxe\n\0'])('refuses the script %j', (text) => {
    expect(() => fillSlot(binary, text)).toThrow(InputError)
  })

  it('throws only its own errors at damaged bytes', () => {
    for (let round = 0; round < 20_000; round++) {
      const damaged = Buffer.from(binary.subarray(990, 2040))
      for (let times = 0; times < 3; times++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256)
      try {
        findSlot(damaged.subarray(0, Math.floor(random() * damaged.length)))
      } catch (error) {
        if (!(error instanceof BivouacError)) throw error
      }
    }
  })
})

describe('the places for CAs', () => {
  const [one, two, three] = ['11', '22', '33'].map((pair) => pair.repeat(32)) as [string, string, string]
  const loader = Buffer.concat([noise(100), renderAuthorities([one], 3), noise(100)])

  it('hold new ones, the last repeated', () => {
    const changed = Buffer.from(fillAuthorities(loader, [one, one, one], [two, three]))
    expect(changed.subarray(100, 196).toString('hex')).toBe(two + three + three)
    expect(changed.length).toBe(loader.length)
  })

  it.each<[string, () => unknown, new (...given: never[]) => Error]>([
    ['they are not there', () => fillAuthorities(noise(500), [one], [two]), MissingError],
    ['the loader has none', () => fillAuthorities(loader, [], [two]), MissingError],
    ['they are there twice', () => fillAuthorities(Buffer.concat([loader, loader]), [one, one, one], [two]), InputError],
    ['too many are given', () => fillAuthorities(loader, [one, one, one], [two, two, two, two]), InputError],
    ['none is given', () => fillAuthorities(loader, [one, one, one], []), InputError],
  ])('refuse when %s', (_, change, kind) => {
    expect(change).toThrow(kind)
  })
})
