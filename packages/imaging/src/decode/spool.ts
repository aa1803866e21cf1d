import { ImagingError } from '../error.ts'

const SECTOR = 512
const CHUNK = 256 * 1024

interface Chunk {
  bytes: Buffer | null
  used: number
  /** 1 for each sector that is not needed any more, and how many are still needed. */
  released: Uint8Array
  live: number
}

/** A run of the served file: `length` bytes at `start` are kept in `chunk` from `at` on. */
interface Entry {
  start: number
  length: number
  chunk: Chunk
  at: number
}

/**
 * Served bytes in RAM whose place on the disk is not known yet. Whole sectors of 512 bytes, appended in the order of the
 * file, given back in chunks of 256 KiB.
 */
export class Spool {
  readonly #limit: number
  #entries: Entry[] = []
  #chunk: Chunk | null = null
  /** Memory in bytes. */
  used = 0

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Copies `bytes`. Throws ImagingError `RAM` when the limit does not suffice; `others`: bytes that count against it too. */
  append(start: number, bytes: Uint8Array, others: number): void {
    for (let done = 0; done < bytes.length; ) {
      const chunk = this.#room(others)
      const length = Math.min(bytes.length - done, CHUNK - chunk.used)
      chunk.bytes?.set(bytes.subarray(done, done + length), chunk.used)
      const last = this.#entries.at(-1)
      if (last?.chunk === chunk && last.start + last.length === start + done) last.length += length
      else this.#entries.push({ start: start + done, length, chunk, at: chunk.used })
      chunk.used += length
      chunk.live += length / SECTOR
      done += length
    }
  }

  /** Views of what is kept of the bytes from `start` on, up to `length` and the first gap. */
  pieces(start: number, length: number): Uint8Array[] {
    const found: Uint8Array[] = []
    let at = start
    for (let i = this.#indexOf(start); i < this.#entries.length && at < start + length; i++) {
      const { chunk, ...entry } = this.#entries[i] as Entry
      if (entry.start > at || entry.start + entry.length <= at || chunk.bytes === null) break
      const from = entry.at + at - entry.start
      const size = Math.min(start + length - at, entry.start + entry.length - at)
      found.push(chunk.bytes.subarray(from, from + size))
      at += size
    }
    return found
  }

  /** These whole sectors are not needed any more. */
  release(start: number, length: number): void {
    const end = start + length
    for (let i = this.#indexOf(start); i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Entry
      if (entry.start >= end) return
      const from = Math.max(start, entry.start)
      const to = Math.min(end, entry.start + entry.length)
      for (let at = from; at < to; at += SECTOR) this.#releaseSector(entry.chunk, entry.at + at - entry.start)
    }
  }

  /** Nothing is needed any more. */
  clear(): void {
    this.#entries = []
    this.#chunk = null
    this.used = 0
  }

  #releaseSector(chunk: Chunk, at: number): void {
    if (chunk.released[at / SECTOR] || chunk.bytes === null) return
    chunk.released[at / SECTOR] = 1
    chunk.live--
    if (chunk !== this.#chunk) this.#freeIfDead(chunk)
  }

  #freeIfDead(chunk: Chunk): void {
    if (chunk.live > 0) return
    chunk.bytes = null
    this.used -= CHUNK
  }

  #room(others: number): Chunk {
    if (this.#chunk && this.#chunk.used < CHUNK) return this.#chunk
    if (this.#chunk) this.#freeIfDead(this.#chunk)
    this.#chunk = null
    if (this.used + CHUNK + others > this.#limit) throw tooMuch(this.#limit)
    this.used += CHUNK
    this.#chunk = {
      bytes: Buffer.allocUnsafeSlow(CHUNK),
      used: 0,
      released: new Uint8Array(CHUNK / SECTOR),
      live: 0,
    }
    return this.#chunk
  }

  /** Index of the entry that holds `start`, or of the first behind it. */
  #indexOf(start: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = this.#entries[middle] as Entry
      if (entry.start + entry.length <= start) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What to do about an image that cannot be decoded from front to back. */
export const STREAMABLE =
  'Serve the image with HTTP Range support and a strong ETag, or convert it once with qemu-img convert -O qcow2, which puts its tables first.'

function tooMuch(limit: number): ImagingError {
  return new ImagingError('RAM', {
    cause: `The tables of the image come after its data, and the ${limit} bytes of memory for holding data are full.`,
    remedy: STREAMABLE,
  })
}
