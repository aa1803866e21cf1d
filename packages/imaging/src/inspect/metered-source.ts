import type { ByteSink, ImageSource } from '../source/source.ts'
import type { Fetched } from './inspection.types.ts'

/** A source that counts what is read through it. */
export class MeteredSource implements ImageSource {
  readonly shownUrl: string
  readonly fetched: Fetched = { reads: 0, bytes: 0 }
  readonly #source: ImageSource

  constructor(source: ImageSource) {
    this.shownUrl = source.shownUrl
    this.#source = source
  }

  get size(): number | undefined {
    return this.#source.size
  }

  get ranged(): boolean {
    return this.#source.ranged
  }

  async readAt(offset: number, into: Uint8Array): Promise<void> {
    this.fetched.reads++
    await this.#source.readAt(offset, into)
    this.fetched.bytes += into.length
  }

  stream(sink: ByteSink): Promise<number> {
    this.fetched.reads++
    return this.#source.stream({
      reserve: () => sink.reserve(),
      commit: (length) => {
        this.fetched.bytes += length
        sink.commit(length)
      },
    })
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}
