// A small LZMA1 decoder, written for the tests only: the other side of src/ipxe/lzma.ts. Source: the LZMA specification (Igor Pavlov, 2015, public domain).

export type Decoded = { readonly bytes: Uint8Array; readonly hasEndMarker: boolean }

export function decodeLzma(input: Uint8Array, lc: number, lp: number, pb: number, limit = 1 << 24): Decoded {
  const out: number[] = []
  let at = 1
  let range = 0xffffffff
  let code = 0
  for (let index = 0; index < 4; index++) code = ((code << 8) | (input[at++] ?? 0)) >>> 0
  const probs = (count: number): number[] => new Array<number>(count).fill(1024)
  const normalize = (): void => {
    if (range >= 0x1000000) return
    if (at >= input.length) throw new Error('the stream ends early')
    range = (range * 256) >>> 0
    code = ((code << 8) | (input[at++] ?? 0)) >>> 0
  }
  const bit = (table: number[], index: number): number => {
    const prob = table[index] as number
    const bound = (range >>> 11) * prob
    let value = 0
    if (code < bound) {
      range = bound
      table[index] = prob + ((2048 - prob) >> 5)
    } else {
      range -= bound
      code -= bound
      table[index] = prob - (prob >> 5)
      value = 1
    }
    normalize()
    return value
  }
  const tree = (table: number[], bits: number): number => {
    let node = 1
    for (let index = 0; index < bits; index++) node = (node << 1) | bit(table, node)
    return node - (1 << bits)
  }
  const reverse = (table: number[], offset: number, bits: number): number => {
    let node = 1
    let value = 0
    for (let index = 0; index < bits; index++) {
      const one = bit(table, offset + node)
      node = (node << 1) | one
      value |= one << index
    }
    return value
  }
  const direct = (bits: number): number => {
    let value = 0
    for (let index = 0; index < bits; index++) {
      range >>>= 1
      const one = code >= range ? 1 : 0
      if (one) code = (code - range) >>> 0
      normalize()
      value = value * 2 + one
    }
    return value
  }
  const makeLength = () => ({
    choice: probs(2),
    low: Array.from({ length: 1 << pb }, () => probs(8)),
    middle: Array.from({ length: 1 << pb }, () => probs(8)),
    high: probs(256),
  })
  const length = (coder: ReturnType<typeof makeLength>, place: number): number => {
    if (!bit(coder.choice, 0)) return 2 + tree(coder.low[place] as number[], 3)
    if (!bit(coder.choice, 1)) return 10 + tree(coder.middle[place] as number[], 3)
    return 18 + tree(coder.high, 8)
  }
  const literals = probs(0x300 << (lc + lp))
  const [isMatch, isRep, isRep0, isRep1, isRep2, isRep0Long] = [probs(12 << pb), probs(12), probs(12), probs(12), probs(12), probs(12 << pb)] as const
  const [slots, special, align] = [[0, 1, 2, 3].map(() => probs(64)), probs(128), probs(16)] as const
  const [matchLength, repLength] = [makeLength(), makeLength()]
  const reps = [0, 0, 0, 0]
  let state = 0
  while (out.length < limit) {
    const place = out.length & ((1 << pb) - 1)
    if (!bit(isMatch, (state << pb) + place)) {
      const base = 0x300 * (((out.length & ((1 << lp) - 1)) << lc) + ((out.at(-1) ?? 0) >> (8 - lc)))
      let symbol = 1
      if (state >= 7) {
        let expected = out[out.length - (reps[0] as number) - 1] as number
        while (symbol < 0x100) {
          const wanted = (expected >> 7) & 1
          expected <<= 1
          const one = bit(literals, base + ((1 + wanted) << 8) + symbol)
          symbol = (symbol << 1) | one
          if (one !== wanted) break
        }
      }
      while (symbol < 0x100) symbol = (symbol << 1) | bit(literals, base + symbol)
      out.push(symbol & 0xff)
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
      continue
    }
    let count: number
    if (!bit(isRep, state)) {
      count = length(matchLength, place)
      const slot = tree(slots[Math.min(count - 2, 3)] as number[], 6)
      let distance = slot
      if (slot >= 4) {
        const bits = (slot >> 1) - 1
        distance = (2 | (slot & 1)) * 2 ** bits
        if (slot < 14) distance += reverse(special, distance - slot, bits)
        else distance += direct(bits - 4) * 16 + reverse(align, 0, 4)
      }
      state = state < 7 ? 7 : 10
      if (distance === 0xffffffff) return { bytes: Uint8Array.from(out), hasEndMarker: true }
      reps.unshift(distance)
      reps.pop()
    } else {
      if (!bit(isRep0, state)) {
        if (!bit(isRep0Long, (state << pb) + place)) {
          state = state < 7 ? 9 : 11
          out.push(out[out.length - (reps[0] as number) - 1] as number)
          continue
        }
      } else {
        const index = !bit(isRep1, state) ? 1 : 2 + bit(isRep2, state)
        reps.unshift(...reps.splice(index, 1))
      }
      count = length(repLength, place)
      state = state < 7 ? 8 : 11
    }
    const distance = (reps[0] as number) + 1
    if (distance > out.length) throw new Error('a distance before the beginning')
    for (let index = 0; index < count; index++) out.push(out[out.length - distance] as number)
  }
  return { bytes: Uint8Array.from(out), hasEndMarker: false }
}
