// The range coder below LZMA: bits with adaptive probabilities (11 bits, shift 5) into bytes. Used by lzma only.

export type RangeEncoder = {
  /** One bit with the probability at `index`, which learns from it. */
  readonly bit: (probs: Uint16Array, index: number, bit: number) => void
  /** `bits` bits, highest first, through a tree of probabilities. */
  readonly tree: (probs: Uint16Array, bits: number, value: number) => void
  /** The same lowest first; the tree's root is at `offset` + 1. */
  readonly reverseTree: (probs: Uint16Array, offset: number, bits: number, value: number) => void
  /** Bits without probability, highest first. */
  readonly direct: (value: number, bits: number) => void
  readonly finish: () => Uint8Array
}

export function createRangeEncoder(): RangeEncoder {
  let out = new Uint8Array(1 << 16)
  let size = 0
  let low = 0
  let range = 0xffffffff
  let cache = 0
  let pending = 1

  const put = (byte: number): void => {
    if (size === out.length) {
      const larger = new Uint8Array(out.length * 2)
      larger.set(out)
      out = larger
    }
    out[size++] = byte
  }
  /** Moves the top byte out; a run of 0xff waits until it is known whether a carry comes. */
  const shift = (): void => {
    if (low < 0xff000000 || low > 0xffffffff) {
      const carry = low > 0xffffffff ? 1 : 0
      for (let byte = cache; pending > 0; pending--, byte = 0xff) put((byte + carry) & 0xff)
      cache = Math.floor(low / 0x1000000) & 0xff
    }
    pending++
    low = (low % 0x1000000) * 0x100
  }
  const normalize = (): void => {
    while (range < 0x1000000) {
      range = (range * 0x100) >>> 0
      shift()
    }
  }
  const bit: RangeEncoder['bit'] = (probs, index, value) => {
    const prob = probs[index] ?? 1024
    const bound = (range >>> 11) * prob
    if (value === 0) {
      range = bound
      probs[index] = prob + ((2048 - prob) >> 5)
    } else {
      low += bound
      range -= bound
      probs[index] = prob - (prob >> 5)
    }
    normalize()
  }
  const tree: RangeEncoder['tree'] = (probs, bits, value) => {
    let node = 1
    for (let index = bits - 1; index >= 0; index--) {
      const one = (value >>> index) & 1
      bit(probs, node, one)
      node = (node << 1) | one
    }
  }
  const reverseTree: RangeEncoder['reverseTree'] = (probs, offset, bits, value) => {
    let node = 1
    for (let index = 0; index < bits; index++) {
      const one = (value >>> index) & 1
      bit(probs, offset + node, one)
      node = (node << 1) | one
    }
  }
  const direct: RangeEncoder['direct'] = (value, bits) => {
    for (let index = bits - 1; index >= 0; index--) {
      range >>>= 1
      if ((value >>> index) & 1) low += range
      normalize()
    }
  }
  const finish = (): Uint8Array => {
    for (let step = 0; step < 5; step++) shift()
    return out.slice(0, size)
  }
  return { bit, tree, reverseTree, direct, finish }
}
