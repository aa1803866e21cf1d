import { linearCrc, shiftCrc } from './crc.ts'

/** The unit in which zeros are looked for and written data is remembered. */
export const BLOCK = 64 * 1024
/** The unit that has one checksum. */
export const REGION = 2 * 1024 * 1024
const BLOCKS_PER_REGION = REGION / BLOCK

/** What a worker needs to see the map. */
export interface WrittenShare {
  blocks: SharedArrayBuffer
  checksums: SharedArrayBuffer
}

/** Shared memory for a disk of `size` bytes: 4 bytes of checksum and 4 of bitmap a region, 8 MiB for 2 TiB; touched as used. */
export function shareWritten(size: number): WrittenShare {
  const regions = Math.ceil(size / REGION)
  return { blocks: new SharedArrayBuffer(regions * 4), checksums: new SharedArrayBuffer(regions * 4) }
}

/** A run of bytes on the disk. */
export interface Run {
  offset: number
  length: number
}

/**
 * Which blocks of the disk were written and what they must read as, in bounded memory for a disk of any size. All threads
 * add to it at once: every change is one atomic operation that does not mind order.
 */
export class WrittenMap {
  readonly #blocks: Int32Array
  readonly #checksums: Int32Array

  constructor(share: WrittenShare) {
    this.#blocks = new Int32Array(share.blocks)
    this.#checksums = new Int32Array(share.checksums)
  }

  get regions(): number {
    return this.#blocks.length
  }

  /** `bytes` go to `offset`. Each byte of the disk is added at most once. */
  add(offset: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const region = Math.floor((offset + at) / REGION)
      const inRegion = offset + at - region * REGION
      const length = Math.min(bytes.length - at, REGION - inRegion)
      const crc = shiftCrc(linearCrc(bytes.subarray(at, at + length)), REGION - inRegion - length)
      Atomics.xor(this.#checksums, region, crc | 0)
      Atomics.or(this.#blocks, region, mask(inRegion, length))
      at += length
    }
  }

  /** Bytes were put there that no checksum covers, such as zeros: the blocks count as written and read zero. */
  markZeroed(offset: number, length: number): void {
    for (let at = offset; at < offset + length; ) {
      const region = Math.floor(at / REGION)
      const inRegion = at - region * REGION
      const piece = Math.min(offset + length - at, REGION - inRegion)
      Atomics.or(this.#blocks, region, mask(inRegion, piece))
      at += piece
    }
  }

  /** Checksum that the written bytes of the region must have. */
  checksum(region: number): number {
    return Atomics.load(this.#checksums, region) >>> 0
  }

  isUntouched(region: number): boolean {
    return Atomics.load(this.#blocks, region) === 0
  }

  /** Runs of blocks of a region that were written (or, with `written` false, were not), ascending, cut at `end`. */
  runs(region: number, written: boolean, end: number): Run[] {
    const bits = Atomics.load(this.#blocks, region)
    const wanted = written ? bits : ~bits
    const runs: Run[] = []
    for (let block = 0; block < BLOCKS_PER_REGION; block++) {
      if (((wanted >>> block) & 1) === 0) continue
      let after = block + 1
      while (after < BLOCKS_PER_REGION && (wanted >>> after) & 1) after++
      const offset = region * REGION + block * BLOCK
      const length = Math.min((after - block) * BLOCK, end - offset)
      if (length > 0) runs.push({ offset, length })
      block = after
    }
    return runs
  }

  /** Bytes in written blocks from region `from` to before region `to`. */
  bytesWritten(from = 0, to = this.regions): number {
    let blocks = 0
    for (let region = from; region < to; region++) blocks += ones(Atomics.load(this.#blocks, region))
    return blocks * BLOCK
  }
}

/** One bit a block for the bytes of a region from `offset` on. */
function mask(offset: number, length: number): number {
  const first = Math.floor(offset / BLOCK)
  const last = Math.floor((offset + length - 1) / BLOCK)
  return (0xffff_ffff << first) & (0xffff_ffff >>> (31 - last))
}

/** How many bits of a 32-bit word are one. */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555)
  const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}
