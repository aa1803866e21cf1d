import type { CheckSumType } from '../deploy-image.types.ts'
import type { DecodedWork, Extent, HeldExtent, StreamDecoder } from '../decode/extent.ts'
import { Digest } from '../digest.ts'
import { ImagingError } from '../error.ts'
import type { ByteSink } from '../source/source.ts'
import { ExtentQueue } from './extent-queue.ts'
import { type Channel, packExtents } from './jobs.ts'
import { Ring, type RingShare } from './ring.ts'
import type { SpoolOnDisk } from './spool-on-disk.ts'
import type { Workers } from './workers.ts'
import { BLOCK } from './written-map.ts'

/** What a source is offered at a time, and the least that is worth offering while more is about to come free. */
const OFFER = 1024 * 1024
const LEAST_OFFER = 256 * 1024

export interface ImageWriterOptions {
  /** Bytes that a compressed cluster decodes to. */
  clusterSize: number
  ring: RingShare
  workers: Workers
  /** Null: no digest is made. */
  checkSumType: CheckSumType | null
  /** Of each disk. */
  direct: Channel[]
  buffered: Channel[]
  /** Bytes of the smallest disk, and its name for errors. */
  diskSize: number
  diskPath: string
  /** Where the decoder's data waits when RAM is full; it knows whether what is not written reads zero. */
  spool: SpoolOnDisk
  /** Writes zeros to every block that was not written yet. Called at most once, with no write under way. */
  zeroRest: () => Promise<void>
}

/**
 * The middle of the byte flow: offers the ring to the source, and hands what has arrived to the digest and, as the decoder
 * finds places for it, to the workers. A part of the ring is offered again once the digest and the workers are done with it.
 */
export class ImageWriter implements ByteSink {
  readonly #options: ImageWriterOptions
  readonly #decoder: StreamDecoder
  readonly #ring: Ring
  readonly #digest: Digest | null
  readonly #queue = new ExtentQueue()
  /** First served offset that each job under way needs. */
  readonly #underWay = new Set<{ from: number }>()
  /** The next one last. */
  #held: HeldExtent[] = []
  #position = 0
  #imageEnd = Number.POSITIVE_INFINITY
  #ending = false
  #channels: Channel[]
  #preparing = false
  #failure: Error | null = null
  #wakes: (() => void)[] = []
  written = 0

  constructor(decoder: StreamDecoder, options: ImageWriterOptions) {
    this.#options = options
    this.#decoder = decoder
    this.#ring = new Ring(options.ring)
    const { checkSumType, workers } = options
    this.#digest =
      checkSumType &&
      new Digest(
        workers,
        checkSumType,
        () => this.#wake(),
        (error) => this.fail(error),
      )
    this.#channels = options.direct
  }

  /** Bytes that have arrived. */
  get position(): number {
    return this.#position
  }

  reserve(): Buffer | Promise<Buffer> {
    if (this.#failure) return Promise.reject(this.#failure)
    const free = this.#free()
    if (free >= LEAST_OFFER && this.#held.length === 0 && !this.#options.spool.isWanted)
      return this.#offer(free)
    return this.#reserveLater()
  }

  commit(length: number): void {
    if (this.#failure) return // the next reservation says so
    const offset = this.#position
    this.#position += length
    this.#digest?.commit(this.#position)
    try {
      for (let at = offset; at < this.#position; ) {
        const bytes = this.#ring.piece(at, this.#position - at)
        this.#take(this.#decoder.push(bytes, at))
        at += bytes.length
      }
    } catch (error) {
      this.fail(error as Error)
    }
    this.#dispatch()
  }

  /** Everything has arrived: waits until all of it is on the disk (not flushed) and gives the digest, if one is made. */
  async finish(): Promise<string | null> {
    if (this.#failure) throw this.#failure
    this.#take(this.#decoder.finish(this.#position))
    this.#imageEnd = this.#decoder.virtualSize
    this.#ending = true
    const digest = this.#digest?.finish(this.#position) ?? null
    this.#dispatch()
    await this.#until(() => this.#isIdle())
    await this.#options.spool.wipe()
    return digest
  }

  /** Makes every wait end in `error`; nothing more is handed out. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }

  async #reserveLater(): Promise<Buffer> {
    await this.#until(() => {
      if (this.#held.length > 0) return false
      if (this.#options.spool.isWanted) {
        void this.#prepare(false)
        return false
      }
      const free = this.#free()
      if (free >= LEAST_OFFER) return true
      this.#digest?.commit(this.#position, true)
      this.#dispatch(true)
      return this.#underWay.size === 0 && !this.#preparing && this.#hashed === this.#position
    })
    const free = this.#free()
    if (free === 0) throw ringTooSmall()
    return this.#offer(free)
  }

  get #hashed(): number {
    return this.#digest?.hashed ?? this.#position
  }

  #offer(free: number): Buffer {
    return this.#ring.piece(this.#position, Math.min(free, OFFER))
  }

  #free(): number {
    let needed = Math.min(this.#hashed, this.#decoder.needsFrom, this.#queue.needsFrom)
    for (const { from } of this.#underWay) needed = Math.min(needed, from)
    return this.#ring.size - (this.#position - Math.min(needed, this.#position))
  }

  #isIdle(): boolean {
    return this.#underWay.size === 0 && this.#queue.isEmpty && this.#held.length === 0 && !this.#preparing
  }

  #take(work: DecodedWork): void {
    for (const extent of [...work.extents, ...work.held.map((held) => held.extent)]) {
      if (extent.disk + extent.size > this.#options.diskSize) throw imageTooLarge(this.#options)
    }
    for (const extent of work.extents) {
      this.#options.spool.claim(extent.disk, extent.size)
      this.#queue.add(extent)
    }
    this.#held = [...work.held.toReversed(), ...this.#held]
  }

  /** Hands out what there is room for; jobs that are not full only when there is a reason to hurry. */
  #dispatch(hurry = this.#ending): void {
    while (!this.#failure && !this.#preparing && this.#options.workers.hasRoom) {
      const held = this.#held.at(-1)
      const extents = held ? [held.extent] : this.#queue.take(hurry, this.#ending)
      if (extents.length === 0) return
      const prepared = this.#isPreparedFor(extents)
      if (!prepared && !held) this.#queue.putBack(extents)
      if (!prepared) return void this.#prepare(true)
      if (held) this.#writeHeld(held)
      else void this.#write(extents, null)
    }
  }

  #writeHeld(held: HeldExtent): void {
    this.#held.pop()
    try {
      const bytes = held.take()
      this.#options.spool.claim(held.extent.disk, held.extent.size)
      void this.#write([held.extent], bytes)
    } catch (error) {
      this.fail(error as Error)
    }
  }

  async #write(extents: Extent[], bytes: Uint8Array | null): Promise<void> {
    const from = bytes ? Number.POSITIVE_INFINITY : Math.min(...extents.map(({ source }) => source))
    const job = { from }
    this.#underWay.add(job)
    try {
      const imageEnd = Math.min(this.#imageEnd, this.#decoder.virtualSize)
      const packed = packExtents(extents)
      const channels = this.#channels
      const wrote = await this.#options.workers.run({
        kind: 'write',
        channels,
        imageEnd,
        clusterSize: this.#options.clusterSize,
        extents: packed,
        bytes,
      })
      this.written += wrote
    } catch (error) {
      this.fail(error as Error)
    }
    this.#underWay.delete(job)
    this.#wake()
  }

  /**
   * Images of small clusters come in runs that do not fill blocks. The rest of such a block must read zero beforehand, and
   * runs that do not fill the disk's alignment must go through the page cache.
   */
  #isPreparedFor(extents: Extent[]): boolean {
    const alignment = Math.max(...this.#channels.map((channel) => channel.alignment))
    return (this.#options.spool.restIsZero || this.#fill(extents, BLOCK)) && this.#fill(extents, alignment)
  }

  #fill(extents: Extent[], unit: number): boolean {
    const end = this.#decoder.virtualSize
    return extents.every(
      ({ disk, size }) => disk % unit === 0 && ((disk + size) % unit === 0 || disk + size === end),
    )
  }

  /**
   * Once nothing is under way: two ways of writing must not meet in one page, nor zeros overtake data. `small`: runs have come
   * that do not fill the disk's alignment.
   */
  async #prepare(small: boolean): Promise<void> {
    if (this.#preparing || this.#underWay.size > 0) return // called again when the last one ends
    this.#preparing = true
    try {
      const { spool, zeroRest } = this.#options
      if (!spool.restIsZero) await zeroRest()
      spool.ready()
      if (small) this.#channels = this.#options.buffered
    } catch (error) {
      this.fail(error as Error)
    }
    this.#preparing = false
    this.#wake()
  }

  #wake(): void {
    this.#dispatch()
    for (const wake of this.#wakes.splice(0)) wake()
  }

  /** Waits until `reached` says yes; it is asked again after each event. */
  async #until(reached: () => boolean): Promise<void> {
    while (!this.#failure && !reached()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wakes.push(resolve)
      await promise
    }
    if (this.#failure) throw this.#failure
  }
}

/** The image's size was not known before. */
function imageTooLarge({ diskPath, diskSize }: ImageWriterOptions): ImagingError {
  return new ImagingError('DISK', {
    cause: `The image is larger than the disk ${diskPath}, which has ${diskSize} bytes.`,
    remedy: 'Use a larger disk or a smaller image.',
  })
}

function ringTooSmall(): ImagingError {
  return new ImagingError('RAM', {
    cause: 'The image places its data further apart than the buffer between download and disk is large.',
    remedy:
      'Convert the image once more with qemu-img convert, or serve it from a server that supports Range requests.',
  })
}
