import type { PieceReader } from './piece-reader.ts'

/** What one look at a volume may read, in bytes, each request counting at least COST: hostile tables end in a fault. */
const BUDGET = 4 * 1024 * 1024
const COST = 512

/** The volume is not what its own tables say. The message completes "The file system ...". */
export class VolumeFault extends Error {}

/** One volume of an image, read only, for one look at it. Offsets and lengths in bytes of the volume. */
export class Volume {
  readonly #image: PieceReader
  readonly #offset: number
  /** Bytes. */
  readonly length: number
  #left = BUDGET

  /** `offset` and `length`: where the volume is in the image. */
  constructor(image: PieceReader, offset: number, length: number) {
    this.#image = image
    this.#offset = offset
    this.length = length
  }

  /**
   * Bytes at `offset`; what lies past the end of the image reads zero.
   * @throws VolumeFault outside the volume, or when the budget of the look is used up.
   */
  async read(offset: number, length: number): Promise<Buffer> {
    if (!(offset >= 0 && offset + length <= this.length))
      throw new VolumeFault('refers to a place outside its partition')
    this.#left -= Math.max(length, COST)
    if (this.#left < 0) throw new VolumeFault(`needs more than ${BUDGET} bytes to be looked at`)
    return await this.#image.read(this.#offset + offset, length)
  }
}
