import { readSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { CHUNK, type ChunkStore } from '../decode/spool.ts'
import type { Disk } from '../disk/disk.ts'
import { ioFailure } from '../disk/io-failure.ts'
import { BOOT_AREA } from '../table/boot-areas.types.ts'
import { pages } from './ring.ts'
import { writeFully } from './write-fully.ts'

type MoveAway = (bytes: Buffer) => void

/**
 * Keeps chunks on the target disk, which is about to be overwritten anyway: in places of 1 MiB that the image has not written
 * to yet, the last ones first, never in the boot areas. Before the image writes to a place, `claim` moves what waits there away
 * and makes the place read zero again, so that nothing that waited ever shows through the image's holes.
 */
export class SpoolOnDisk implements ChunkStore {
  readonly #disk: Disk
  readonly #buffer = pages(CHUNK)
  readonly #zeros = pages(CHUNK)
  /** Places that the image writes to: one bit each. */
  readonly #claimed: Uint8Array
  readonly #waiting = new Map<number, MoveAway>()
  /** Places that do not read zero any more, and wait for nothing. */
  readonly #dirty = new Set<number>()
  /** Every place from here on has been used or claimed. */
  #next: number
  /** What the image has not written to reads zero. Before, nothing waits: it could not be told from the disk's old content. */
  restIsZero: boolean
  /** Chunks will be put soon, and the rest does not read zero yet. */
  isWanted = false

  /** `size`: bytes of the disk from its start that the image may fill; nothing waits behind them. */
  constructor(disk: Disk, restIsZero: boolean, size = disk.size) {
    this.#disk = disk
    this.restIsZero = restIsZero
    this.#next = Math.floor((size - BOOT_AREA) / CHUNK)
    this.#claimed = new Uint8Array(Math.ceil((this.#next + 1) / 8))
  }

  announce(): void {
    this.isWanted = !this.restIsZero
  }

  /** Zeros have been written to what the image has not written to. */
  ready(): void {
    this.restIsZero = true
    this.isWanted = false
  }

  /** Throws ImagingError WRITE. */
  put(bytes: Buffer, moveAway: MoveAway): number | null {
    const place = this.restIsZero ? this.#find() : null
    if (place === null) return null
    this.#buffer.set(bytes)
    this.#write(place, this.#buffer)
    this.#waiting.set(place, moveAway)
    return place
  }

  /** Throws ImagingError WRITE. */
  get(place: number): Buffer {
    try {
      for (let at = 0; at < CHUNK; ) {
        const count = readSync(this.#disk.direct.fd, this.#buffer, at, CHUNK - at, place * CHUNK + at)
        if (count === 0) throw new Error(`the disk ended at byte ${place * CHUNK + at}`)
        at += count
      }
    } catch (error) {
      throw ioFailure('WRITE', 'reading what waits on', this.#disk.facts.path, error)
    }
    return Buffer.from(this.#buffer)
  }

  drop(place: number): void {
    this.#waiting.delete(place)
    this.#dirty.add(place)
  }

  /** The image is about to write there, for the first time or again. Throws ImagingError `WRITE`, or what moving away throws. */
  claim(offset: number, length: number): void {
    const first = Math.floor(offset / CHUNK)
    const last = Math.floor((offset + length - 1) / CHUNK)
    for (let place = first; place <= last; place++)
      this.#claimed[place >>> 3] = (this.#claimed[place >>> 3] as number) | (1 << (place & 7))
    for (let place = first; place <= last; place++) {
      const moveAway = this.#waiting.get(place)
      if (moveAway) {
        const bytes = this.get(place)
        this.#waiting.delete(place)
        moveAway(bytes)
      }
      if (moveAway || this.#dirty.delete(place)) this.#write(place, this.#zeros)
    }
  }

  /** The image is complete: the places that it did not claim read zero again. Rejects with ImagingError WRITE. */
  async wipe(): Promise<void> {
    for (const place of [...this.#dirty, ...this.#waiting.keys()]) {
      this.#write(place, this.#zeros)
      await turn() // what else goes on must not wait for all of it
    }
    this.#dirty.clear()
    this.#waiting.clear()
  }

  #find(): number | null {
    for (const place of this.#dirty) {
      this.#dirty.delete(place)
      return place
    }
    while (this.#next > 1) {
      this.#next--
      if (!this.#isClaimed(this.#next)) return this.#next
    }
    return null
  }

  #isClaimed(place: number): boolean {
    return ((this.#claimed[place >>> 3] as number) & (1 << (place & 7))) !== 0
  }

  #write(place: number, bytes: Buffer): void {
    writeFully(this.#disk.direct, bytes, place * CHUNK, 'letting data wait on')
  }
}
