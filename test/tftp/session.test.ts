import { describe, expect, it } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import type { OptionPair } from '../../src/tftp/packet.ts'
import { memoryContent, patternBytes, runOverCable } from '../support/tftp-link.ts'

const ask = (blksize: number, windowsize: number): OptionPair[] => [
  ['blksize', String(blksize)],
  ['windowsize', String(windowsize)],
]

describe('sizes', () => {
  const blksize = 1024
  const sizes = [0, 1, blksize - 1, blksize, blksize + 1, 10 * blksize, 3_000_000]
  it.each(sizes)('%d bytes arrive whole, in as many packets as needed', (size) => {
    const bytes = patternBytes(size)
    for (const windowsize of [1, 8, 64]) {
      const run = runOverCable(memoryContent(bytes), { name: 'a', options: ask(blksize, windowsize) }, { seed: 1 })
      expect(run.outcome).toBe('complete')
      expect(run.bytes.equals(bytes)).toBe(true)
      expect(run.serverPackets).toBe(1 + Math.floor(size / blksize) + 1)
      expect(run.figures).toEqual([
        expect.objectContaining({ outcome: 'complete', reason: '', sizeBytes: size, sentBytes: size, blksize, windowsize, resentPackets: 0 }),
      ])
    }
  })

  it.each([1, 64])('more than 65535 blocks, windowsize %d', (windowsize) => {
    const bytes = patternBytes(8 * 65_540 + 3)
    const run = runOverCable(memoryContent(bytes), { name: 'a', options: ask(8, windowsize) }, { seed: 1, loss: 0.0005 })
    expect([run.outcome, run.bytes.equals(bytes)]).toEqual(['complete', true])
  })

  it('without options in blocks of 512', () => {
    const run = runOverCable(memoryContent(patternBytes(1024)), { name: 'a' }, { seed: 1 })
    expect([run.outcome, run.serverPackets, run.oack]).toEqual(['complete', 3, {}])
  })
})

describe('a bad cable', () => {
  const bytes = patternBytes(400_000)
  const blocks = Math.floor(bytes.length / 1468) + 1
  const rows = [0.01, 0.05, 0.2].flatMap((loss) => [1, 8, 64].flatMap((window) => [false, true].map((isEager) => [loss, window, isEager] as const)))

  // Of a window whose first lost block stands at random, the client throws away what follows: RFC 7440 pays for loss with packets.
  const packetsMax = (loss: number, windowsize: number) => blocks * (1 + loss * (6 + 3 * windowsize)) + 100

  it.each(rows)('loses %d, windowsize %d, client eager: %s', (loss, windowsize, isEager) => {
    for (const seed of [1, 2, 3]) {
      const cable = { seed, loss, duplication: loss / 2, reordering: loss / 2 }
      const run = runOverCable(memoryContent(bytes), { name: 'a', isEager, options: ask(1468, windowsize) }, cable)
      expect(run.outcome).toBe('complete')
      expect(run.bytes.equals(bytes)).toBe(true)
      expect(run.serverPackets).toBeLessThan(packetsMax(loss, windowsize))
      expect(run.duplicates).toBeLessThan(40 + blocks * loss * (4 + windowsize))
      expect(run.left).toBe(0)
    }
  })

  it.each([1, 4, 64])('one doubled datagram doubles nothing after it (the sorcerer has no apprentice), windowsize %d', (windowsize) => {
    const whole = patternBytes(2_000_000)
    const cable = { seed: 5, duplication: 0.002 }
    const run = runOverCable(memoryContent(whole), { name: 'a', isEager: true, options: ask(1468, windowsize) }, cable)
    expect(run.bytes.equals(whole)).toBe(true)
    expect(run.duplicates).toBeLessThan(20 + 3 * windowsize)
  })

  it.each([1, 4, 16])('on a slow line (60 ms each way) too, windowsize %d', (windowsize) => {
    const run = runOverCable(memoryContent(bytes), { name: 'a', isEager: true, options: ask(1468, windowsize) }, { seed: 9, delayMs: 60, loss: 0.01 })
    expect([run.outcome, run.bytes.equals(bytes)]).toEqual(['complete', true])
    expect(run.duplicates).toBeLessThan(40 + 4 * windowsize)
  })

  it('breaks nothing for a file that is laid out piece by piece', () => {
    const small = { tableBytesMax: 0, readAheadBytesMax: 20_000 }
    const run = runOverCable(memoryContent(bytes), { name: 'a', options: ask(1468, 16) }, { seed: 4, loss: 0.05 }, small)
    expect([run.outcome, run.bytes.equals(bytes)]).toEqual(['complete', true])
  })

  it('loses everything: the client gives up, the server after five packets', () => {
    const content = memoryContent(bytes)
    const run = runOverCable(content, { name: 'a', resendsMax: 0, options: ask(1468, 8) }, { seed: 1, loss: 0.999 })
    expect(run.outcome).toBe('failed')
    const deaf = runOverCable(content, { name: 'a', options: ask(1468, 8), resendsMax: 0, resendMs: 1e9 }, { seed: 11, loss: 0.6 })
    expect(deaf.left).toBe(0)
    for (const figures of deaf.figures) expect(figures.outcome).toBe('timeout')
  })
})

describe('netascii', () => {
  it('is translated, and tsize tells the translated size (RFC 2349)', () => {
    const text = Buffer.from('#!ipxe\nshell\n')
    const run = runOverCable(memoryContent(text), { name: 'a', mode: 'NetASCII', options: [['tsize', '0']] }, { seed: 1 })
    expect([run.outcome, run.bytes.toString(), run.oack]).toEqual(['complete', '#!ipxe\r\nshell\r\n', { tsize: '15' }])
  })

  it('is refused for what is too big to be text', () => {
    const content = memoryContent(patternBytes(1024 * 1024 + 1))
    const run = runOverCable(content, { name: 'vmlinuz', mode: 'netascii' }, { seed: 1 })
    expect(run.error).toEqual({ code: 0, message: 'too big for netascii: use binary (octet) mode' })
    expect(run.figures).toEqual([expect.objectContaining({ outcome: 'refused', name: 'vmlinuz' })])
    expect(content.closed()).toBe(1)
  })
})

describe('a file that cannot be had to its end', () => {
  it('ends the transfer with an ERROR and says why', () => {
    const { whole: _, ...content } = memoryContent(patternBytes(5000))
    const broken: Content = {
      ...content,
      read: () => {
        throw new Error('EIO: i/o error')
      },
    }
    const run = runOverCable(broken, { name: 'a' }, { seed: 1 })
    expect(run.error).toEqual({ code: 0, message: 'server error' })
    expect(run.figures).toEqual([expect.objectContaining({ outcome: 'aborted', reason: 'EIO: i/o error', sentBytes: 0 })])
  })
})
