import type { CheckSumType } from '../deploy-image.types.ts'
import type { StreamDecoder } from '../decode/extent.ts'
import type { Disk } from '../disk/disk.ts'
import type { Targets } from '../disk/targets.ts'
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
  targets: Targets
  decoder: Decoder
  /** Bytes that a compressed cluster decodes to. */
  clusterSize: number
  ring: RingShare
  spool: SpoolOnDisk
  /** How many hash, decode, write and read back. */
  threads: number
  /** Of the bytes that the source gives; null: no digest of them is made. */
  checkSumType: CheckSumType | null
  /** Disks on which what is not written does not read zero yet. */
  stale: Disk[]
}

/** An image on its way to disks that do not boot yet: the threads, what they wrote, and the boot areas held back. */
export class Staging {
  readonly writer: ImageWriter
  readonly targets: Targets
  readonly withheld: Withheld
  readonly #decoder: Decoder
  readonly #workers: Workers
  readonly #written: WrittenMap
  #stale: Disk[]

  private constructor(options: StagingOptions, workers: Workers, written: WrittenMap, withheld: Withheld) {
    const { targets, decoder } = options
    this.targets = targets
    this.withheld = withheld
    this.#decoder = decoder
    this.#workers = workers
    this.#written = written
    this.#stale = options.stale
    this.writer = new ImageWriter(decoder, {
      ...options,
      workers,
      direct: targets.direct,
      buffered: targets.buffered,
      diskSize: targets.size,
      diskPath: targets.smallest.facts.path,
      zeroRest: () => this.zeroRest(),
    })
  }

  static async open(options: StagingOptions): Promise<Staging> {
    const withheld = new Withheld()
    const { size: diskSize } = options.targets
    const written = shareWritten(diskSize)
    const { head: withheldHead, tail: withheldTail } = withheld
    const setup = { ring: options.ring, written, withheldHead, withheldTail, diskSize }
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
    if (this.#stale.length === 0) return
    const end = Math.min(Math.ceil(this.imageSize / BLOCK) * BLOCK, this.targets.size)
    const channels = this.#stale.map((disk) => disk.direct)
    await eachRegion(
      this.#workers,
      this.#written,
      (from, to) => ({ kind: 'zero', channels, from, to, end }),
      () => {},
    )
    this.#stale = []
  }

  /** @throws ImagingError WRITE; final, see Disk.flush. */
  async flush(): Promise<void> {
    await this.targets.each(async (disk) => {
      await disk.flush().catch((error: unknown) => {
        throw ioFailure('WRITE', 'flushing', disk.facts.path, error)
      })
    })
  }

  /**
   * Reads back from each disk everything that was written and flushed and compares checksums. `onBytes` hears the bytes so far and in all.
   * Returns false where the page cache may have answered instead of the medium.
   */
  async readBack(onBytes: (done: number, total: number) => void): Promise<boolean> {
    const channels = this.targets.direct
    const isMedium = await this.targets.each(async (disk) => disk.direct.alignment > 1 || dropCache(disk))
    const total = this.#written.bytesWritten() * channels.length
    let done = 0
    await eachRegion(
      this.#workers,
      this.#written,
      (from, to) =>
        this.#written.bytesWritten(from, to) > 0 ? { kind: 'verify', channels, from, to } : null,
      (bytes) => onBytes((done += bytes), total),
    )
    return isMedium.every(Boolean)
  }

  /** The image as it will be once the boot areas are there. */
  read(offset: number, length: number): Promise<Uint8Array> {
    return this.withheld.read(this.targets, offset, length)
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
