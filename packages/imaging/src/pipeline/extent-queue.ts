import type { Extent } from '../decode/extent.ts'
import { JOB_BYTES, JOB_EXTENTS } from './jobs.ts'
import { BLOCK, REGION } from './written-map.ts'

/**
 * Extents on their way to the workers, cut into jobs. Copies that continue each other become one run, whatever the sizes
 * in which they arrive, and are cut where the disk's regions are; clusters of a job are sorted by their place on the disk.
 */
export class ExtentQueue {
  #extents: Extent[] = []
  #bytes = 0
  #needsFrom = Number.POSITIVE_INFINITY

  get isEmpty(): boolean {
    return this.#extents.length === 0
  }

  /** First served offset that is still needed. */
  get needsFrom(): number {
    return this.#needsFrom
  }

  add(extent: Extent): void {
    const last = this.#extents.at(-1)
    this.#bytes += extent.size
    this.#needsFrom = Math.min(this.#needsFrom, extent.source)
    if (last && continues(last, extent)) {
      last.length += extent.length
      last.size += extent.size
    } else this.#extents.push({ ...extent })
  }

  putBack(extents: Extent[]): void {
    this.#extents.unshift(...extents)
    this.#recount()
  }

  /**
   * The extents of the next job: none while they do not fill one, unless `hurry`. A copy that may still grow is given out
   * in whole blocks only, unless `all`.
   */
  take(hurry: boolean, all: boolean): Extent[] {
    if (this.#bytes < JOB_BYTES && !hurry) return []
    const taken: Extent[] = []
    let bytes = 0
    while (this.#extents.length > 0 && bytes < JOB_BYTES && taken.length < JOB_EXTENTS) {
      const next = this.#extents[0] as Extent
      const mayGrow = this.#extents.length === 1 && !all
      const size = next.codec === 'copy' ? cut(next, JOB_BYTES - bytes, mayGrow) : next.size
      if (size === 0) break
      taken.push(size < next.size ? splitOff(next, size) : (this.#extents.shift() as Extent))
      bytes += size
    }
    this.#recount()
    return taken.sort((a, b) => a.disk - b.disk)
  }

  #recount(): void {
    this.#bytes = this.#extents.reduce((sum, { size }) => sum + size, 0)
    this.#needsFrom = this.#extents.reduce(
      (first, { source }) => Math.min(first, source),
      Number.POSITIVE_INFINITY,
    )
  }
}

/** How much of a copy goes into a job that has `room`: all of it, or up to a region's or at least a block's end. */
function cut({ disk, size }: Extent, room: number, mayGrow: boolean): number {
  if (size <= room && !mayGrow) return size
  const end = disk + Math.min(size, room)
  const atRegion = end - (end % REGION) - disk
  const atBlock = end - (end % BLOCK) - disk
  return Math.max(atRegion > 0 ? atRegion : atBlock, 0)
}

/** Takes the first `size` bytes off a copy. */
function splitOff(extent: Extent, size: number): Extent {
  const first = { ...extent, length: size, size }
  extent.source += size
  extent.disk += size
  extent.length -= size
  extent.size -= size
  return first
}

function continues(last: Extent, next: Extent): boolean {
  const areCopies = last.codec === 'copy' && next.codec === 'copy'
  return areCopies && last.source + last.length === next.source && last.disk + last.size === next.disk
}
