import type { Extent } from './extent.ts'
import type { Run, Runs } from './runs.ts'

/** Copies are delivered in pieces of at most this. */
export const MAX_EXTENT = 2 * 1024 * 1024
/** Where a copy is cut when only a part of it has gone past: at multiples of this in the served file. */
const CUT = 64 * 1024

export interface Geometry {
  clusterSize: number
  /** Bytes, whole sectors. */
  virtualSize: number
  codec: 'deflate' | 'zstd'
}

/** A table's runs, at the place where their table stands on the disk, and the next of them in the served file. */
interface Cursor {
  runs: Runs
  base: number
  rank: number
  next: number
}

/** A run that has begun to go past. `done`: bytes of a copy that were delivered. */
interface Open {
  run: Run
  done: number
}

/**
 * Knows what is still to come and turns it into extents as the served file goes past. Runs of many tables are merged in the
 * order of the served file by a heap; runs may overlap (several places of the disk may show the same served bytes).
 */
export class Delivery {
  readonly #geometry: Geometry
  /** A binary heap, the smallest `next` first. */
  readonly #heap: Cursor[] = []
  #open: Open[] = []
  /** Nothing of the open runs can be delivered before the stream has reached this. */
  #due = Number.POSITIVE_INFINITY
  /** First byte that the open runs still need; infinite when there is none. */
  #oldest = Number.POSITIVE_INFINITY
  /** Bytes of the disk that were mapped but not delivered yet. */
  left = 0
  /** Memory of the tables that still have runs to come, in bytes. */
  cost = 0

  constructor(geometry: Geometry) {
    this.#geometry = geometry
  }

  /** Adds the runs of a table whose span begins at `base` on the disk; those that begin before `from` are left out. */
  add(runs: Runs, base: number, from: number): void {
    let rank = 0
    for (; rank < runs.count && runs.sourceOf(rank) < from; rank++);
    if (rank === runs.count) return
    for (let i = rank; i < runs.count; i++) this.left += this.sizeOf(runs.inSourceOrder(i), base)
    this.cost += runs.cost
    this.#heap.push({ runs, base, rank, next: runs.sourceOf(rank) })
    this.#siftUp(this.#heap.length - 1)
  }

  /** Adds one run; `run.disk` counts from the start of the disk. */
  addRun(run: Run): void {
    this.left += this.sizeOf(run, 0)
    this.#begin(run)
  }

  /** Bytes that a run puts on the disk: a compressed cluster at the end of the disk is cut there. */
  sizeOf(run: Run, base: number): number {
    if (!run.compressed) return run.length
    return Math.min(this.#geometry.clusterSize, this.#geometry.virtualSize - base - run.disk)
  }

  /** First served byte that is still needed after the stream has reached `position`. */
  needsFrom(position: number): number {
    return Math.min(position, this.#oldest)
  }

  /** The stream has reached `end`: appends to `out` what is complete. */
  advance(end: number, out: Extent[]): void {
    for (let top = this.#heap[0]; top && top.next < end; top = this.#heap[0]) {
      const run = top.runs.inSourceOrder(top.rank)
      run.disk += top.base
      this.#step(top)
      if (run.source + run.length <= end) this.#emit(run, 0, run.length, out)
      else this.#begin(run)
    }
    if (end >= this.#due) this.#deliverOpen(end, out)
  }

  /**
   * The served file has ended. The sectors of the last compressed cluster are an upper bound, and their padding may have
   * never been written: such a cluster is delivered with what there is.
   */
  finish(total: number, out: Extent[]): void {
    this.advance(total, out)
    for (const { run } of this.#open) {
      if (run.compressed && run.source + run.length <= Math.ceil(total / 512) * 512) {
        this.#emit(run, 0, total - run.source, out)
      }
    }
    this.#open = []
    this.#oldest = Number.POSITIVE_INFINITY
  }

  #begin(run: Run): void {
    this.#open.push({ run, done: 0 })
    this.#noteDue(run, 0)
  }

  #noteDue(run: Run, done: number): void {
    const end = run.source + run.length
    const from = run.source + done
    const cut = run.compressed ? end : Math.min(end, (Math.floor(from / CUT) + 1) * CUT)
    this.#due = Math.min(this.#due, cut)
    this.#oldest = Math.min(this.#oldest, from)
  }

  #deliverOpen(end: number, out: Extent[]): void {
    const open = this.#open
    this.#open = []
    this.#due = Number.POSITIVE_INFINITY
    this.#oldest = Number.POSITIVE_INFINITY
    for (const item of open) {
      const { run } = item
      const complete = run.source + run.length <= end
      const reach = complete ? run.length : Math.floor(end / CUT) * CUT - run.source
      if (complete || (!run.compressed && reach > item.done)) {
        this.#emit(run, item.done, reach - item.done, out)
        item.done = reach
      }
      if (complete) continue
      this.#open.push(item)
      this.#noteDue(run, item.done)
    }
  }

  #emit(run: Run, skip: number, length: number, out: Extent[]): void {
    if (run.compressed) {
      const size = this.sizeOf(run, 0)
      this.left -= size
      out.push({ source: run.source, length, disk: run.disk, size, codec: this.#geometry.codec })
      return
    }
    this.left -= length
    appendCopy(out, run.source + skip, run.disk + skip, length)
  }

  #step(top: Cursor): void {
    top.rank++
    if (top.rank < top.runs.count) top.next = top.runs.sourceOf(top.rank)
    else {
      this.cost -= top.runs.cost
      const last = this.#heap.pop() as Cursor
      if (last === top) return
      this.#heap[0] = last
    }
    this.#siftDown()
  }

  #siftUp(from: number): void {
    const heap = this.#heap
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >>> 1
      if ((heap[parent] as Cursor).next <= (heap[at] as Cursor).next) return
      swap(heap, at, parent)
      at = parent
    }
  }

  #siftDown(): void {
    const heap = this.#heap
    for (let at = 0; ; ) {
      let least = at
      for (let child = 2 * at + 1; child <= 2 * at + 2; child++) {
        if (child < heap.length && (heap[child] as Cursor).next < (heap[least] as Cursor).next) least = child
      }
      if (least === at) return
      swap(heap, at, least)
      at = least
    }
  }
}

/** Appends a copy in pieces of at most `MAX_EXTENT`; joins it to the last extent where both file and disk continue. */
export function appendCopy(out: Extent[], source: number, disk: number, length: number): void {
  let done = 0
  const last = out.at(-1)
  if (last?.codec === 'copy' && last.source + last.length === source && last.disk + last.size === disk) {
    done = Math.min(length, MAX_EXTENT - last.length)
    last.length += done
    last.size += done
  }
  while (done < length) {
    const piece = Math.min(length - done, MAX_EXTENT)
    out.push({ source: source + done, length: piece, disk: disk + done, size: piece, codec: 'copy' })
    done += piece
  }
}

function swap(heap: Cursor[], a: number, b: number): void {
  const moved = heap[a] as Cursor
  heap[a] = heap[b] as Cursor
  heap[b] = moved
}
