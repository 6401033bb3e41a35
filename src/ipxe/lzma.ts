// LZMA1 encoder (raw stream with end marker), enough to pack an iPXE image again after its script changed. Used by zbin only.
// Greedy with one step of look-ahead over hash chains: about 3 % larger than liblzma's best, tens of milliseconds for 130 kB.
// Format: the LZMA specification (Igor Pavlov, 2015, public domain).
import { createRangeEncoder, type RangeEncoder } from './range.ts'

/** Literal context bits, literal position bits, position bits. iPXE unpacks with 2, 0, 0. */
export type LzmaOptions = { readonly lc: number; readonly lp: number; readonly pb: number }

const minMatch = 2
const maxMatch = 273
const chainSteps = 256
const niceLength = 128

type Match = { length: number; distance: number }

/** Packs everything; the answer has no header (the unpacker must know lc, lp and pb). */
export function encodeLzma(data: Uint8Array, options: LzmaOptions): Uint8Array {
  const coder = createSymbolCoder(createRangeEncoder(), data, options)
  const finder = createMatchFinder(data)
  let position = 0
  let ahead: Match | undefined
  while (position < data.length) {
    const rep = findRep(data, position, coder.reps)
    const main = ahead ?? finder.find(position)
    ahead = undefined
    const choice = choose(rep, main)
    if (choice === 'literal') {
      coder.literal(position)
      finder.insert(position++)
      continue
    }
    if (choice === 'match' && main.length < niceLength && position + 1 < data.length) {
      // A better match one byte later is worth a literal.
      finder.insert(position)
      const next = finder.find(position + 1)
      if (isBetter(next, main) || findRep(data, position + 1, coder.reps).length + 1 >= Math.max(main.length, 4)) {
        coder.literal(position++)
        ahead = next
        continue
      }
    } else finder.insert(position)
    const length = choice === 'rep' ? rep.length : main.length
    if (choice === 'rep') coder.rep(position, rep.index, length)
    else coder.match(position, main.distance, length)
    for (let step = 1; step < length; step++) finder.insert(position + step)
    position += length
  }
  coder.endMarker(position)
  return coder.finish()
}

/** A short match far away costs more bits than its literals. */
function choose(rep: Match, main: Match): 'literal' | 'rep' | 'match' {
  if (rep.length >= niceLength) return 'rep'
  const isWorthy = main.length >= 4 || (main.length === 3 && main.distance < 1 << 14) || (main.length === 2 && main.distance < 1 << 7)
  if (
    rep.length >= minMatch &&
    (!isWorthy ||
      rep.length + 1 >= main.length ||
      (rep.length + 2 >= main.length && main.distance >= 1 << 9) ||
      (rep.length + 3 >= main.length && main.distance >= 1 << 15))
  )
    return 'rep'
  return isWorthy ? 'match' : 'literal'
}

function isBetter(next: Match, main: Match): boolean {
  if (next.length < minMatch) return false
  return (
    next.length > main.length + 1 ||
    (next.length === main.length + 1 && next.distance >> 7 <= main.distance) ||
    (next.length === main.length && next.distance < main.distance >> 7)
  )
}

function matchLength(data: Uint8Array, at: number, from: number, limit: number): number {
  let length = 0
  while (length < limit && data[at + length] === data[from + length]) length++
  return length
}

type RepMatch = Match & { index: number }

function findRep(data: Uint8Array, position: number, reps: readonly number[]): RepMatch {
  let best: RepMatch = { length: 0, distance: 0, index: 0 }
  const limit = Math.min(maxMatch, data.length - position)
  for (const [index, distance] of reps.entries()) {
    if (distance >= position) continue
    const length = matchLength(data, position, position - distance - 1, limit)
    if (length > best.length) best = { length, distance, index }
  }
  return best
}

/** Longest match before a position; distances count from 0. Every position must be inserted once, in order. */
function createMatchFinder(data: Uint8Array): { find: (position: number) => Match; insert: (position: number) => void } {
  const hashBits = 16
  const heads = new Int32Array(1 << hashBits).fill(-1)
  const pairs = new Int32Array(1 << 16).fill(-1)
  const previous = new Int32Array(data.length)
  const byte = (at: number): number => data[at] ?? 0
  const hash = (at: number): number => (Math.imul(byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16), 0x9e3779b1) >>> (32 - hashBits)) >>> 0
  const pair = (at: number): number => byte(at) | (byte(at + 1) << 8)

  const insert = (position: number): void => {
    const slot = hash(position)
    previous[position] = heads[slot] ?? -1
    heads[slot] = position
    pairs[pair(position)] = position
  }
  const find = (position: number): Match => {
    const limit = Math.min(maxMatch, data.length - position)
    let length = 0
    let distance = 0
    const near = pairs[pair(position)] ?? -1
    if (near >= 0 && limit >= minMatch) {
      length = matchLength(data, position, near, limit)
      distance = position - near - 1
    }
    let from = heads[hash(position)] ?? -1
    for (let step = 0; step < chainSteps && from >= 0 && length < niceLength && length < limit; step++) {
      if (data[from + length] === data[position + length]) {
        const here = matchLength(data, position, from, limit)
        const gap = position - from - 1
        // One byte more must not cost a distance 128 times as long.
        if (here > length && !(here === length + 1 && length >= minMatch && gap >> 7 > distance)) {
          length = here
          distance = gap
        }
      }
      from = previous[from] ?? -1
    }
    return { length, distance }
  }
  return { find, insert }
}

type SymbolCoder = {
  readonly reps: readonly number[]
  literal: (position: number) => void
  match: (position: number, distance: number, length: number) => void
  rep: (position: number, index: number, length: number) => void
  endMarker: (position: number) => void
  finish: () => Uint8Array
}

const newProbs = (count: number): Uint16Array => new Uint16Array(count).fill(1024)

function createSymbolCoder(range: RangeEncoder, data: Uint8Array, { lc, lp, pb }: LzmaOptions): SymbolCoder {
  const positionMask = (1 << pb) - 1
  const literals = newProbs(0x300 << (lc + lp))
  const isMatch = newProbs(12 << pb)
  const isRep = newProbs(12)
  const isRep0 = newProbs(12)
  const isRep1 = newProbs(12)
  const isRep2 = newProbs(12)
  const isRep0Long = newProbs(12 << pb)
  const slots = [0, 1, 2, 3].map(() => newProbs(64))
  const special = newProbs(128)
  const align = newProbs(16)
  const matchLengths = createLengthCoder(range, pb)
  const repLengths = createLengthCoder(range, pb)
  const reps = [0, 0, 0, 0]
  let state = 0

  const literal = (position: number): void => {
    range.bit(isMatch, (state << pb) + (position & positionMask), 0)
    const before = position > 0 ? (data[position - 1] ?? 0) : 0
    const base = 0x300 * (((position & ((1 << lp) - 1)) << lc) + (before >> (8 - lc)))
    const byte = data[position] ?? 0
    let symbol = 1
    if (state >= 7) {
      // After a match: the byte that would have continued it is the context, as long as the bits agree.
      let expected = data[position - (reps[0] ?? 0) - 1] ?? 0
      let offset = 0x100
      for (let index = 7; index >= 0; index--) {
        expected <<= 1
        const bit = (byte >> index) & 1
        range.bit(literals, base + offset + (expected & offset) + symbol, bit)
        symbol = (symbol << 1) | bit
        offset &= bit ? expected : ~expected
      }
    } else
      for (let index = 7; index >= 0; index--) {
        const bit = (byte >> index) & 1
        range.bit(literals, base + symbol, bit)
        symbol = (symbol << 1) | bit
      }
    state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
  }

  const distance = (value: number, length: number): void => {
    const slot = value < 4 ? value : ((31 - Math.clz32(value)) << 1) | ((value >>> (30 - Math.clz32(value))) & 1)
    range.tree(slots[Math.min(length - minMatch, 3)] ?? align, 6, slot)
    if (slot < 4) return
    const bits = (slot >> 1) - 1
    const base = ((2 | (slot & 1)) << bits) >>> 0
    const rest = (value - base) >>> 0
    if (slot < 14) range.reverseTree(special, base - slot, bits, rest)
    else {
      range.direct(rest >>> 4, bits - 4)
      range.reverseTree(align, 0, 4, rest & 15)
    }
  }

  const match = (position: number, value: number, length: number): void => {
    range.bit(isMatch, (state << pb) + (position & positionMask), 1)
    range.bit(isRep, state, 0)
    matchLengths(length - minMatch, position & positionMask)
    distance(value, length)
    reps.unshift(value)
    reps.pop()
    state = state < 7 ? 7 : 10
  }

  const rep = (position: number, index: number, length: number): void => {
    range.bit(isMatch, (state << pb) + (position & positionMask), 1)
    range.bit(isRep, state, 1)
    range.bit(isRep0, state, index === 0 ? 0 : 1)
    if (index === 0) range.bit(isRep0Long, (state << pb) + (position & positionMask), 1)
    else {
      range.bit(isRep1, state, index === 1 ? 0 : 1)
      if (index > 1) range.bit(isRep2, state, index - 2)
      reps.unshift(...reps.splice(index, 1))
    }
    repLengths(length - minMatch, position & positionMask)
    state = state < 7 ? 8 : 11
  }

  return { reps, literal, match, rep, endMarker: (position) => match(position, 0xffffffff, minMatch), finish: range.finish }
}

function createLengthCoder(range: RangeEncoder, pb: number): (value: number, positionState: number) => void {
  const choice = newProbs(2)
  const low = Array.from({ length: 1 << pb }, () => newProbs(8))
  const middle = Array.from({ length: 1 << pb }, () => newProbs(8))
  const high = newProbs(256)
  return (value, positionState) => {
    range.bit(choice, 0, value < 8 ? 0 : 1)
    if (value < 8) return range.tree(low[positionState] ?? high, 3, value)
    range.bit(choice, 1, value < 16 ? 0 : 1)
    if (value < 16) return range.tree(middle[positionState] ?? high, 3, value - 8)
    range.tree(high, 8, value - 16)
  }
}
