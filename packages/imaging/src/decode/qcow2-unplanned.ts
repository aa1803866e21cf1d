import { ImagingError } from '../error.ts'
import { Delivery } from './delivery.ts'
import type { DecodedWork, StreamDecoder } from './extent.ts'
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
import { Spool, STREAMABLE } from './spool.ts'

const SECTOR = 512
/** Longest stretch that is looked at in one step. */
const STEP = 1024 * 1024
/** "qemu-img convert -c" writes some hundred KiB of data before the table that places it. */
const LOOK_BEHIND = 8 * 1024 * 1024

export interface UnplannedOptions {
  /** Length of the served file and size of the disk in bytes, where known. */
  fileSize?: number | undefined
  diskSize?: number | undefined
  /** RAM for data whose place is not known yet and for tables, in bytes. */
  spoolBytes: number
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
 * that before its place is known is held in RAM within `spoolBytes`. As soon as all tables have come, nothing is held.
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
    this.#spool = new Spool(options.spoolBytes)
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
      this.#place(readTable(this.#context, this.#nextTable, this.#fetch(offset, clusterSize)))
      this.#settle(offset, clusterSize)
    }
  }

  /** Runs that have gone past are taken from RAM, the others wait for the stream. */
  #place(mappings: Mapping[]): void {
    const { floor } = this.#window
    const late: Run[] = []
    for (const { base, runs } of mappings) {
      this.#mapped.add(runs, this.#position)
      this.#reserved = Math.max(this.#reserved, runs.reserved)
      if (this.#options.fileSize !== undefined) this.#mapped.check(this.#options.fileSize)
      for (let rank = 0; rank < runs.count && runs.sourceOf(rank) < floor; rank++) {
        const run = runs.inSourceOrder(rank)
        run.disk += base
        late.push(run)
      }
      this.#delivery.add(runs, base, floor)
    }
    for (const run of late) {
      if (run.compressed) this.#hold(run)
      else this.#holdCopy(run)
    }
    // Only now: several runs may show the same bytes.
    for (const { source, length, compressed } of late) {
      if (compressed) this.#settle(source, Math.floor((source + length - 1) / SECTOR) * SECTOR - source)
      else this.#settle(source, length)
    }
  }

  /** A compressed cluster that began to go past before `floor`. Its last sector, an upper bound, may be gone. */
  #hold(run: Run): void {
    const bytes = this.#collect(run.source, run.length)
    if (bytes.length === 0 || run.length - bytes.length >= SECTOR) throw gone(run.source)
    const extent = {
      source: run.source,
      length: bytes.length,
      disk: run.disk,
      size: this.#delivery.sizeOf(run, 0),
      codec: this.#header.codec,
    }
    this.#work.held.push({ extent, bytes })
  }

  #holdCopy(run: Run): void {
    const before = Math.min(run.length, this.#window.floor - run.source)
    let done = 0
    for (const bytes of this.#spool.pieces(run.source, before)) {
      const length = bytes.length
      const extent = {
        source: run.source + done,
        length,
        disk: run.disk + done,
        size: length,
        codec: 'copy' as const,
      }
      this.#work.held.push({ extent, bytes })
      done += length
    }
    if (done < before) throw gone(run.source + done)
    if (before === run.length) return
    this.#delivery.addRun({
      source: run.source + before,
      disk: run.disk + before,
      length: run.length - before,
      compressed: false,
    })
  }

  /** These bytes have found their place. */
  #settle(start: number, length: number): void {
    this.#window.mark(start, start + length)
    const from = Math.ceil(start / SECTOR) * SECTOR
    const to = Math.min(Math.floor((start + length) / SECTOR) * SECTOR, this.#window.floor)
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
    const parts = before > 0 ? this.#spool.pieces(offset, before) : []
    const found = parts.reduce((sum, part) => sum + part.length, 0)
    if (found === before && before < length) {
      const from = offset + before
      parts.push(this.#options.read(from, Math.min(offset + length, this.#position) - from))
    }
    return Buffer.concat(parts)
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
    this.#spool.clear()
    this.#window.floor = this.#delivery.needsFrom(this.#position)
  }
}

function gone(offset: number): ImagingError {
  return new ImagingError('RAM', {
    cause: `A table of the image uses bytes that went past long before it, at ${offset}, in a way that was not foreseen.`,
    remedy: STREAMABLE,
  })
}
