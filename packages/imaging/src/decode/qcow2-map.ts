import { createHash } from 'node:crypto'
import type { ImageSource } from '../source/source.ts'
import {
  HEADER_START,
  headerBytes,
  type HeaderLimits,
  type Qcow2Header,
  readQcow2Header,
} from './qcow2-header.ts'
import { L1_ENTRY_COST, type Mapping, readL1, readTable } from './qcow2-tables.ts'
import { cutOff, refuse } from './refuse.ts'
import { type Runs, RunsBuilder } from './runs.ts'

/** L2 tables whose distance is at most GAP are read in one request of at most READ bytes. */
const GAP = 1024 * 1024
const READ = 4 * 1024 * 1024
/** Tables of tiny clusters lie everywhere in the file: reading more than this to plan costs more than it saves. */
const MAX_READS = 256 * 1024 * 1024
/** No sound image maps more than this many times its own length; see `Mapped`. */
const MAX_ALIASES = 4
const MAX_RATIO = 4096

/** Random access to the served file. */
export type RangedSource = Pick<ImageSource, 'size' | 'readAt'>

/** Everything that the tables of an image say, and what it takes to recognise the tables again. */
export interface Qcow2Map {
  header: Qcow2Header
  fileSize: number
  /** By L1 index; absent where the disk is zero. */
  mappings: (Mapping | undefined)[]
  metadata: Metadata
}

/** The bytes that the map was made of. */
export interface Metadata {
  /** Where header, L1 table and L2 tables lie, sorted: offset and length in turn, in bytes. */
  ranges: Float64Array
  /** SHA-256 over them, in that order. */
  digest: Buffer
}

/** Reads and checks the header over ranged reads. Throws as `readQcow2Header` and `source.readAt` do. */
export async function readHeaderAt(
  source: RangedSource,
  limits: HeaderLimits = {},
): Promise<{ header: Qcow2Header; bytes: Uint8Array }> {
  const fileSize = sizeOf(source)
  const start = new Uint8Array(Math.min(HEADER_START, fileSize))
  await source.readAt(0, start)
  const bytes = new Uint8Array(Math.min(headerBytes(start), fileSize))
  await source.readAt(0, bytes)
  return { header: readQcow2Header(bytes, { ...limits, fileSize }), bytes }
}

/**
 * Reads the L1 table and every L2 table. `budgetBytes` bounds the memory of the result; null when it does not suffice, or
 * when the tables are too scattered to be read beforehand: the image can then only be decoded as it streams. Throws ImagingError `FORMAT` for an image that is not sound, `DISK` for one
 * that is too large.
 */
export async function readQcow2Map(
  source: RangedSource,
  options: HeaderLimits & { budgetBytes: number },
): Promise<Qcow2Map | null> {
  const fileSize = sizeOf(source)
  const { header, bytes } = await readHeaderAt(source, options)
  if (header.l1Entries * L1_ENTRY_COST > options.budgetBytes) return null
  const l1Bytes = new Uint8Array(header.l1Entries * 8)
  await source.readAt(header.l1Offset, l1Bytes)
  const l1 = readL1(header, l1Bytes, fileSize)
  if (readsFor(l1.tables, header.clusterSize) > MAX_READS) return null
  const context = { header, l1, fileSize, builder: new RunsBuilder() }
  const seen = new MetadataRecorder(bytes, { offset: header.l1Offset, bytes: l1Bytes })
  const mappings: (Mapping | undefined)[] = []
  const mapped = new Mapped(header)
  let left = options.budgetBytes - header.l1Entries * L1_ENTRY_COST
  for (let from = 0; from < l1.tables.length; ) {
    const group = await readGroup(source, l1.tables, from, header.clusterSize)
    for (let number = from; number < from + group.length; number++) {
      const table = group[number - from] as Uint8Array
      seen.add(l1.tables[number] as number, table)
      const mapping = readTable(context, number, table)
      if (mapping === null) continue
      mapped.add(mapping.runs, fileSize)
      mapped.check(fileSize)
      mappings[mapping.index] = mapping
      left -= mapping.runs.cost
    }
    if (left < 0) return null
    from += group.length
  }
  return { header, fileSize, mappings, metadata: seen.finish() }
}

function sizeOf(source: RangedSource): number {
  if (source.size === undefined) throw new TypeError('the length of the image is not known')
  if (source.size === 0) throw cutOff('it is empty')
  return source.size
}

/** Bytes that reading all tables in groups takes. */
function readsFor(tables: Float64Array, clusterSize: number): number {
  let bytes = 0
  for (let from = 0; from < tables.length; ) {
    const to = groupEnd(tables, from, clusterSize)
    bytes += (tables[to - 1] as number) + clusterSize - (tables[from] as number)
    from = to
  }
  return bytes
}

/** Number after the last table, from `from` on, that one request can fetch; at least one. */
function groupEnd(tables: Float64Array, from: number, clusterSize: number): number {
  const start = tables[from] as number
  let to = from + 1
  for (; to < tables.length; to++) {
    const offset = tables[to] as number
    const gap = offset - (tables[to - 1] as number) - clusterSize
    if (gap > GAP || offset + clusterSize - start > READ) break
  }
  return to
}

/** Reads the tables from number `from` on that lie near each other in one request; answers a view of each. */
async function readGroup(
  source: RangedSource,
  tables: Float64Array,
  from: number,
  clusterSize: number,
): Promise<Uint8Array[]> {
  const start = tables[from] as number
  const to = groupEnd(tables, from, clusterSize)
  const bytes = new Uint8Array((tables[to - 1] as number) + clusterSize - start)
  await source.readAt(start, bytes)
  return Array.from(tables.subarray(from, to), (offset) =>
    bytes.subarray(offset - start, offset - start + clusterSize),
  )
}

/** Notes header, L1 table and L2 tables; the latter come in the order of the file. */
class MetadataRecorder {
  readonly #hash = createHash('sha256')
  readonly #ranges: number[] = []
  #l1: { offset: number; bytes: Uint8Array } | null

  constructor(header: Uint8Array, l1: { offset: number; bytes: Uint8Array }) {
    this.#l1 = l1
    this.#note(0, header)
  }

  add(offset: number, table: Uint8Array): void {
    if (this.#l1 && this.#l1.offset < offset) this.#noteL1(this.#l1)
    this.#note(offset, table)
  }

  finish(): Metadata {
    if (this.#l1) this.#noteL1(this.#l1)
    return { ranges: Float64Array.from(this.#ranges), digest: this.#hash.digest() }
  }

  #noteL1({ offset, bytes }: { offset: number; bytes: Uint8Array }): void {
    this.#note(offset, bytes)
    this.#l1 = null
  }

  #note(offset: number, bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#ranges.push(offset, bytes.length)
  }
}

/**
 * Bounds what a small file may claim. Several guest clusters may show one host cluster, and clusters compress, but a file
 * that maps its own bytes again and again is made to fill disks and memory.
 */
export class Mapped {
  readonly #clusterSize: number
  #copied = 0
  #compressed = 0

  constructor(header: Qcow2Header) {
    this.#clusterSize = header.clusterSize
  }

  /**
   * Throws ImagingError `FORMAT` when there are more clusters than entries of 8 bytes in the first `seen` bytes of the file,
   * which takes tables that many L1 entries share.
   */
  add(runs: Runs, seen: number): void {
    this.#copied += runs.copied
    this.#compressed += runs.compressed
    if ((this.#copied / this.#clusterSize + this.#compressed) * 8 > seen) throw aliased(seen)
  }

  /**
   * Throws ImagingError `FORMAT` when a file of `fileSize` bytes cannot hold that much: copies may add up to 4 times the
   * file, compressed clusters to 4096 times (2 MiB of one byte take some 500 bytes of tables and stream).
   */
  check(fileSize: number): void {
    const expanded = this.#compressed * this.#clusterSize
    if (this.#copied > MAX_ALIASES * fileSize || expanded > MAX_RATIO * fileSize) throw aliased(fileSize)
  }
}

function aliased(size: number): Error {
  return refuse(
    `The image maps more data than ${size} bytes can hold: its tables use the same bytes again and again.`,
    'Make the image anew with qemu-img convert.',
  )
}
