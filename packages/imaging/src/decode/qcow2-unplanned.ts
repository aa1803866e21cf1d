import { ImagingError } from '../error.ts'
import { Delivery } from './delivery.ts'
import type { DecodedWork, Extent, StreamDecoder } from './extent.ts'
import { LookBehind } from './look-behind.ts'
import { checkRefcountTable, type Qcow2Header, readQcow2Header } from './qcow2-header.ts'
import { Mapped } from './qcow2-map.ts'
import {
  type L2Context,
  type Mapping,
  readL1,
  readRefcountTable,
  readTable,
  reservedBehindEnd,
} from './qcow2-tables.ts'
import { changed, cutOff } from './refuse.ts'
import { type Run, RunsBuilder } from './runs.ts'
import { type ChunkStore, Spool, STREAMABLE } from './spool.ts'

const SECTOR = 512
/** Longest stretch that is looked at in one step. */
const STEP = 1024 * 1024
/** "qemu-img convert -c" writes some hundred KiB of data before the table that places it. */
const LOOK_BEHIND = 8 * 1024 * 1024
/** Copies that were held are given out in pieces of at most this, in bytes. */
const HELD_PIECE = 1024 * 1024

export interface UnplannedOptions {
  /** Length of the served file and size of the disk in bytes, where known. */
  fileSize?: number | undefined
  diskSize?: number | undefined
  /** RAM for data whose place is not known yet and for tables, in bytes. */
  spoolBytes: number
  /** Takes such data where RAM does not suffice; null: then the image cannot be decoded. */
  store: ChunkStore | null
  /**
   * The served bytes from `offset` on, which the caller still holds: never before `needsFrom`, never after the last push.
   * The result is used at once and not kept.
   */
  read(offset: number, length: number): Uint8Array
  /** How much the caller holds behind the stream while tables are still to come, in bytes. Default 8 MiB. */
  lookBehind?: number
}

/**
 * Decodes the stream without having seen the tables first. The caller holds the last `lookBehind` bytes; what falls out of
 * that before its place is known is held, in RAM within `spoolBytes` and then in `store`. As soon as all tables have come,
 * nothing is held.
 */
export class UnplannedQcow2Decoder implements StreamDecoder {
  readonly virtualSize: number
  /** Bytes that a compressed cluster decodes to. */
  readonly clusterSize: number
  readonly notes: string[]
  readonly #options: UnplannedOptions
  readonly #header: Qcow2Header
  readonly #delivery: Delivery
  readonly #mapped: Mapped
  readonly #window: LookBehind
  readonly #spool: Spool
  readonly #lookBehind: number
  #context: L2Context | null = null
  /** Offsets of the refcount blocks, sorted, and the next that has not gone past. Never data, so never held. */
  #blocks: Float64Array | null = null
  #nextBlock = 0
  /** Number of the next table, in the order of the file, that has not been read. */
  #nextTable = 0
  #position = 0
  /** The last place of the file that is named by a cluster that reads as zeros. */
  #reserved = 0
  /** Held extents that were given out but not taken yet. */
  #untaken = 0
  #work: DecodedWork = { extents: [], held: [] }

  /** `head`: the first `headerBytes` of the image; they are pushed again. Throws as `readQcow2Header` does. */
  constructor(head: Uint8Array, options: UnplannedOptions) {
    this.#header = readQcow2Header(head, options)
    this.#options = options
    this.virtualSize = this.#header.virtualSize
    this.clusterSize = this.#header.clusterSize
    this.notes = this.#header.notes
    this.#delivery = new Delivery(this.#header)
    this.#mapped = new Mapped(this.#header)
    // A compressed cluster lies in two clusters at most: none that begins in what was let go reaches what is to come.
    this.#lookBehind = Math.max(options.lookBehind ?? LOOK_BEHIND, 4 * this.clusterSize)
    this.#window = new LookBehind(this.#lookBehind + 4 * this.clusterSize + 2 * STEP)
    this.#spool = new Spool(options.spoolBytes, options.store)
  }

  get needsFrom(): number {
    return this.#window.floor
  }

  push(bytes: Uint8Array, offset: number): DecodedWork {
    if (offset !== this.#position) throw new RangeError(`expected bytes at ${this.#position}, got ${offset}`)
    const end = offset + bytes.length
    if (end > (this.#options.fileSize ?? end)) throw changed('it is longer than its length said')
    while (this.#position < end) this.#step(Math.min(end, this.#position + STEP))
    return this.#takeWork()
  }

  finish(total: number): DecodedWork {
    if (total !== this.#position || total !== (this.#options.fileSize ?? total)) {
      throw changed('it has another length than it said')
    }
    checkRefcountTable(this.#header, total)
    if (!this.#context) throw cutOff('its L1 table lies behind its end')
    if (!this.#complete) throw cutOff('an L2 table lies behind its end')
    this.#mapped.check(total)
    if (this.#reserved >= total) throw reservedBehindEnd(this.#reserved)
    this.#delivery.finish(total, this.#work.extents)
    if (this.#delivery.left !== 0) throw cutOff(`${this.#delivery.left} bytes of its disk lie behind its end`)
    return this.#takeWork()
  }

  get #complete(): boolean {
    return this.#context !== null && this.#nextTable === this.#context.l1.tables.length
  }

  #takeWork(): DecodedWork {
    const work = this.#work
    this.#work = { extents: [], held: [] }
    return work
  }

  #step(end: number): void {
    const from = this.#position
    this.#position = end
    if (!this.#complete) {
      this.#passRefcounts(from)
      this.#readTables()
    }
    const { extents } = this.#work
    const before = extents.length
    const lastBefore = extents.at(-1)
    this.#delivery.advance(end, extents)
    if (this.#complete) return this.#letGoAll()
    if (lastBefore) this.#window.markExtent(lastBefore) // it may have grown
    for (let i = before; i < extents.length; i++) this.#window.markExtent(extents[i] as (typeof extents)[0])
    this.#letGo()
  }

  /** Header, refcount table and refcount blocks are never data. */
  #passRefcounts(from: number): void {
    const { refcountTable, clusterSize } = this.#header
    this.#window.mark(0, Math.min(clusterSize, this.#position))
    const end = refcountTable.offset + refcountTable.length
    if (end > from) this.#window.mark(Math.max(from, refcountTable.offset), Math.min(end, this.#position))
    if (!this.#blocks && this.#position >= end) {
      this.#blocks = readRefcountTable(this.#collect(refcountTable.offset, refcountTable.length), clusterSize)
    }
    for (const blocks = this.#blocks ?? []; this.#nextBlock < blocks.length; this.#nextBlock++) {
      const offset = blocks[this.#nextBlock] as number
      if (offset + clusterSize > this.#position) return
      this.#settle(offset, clusterSize)
    }
  }

  #readTables(): void {
    const { l1Offset, l1Entries, clusterSize } = this.#header
    if (!this.#context) {
      if (this.#position < l1Offset + l1Entries * 8) return
      const { fileSize } = this.#options
      const l1 = readL1(this.#header, this.#fetch(l1Offset, l1Entries * 8), fileSize)
      this.#settle(l1Offset, l1Entries * 8)
      this.#context = { header: this.#header, l1, fileSize, builder: new RunsBuilder() }
    }
    const { tables } = this.#context.l1
    for (; this.#nextTable < tables.length; this.#nextTable++) {
      const offset = tables[this.#nextTable] as number
      if (offset + clusterSize > this.#position) return
      const mapping = readTable(this.#context, this.#nextTable, this.#fetch(offset, clusterSize))
      if (mapping !== null) this.#place(mapping)
      this.#settle(offset, clusterSize)
    }
  }

  /** Runs that have gone past are given out of the spool, the others wait for the stream. */
  #place({ base, runs }: Mapping): void {
    const { floor } = this.#window
    const late: Run[] = []
    this.#mapped.add(runs, this.#position)
    this.#reserved = Math.max(this.#reserved, runs.reserved)
    if (this.#options.fileSize !== undefined) this.#mapped.check(this.#options.fileSize)
    for (let rank = 0; rank < runs.count && runs.sourceOf(rank) < floor; rank++) {
      const run = runs.inSourceOrder(rank)
      run.disk += base
      late.push(run)
    }
    this.#delivery.add(runs, base, floor)
    // Several runs may show the same bytes: only what no later one needs is let go with a run.
    late.forEach((run, index) => this.#hold(run, late[index + 1]?.source ?? Number.POSITIVE_INFINITY))
    for (const run of late) this.#window.mark(run.source, wholeSectors(run))
  }

  #hold(run: Run, needed: number): void {
    if (run.compressed) this.#holdCluster(run, needed)
    else this.#holdCopy(run, needed)
  }

  /** A compressed cluster that began to go past before `floor`. Its last sector, an upper bound, may be gone. */
  #holdCluster(run: Run, needed: number): void {
    const { source, length, disk } = run
    const { floor } = this.#window
    // What the caller still holds of it may be gone when it is taken.
    const early = source + length > floor ? this.#collect(source, length) : null
    const found = early?.length ?? this.#spool.available(source, length)
    if (found === 0 || length - found >= SECTOR) throw gone(source)
    const size = this.#delivery.sizeOf(run, 0)
    const end = Math.min(wholeSectors(run), needed)
    this.#give({ source, length: found, disk, size, codec: this.#header.codec }, end, early)
  }

  #holdCopy({ source, length, disk }: Run, needed: number): void {
    const before = Math.min(length, this.#window.floor - source)
    const found = this.#spool.available(source, before)
    if (found < before) throw gone(source + found)
    for (let done = 0; done < before; done += HELD_PIECE) {
      const size = Math.min(before - done, HELD_PIECE)
      const at = source + done
      this.#give(
        { source: at, length: size, disk: disk + done, size, codec: 'copy' },
        Math.min(at + size, needed),
      )
    }
    if (before === length) return
    this.#delivery.addRun({
      source: source + before,
      disk: disk + before,
      length: length - before,
      compressed: false,
    })
  }

  /** `end`: up to where the bytes are let go when they are taken. */
  #give(extent: Extent, end: number, early: Uint8Array | null = null): void {
    this.#untaken++
    const take = () => {
      const bytes = early ?? this.#spool.read(extent.source, extent.length)
      this.#release(extent.source, end)
      this.#untaken--
      if (this.#complete && this.#untaken === 0) this.#spool.clear()
      return bytes
    }
    this.#work.held.push({ extent, take })
  }

  /** These bytes have found their place. */
  #settle(start: number, length: number): void {
    this.#window.mark(start, start + length)
    this.#release(start, Math.min(start + length, this.#window.floor))
  }

  /** The whole sectors between `start` and `end`. */
  #release(start: number, end: number): void {
    const from = Math.ceil(start / SECTOR) * SECTOR
    const to = Math.floor(end / SECTOR) * SECTOR
    if (from < to) this.#spool.release(from, to - from)
  }

  #fetch(offset: number, length: number): Uint8Array {
    const bytes = this.#collect(offset, length)
    if (bytes.length < length) throw gone(offset + bytes.length)
    return bytes
  }

  /** A copy of the bytes from `offset` on, out of the spool and of what the caller holds, up to the first gap. */
  #collect(offset: number, length: number): Uint8Array {
    const { floor } = this.#window
    const before = Math.max(0, Math.min(length, floor - offset))
    const spooled = this.#spool.read(offset, before)
    if (spooled.length < before || before === length) return spooled
    const from = offset + before
    const end = Math.min(offset + length, this.#position)
    return Buffer.concat([spooled, this.#options.read(from, end - from)])
  }

  /** Bytes that fall out of the caller's memory without a known place are held. */
  #letGo(): void {
    const wanted = Math.min(this.#delivery.needsFrom(this.#position), this.#position - this.#lookBehind)
    const floor = Math.floor(Math.max(wanted, this.#window.floor) / SECTOR) * SECTOR
    this.#window.raise(floor, (start, length) => {
      this.#spool.append(start, this.#options.read(start, length), this.#delivery.cost)
    })
  }

  #letGoAll(): void {
    if (this.#untaken === 0) this.#spool.clear()
    this.#window.floor = this.#delivery.needsFrom(this.#position)
  }
}

/** End of the sectors that only this run needs; compressed clusters share their last with the next. */
function wholeSectors({ source, length, compressed }: Run): number {
  return compressed ? Math.floor((source + length - 1) / SECTOR) * SECTOR : source + length
}

function gone(offset: number): ImagingError {
  return new ImagingError('RAM', {
    cause: `A table of the image uses bytes that went past long before it, at ${offset}, in a way that was not foreseen.`,
    remedy: STREAMABLE,
  })
}
