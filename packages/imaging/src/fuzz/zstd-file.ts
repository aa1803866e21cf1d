import { constants, zstdCompressSync } from 'node:zlib'
import { bendField, damage, type Field, mutated } from './mutate.ts'
import type { Random } from './random.ts'

const MAGIC = 0xfd2fb528
const SKIPPABLE = 0x184d2a50
const content = Buffer.alloc(900, 'content of a small packed file, ')

/** As the zstd program makes them: with and without checksum and content size. */
const compressed = [0, 1].flatMap((checksum) =>
  [0, 1].map((contentSize) =>
    zstdCompressSync(content, {
      params: {
        [constants.ZSTD_c_checksumFlag]: checksum,
        [constants.ZSTD_c_contentSizeFlag]: contentSize,
        [constants.ZSTD_c_compressionLevel]: 3,
      },
    }),
  ),
)

/** A frame (RFC 8878 section 3.1.1) of blocks that are not compressed. */
function plainFrame(random: Random): Buffer {
  const head = Buffer.alloc(6)
  head.writeUInt32LE(MAGIC, 0)
  head.writeUInt8(random.chance(0.9) ? random.below(10) << 3 : random.below(256), 5) // window
  const blocks = Array.from({ length: random.between(1, 4) }, () => {
    const size = random.below(60)
    const isRun = random.chance(0.3)
    const block = Buffer.alloc(3 + (isRun ? 1 : size), 0x41)
    block.writeUIntLE((size << 3) | (isRun ? 2 : 0), 0, 3)
    return block
  })
  const last = blocks.at(-1) as Buffer
  last[0] = (last[0] as number) | 1
  return Buffer.concat([head, ...blocks])
}

function skippable(random: Random): Buffer {
  const length = random.below(50)
  const frame = Buffer.alloc(8 + length)
  frame.writeUInt32LE(SKIPPABLE + random.below(16), 0)
  frame.writeUInt32LE(length, 4)
  return frame
}

export function makeZstd(random: Random): Buffer {
  const frames = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () =>
    random.pick([
      () => Buffer.from(random.pick(compressed)),
      () => Buffer.from(random.pick(compressed)),
      () => plainFrame(random),
      () => skippable(random),
    ])(),
  )
  const starts = frames.map((_, index) => frames.slice(0, index).reduce((sum, { length }) => sum + length, 0))
  const fields = starts.flatMap((start): Field[] => [
    { at: start, bytes: 4 },
    { at: start + 4, bytes: 1 },
    { at: start + 4, bytes: 4 },
    { at: start + 5, bytes: 1 },
    { at: start + 6, bytes: 2 },
    { at: start + 7, bytes: 2 },
  ])
  return mutated(Buffer.concat(frames), random, [
    (file) => {
      bendField(file, random.pick(fields), fields, 'little', random)
      return file
    },
    (file) => damage(file, random),
  ])
}
