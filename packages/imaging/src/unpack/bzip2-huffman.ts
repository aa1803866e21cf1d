import type { Bzip2Bits } from './bzip2-bits.ts'
import { damaged } from './packing.ts'

const LONGEST = 20
/** Codes up to this length are found in one step. */
const SHORT = 10

/** A canonical Huffman code: shorter codes come first, among equals those of lower symbols. */
export class HuffmanCode {
  /** By the next `SHORT` bits: symbol * 32 + length; 0 where the code is longer. */
  readonly #short = new Uint16Array(1 << SHORT)
  /** Symbols in the order of their codes. */
  readonly #symbols: Uint16Array
  /** By length: the code after the last one of that length, and what leads from a code to its place in `#symbols`. */
  readonly #limit = new Int32Array(LONGEST + 1)
  readonly #offset = new Int32Array(LONGEST + 1)

  /** `lengths`, 1 to 20, by symbol. Throws ImagingError where there are more codes than fit. */
  constructor(lengths: Uint8Array) {
    this.#symbols = new Uint16Array(lengths.length)
    let code = 0
    let place = 0
    for (let length = 1; length <= LONGEST; length++) {
      code *= 2
      this.#offset[length] = place - code
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue
        if (length <= SHORT)
          this.#short.fill(symbol * 32 + length, code << (SHORT - length), (code + 1) << (SHORT - length))
        this.#symbols[place++] = symbol
        code++
      }
      this.#limit[length] = code
      if (code > 2 ** length) throw damaged('bzip2')
    }
  }

  /** The next symbol. Throws ImagingError where the bits are no code. */
  read(bits: Bzip2Bits): number {
    const entry = this.#short[bits.peek(SHORT)] as number
    if (entry !== 0) {
      bits.skip(entry & 31)
      return entry >>> 5
    }
    const ahead = bits.peek(LONGEST)
    for (let length = SHORT + 1; length <= LONGEST; length++) {
      const code = ahead >>> (LONGEST - length)
      if (code >= (this.#limit[length] as number)) continue
      bits.skip(length)
      return this.#symbols[code + (this.#offset[length] as number)] as number
    }
    throw damaged('bzip2')
  }
}
