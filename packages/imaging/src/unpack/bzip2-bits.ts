import type { PackedReader } from './packed-reader.ts'
import { cutOff, damaged } from './packing.ts'

/**
 * More than a block takes when it is packed: 900,001 symbols of at most 20 bits, 18,002 selectors of 6 bits and 6 tables of 258 code
 * lengths, whose changes no program lets go up and down without end.
 */
const LARGEST_BLOCK = 2.5 * 1024 * 1024

/** The bits of a bzip2 file, the most significant of each byte first. What a block can need is in memory before it is read. */
export class Bzip2Bits {
  readonly #reader: PackedReader
  readonly #bytes = Buffer.allocUnsafeSlow(LARGEST_BLOCK)
  /** Where the bytes that were not read begin and end. */
  #at = 0
  #end = 0
  #ended = false
  /** The last `#count` bits of it are next; what stands before them is done with. */
  #ahead = 0
  #count = 0

  constructor(reader: PackedReader) {
    this.#reader = reader
  }

  /** Gets what the next block can need. */
  async fill(): Promise<void> {
    if (this.#ended) return
    this.#bytes.copyWithin(0, this.#at, this.#end)
    this.#end -= this.#at
    this.#at = 0
    const room = this.#bytes.subarray(this.#end)
    const length = await this.#reader.take(room)
    this.#end += length
    this.#ended = length < room.length
  }

  /** Between two streams. */
  async atEnd(): Promise<boolean> {
    await this.fill()
    return this.#at - this.#count / 8 >= this.#end
  }

  /** The next `count` bits, 24 at most. Past the end they are zero, until `assertThere` tells. */
  read(count: number): number {
    const bits = this.peek(count)
    this.#count -= count
    return bits
  }

  read32(): number {
    return ((this.read(16) << 16) | this.read(16)) >>> 0
  }

  /** As `read`, without going on. */
  peek(count: number): number {
    while (this.#count < count) {
      this.#ahead = (this.#ahead << 8) | (this.#at < this.#end ? (this.#bytes[this.#at] as number) : 0)
      this.#at++
      this.#count += 8
    }
    return (this.#ahead >>> (this.#count - count)) & ((1 << count) - 1)
  }

  skip(count: number): void {
    this.#count -= count
  }

  /** Goes on at the next whole byte. */
  align(): void {
    this.#count -= this.#count % 8
  }

  /** Throws ImagingError where what was read stands behind the end. */
  assertThere(): void {
    if (this.#at - Math.floor(this.#count / 8) <= this.#end) return
    throw this.#ended ? cutOff('bzip2') : damaged('bzip2')
  }
}
