import type { ImageView } from './extent.ts'
import { decodeCluster } from './inflate.ts'
import { refuse } from './refuse.ts'
import { GRAINS_PER_TABLE, readVmdkHeader, SECTOR, type VmdkHeader } from './vmdk-header.ts'

/** A VMDK that can be read at will. `size` in bytes. */
export interface VmdkFile {
  size: number
  readAt(offset: number, into: Uint8Array): Promise<void>
}

/** The footer stands before the last sector, which is the end-of-stream marker. */
const FOOTER_FROM_END = 2 * SECTOR
const MARKER_BYTES = 12

/**
 * The decoded content of a streamOptimized VMDK by its tables, over ranged reads; holds one table and one grain. Throws ImagingError FORMAT.
 */
export async function openVmdkView(source: VmdkFile): Promise<ImageView> {
  const header = readVmdkHeader(await readAt(source, 0, SECTOR))
  if (header.directory !== null) return new VmdkView(source, header, header.directory)
  const footer = readVmdkHeader(await readAt(source, source.size - FOOTER_FROM_END, SECTOR))
  if (footer.directory === null) throw refuse("The VMDK's footer names no grain directory.")
  return new VmdkView(source, header, footer.directory)
}

class VmdkView implements ImageView {
  readonly virtualSize: number
  readonly #source: VmdkFile
  readonly #header: VmdkHeader
  readonly #directory: number
  #table: { number: number; entries: DataView | null } = { number: -1, entries: null }
  #grain: { number: number; bytes: Uint8Array | null } = { number: -1, bytes: null }

  constructor(source: VmdkFile, header: VmdkHeader, directory: number) {
    this.virtualSize = header.virtualSize
    this.#source = source
    this.#header = header
    this.#directory = directory
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset < 0 || length < 0 || offset + length > this.virtualSize)
      throw new RangeError('outside the image')
    const result = new Uint8Array(length)
    const { grainSize } = this.#header
    for (let at = offset; at < offset + length; ) {
      const number = Math.floor(at / grainSize)
      const skip = at % grainSize
      const take = Math.min(grainSize - skip, offset + length - at)
      const grain = await this.#read(number)
      if (grain !== null) result.set(grain.subarray(skip, skip + take), at - offset)
      at += take
    }
    return result
  }

  /** null: zeros. */
  async #read(number: number): Promise<Uint8Array | null> {
    if (this.#grain.number === number) return this.#grain.bytes
    const sector = await this.#sectorOf(number)
    const bytes = sector === 0 ? null : await this.#decode(number, sector)
    this.#grain = { number, bytes }
    return bytes
  }

  async #sectorOf(grain: number): Promise<number> {
    const number = Math.floor(grain / GRAINS_PER_TABLE)
    if (this.#table.number !== number) {
      const entry = await readAt(this.#source, this.#directory * SECTOR + number * 4, 4)
      const at = viewOf(entry).getUint32(0, true)
      const entries = at === 0 ? null : viewOf(await readAt(this.#source, at * SECTOR, GRAINS_PER_TABLE * 4))
      this.#table = { number, entries }
    }
    const sector = this.#table.entries?.getUint32((grain % GRAINS_PER_TABLE) * 4, true) ?? 0
    return sector === 1 && this.#header.zeroedGrains ? 0 : sector
  }

  async #decode(number: number, sector: number): Promise<Uint8Array> {
    const { grainSize } = this.#header
    const marker = viewOf(await readAt(this.#source, sector * SECTOR, MARKER_BYTES))
    const size = marker.getUint32(8, true)
    if (marker.getBigUint64(0, true) !== BigInt((number * grainSize) / SECTOR))
      throw refuse("The VMDK's markers and its tables show different images.")
    if (size > 2 * grainSize)
      throw refuse(`The VMDK has a compressed grain of ${size} bytes, more than a grain can have.`)
    const bytes = new Uint8Array(Math.min(grainSize, this.virtualSize - number * grainSize))
    decodeCluster('zlib', await readAt(this.#source, sector * SECTOR + MARKER_BYTES, size), bytes, grainSize)
    return bytes
  }
}

async function readAt(source: VmdkFile, offset: number, length: number): Promise<Uint8Array> {
  if (offset < 0 || offset + length > source.size)
    throw refuse('The VMDK is cut off: a table or a grain of it lies behind its end.')
  const bytes = new Uint8Array(length)
  await source.readAt(offset, bytes)
  return bytes
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
