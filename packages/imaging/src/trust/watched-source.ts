import type { ContentCheck } from '@byoi/signing'
import type { ByteSink, ImageSource } from '../source/source.ts'

/** A source whose stream also goes into the check of a signature, from the first byte on each time that it begins. */
export class WatchedSource implements ImageSource {
  readonly #source: ImageSource
  readonly #begin: () => Promise<ContentCheck>

  constructor(source: ImageSource, begin: () => Promise<ContentCheck>) {
    this.#source = source
    this.#begin = begin
  }

  get shownUrl(): string {
    return this.#source.shownUrl
  }

  get size(): number | undefined {
    return this.#source.size
  }

  get ranged(): boolean {
    return this.#source.ranged
  }

  readAt(offset: number, into: Uint8Array): Promise<void> {
    return this.#source.readAt(offset, into)
  }

  async stream(sink: ByteSink): Promise<number> {
    return this.#source.stream(new WatchedSink(sink, await this.#begin()))
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

class WatchedSink implements ByteSink {
  readonly #sink: ByteSink
  readonly #check: ContentCheck
  #reserved: Uint8Array = new Uint8Array(0)

  constructor(sink: ByteSink, check: ContentCheck) {
    this.#sink = sink
    this.#check = check
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    const memory = this.#sink.reserve()
    if (memory instanceof Uint8Array) return (this.#reserved = memory)
    return memory.then((later) => (this.#reserved = later))
  }

  commit(length: number): void {
    this.#check.update(this.#reserved.subarray(0, length))
    this.#sink.commit(length)
  }
}
