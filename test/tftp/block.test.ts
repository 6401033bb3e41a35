import { describe, expect, it } from 'vitest'
import type { Content } from '../../src/boot/content.ts'
import { type Blocks, createBlocks } from '../../src/tftp/block.ts'
import { decodePacket } from '../../src/tftp/packet.ts'
import { createTables } from '../../src/tftp/table.ts'
import { memoryContent, patternBytes } from '../support/tftp-link.ts'

const blocksOf = (content: Content, blksize: number, tableBytes = 1 << 20, pieceBytes = 8192): Blocks =>
  createBlocks({ content, blksize, key: 'a', tables: createTables(tableBytes), pieceBytes: () => pieceBytes })

async function collect(blocks: Blocks): Promise<{ bytes: Buffer; numbers: number[]; loads: number }> {
  const parts: Uint8Array[] = []
  const numbers: number[] = []
  let loads = 0
  for (let block = 1; block <= blocks.count; block++) {
    if (!blocks.has(block)) {
      loads++
      await blocks.load(block)
    }
    const at = blocks.offsetOf(block)
    const packet = decodePacket(blocks.bytes().subarray(at, at + blocks.lengthOf(block)))
    if (packet.op !== 'data') throw new Error(packet.op)
    numbers.push(packet.block)
    parts.push(packet.bytes)
  }
  return { bytes: Buffer.concat(parts), numbers, loads }
}

const fromDisk = (bytes: Uint8Array): Content => {
  const { whole: _, ...content } = memoryContent(bytes)
  return { ...content, read: async (offset, length) => bytes.subarray(offset, offset + length) }
}

describe('blocks', () => {
  it.each([0, 1, 511, 512, 513, 1024, 10_000])('cut %d bytes so that the last block is short', async (size) => {
    const bytes = patternBytes(size)
    for (const content of [memoryContent(bytes), fromDisk(bytes)]) {
      for (const tableBytes of [1 << 20, 0]) {
        const blocks = blocksOf(content, 512, tableBytes)
        expect(blocks.count).toBe(Math.floor(size / 512) + 1)
        const found = await collect(blocks)
        expect(found.bytes.equals(bytes)).toBe(true)
        expect(found.loads).toBe(tableBytes ? 1 : Math.ceil(blocks.count / 16))
      }
    }
  })

  it('roll the numbers over', async () => {
    const found = await collect(blocksOf(memoryContent(patternBytes(8 * 65_540)), 8))
    expect(found.numbers.slice(65_534, 65_538)).toEqual([65535, 0, 1, 2])
  })

  it('share the packets of one file, but not of another or in another size', async () => {
    const tables = createTables(1 << 20)
    const make = (content: Content, key: string, blksize: number) => {
      const blocks = createBlocks({ content, blksize, key, tables, pieceBytes: () => 8192 })
      blocks.load(1)
      return blocks.bytes()
    }
    const content = memoryContent(patternBytes(5000), 'v1')
    const first = make(content, 'a', 512)
    expect(make(content, 'a', 512)).toBe(first)
    expect(make(content, 'a', 1024)).not.toBe(first)
    expect(make(content, 'b', 512)).not.toBe(first)
    expect(make(memoryContent(patternBytes(5000), 'v2'), 'a', 512)).not.toBe(first)
  })

  it('never send a file that has another size than it said', async () => {
    const shrunk: Content = { ...fromDisk(patternBytes(3000)), sizeBytes: 4000 }
    for (const tableBytes of [1 << 20, 0]) await expect(blocksOf(shrunk, 512, tableBytes).load(1)).rejects.toThrow('3000 bytes instead of 4000')
  })

  it('close the content, and give back a table that comes too late', async () => {
    const content = memoryContent(patternBytes(5000))
    const tables = createTables(6000)
    const read = async (offset: number, length: number) => patternBytes(5000).subarray(offset, offset + length)
    const { whole: _, ...late } = { ...content, read }
    const blocks = createBlocks({ content: late, blksize: 512, key: 'a', tables, pieceBytes: () => 8192 })
    const loading = blocks.load(1)
    blocks.close()
    await loading
    expect(content.closed()).toBe(1)
    expect(tables.borrow('other', 6000, () => Buffer.alloc(0))).toBeDefined()
  })
})
