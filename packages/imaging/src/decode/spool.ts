import { ImagingError } from '../error.ts'

const SECTOR = 512
/** Served bytes wait in pieces of this size, in bytes. */
export const CHUNK = 1024 * 1024
/** With a store, what stays in RAM as long as the store has room, in bytes. */
const IN_RAM = 32 * CHUNK
/** The owner of a `ChunkStore` is told to get ready this long before RAM is full, in bytes. */
const SOON = 4 * CHUNK

/** Room for chunks that RAM has no room for. All calls are synchronous. */
export interface ChunkStore {
  /** Soon chunks will be put. */
  announce(): void
  /**
   * Keeps a chunk; `moveAway` is called with its bytes when its place is needed for something else, and must find it another.
   * Returns its place, or null where there is no room left.
   */
  put(bytes: Buffer, moveAway: (bytes: Buffer) => void): number | null
  get(place: number): Buffer
  /** The chunk is not needed any more. */
  drop(place: number): void
}

interface Chunk {
  /** In RAM, or null. */
  bytes: Buffer | null
  /** In the store, or null. Both are null when nothing of it is needed any more. */
  place: number | null
  used: number
  /** How many sectors are still needed. */
  live: number
  /** One bit for each sector that is not; null while all are. */
  released: Uint8Array | null
}

/** A run of the served file: `length` bytes at `start` are kept in `chunk` from `at` on. */
interface Entry {
  start: number
  length: number
  chunk: Chunk
  at: number
}

/**
 * Served bytes whose place on the disk is not known yet. Whole sectors of 512 bytes, appended in the order of the file, given
 * back in chunks of 1 MiB. They are kept in RAM, and where that does not suffice in the store; where the store is full, in RAM up
 * to the limit.
 */
export class Spool {
  readonly #limit: number
  /** From where on the store is used. */
  readonly #inRam: number
  readonly #store: ChunkStore | null
  #entries: Entry[] = []
  #chunk: Chunk | null = null
  /** The chunk that was read from the store last: runs that follow each other lie in the same. */
  #loaded: { chunk: Chunk; bytes: Buffer } | null = null
  /** Memory in bytes. */
  used = 0

  /** `limit`: of the memory, in bytes. */
  constructor(limit: number, store: ChunkStore | null) {
    this.#limit = limit
    this.#inRam = store ? Math.min(limit, IN_RAM) : limit
    this.#store = store
  }

  /**
   * Copies `bytes`. Throws ImagingError `RAM` when neither the limit nor the store suffices; `others`: bytes that count against
   * the limit too.
   */
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

  /** How many of the `length` bytes from `start` on are kept, up to the first gap. */
  available(start: number, length: number): number {
    let size = 0
    for (let i = this.#indexOf(start); i < this.#entries.length && size < length; i++) {
      const entry = this.#entries[i] as Entry
      if (entry.start > start + size || isGone(entry.chunk)) break
      size = entry.start + entry.length - start
    }
    return Math.min(size, length)
  }

  /** A copy of the bytes from `start` on that are `available`. */
  read(start: number, length: number): Buffer {
    const found = Buffer.allocUnsafeSlow(this.available(start, length))
    let size = 0
    for (let i = this.#indexOf(start); size < found.length; i++) {
      const entry = this.#entries[i] as Entry
      const from = entry.at + start + size - entry.start
      size += this.#bytesOf(entry.chunk).copy(found, size, from, entry.at + entry.length)
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
    for (const { chunk } of this.#entries) if (chunk.place !== null) this.#forget(chunk)
    this.#entries = []
    this.#chunk = null
    this.used = 0
  }

  #bytesOf(chunk: Chunk): Buffer {
    if (chunk.bytes !== null) return chunk.bytes
    if (this.#loaded?.chunk !== chunk)
      this.#loaded = { chunk, bytes: (this.#store as ChunkStore).get(chunk.place as number) }
    return this.#loaded.bytes
  }

  #releaseSector(chunk: Chunk, at: number): void {
    if (isGone(chunk)) return
    chunk.released ??= new Uint8Array(CHUNK / SECTOR / 8)
    const sector = at / SECTOR
    const byte = sector >>> 3
    const bit = 1 << (sector & 7)
    if ((chunk.released[byte] as number) & bit) return
    chunk.released[byte] = (chunk.released[byte] as number) | bit
    chunk.live--
    if (chunk.live === 0 && chunk !== this.#chunk) this.#forget(chunk)
  }

  #forget(chunk: Chunk): void {
    if (chunk.bytes !== null) this.used -= CHUNK
    if (chunk.place !== null) this.#store?.drop(chunk.place)
    if (this.#loaded?.chunk === chunk) this.#loaded = null
    chunk.bytes = null
    chunk.place = null
    chunk.released = null
  }

  /** The chunk that is being filled, or a new one. */
  #room(others: number): Chunk {
    const full = this.#chunk
    if (full && full.used < CHUNK) return full
    if (full?.live === 0) this.#forget(full)
    this.#chunk = null
    if (this.used + SOON + others > this.#inRam) this.#store?.announce()
    if (full?.bytes && this.used + CHUNK + others > this.#inRam) this.#moveOut(full, full.bytes)
    if (this.used + CHUNK + others > this.#limit) throw tooMuch(this.#limit, this.#store !== null)
    this.used += CHUNK
    this.#chunk = { bytes: Buffer.allocUnsafeSlow(CHUNK), place: null, used: 0, live: 0, released: null }
    return this.#chunk
  }

  #moveOut(chunk: Chunk, bytes: Buffer): void {
    const place = this.#store?.put(bytes, (moved) => this.#moveAway(chunk, moved)) ?? null
    if (place === null) return
    chunk.place = place
    chunk.bytes = null
    this.used -= CHUNK
  }

  /** Into RAM where there is room again, else to another place, and where there is none into RAM all the same. */
  #moveAway(chunk: Chunk, bytes: Buffer): void {
    chunk.place = null
    chunk.bytes = bytes
    this.used += CHUNK
    if (this.used > this.#inRam) this.#moveOut(chunk, bytes)
    if (this.used > this.#limit) throw tooMuch(this.#limit, true)
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

function isGone({ bytes, place }: Chunk): boolean {
  return bytes === null && place === null
}

/** What to do about an image that cannot be decoded from front to back. */
export const STREAMABLE =
  'Serve the image with HTTP Range support and a strong ETag, or convert it once with qemu-img convert -O qcow2, which puts its tables first.'

function tooMuch(limit: number, withStore: boolean): ImagingError {
  const room = withStore
    ? `neither the ${limit} bytes of memory for holding data nor the free part of the disk suffice`
    : `the ${limit} bytes of memory for holding data are full`
  return new ImagingError('RAM', {
    cause: `The tables of the image come after its data, and ${room}.`,
    remedy: STREAMABLE,
  })
}
