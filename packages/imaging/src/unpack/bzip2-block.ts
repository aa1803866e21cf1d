import type { Bzip2Bits } from './bzip2-bits.ts'
import { HuffmanCode } from './bzip2-huffman.ts'
import { bzip2Crc } from './bzip2-crc.ts'
import { damaged } from './packing.ts'

/** Symbols that are coded by one table before the next selector. */
const GROUP = 50
/** More cannot be needed; bzip2 1.0.8 reads what goes past them and forgets it. */
const MOST_SELECTORS = 18_002
const PIECE = 256 * 1024

/** One block: Huffman codes, move-to-front, runs, the Burrows-Wheeler transform, and runs once more. */
export class Bzip2Block {
  /** The low byte is the content, the rest links it to what follows. */
  readonly #links: Uint32Array
  #length = 0
  #origin = 0

  /** `size`: bytes that a block may have before the last step, 900,000 at most. */
  constructor(size: number) {
    this.#links = new Uint32Array(size)
  }

  /** Reads a block behind its checksum. Throws ImagingError. */
  read(bits: Bzip2Bits): void {
    if (bits.read(1) !== 0) throw damaged('bzip2') // "randomised", by programs of before 1997
    this.#origin = bits.read(24)
    const used = readUsed(bits)
    const tables = bits.read(3)
    const selectors = readSelectors(bits, tables)
    const codes = Array.from({ length: tables }, () => new HuffmanCode(readLengths(bits, used.length + 2)))
    bits.assertThere()
    this.#link(this.#readSymbols(bits, used, selectors, codes))
    if (this.#origin >= this.#length) throw damaged('bzip2')
  }

  /** The content. Throws ImagingError at its end unless that has the checksum `crc`. */
  *pieces(crc: number): Generator<Uint8Array> {
    let found = 0xffffffff
    for (const piece of this.#unrolled()) {
      found = bzip2Crc(found, piece)
      yield piece
    }
    if (~found >>> 0 !== crc) throw damaged('bzip2')
  }

  /** Undoes move-to-front and the inner runs; returns how often each byte occurs. */
  #readSymbols(bits: Bzip2Bits, front: Uint8Array, selectors: Uint8Array, codes: HuffmanCode[]): Uint32Array {
    const links = this.#links
    const counts = new Uint32Array(256)
    const end = front.length + 1
    let length = 0
    let run = 0
    let weight = 1
    for (const selector of selectors) {
      const code = codes[selector] as HuffmanCode
      for (let left = GROUP; left > 0; left--) {
        const symbol = code.read(bits)
        if (symbol <= 1) {
          run += weight << symbol
          weight *= 2
          if (run > links.length - length) throw damaged('bzip2')
          continue
        }
        if (run > 0) {
          const byte = front[0] as number
          links.fill(byte, length, length + run)
          counts[byte] = (counts[byte] as number) + run
          length += run
          run = 0
          weight = 1
        }
        if (symbol === end) {
          this.#length = length
          bits.assertThere()
          return counts
        }
        if (length === links.length) throw damaged('bzip2')
        const byte = front[symbol - 1] as number
        for (let place = symbol - 1; place > 0; place--) front[place] = front[place - 1] as number
        front[0] = byte
        links[length++] = byte
        counts[byte] = (counts[byte] as number) + 1
      }
      bits.assertThere()
    }
    throw damaged('bzip2')
  }

  /** Undoes the Burrows-Wheeler transform: links each byte to its successor. */
  #link(counts: Uint32Array): void {
    const links = this.#links
    const next = new Uint32Array(256)
    for (let byte = 1; byte < 256; byte++)
      next[byte] = (next[byte - 1] as number) + (counts[byte - 1] as number)
    for (let at = 0; at < this.#length; at++) {
      const byte = (links[at] as number) & 0xff
      const place = next[byte] as number
      next[byte] = place + 1
      links[place] = (links[place] as number) | (at << 8)
    }
  }

  /** Undoes the outer runs: behind four equal bytes stands how many more there are. */
  *#unrolled(): Generator<Uint8Array> {
    const links = this.#links
    let piece = new Uint8Array(PIECE)
    let filled = 0
    let last = -1
    let equal = 0
    let link = links[this.#origin] as number
    for (let left = this.#length; left > 0; left--) {
      link = links[link >>> 8] as number
      const byte = link & 0xff
      if (filled + 255 > PIECE) {
        yield piece.subarray(0, filled)
        piece = new Uint8Array(PIECE)
        filled = 0
      }
      if (equal === 4) {
        piece.fill(last, filled, filled + byte)
        filled += byte
        equal = 0
        last = -1
        continue
      }
      equal = byte === last ? equal + 1 : 1
      last = byte
      piece[filled++] = byte
    }
    // As bzip2, which asks for the count even at the end of a block.
    if (equal === 4) throw damaged('bzip2')
    yield piece.subarray(0, filled)
  }
}

/** Which bytes occur: sixteen bits for sixteen ranges, then sixteen bits for each of them that is used. */
function readUsed(bits: Bzip2Bits): Uint8Array {
  const ranges = bits.read(16)
  const used: number[] = []
  for (let range = 0; range < 16; range++) {
    if (((ranges << range) & 0x8000) === 0) continue
    const bytes = bits.read(16)
    for (let at = 0; at < 16; at++) if (((bytes << at) & 0x8000) !== 0) used.push(range * 16 + at)
  }
  if (used.length === 0) throw damaged('bzip2')
  return Uint8Array.from(used)
}

/** Which table codes which group of symbols. */
function readSelectors(bits: Bzip2Bits, tables: number): Uint8Array {
  const count = bits.read(15)
  if (tables < 2 || tables > 6 || count === 0) throw damaged('bzip2')
  const front = [0, 1, 2, 3, 4, 5].slice(0, tables)
  const selectors = new Uint8Array(count)
  for (let at = 0; at < count; at++) {
    let place = 0
    while (bits.read(1) === 1) if (++place >= tables) throw damaged('bzip2')
    const [table = 0] = front.splice(place, 1)
    front.unshift(table)
    selectors[at] = table
  }
  return selectors.subarray(0, MOST_SELECTORS)
}

/** Lengths of the codes of one table, 1 to 20 bits, each told by its difference to the one before. */
function readLengths(bits: Bzip2Bits, symbols: number): Uint8Array {
  const lengths = new Uint8Array(symbols)
  let length = bits.read(5)
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (;;) {
      if (length < 1 || length > 20) throw damaged('bzip2')
      if (bits.read(1) === 0) break
      length += bits.read(1) === 0 ? 1 : -1
    }
    lengths[symbol] = length
  }
  return lengths
}
