import type { Extent } from './extent.ts'

const SECTOR = 512
/** Delivered, or known as metadata. */
const KNOWN = 1
/** A known compressed cluster that began before ends in this sector; one begins inside of it. */
const ENDS = 2
const BEGINS = 4

/**
 * Remembers which sectors of the last served bytes have found their place, so that only the others are held when they fall
 * out of the caller's memory.
 *
 * Compressed clusters share sectors. A sector is known where one of them ends and the next begins; where only one of both is
 * known, it may hold a part of another cluster.
 */
export class LookBehind {
  readonly #states: Uint8Array
  /** First byte that is remembered; a multiple of 512. */
  floor = 0

  /** `bytes`: the longest stretch that is ever remembered. */
  constructor(bytes: number) {
    this.#states = new Uint8Array(Math.ceil(bytes / SECTOR) + 1)
  }

  /** Every whole sector of the range has found its place. */
  mark(start: number, end: number): void {
    const states = this.#states
    const last = Math.floor(end / SECTOR)
    for (let sector = Math.ceil(Math.max(start, this.floor) / SECTOR); sector < last; sector++) {
      states[sector % states.length] = KNOWN
    }
  }

  markExtent({ source, length, codec }: Extent): void {
    const end = source + length
    if (codec === 'copy') return this.mark(source, end)
    const last = Math.floor((end - 1) / SECTOR) * SECTOR
    this.mark(source, last)
    if (source % SECTOR !== 0) this.#add(source, BEGINS)
    if (source <= last) this.#add(last, ENDS)
  }

  /** Forgets what lies before `floor`, a multiple of 512; calls `keep` for each stretch whose place is not known. */
  raise(floor: number, keep: (start: number, length: number) => void): void {
    const states = this.#states
    let unknown = -1
    for (let at = this.floor; at < floor; at += SECTOR) {
      const index = (at / SECTOR) % states.length
      const state = states[index] as number
      states[index] = 0
      const known = state & KNOWN || state === (ENDS | BEGINS)
      if (!known && unknown < 0) unknown = at
      if (known && unknown >= 0) {
        keep(unknown, at - unknown)
        unknown = -1
      }
    }
    if (unknown >= 0) keep(unknown, floor - unknown)
    this.floor = Math.max(this.floor, floor)
  }

  #add(at: number, state: number): void {
    if (at < this.floor) return
    const index = Math.floor(at / SECTOR) % this.#states.length
    this.#states[index] = (this.#states[index] as number) | state
  }
}
