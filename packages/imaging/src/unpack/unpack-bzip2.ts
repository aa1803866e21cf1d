import { Bzip2Bits } from './bzip2-bits.ts'
import { Bzip2Block } from './bzip2-block.ts'
import { PackedReader } from './packed-reader.ts'
import { damaged, type Unpack } from './packing.ts'

/** "BZh", before the block size in units of 100 kB. */
const MAGIC = 0x425a68
/** 48 bits each, the digits of pi and of its square root, in two halves. */
const BLOCK = [0x314159, 0x265359]
const END = [0x177245, 0x385090]

/** One or several streams, one after the other, as the bzip2 program makes and takes them. There is no other specification. */
export const unpackBzip2: Unpack = async function* (packed) {
  const reader = new PackedReader(packed)
  const bits = new Bzip2Bits(reader)
  do yield* unpackStream(bits)
  while (!(await bits.atEnd()))
}

async function* unpackStream(bits: Bzip2Bits): AsyncGenerator<Uint8Array> {
  await bits.fill()
  const magic = bits.read(24)
  const units = bits.read(8) - 0x30
  bits.assertThere()
  if (magic !== MAGIC || units < 1 || units > 9) throw damaged('bzip2')
  const block = new Bzip2Block(units * 100_000)
  for (let sum = 0; ; ) {
    await bits.fill()
    const [first, second] = [bits.read(24), bits.read(24)]
    const crc = bits.read32()
    bits.assertThere()
    if (first === END[0] && second === END[1]) {
      if (crc !== sum >>> 0) throw damaged('bzip2')
      return bits.align()
    }
    if (first !== BLOCK[0] || second !== BLOCK[1]) throw damaged('bzip2')
    block.read(bits)
    yield* block.pieces(crc)
    sum = ((sum << 1) | (sum >>> 31)) ^ crc
  }
}
