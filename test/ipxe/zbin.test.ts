import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/boot/error.ts'
import { encodeLzma } from '../../src/ipxe/lzma.ts'
import { filterJumps, packImage, parseZinfo } from '../../src/ipxe/zbin.ts'
import { seededRandom } from '../support/random.ts'
import { describeWith } from '../support/tool.ts'
import { decodeLzma } from './support/unlzma.ts'

const random = seededRandom(1986)
const noise = (length: number, symbols = 256): Uint8Array => Uint8Array.from({ length }, () => Math.floor(random() * symbols))
const samples: [string, Uint8Array][] = [
  ['nothing', new Uint8Array(0)],
  ['one byte', Uint8Array.of(0)],
  ['two bytes', Uint8Array.of(255, 0)],
  ['zeros', new Uint8Array(20_000)],
  ['noise', noise(20_000)],
  ['few symbols', noise(20_000, 3)],
  ['a short period', Uint8Array.from({ length: 5000 }, (_, index) => index % 7)],
  [
    'four distances that return',
    Buffer.concat(Array.from({ length: 300 }, (_, index) => Buffer.concat([Buffer.from(`record ${index % 5} of the list;`), noise(index % 4)]))),
  ],
  ['far repeats', Buffer.concat([noise(300), new Uint8Array(70_000), noise(300)])],
  ['text', readFileSync(new URL('../../package-lock.json', import.meta.url))],
  ['a program', readFileSync(process.execPath).subarray(4096, 4096 + 200_000)],
]

describe('LZMA', () => {
  it.each(samples)('comes back: %s', (_, data) => {
    for (const [lc, lp, pb] of [
      [2, 0, 0],
      [3, 0, 2],
      [0, 2, 1],
    ] as const) {
      const decoded = decodeLzma(encodeLzma(data, { lc, lp, pb }), lc, lp, pb)
      expect(decoded.hasEndMarker).toBe(true)
      expect(Buffer.compare(decoded.bytes, data)).toBe(0)
    }
  })

  it('packs well', () => {
    const size = (name: string): number =>
      encodeLzma(samples.find(([other]) => other === name)?.[1] ?? new Uint8Array(), { lc: 2, lp: 0, pb: 0 }).length
    expect(size('zeros')).toBeLessThan(60)
    expect(size('a short period')).toBeLessThan(60)
    expect(size('text')).toBeLessThan((samples.find(([name]) => name === 'text')?.[1].length ?? 0) / 3)
  })

  it('comes back for many small inputs', () => {
    for (let round = 0; round < 2000; round++) {
      const data = noise(Math.floor(random() * 60), 1 + Math.floor(random() * 4))
      expect(Buffer.compare(decodeLzma(encodeLzma(data, { lc: 2, lp: 0, pb: 0 }), 2, 0, 0).bytes, data)).toBe(0)
    }
  })
})

describeWith(['xz'], 'xz, which we did not write', () => {
  it.each(samples)('unpacks ours: %s', (_, data) => {
    const packed = encodeLzma(data, { lc: 2, lp: 0, pb: 0 })
    expect(
      Buffer.compare(
        execFileSync('xz', ['--format=raw', '--decompress', '--lzma1=lc=2,lp=0,pb=0', '-c'], { input: packed, maxBuffer: 1 << 26 }),
        data,
      ),
    ).toBe(0)
  })

  it('packs a program at most 8 % smaller than we do', () => {
    const data = samples.find(([name]) => name === 'a program')?.[1] ?? new Uint8Array()
    const theirs = execFileSync('xz', ['--format=raw', '--lzma1=preset=9e,lc=2,lp=0,pb=0', '-c'], { input: data, maxBuffer: 1 << 26 })
    expect(encodeLzma(data, { lc: 2, lp: 0, pb: 0 }).length).toBeLessThan(theirs.length * 1.08)
  })
})

const record = (type: string, a = 0, b = 0, c = 0): Buffer => {
  const bytes = Buffer.alloc(16)
  bytes.write(type, 'latin1')
  for (const [index, value] of [a, b, c].entries()) bytes.writeUInt32LE(value, 4 + index * 4)
  return bytes
}

/** Undoes filterJumps: written from its description, as the target would. */
function restoreJumps(data: Uint8Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const limit = data.length - 5
  for (let offset = 0; offset <= limit; offset++) {
    if (data[offset] !== 0xe8 && data[offset] !== 0xe9) continue
    const target = view.getInt32(offset + 1, true)
    if (target >= 0 && target < limit) view.setInt32(offset + 1, target - offset, true)
    else if (target < 0 && target >= -offset) view.setInt32(offset + 1, target + limit, true)
    offset += 4
  }
}

describe('packing by .zinfo', () => {
  it('can undo the jump filter, also where values collide', () => {
    for (let round = 0; round < 3000; round++) {
      const data = noise(Math.floor(random() * 80), 256)
      for (let mark = 0; mark < data.length; mark += 1 + Math.floor(random() * 9)) data[mark] = random() < 0.5 ? 0xe8 : 0xe9
      for (let mark = 0; mark + 5 < data.length; mark += 6)
        if (random() < 0.7)
          data.set(
            [0, 0, 0].map(() => (random() < 0.5 ? 0 : 255)),
            mark + 2,
          )
      const filtered = Uint8Array.from(data)
      filterJumps(filtered)
      restoreJumps(filtered)
      expect(Buffer.compare(filtered, data)).toBe(0)
    }
  })

  it('copies, packs with length and check sum, and fixes sizes', () => {
    const head = Buffer.from('HEAD....')
    const body = Buffer.from('the body, the body, the body of the image')
    const bin = Buffer.concat([head, body])
    const zinfo = Buffer.concat([
      record('COPY', 0, 8, 1),
      record('PAYL', 0, 0, 16),
      record('PACK', 8, body.length, 4),
      record('ADDW', 4, 16),
      record('ADHB', 6, 16),
      record('APPB', 0, 1),
      record('ADPB', 7, 4),
    ])
    const out = Buffer.from(packImage(bin, zinfo))
    expect(out.subarray(0, 4).toString()).toBe('HEAD')
    expect(out.readUInt16LE(4)).toBe(0x2e2e + Math.ceil(out.length / 16))
    expect(out.subarray(8, 16).every((byte) => byte === 0xff)).toBe(true)
    const packedLength = ((out[16] ?? 0) - (out.length - 16) + 256) % 256
    expect(packedLength).toBe(out.length - 16 - 4)
    const stream = out.subarray(20, out.length - 4)
    expect(Buffer.from(decodeLzma(stream, 2, 0, 0).bytes).toString()).toBe(body.toString())
    expect(packImage(bin, zinfo)).toEqual(packImage(bin, zinfo))
  })

  it.each([
    ['half a record', record('COPY').subarray(0, 8)],
    ['nothing', Buffer.alloc(0)],
    ['an unknown record', record('ZREL')],
    ['a copy from behind the image', record('COPY', 100, 10, 1)],
    ['a pack from behind the image', record('PACK', 0, 0xffffffff, 1)],
    ['a size field outside', record('ADDL', 5000, 1)],
    ['an alignment that is none', Buffer.concat([record('COPY', 0, 3, 1), record('COPY', 0, 3, 3)])],
  ])('refuses %s', (_, zinfo) => {
    expect(() => packImage(Buffer.from('image'), zinfo)).toThrow(DecodeError)
  })

  it('throws nothing but DecodeError at random records', () => {
    const image = noise(64)
    const types = ['COPY', 'PACK', 'PAYL', 'ADDB', 'ADDW', 'ADDL', 'ADHB', 'ADPL', 'APPW', 'NONE']
    for (let round = 0; round < 20_000; round++) {
      const small = (): number => (random() < 0.8 ? Math.floor(random() * 70) : Math.floor(random() * 2 ** 32))
      const zinfo = Buffer.concat(
        Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
          record(types[Math.floor(random() * types.length)] ?? '', small(), small(), 1 << Math.floor(random() * 5)),
        ),
      )
      try {
        parseZinfo(random() < 0.9 ? zinfo : zinfo.subarray(Math.floor(random() * 20)))
        packImage(image, zinfo)
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
      }
    }
  })
})
