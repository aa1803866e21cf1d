import type { DecodedWork, Extent, StreamDecoder } from './extent.ts'
import { cutOff, refuse } from './refuse.ts'
import { bytesAt, past, type Story, StreamParser } from './stream-parser.ts'
import {
  checkVmdkDescriptor,
  GRAINS_PER_TABLE,
  MAX_TABLES,
  readVmdkHeader,
  SECTOR,
  type VmdkHeader,
} from './vmdk-header.ts'
import { GrainLedger } from './vmdk-ledger.ts'

const MARKER = { endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3 }
const TABLE_SECTORS = (GRAINS_PER_TABLE * 4) / SECTOR
/** A deflate stream is never longer than its data by more than this (RFC 1951: 5 bytes per stored block), and zlib's frame. */
const deflateBound = (bytes: number): number => bytes + Math.ceil(bytes / 1000) + 64

/**
 * Decodes a streamOptimized VMDK as it goes past. Each grain is preceded by a marker that places it, so nothing is ever held;
 * tables, whether they come before the grains or after, must say the same. What disagrees is refused: a reader by tables would see
 * another image. (VMware, "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents".)
 */
export class VmdkDecoder implements StreamDecoder {
  readonly virtualSize: number
  /** Bytes that a grain decodes to. */
  readonly clusterSize: number
  readonly notes: string[] = []
  readonly #header: VmdkHeader
  readonly #ledger: GrainLedger
  readonly #parser: StreamParser
  #extents: Extent[] = []
  /** Of the grain that is going past; null between grains. */
  #grainFrom: number | null = null
  /** Of the marker that is waited for, in bytes: a grain begins inside of its last four. */
  #marker: number | null = null

  /** `head`: the first sector of the file, or more; it is pushed again. Throws as `readVmdkHeader` does. */
  constructor(head: Uint8Array) {
    this.#header = readVmdkHeader(head)
    this.virtualSize = this.#header.virtualSize
    this.clusterSize = this.#header.grainSize
    this.#ledger = new GrainLedger(this.#header.tables)
    this.#parser = new StreamParser(this.#story())
  }

  get needsFrom(): number {
    const { position } = this.#parser
    return this.#grainFrom ?? Math.min(this.#marker ?? position, position)
  }

  push(bytes: Uint8Array, offset: number): DecodedWork {
    this.#parser.push(bytes, offset)
    return this.#takeWork()
  }

  finish(total: number): DecodedWork {
    if (total !== this.#parser.position)
      throw new RangeError(`${this.#parser.position} bytes came, ${total} expected`)
    if (!this.#ended && !(this.#tablesFirst && this.#marker === total)) {
      throw cutOff('its end-of-stream marker never came')
    }
    this.#ledger.finish()
    return this.#takeWork()
  }

  #ended = false
  get #tablesFirst(): boolean {
    const { directory, overhead } = this.#header
    return directory !== null && directory < overhead
  }

  #takeWork(): DecodedWork {
    const extents = this.#extents
    this.#extents = []
    return { extents, held: [] }
  }

  *#story(): Story {
    const { descriptor, overhead } = this.#header
    yield past(descriptor.start * SECTOR)
    checkVmdkDescriptor(yield bytesAt(descriptor.start * SECTOR, descriptor.count * SECTOR), this.#header)
    if (this.#tablesFirst) yield* this.#readTables()
    yield past(overhead * SECTOR)
    yield* this.#readMarkers(overhead)
    this.#ended = true
    yield past(Number.MAX_SAFE_INTEGER, (bytes) => this.#checkTail(bytes))
  }

  /** Directory and tables between header and grains, as qemu-img writes them. */
  *#readTables(): Story {
    const { directory: named, tables, overhead, zeroedGrains } = this.#header
    const directory = named ?? 0
    let free = directory + Math.ceil((tables * 4) / SECTOR)
    for (const [table, at] of inFileOrder(words(yield bytesAt(directory * SECTOR, tables * 4)))) {
      if (at < free || at + TABLE_SECTORS > overhead) {
        throw refuse(`The VMDK's grain table ${table} stands at sector ${at}, where none can be.`)
      }
      const entries = words(yield bytesAt(at * SECTOR, GRAINS_PER_TABLE * 4))
      this.#ledger.expect(table, zeroedGrains ? entries.map((entry) => (entry === 1 ? 0 : entry)) : entries)
      free = at + TABLE_SECTORS
    }
  }

  *#readMarkers(first: number): Story {
    let at = first
    let directory: { at: number; footer: boolean } | null = null
    for (;;) {
      this.#marker = at * SECTOR
      const marker = view(yield bytesAt(at * SECTOR, 16))
      this.#marker = null
      const value = marker.getBigUint64(0, true)
      const size = marker.getUint32(8, true)
      if (size > 0) {
        if (directory !== null) throw refuse('The VMDK has grains after its grain directory.')
        at = yield* this.#readGrain(at, value, size)
        continue
      }
      const type = marker.getUint32(12, true)
      if (type === MARKER.endOfStream) return yield* this.#endOfStream(at, value, directory)
      if (this.#tablesFirst) throw refuse('The VMDK has tables before its grains and among them.')
      if (type === MARKER.grainTable) yield* this.#readTable(at + 1, value)
      else if (type === MARKER.grainDirectory)
        directory = { at: yield* this.#readDirectory(at + 1, value), footer: false }
      else if (type === MARKER.footer) {
        if (directory === null) throw refuse('The VMDK has its footer before its grain directory.')
        yield* this.#readFooter(at + 1, value, directory.at)
        directory.footer = true
      } else throw refuse(`The VMDK has a marker of type ${type}, which byoi does not know.`)
      at += 1 + Number(value)
    }
  }

  /** Returns the sector after the grain. */
  *#readGrain(
    at: number,
    lba: bigint,
    size: number,
  ): Generator<ReturnType<typeof bytesAt>, number, Uint8Array> {
    const { grainSize, virtualSize } = this.#header
    const disk = Number(lba) * SECTOR
    if (disk >= virtualSize || disk % grainSize !== 0) {
      throw refuse(`The VMDK has a grain for sector ${lba}, where none can be.`)
    }
    if (size > deflateBound(grainSize))
      throw refuse(`The VMDK has a compressed grain of ${size} bytes, more than a grain can have.`)
    const source = at * SECTOR + 12
    this.#ledger.see(disk / grainSize, at)
    this.#grainFrom = source
    yield past(source + size)
    this.#grainFrom = null
    this.#extents.push({
      source,
      length: size,
      disk,
      size: Math.min(grainSize, virtualSize - disk),
      codec: 'zlib',
    })
    const end = Math.ceil((source + size) / SECTOR)
    yield past(end * SECTOR)
    return end
  }

  *#readTable(at: number, sectors: bigint): Story {
    if (sectors !== BigInt(TABLE_SECTORS)) throw refuse(`The VMDK has a grain table of ${sectors} sectors.`)
    const entries = words(yield bytesAt(at * SECTOR, GRAINS_PER_TABLE * 4))
    this.#ledger.closeTable(
      at,
      this.#header.zeroedGrains ? entries.map((entry) => (entry === 1 ? 0 : entry)) : entries,
    )
  }

  /** Returns the sector at which it stands. */
  *#readDirectory(at: number, sectors: bigint): Generator<ReturnType<typeof bytesAt>, number, Uint8Array> {
    const { tables } = this.#header
    if (sectors !== BigInt(Math.ceil((tables * 4) / SECTOR))) {
      throw refuse(`The VMDK has a grain directory of ${sectors} sectors for ${tables} tables.`)
    }
    this.#ledger.closeDirectory(words(yield bytesAt(at * SECTOR, tables * 4)))
    return at
  }

  /** A second header, which must differ from the first in the place of the directory only. */
  *#readFooter(at: number, sectors: bigint, directoryAt: number): Story {
    if (sectors !== 1n) throw refuse(`The VMDK has a footer of ${sectors} sectors.`)
    const footer = readVmdkHeader(yield bytesAt(at * SECTOR, SECTOR))
    if (footer.directory !== directoryAt) throw refuse("The VMDK's footer names another grain directory.")
    const { directory: _footer, ...rest } = footer
    const { directory: _header, ...expected } = this.#header
    if (JSON.stringify(rest) !== JSON.stringify(expected))
      throw refuse("The VMDK's footer is not that of its header.")
  }

  *#endOfStream(at: number, value: bigint, directory: { at: number; footer: boolean } | null): Story {
    if (value !== 0n) throw refuse('The VMDK has a damaged end-of-stream marker.')
    if (this.#tablesFirst) return
    const named = this.#header.directory
    if (
      directory === null ||
      (named === null && !directory.footer) ||
      (named !== null && named !== directory.at)
    ) {
      throw refuse('The VMDK ends without the grain directory that its header or footer names.')
    }
    yield past((at + 1) * SECTOR, (bytes) => this.#checkTail(bytes))
  }

  /** The end-of-stream marker's sector, and what fills the file up behind it. */
  #checkTail(bytes: Uint8Array): void {
    if (bytes.some((byte) => byte !== 0)) throw refuse('The VMDK goes on after its end.')
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Number and sector of each table that a directory lists, in the order of the file. A number for each, since there may be many. */
function* inFileOrder(directory: Uint32Array): Generator<[table: number, at: number]> {
  const places = Float64Array.from(directory, (at, table) => at * MAX_TABLES + table)
  for (const place of places.sort()) {
    if (place >= MAX_TABLES) yield [place % MAX_TABLES, Math.floor(place / MAX_TABLES)]
  }
}

/** Little-endian numbers of 32 bits. */
function words(bytes: Uint8Array): Uint32Array {
  const from = view(bytes)
  return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => from.getUint32(index * 4, true))
}
