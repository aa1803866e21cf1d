import { ImagingError } from '../error.ts'
import type { ImageSource } from '../source/source.ts'
import { appendCopy } from './delivery.ts'
import type { DecodedWork, ImageView, StreamDecoder } from './extent.ts'
import { checkEnd, END_BYTES } from './magic.ts'
import { refuse } from './refuse.ts'

const SECTOR = 512
const CUT = 64 * 1024

/**
 * A raw image: every byte goes to the same place of the disk. A tail that fills no sector is padded with zeros and noted.
 * Where the server tells no length, `virtualSize` is what has come so far.
 */
export class RawDecoder implements StreamDecoder {
  readonly notes: string[] = []
  readonly #size: number | undefined
  readonly #diskSize: number
  readonly #tail = Buffer.alloc(SECTOR)
  readonly #end = Buffer.alloc(END_BYTES)
  #position = 0
  #done = 0

  /** Bytes. Throws ImagingError `DISK` when the image is larger than the disk, `FORMAT` when it is empty. */
  constructor(options: { size?: number | undefined; diskSize?: number | undefined } = {}) {
    this.#size = options.size
    this.#diskSize = options.diskSize ?? Number.MAX_SAFE_INTEGER
    if (this.#size === 0) throw empty()
    this.#checkFits(this.#size ?? 0)
  }

  get virtualSize(): number {
    return wholeSectors(this.#size ?? this.#position)
  }

  get needsFrom(): number {
    return this.#done
  }

  push(bytes: Uint8Array, offset: number): DecodedWork {
    if (offset !== this.#position) throw new RangeError(`expected bytes at ${this.#position}, got ${offset}`)
    const end = offset + bytes.length
    this.#checkFits(end)
    this.#keepTail(bytes, offset, end)
    this.#keepEnd(bytes)
    this.#position = end
    const extents: DecodedWork['extents'] = []
    const reach = Math.floor(end / CUT) * CUT
    if (reach > this.#done) {
      appendCopy(extents, this.#done, this.#done, reach - this.#done)
      this.#done = reach
    }
    return { extents, held: [] }
  }

  finish(total: number): DecodedWork {
    if (total !== this.#position) throw new RangeError(`${this.#position} bytes came, ${total} expected`)
    if (total === 0) throw empty()
    if (this.#size !== undefined && total !== this.#size) {
      throw refuse(
        `The image is cut off: ${total} of ${this.#size} bytes came.`,
        'Upload the image again, completely.',
      )
    }
    if (total >= END_BYTES) checkEnd(this.#end)
    const work: DecodedWork = { extents: [], held: [] }
    const whole = Math.floor(total / SECTOR) * SECTOR
    if (whole > this.#done) appendCopy(work.extents, this.#done, this.#done, whole - this.#done)
    if (total > whole) {
      this.#tail.fill(0, total - whole)
      const extent = { source: whole, length: SECTOR, disk: whole, size: SECTOR, codec: 'copy' as const }
      work.held.push({ extent, take: () => this.#tail })
      this.notes.push(`The image ends ${total - whole} bytes into a sector; the rest of the sector is zero.`)
    }
    this.#done = total
    return work
  }

  /** Keeps the bytes of the sector that `end` lies in. */
  #keepTail(bytes: Uint8Array, offset: number, end: number): void {
    const from = Math.max(offset, Math.floor(end / SECTOR) * SECTOR)
    if (from < end) this.#tail.set(bytes.subarray(from - offset), from % SECTOR)
  }

  #keepEnd(bytes: Uint8Array): void {
    const last = bytes.subarray(-END_BYTES)
    this.#end.copyWithin(0, last.length)
    this.#end.set(last, END_BYTES - last.length)
  }

  #checkFits(size: number): void {
    if (wholeSectors(size) <= this.#diskSize) return
    throw new ImagingError('DISK', {
      cause: `The image has at least ${size} bytes, but the disk has ${this.#diskSize}.`,
      remedy: 'Shrink the image after its file systems, or choose a larger disk.',
    })
  }
}

/** A raw image over ranged reads. `source.size` must be known. */
export function openRawView(source: Pick<ImageSource, 'size' | 'readAt'>): ImageView {
  const size = source.size
  if (size === undefined) throw new TypeError('the length of the image is not known')
  const virtualSize = wholeSectors(size)
  return {
    virtualSize,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > virtualSize) throw new RangeError('outside the image')
      const result = new Uint8Array(length)
      const served = Math.min(length, size - offset)
      if (served > 0) await source.readAt(offset, result.subarray(0, served))
      return result
    },
  }
}

function wholeSectors(size: number): number {
  return Math.ceil(size / SECTOR) * SECTOR
}

function empty(): ImagingError {
  return refuse('The served file is empty.', 'Put the image at the URL.')
}
