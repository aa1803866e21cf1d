import { crc32 } from 'node:zlib'
import { Random } from './random.ts'

/** Chance that comes from an input alone, so that it is the same again when the input is read from a file. */
export const chanceOf = (input: Uint8Array): Random => new Random(crc32(input))

/**
 * Cuts a file into pieces of sizes that a network may give: from one byte on, mostly many at once. `small`: how many pieces may be
 * small, since each costs time; the rest comes at once.
 */
export function* cut(file: Buffer, random: Random, small = 32): Generator<Buffer> {
  const most = random.pick([1, 3, 64, 511, 512, 4096, 1 << 20])
  for (let at = 0, count = 0; at < file.length; count++) {
    const length = count < small ? random.between(1, most) : file.length
    yield file.subarray(at, at + length)
    at += length
  }
}
