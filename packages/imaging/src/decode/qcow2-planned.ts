import { createHash } from 'node:crypto'
import { Delivery } from './delivery.ts'
import type { DecodedWork, Extent, StreamDecoder } from './extent.ts'
import { lowerBound } from './qcow2-tables.ts'
import type { Metadata, Qcow2Map } from './qcow2-map.ts'
import { changed, refuse } from './refuse.ts'

/**
 * Decodes the stream by a map that was read beforehand, so nothing is ever held in RAM. The tables are compared with the
 * stream as they go past: the checksum is about the stream, so the map must be about the same bytes.
 */
export class PlannedQcow2Decoder implements StreamDecoder {
  readonly virtualSize: number
  /** Bytes that a compressed cluster decodes to. */
  readonly clusterSize: number
  readonly notes: string[]
  readonly #map: Qcow2Map
  readonly #delivery: Delivery
  readonly #tables: MetadataCheck
  #position = 0

  constructor(map: Qcow2Map) {
    this.virtualSize = map.header.virtualSize
    this.clusterSize = map.header.clusterSize
    this.notes = map.header.notes
    this.#map = map
    this.#delivery = new Delivery(map.header)
    this.#tables = new MetadataCheck(map.metadata)
    for (const mapping of map.mappings) if (mapping) this.#delivery.add(mapping.runs, mapping.base, 0)
  }

  get needsFrom(): number {
    return this.#delivery.needsFrom(this.#position)
  }

  /** Throws ImagingError `DOWNLOAD` with `startAgain` when the stream is not the file that the map was read from. */
  push(bytes: Uint8Array, offset: number): DecodedWork {
    if (offset !== this.#position) throw new RangeError(`expected bytes at ${this.#position}, got ${offset}`)
    this.#position += bytes.length
    if (this.#position > this.#map.fileSize) throw changed('it is longer than before')
    this.#tables.push(bytes, offset)
    const extents: Extent[] = []
    this.#delivery.advance(this.#position, extents)
    return { extents, held: [] }
  }

  finish(total: number): DecodedWork {
    if (total !== this.#map.fileSize || total !== this.#position)
      throw changed('it has another length than before')
    this.#tables.finish()
    const extents: Extent[] = []
    this.#delivery.finish(total, extents)
    if (this.#delivery.left !== 0)
      throw refuse(`${this.#delivery.left} mapped bytes of the image never came.`)
    return { extents, held: [] }
  }
}

/** Digests the parts of the stream that the map was read from. */
class MetadataCheck {
  readonly #metadata: Metadata
  readonly #starts: Float64Array
  readonly #hash = createHash('sha256')

  constructor(metadata: Metadata) {
    this.#metadata = metadata
    this.#starts = metadata.ranges.filter((_, index) => index % 2 === 0)
  }

  push(bytes: Uint8Array, offset: number): void {
    const { ranges } = this.#metadata
    const end = offset + bytes.length
    for (let i = Math.max(0, lowerBound(this.#starts, offset) - 1); i < this.#starts.length; i++) {
      const start = ranges[2 * i] as number
      if (start >= end) break
      const from = Math.max(start, offset)
      const to = Math.min(start + (ranges[2 * i + 1] as number), end)
      if (from < to) this.#hash.update(bytes.subarray(from - offset, to - offset))
    }
  }

  /** Throws ImagingError `DOWNLOAD` with `startAgain`. */
  finish(): void {
    if (!this.#hash.digest().equals(this.#metadata.digest))
      throw changed('its tables are not those read before')
  }
}
