import { bzip2Crc } from '../unpack/bzip2-crc.ts'
import { damage, mutated } from './mutate.ts'
import type { Random } from './random.ts'

/** The most significant bit of each byte first. */
class BitWriter {
  readonly #bits: number[] = []

  write(value: number, count: number): void {
    for (let bit = count - 1; bit >= 0; bit--) this.#bits.push(Math.floor(value / 2 ** bit) % 2)
  }

  finish(): Buffer {
    const bytes = Buffer.alloc(Math.ceil(this.#bits.length / 8))
    this.#bits.forEach((bit, at) => (bytes[at >> 3] = (bytes[at >> 3] as number) | (bit << (7 - (at & 7)))))
    return bytes
  }
}

/** The values of a block, in the order in which they stand in it. */
interface Block {
  crc: number
  randomised: number
  origin: number
  used: number[]
  tables: number
  selectors: number[]
  lengths: number[]
  symbols: number[]
}

/** Four equal bytes are followed by how many more there are. */
function rolled(content: Buffer): number[] {
  const out: number[] = []
  for (let at = 0; at < content.length; ) {
    let run = 1
    while (run < 259 && content[at + run] === content[at]) run++
    for (let count = Math.min(run, 4); count > 0; count--) out.push(content[at] as number)
    if (run >= 4) out.push(run - 4)
    at += run
  }
  return out
}

/** The Burrows-Wheeler transform: the last column of all rotations, sorted, and where the content itself is among them. */
function transform(bytes: number[]): { last: number[]; origin: number } {
  const size = bytes.length
  const compare = (a: number, b: number): number => {
    for (let at = 0; at < size; at++) {
      const difference = (bytes[(a + at) % size] as number) - (bytes[(b + at) % size] as number)
      if (difference !== 0) return difference
    }
    return a - b
  }
  const order = bytes.map((_, at) => at).sort(compare)
  return { last: order.map((at) => bytes[(at + size - 1) % size] as number), origin: order.indexOf(0) }
}

/** Move-to-front; runs of the front as numbers of the digits 1 and 2. */
function symbolsOf(last: number[], used: number[]): number[] {
  const front = [...used]
  const symbols: number[] = []
  let zeros = 0
  const flush = () => {
    for (; zeros > 0; zeros = Math.floor((zeros - 1) / 2)) symbols.push((zeros - 1) % 2)
  }
  for (const byte of last) {
    const place = front.indexOf(byte)
    if (place === 0) {
      zeros++
      continue
    }
    flush()
    symbols.push(place + 1)
    front.splice(place, 1)
    front.unshift(byte)
  }
  flush()
  return [...symbols, used.length + 1]
}

function makeBlock(content: Buffer): Block {
  const bytes = rolled(content)
  const used = [...new Set(bytes)].sort((a, b) => a - b)
  const { last, origin } = transform(bytes)
  const symbols = symbolsOf(last, used)
  const length = Math.max(1, Math.ceil(Math.log2(used.length + 2)))
  return {
    crc: ~bzip2Crc(0xffffffff, content) >>> 0,
    randomised: 0,
    origin,
    used,
    tables: 2,
    selectors: Array.from({ length: Math.ceil(symbols.length / 50) }, (_, at) => at % 2),
    lengths: Array.from({ length: used.length + 2 }, () => length),
    symbols,
  }
}

function bend(block: Block, random: Random): void {
  const put = (values: number[], most: number) => {
    if (values.length > 0) values[random.below(values.length)] = random.between(0, most)
  }
  random.pick([
    () => void (block.origin = random.pick([block.symbols.length, 0, 0xffffff, random.below(500)])),
    () => void (block.randomised = 1),
    () => void (block.tables = random.below(8)),
    () => put(block.selectors, 6),
    () => void block.selectors.push(...Array.from({ length: random.pick([1, 40, 18_100]) }, () => 0)),
    () => void block.selectors.pop(),
    () => put(block.lengths, 21),
    () => put(block.lengths, 21),
    () => put(block.symbols, block.used.length + 1),
    () => void block.symbols.push(random.below(block.used.length + 2)),
    () =>
      void block.symbols.splice(
        random.below(block.symbols.length),
        0,
        ...Array.from({ length: random.between(1, 24) }, () => 1),
      ),
    () => void block.used.pop(),
    () => void (block.crc = random.below(2 ** 32)),
  ])()
}

function encodeBlock(block: Block, out: BitWriter): void {
  out.write(0x314159265359, 48)
  out.write(block.crc, 32)
  out.write(block.randomised, 1)
  out.write(block.origin, 24)
  const ranges = Array.from({ length: 16 }, (_, range) => block.used.some((byte) => byte >> 4 === range))
  for (const isUsed of ranges) out.write(Number(isUsed), 1)
  ranges.forEach((isUsed, range) => {
    if (!isUsed) return
    for (let at = 0; at < 16; at++) out.write(Number(block.used.includes(range * 16 + at)), 1)
  })
  out.write(block.tables, 3)
  out.write(block.selectors.length, 15)
  const front = [0, 1, 2, 3, 4, 5, 6]
  for (const selector of block.selectors) {
    const place = front.indexOf(selector)
    for (let ones = 0; ones < place; ones++) out.write(1, 1)
    out.write(0, 1)
    front.splice(place, 1)
    front.unshift(selector)
  }
  for (let table = 0; table < block.tables; table++) encodeLengths(block.lengths, out)
  const codes = codesOf(block.lengths)
  for (const symbol of block.symbols) out.write(codes[symbol] ?? 0, block.lengths[symbol] ?? 1)
}

function encodeLengths(lengths: number[], out: BitWriter): void {
  let current = lengths[0] ?? 1
  out.write(current, 5)
  for (const length of lengths) {
    for (; current < length; current++) out.write(2, 2)
    for (; current > length; current--) out.write(3, 2)
    out.write(0, 1)
  }
}

/** Canonical: shorter codes first, then lower symbols. */
function codesOf(lengths: number[]): number[] {
  const codes: number[] = []
  let code = 0
  for (let length = 1; length <= 21; length++) {
    code *= 2
    lengths.forEach((each, symbol) => {
      if (each === length) codes[symbol] = code++
    })
  }
  return codes
}

const contents = [
  'x',
  'banana bandana '.repeat(9),
  'aaaa',
  `${'z'.repeat(700)}end`,
  'The quick brown fox jumps.',
].map((text) => Buffer.from(text))
const blocks = contents.map((content) => makeBlock(content))

/** One or two streams of up to three blocks each. */
export function makeBzip2(random: Random): Buffer {
  const streams = Array.from({ length: random.pick([1, 1, 1, 2]) }, () => {
    const out = new BitWriter()
    out.write(0x425a68, 24)
    out.write(0x30 + (random.chance(0.97) ? 1 : random.below(16)), 8)
    let sum = 0
    for (let left = random.pick([0, 1, 1, 1, 2, 3]); left > 0; left--) {
      const block = structuredClone(random.pick(blocks))
      if (random.chance(0.4)) bend(block, random)
      encodeBlock(block, out)
      sum = (((sum << 1) | (sum >>> 31)) ^ block.crc) >>> 0
    }
    out.write(0x177245385090, 48)
    out.write(random.chance(0.97) ? sum : random.below(2 ** 32), 32)
    return out.finish()
  })
  const file = Buffer.concat(streams)
  return random.chance(0.7) ? file : mutated(file, random, [(bytes) => damage(bytes, random)], 2)
}
