import type { ByteSink } from '../source/source.ts'
import { Ring, type RingShare } from './ring.ts'

/** What goes past before anything is decided: enough for every header and for a raw image's partition table. */
export const HEAD = 1024 * 1024

/** A sink that can also be told to take up what is in the ring already. */
export interface RingSink extends ByteSink {
  readonly position: number
}

/**
 * Stops a stream that cannot be read ahead of after its first MiB, until `prepare` has looked at that and made the sink
 * that takes the rest. The source waits meanwhile, as for any full buffer.
 */
export class HeadFirst implements ByteSink {
  readonly #ring: Ring
  readonly #prepare: (head: Buffer) => Promise<RingSink>
  #position = 0
  #prepared: Promise<RingSink> | null = null
  #sink: RingSink | null = null

  constructor(ring: RingShare, prepare: (head: Buffer) => Promise<RingSink>) {
    this.#ring = new Ring(ring)
    this.#prepare = prepare
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    if (this.#sink) return this.#sink.reserve()
    if (this.#position < HEAD) return this.#ring.piece(this.#position, HEAD - this.#position)
    return this.#ready().then((sink) => sink.reserve())
  }

  commit(length: number): void {
    if (this.#sink) this.#sink.commit(length)
    else this.#position += length
  }

  /** The stream has ended: where it was shorter than the head, the sink is made now. */
  async end(): Promise<void> {
    await this.#ready()
  }

  /** Waits, after a failure of the source, for a preparation that is under way: what it opens must not come into being later. */
  async settle(): Promise<void> {
    await this.#prepared?.catch(() => undefined) // the source's failure is the one to tell
  }

  #ready(): Promise<RingSink> {
    this.#prepared ??= this.#prepare(this.#ring.piece(0, this.#position)).then((sink) => {
      if (this.#position > 0) sink.commit(this.#position)
      this.#sink = sink
      return sink
    })
    return this.#prepared
  }
}
