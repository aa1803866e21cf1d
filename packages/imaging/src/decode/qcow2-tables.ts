import { type Qcow2Header, overlap } from './qcow2-header.ts'
import { cutOff, refuse, REPAIR } from './refuse.ts'
import { Runs, type RunsBuilder } from './runs.ts'

/*
 * Entries of the L1 and L2 tables (specification: "Cluster mapping" and "Extended L2 Entries").
 *
 * Reserved bits: an entry with a bit set that the specification reserves is refused, as "qemu-img check" reports it. QEMU
 * itself masks them out when it reads; here a wrong guess would be wrong data on a disk. Bit 63 ("copied") only tells
 * writers about refcounts and is ignored, save for a descriptor that has it without an offset: that is data without a place.
 */

const TWO_32 = 2 ** 32
const OFFSET_HIGH = 0x00ff_ffff // bits 32 to 55
const OFFSET_LOW = 0xffff_fe00 // bits 9 to 31
const L1_RESERVED_HIGH = 0x7f00_0000 // bits 56 to 62
const L2_RESERVED_HIGH = 0x3f00_0000 // bits 56 to 61
const COPIED = 0x8000_0000
const COMPRESSED = 0x4000_0000
const SUBCLUSTERS = 32

/** The active L1 table by the L2 tables that it uses. */
export interface L1 {
  /** Offsets of the L2 tables, sorted, each once. */
  tables: Float64Array
  /** L1 indexes that use table `n`: `entries` from `first[n]` to before `first[n + 1]`. */
  entries: Uint32Array
  first: Uint32Array
}

/** Memory that an L1 entry costs at most, in bytes. */
export const L1_ENTRY_COST = 48

/** Reads the L1 entries that the virtual size needs. Throws ImagingError `FORMAT` for an entry that is not legal. */
export function readL1(header: Qcow2Header, bytes: Uint8Array, fileSize: number | undefined): L1 {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsets = new Float64Array(header.l1Entries)
  for (let index = 0; index < header.l1Entries; index++) {
    const high = view.getUint32(index * 8)
    const low = view.getUint32(index * 8 + 4)
    const offset = (high & OFFSET_HIGH) * TWO_32 + ((low & OFFSET_LOW) >>> 0)
    if (high & L1_RESERVED_HIGH || low & ~OFFSET_LOW) throw refuse(`L1 entry ${index} has reserved bits set.`)
    if (offset === 0 && high & COPIED) throw refuse(`L1 entry ${index} is in use but has no offset.`)
    if (offset === 0) continue
    checkTable(header, offset, index, fileSize)
    offsets[index] = offset
  }
  return byTable(offsets)
}

function checkTable(header: Qcow2Header, offset: number, index: number, fileSize: number | undefined): void {
  const { clusterSize } = header
  if (offset % clusterSize !== 0)
    throw refuse(`L1 entry ${index} points to ${offset}, which begins no cluster.`)
  if (offset + clusterSize > (fileSize ?? Number.MAX_SAFE_INTEGER)) {
    throw cutOff(`L1 entry ${index} points to ${offset}, behind its end`)
  }
  if (overlapsHeaderTables(header, offset, clusterSize)) {
    throw refuse(`L1 entry ${index} points to ${offset}, which holds the header or another table.`)
  }
}

function byTable(offsets: Float64Array): L1 {
  const at = (index: number) => offsets[index] as number
  const used = offsets.reduce((sum, offset) => (offset === 0 ? sum : sum + 1), 0)
  const entries = new Uint32Array(used)
  for (let index = 0, next = 0; index < offsets.length; index++) if (at(index) !== 0) entries[next++] = index
  entries.sort((a, b) => at(a) - at(b) || a - b)
  const begins = (i: number) => i === 0 || at(entries[i] as number) !== at(entries[i - 1] as number)
  const first: number[] = []
  for (let i = 0; i < entries.length; i++) if (begins(i)) first.push(i)
  return {
    tables: Float64Array.from(first, (i) => at(entries[i] as number)),
    entries,
    first: Uint32Array.from([...first, entries.length]),
  }
}

function overlapsHeaderTables(header: Qcow2Header, offset: number, length: number): boolean {
  const { refcountTable, l1Offset, l1Entries, clusterSize } = header
  return (
    offset < clusterSize ||
    overlap(offset, length, l1Offset, l1Entries * 8) ||
    overlap(offset, length, refcountTable.offset, refcountTable.length)
  )
}

/**
 * Offsets of the refcount blocks, sorted. They only tell what is no data, so entries that are not legal are left out.
 */
export function readRefcountTable(bytes: Uint8Array, clusterSize: number): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsets = new Float64Array(Math.floor(bytes.length / 8))
  for (let i = 0; i < offsets.length; i++)
    offsets[i] = view.getUint32(i * 8) * TWO_32 + view.getUint32(i * 8 + 4)
  return offsets.filter((offset) => offset !== 0 && offset % clusterSize === 0).sort()
}

/** Index of the first of the sorted `values` that is at least `value`. */
export function lowerBound(values: Float64Array, value: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((values[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low
}

/** What reading an L2 table needs besides its bytes. */
export interface L2Context {
  header: Qcow2Header
  l1: L1
  fileSize: number | undefined
  builder: RunsBuilder
}

/** What an L1 entry maps. `base`: first byte of its span on the disk. */
export interface Mapping {
  index: number
  base: number
  runs: Runs
}

/**
 * Reads L2 table `number` of `l1.tables`; null when it names nothing. Throws ImagingError `FORMAT`, also for a table that names something and that two L1
 * entries use: "qemu-img check" calls that corrupt, and it lets a small file map its own bytes a million times.
 */
export function readTable(context: L2Context, number: number, bytes: Uint8Array): Mapping | null {
  const { header, l1 } = context
  const [index, other] = l1.entries.subarray(l1.first[number], l1.first[number + 1])
  if (index === undefined) return null
  const base = index * header.l2Span
  const runs = readL2(context, bytes, Math.min(header.l2Span, header.virtualSize - base))
  if (runs.count === 0 && runs.reserved === 0) return null
  if (other !== undefined) {
    throw refuse(
      `L1 entries ${index} and ${other} use one table: the image maps the same bytes again and again.`,
    )
  }
  return { index, base, runs }
}

/**
 * Reads one L2 table into runs; `span` is how many bytes of the disk, in whole sectors, the table's entries may cover (the
 * last table of the disk covers less than `l2Span`; entries behind it are not looked at). Throws ImagingError `FORMAT` for
 * an entry that is not legal or that points behind the end of the file.
 */
export function readL2(context: L2Context, bytes: Uint8Array, span: number): Runs {
  const { header, builder } = context
  const { clusterSize, extendedL2 } = header
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  builder.clear()
  for (let index = 0, disk = 0; disk < span; index++, disk += clusterSize) {
    const at = extendedL2 ? index * 16 : index * 8
    const high = view.getUint32(at)
    const low = view.getUint32(at + 4)
    const length = Math.min(clusterSize, span - disk)
    if (high & COMPRESSED) {
      if (extendedL2 && view.getBigUint64(at + 8) !== 0n) throw reserved(index)
      addCompressed(context, high, low, disk, index)
      continue
    }
    if (high & L2_RESERVED_HIGH || low & (extendedL2 ? 0x1ff : 0x1fe)) throw reserved(index)
    const offset = (high & OFFSET_HIGH) * TWO_32 + ((low & OFFSET_LOW) >>> 0)
    const allocated = extendedL2
      ? readSubclusters(view, at + 8, offset, index)
      : readZeroFlag(header, low, offset, index)
    if (offset === 0 && high & COPIED) throw refuse(`L2 entry ${index} is in use but has no offset.`)
    if (offset % clusterSize !== 0)
      throw refuse(`L2 entry ${index} points to ${offset}, which begins no cluster.`)
    if (allocated === 0) {
      builder.reserve(offset)
      continue
    }
    addCopies(builder, allocated, offset, disk, length, clusterSize)
  }
  const runs = new Runs(builder)
  checkRuns(context, runs)
  return runs
}

/** A cluster that reads as zeros has a place in the file nevertheless. */
export function reservedBehindEnd(offset: number): Error {
  return cutOff(`a cluster of it should lie at ${offset}, behind its end`)
}

function reserved(index: number): Error {
  return refuse(`L2 entry ${index} has reserved bits set.`)
}

/** Bit 0 of a standard descriptor: reads as zeros. Answers which subclusters hold data: all or none. */
function readZeroFlag(header: Qcow2Header, low: number, offset: number, index: number): number {
  if ((low & 1) === 0) return offset === 0 ? 0 : 0xffff_ffff
  if (header.version === 2)
    throw refuse(`L2 entry ${index} has the zero flag, which version 2 does not know.`)
  return 0
}

/** The second 64 bits of an extended entry: bits 0-31 allocated, 32-63 reads as zeros. Answers the first half. */
function readSubclusters(view: DataView, at: number, offset: number, index: number): number {
  const zeros = view.getUint32(at)
  const allocated = view.getUint32(at + 4)
  if (zeros & allocated) throw refuse(`L2 entry ${index} marks a subcluster as both zero and allocated.`)
  if (allocated !== 0 && offset === 0)
    throw refuse(`L2 entry ${index} has allocated subclusters but no offset.`)
  return allocated
}

function addCopies(
  builder: RunsBuilder,
  allocated: number,
  source: number,
  disk: number,
  length: number,
  clusterSize: number,
): void {
  if (allocated === 0xffff_ffff) {
    builder.copy(source, disk, length)
    return
  }
  const size = clusterSize / SUBCLUSTERS
  for (let sub = 0; sub < SUBCLUSTERS; sub++) {
    const from = sub * size
    if ((allocated >>> sub) & 1 && from < length) {
      builder.copy(source + from, disk + from, Math.min(size, length - from))
    }
  }
}

/**
 * "Compressed Clusters Descriptor": x = 62 - (cluster_bits - 8); bits 0 to x-1 are the offset in bytes, bits x to 61 the
 * number of sectors beyond the one that the offset lies in.
 */
function addCompressed(context: L2Context, high: number, low: number, disk: number, index: number): void {
  const { header, builder } = context
  const sectorBits = Math.log2(header.clusterSize) - 8 // 1 to 13
  const offsetBitsHigh = 30 - sectorBits // of the upper word; 17 to 29
  const offsetHigh = high & (2 ** offsetBitsHigh - 1)
  if (offsetHigh > OFFSET_HIGH) throw reserved(index) // bits above 55 must be 0
  const offset = offsetHigh * TWO_32 + low
  const sectors = ((high >>> offsetBitsHigh) & (2 ** sectorBits - 1)) + 1
  if (offset < header.clusterSize)
    throw refuse(`L2 entry ${index} points to ${offset}, which holds the header.`)
  builder.compressed(offset, disk, sectors * 512 - (offset % 512))
}

/**
 * Where the runs may lie: inside the file and not in a table. The sectors of a compressed cluster are an upper bound: they
 * may reach into the next cluster, and the last sector of the file may be cut where its padding was never written.
 */
function checkRuns({ header, l1, fileSize }: L2Context, runs: Runs): void {
  const end = fileSize ?? Number.MAX_SAFE_INTEGER
  const paddedEnd = Math.ceil(end / 512) * 512
  if (runs.reserved >= end) throw reservedBehindEnd(runs.reserved)
  for (let index = 0; index < runs.count; index++) {
    const run = runs.inDiskOrder(index)
    if (run.source + run.length > (run.compressed ? paddedEnd : end) || run.source >= end) {
      throw cutOff(`a cluster of it should lie at ${run.source}, behind its end`)
    }
    const length = run.compressed ? 1 : run.length
    const next = l1.tables[lowerBound(l1.tables, run.source - header.clusterSize + 1)]
    if (
      overlapsHeaderTables(header, run.source, length) ||
      (next !== undefined && next < run.source + length)
    ) {
      throw refuse(`A data cluster points to ${run.source}, which holds the header or a table.`, REPAIR)
    }
  }
}
