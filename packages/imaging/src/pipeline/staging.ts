import type { CheckSumType } from '../deploy-image.types.ts'
import type { StreamDecoder } from '../decode/extent.ts'
import type { Disk } from '../disk/disk.ts'
import { dropCache } from '../disk/drop-cache.ts'
import { ioFailure } from '../disk/io-failure.ts'
import { Withheld } from '../disk/withheld.ts'
import { eachRegion } from './each-region.ts'
import { ImageWriter } from './image-writer.ts'
import type { RingShare } from './ring.ts'
import type { SpoolOnDisk } from './spool-on-disk.ts'
import { Workers } from './workers.ts'
import { BLOCK, shareWritten, WrittenMap } from './written-map.ts'

/** With what a reader of the result should know, one sentence each; complete once the image has ended. */
type Decoder = StreamDecoder & { readonly notes: string[] }

export interface StagingOptions {
  disk: Disk
  decoder: Decoder
  /** Bytes that a compressed cluster decodes to. */
  clusterSize: number
  ring: RingShare
  spool: SpoolOnDisk
  /** How many hash, decode, write and read back. */
  threads: number
  /** Of the bytes that the source gives; null: no digest of them is made. */
  checkSumType: CheckSumType | null
  /** What is not written reads zero already. */
  restIsZero: boolean
}

/** An image on its way to a disk that does not boot yet: the threads, what they wrote, and the boot areas held back. */
export class Staging {
  readonly writer: ImageWriter
  readonly disk: Disk
  readonly withheld: Withheld
  readonly #decoder: Decoder
  readonly #workers: Workers
  readonly #written: WrittenMap
  #restIsZero: boolean

  private constructor(options: StagingOptions, workers: Workers, written: WrittenMap, withheld: Withheld) {
    const { disk, decoder } = options
    this.disk = disk
    this.withheld = withheld
    this.#decoder = decoder
    this.#workers = workers
    this.#written = written
    this.#restIsZero = options.restIsZero
    this.writer = new ImageWriter(decoder, {
      ...options,
      workers,
      direct: disk.direct,
      buffered: disk.buffered,
      diskSize: disk.size,
      zeroRest: () => this.zeroRest(),
    })
  }

  static async open(options: StagingOptions): Promise<Staging> {
    const withheld = new Withheld()
    const written = shareWritten(options.disk.size)
    const { head: withheldHead, tail: withheldTail } = withheld
    const setup = { ring: options.ring, written, withheldHead, withheldTail, diskSize: options.disk.size }
    return new Staging(
      options,
      await Workers.start(setup, options.threads),
      new WrittenMap(written),
      withheld,
    )
  }

  get notes(): string[] {
    return this.#decoder.notes
  }

  get imageSize(): number {
    return this.#decoder.virtualSize
  }

  /** Makes what was not written read zero, up to the end of the image, where nothing else has seen to that. */
  async zeroRest(): Promise<void> {
    if (this.#restIsZero) return
    const end = Math.min(Math.ceil(this.imageSize / BLOCK) * BLOCK, this.disk.size)
    const channel = this.disk.direct
    await eachRegion(
      this.#workers,
      this.#written,
      (from, to) => ({ kind: 'zero', channel, from, to, end }),
      () => {},
    )
    this.#restIsZero = true
  }

  /** @throws ImagingError WRITE; final, see Disk.flush. */
  async flush(): Promise<void> {
    await this.disk.flush().catch((error: unknown) => {
      throw ioFailure('WRITE', 'flushing', error)
    })
  }

  /**
   * Reads back everything that was written and flushed and compares checksums. `onBytes` hears the bytes so far and in all.
   * Returns false where the page cache may have answered instead of the medium.
   */
  async readBack(onBytes: (done: number, total: number) => void): Promise<boolean> {
    const channel = this.disk.direct
    const isMedium = channel.alignment > 1 || (await dropCache(this.disk))
    const total = this.#written.bytesWritten()
    let done = 0
    await eachRegion(
      this.#workers,
      this.#written,
      (from, to) => (this.#written.bytesWritten(from, to) > 0 ? { kind: 'verify', channel, from, to } : null),
      (bytes) => onBytes((done += bytes), total),
    )
    return isMedium
  }

  /** The image as it will be once the boot areas are there. */
  read(offset: number, length: number): Promise<Uint8Array> {
    return this.withheld.read(this.disk, offset, length)
  }

  /** Makes everything under way end in `error`. */
  stop(error: Error): void {
    this.writer.fail(error)
    this.#workers.fail(error)
  }

  /** Returns true when no thread uses the disk any more. */
  close(): Promise<boolean> {
    return this.#workers.close()
  }
}
