/** The highest bit of `sizes` marks a compressed cluster; the rest is bytes for those and sectors of 512 bytes for copies. */
const COMPRESSED = 0x8000_0000
const SECTOR = 512
/** Rough cost of the objects around the numbers of one table, in bytes. */
const OVERHEAD = 700
const PER_RUN = 20

/** One run, taken out of the table. `disk` counts from the start of the table's span. */
export interface Run {
  source: number
  disk: number
  /** Served bytes: exact for copies, an upper bound for compressed clusters. */
  length: number
  compressed: boolean
}

/**
 * What one L2 table maps, in numbers alone: 20 bytes for a run. Runs stand in the order of the disk; `order` lists them in
 * the order of the served file.
 */
export class Runs {
  readonly count: number
  /** Bytes of all copies, and how many compressed clusters there are. */
  readonly copied: number
  readonly compressed: number
  /** Where the last of the clusters begins that have a place in the file but read as zeros; 0 for none. */
  readonly reserved: number
  readonly #sources: Float64Array
  readonly #disks: Uint32Array
  readonly #sizes: Uint32Array
  readonly #order: Uint32Array

  constructor(builder: RunsBuilder) {
    this.count = builder.count
    this.reserved = builder.reserved
    const memory = new ArrayBuffer(this.count * PER_RUN)
    this.#sources = new Float64Array(memory, 0, this.count)
    this.#disks = new Uint32Array(memory, this.count * 8, this.count)
    this.#sizes = new Uint32Array(memory, this.count * 12, this.count)
    this.#order = new Uint32Array(memory, this.count * 16, this.count)
    this.#sources.set(builder.sources.subarray(0, this.count))
    this.#disks.set(builder.disks.subarray(0, this.count))
    this.#sizes.set(builder.sizes.subarray(0, this.count))
    this.#sortBySource()
    let copied = 0
    let compressed = 0
    for (const size of this.#sizes) {
      if (size >= COMPRESSED) compressed++
      else copied += size * SECTOR
    }
    this.copied = copied
    this.compressed = compressed
  }

  /** Memory in bytes, for budgets. */
  get cost(): number {
    return OVERHEAD + this.count * PER_RUN
  }

  /** Served offset of the run that is number `rank` in the served file. */
  sourceOf(rank: number): number {
    return this.#sources[this.#order[rank] as number] as number
  }

  inSourceOrder(rank: number): Run {
    return this.inDiskOrder(this.#order[rank] as number)
  }

  inDiskOrder(index: number): Run {
    const size = this.#sizes[index] as number
    const compressed = size >= COMPRESSED
    return {
      source: this.#sources[index] as number,
      disk: (this.#disks[index] as number) * SECTOR,
      length: compressed ? size - COMPRESSED : size * SECTOR,
      compressed,
    }
  }

  /** Index of the last run that begins at or before `disk`, or -1. */
  atOrBefore(disk: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#disks[middle] as number) * SECTOR <= disk) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  #sortBySource(): void {
    const sources = this.#sources
    let sorted = true
    for (let i = 0; i < this.count; i++) {
      this.#order[i] = i
      if (i > 0 && (sources[i] as number) < (sources[i - 1] as number)) sorted = false
    }
    if (!sorted) this.#order.sort((a, b) => (sources[a] as number) - (sources[b] as number))
  }
}

/** Collects the runs of one L2 table in the order of the disk; used again for the next table. Joins neighbours. */
export class RunsBuilder {
  count = 0
  reserved = 0
  sources = new Float64Array(1024)
  disks = new Uint32Array(1024)
  sizes = new Uint32Array(1024)

  clear(): void {
    this.count = 0
    this.reserved = 0
  }

  /** A cluster at `source` that reads as zeros. */
  reserve(source: number): void {
    this.reserved = Math.max(this.reserved, source)
  }

  /** Offsets and length in bytes; `disk` and `length` are whole sectors below 2^40. */
  copy(source: number, disk: number, length: number): void {
    const last = this.count - 1
    const size = this.sizes[last] ?? COMPRESSED
    if (
      last >= 0 &&
      size < COMPRESSED &&
      (this.sources[last] as number) + size * SECTOR === source &&
      (this.disks[last] as number) * SECTOR + size * SECTOR === disk
    ) {
      this.sizes[last] = size + length / SECTOR
    } else {
      this.#add(source, disk / SECTOR, length / SECTOR)
    }
  }

  compressed(source: number, disk: number, length: number): void {
    this.#add(source, disk / SECTOR, COMPRESSED + length)
  }

  #add(source: number, disk: number, size: number): void {
    if (this.count === this.sources.length) this.#grow()
    this.sources[this.count] = source
    this.disks[this.count] = disk
    this.sizes[this.count] = size
    this.count++
  }

  #grow(): void {
    const { sources, disks, sizes } = this
    this.sources = new Float64Array(this.count * 2)
    this.disks = new Uint32Array(this.count * 2)
    this.sizes = new Uint32Array(this.count * 2)
    this.sources.set(sources)
    this.disks.set(disks)
    this.sizes.set(sizes)
  }
}
