import type { ExtInode, ExtVolume } from './ext.ts'
import { VolumeFault } from './volume.ts'

const EXTENT_MAGIC = 0xf30a
const MOST_LEVELS = 5
const entrySize = 12
/** An extent longer than this is one that was allocated but not written; its length is counted from here. */
const UNWRITTEN = 32768

/**
 * Numbers of the blocks that hold the first `count` blocks of a file, in order; a hole is passed over, as directories have
 * none. Throws VolumeFault where the tree is broken.
 */
export function blocksOf(ext: ExtVolume, inode: ExtInode, count: number): AsyncGenerator<number> {
  return inode.usesExtents
    ? extentBlocks(ext, inode.blockMap, MOST_LEVELS, { left: count })
    : mappedBlocks(ext, inode.blockMap, { left: count })
}

/** `left`: blocks that are still wanted. */
interface Wanted {
  left: number
}

/** Extents below one node of the tree (ext4, "Extent Tree"). */
async function* extentBlocks(
  ext: ExtVolume,
  node: Buffer,
  levels: number,
  wanted: Wanted,
): AsyncGenerator<number> {
  const entries = node.readUInt16LE(2)
  const level = node.readUInt16LE(6)
  if (node.readUInt16LE(0) !== EXTENT_MAGIC || level > levels || (entries + 1) * entrySize > node.length)
    throw new VolumeFault('has a broken tree of extents')
  for (let at = entrySize; at <= entries * entrySize && wanted.left > 0; at += entrySize) {
    if (level > 0) {
      const child = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4)
      yield* extentBlocks(ext, await readBlock(ext, child), level - 1, wanted)
      continue
    }
    const length = node.readUInt16LE(at + 4)
    const start = node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8)
    const taken = length > UNWRITTEN ? 0 : Math.min(length, wanted.left)
    wanted.left -= taken
    for (let index = 0; index < taken; index++) yield start + index
  }
}

/**
 * Twelve numbers of blocks, then blocks of numbers, one, two and three levels deep (ext4, "Direct/Indirect Block
 * Addressing").
 */
async function* mappedBlocks(ext: ExtVolume, map: Buffer, wanted: Wanted): AsyncGenerator<number> {
  for (let index = 0; index < 15; index++)
    yield* numberedBlocks(ext, map.subarray(index * 4, index * 4 + 4), Math.max(0, index - 11), wanted)
}

/** The blocks that `numbers`, u32 each, lead to over so many levels. */
async function* numberedBlocks(
  ext: ExtVolume,
  numbers: Buffer,
  levels: number,
  wanted: Wanted,
): AsyncGenerator<number> {
  for (let at = 0; at < numbers.length && wanted.left > 0; at += 4) {
    const number = numbers.readUInt32LE(at)
    if (number === 0) continue
    if (levels > 0) {
      yield* numberedBlocks(ext, await readBlock(ext, number), levels - 1, wanted)
    } else {
      wanted.left--
      yield number
    }
  }
}

export const readBlock = ({ volume, blockSize }: ExtVolume, number: number): Promise<Buffer> =>
  volume.read(number * blockSize, blockSize)
