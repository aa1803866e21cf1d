import type { ByteSink, ImageSource } from './source.ts'

/** Who hears of what is read through an `ObservedSource`. */
export interface SourceObserver {
  /** As many bytes are about to be read at will. */
  onRead?(bytes: number): void
  /** A stream begins, at byte 0; gives what hears all of its bytes, in order. Rejects where it must not begin. */
  onStream(): ((bytes: Uint8Array) => void) | Promise<(bytes: Uint8Array) => void>
}

/** A source as it is, with somebody who hears what it gives. */
export class ObservedSource implements ImageSource {
  readonly #source: ImageSource
  readonly #observer: SourceObserver

  constructor(source: ImageSource, observer: SourceObserver) {
    this.#source = source
    this.#observer = observer
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
    this.#observer.onRead?.(into.length)
    return this.#source.readAt(offset, into)
  }

  async stream(sink: ByteSink): Promise<number> {
    return this.#source.stream(new ObservedSink(sink, await this.#observer.onStream()))
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

class ObservedSink implements ByteSink {
  readonly #sink: ByteSink
  readonly #hear: (bytes: Uint8Array) => void
  #reserved: Uint8Array = new Uint8Array(0)

  constructor(sink: ByteSink, hear: (bytes: Uint8Array) => void) {
    this.#sink = sink
    this.#hear = hear
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    const memory = this.#sink.reserve()
    if (memory instanceof Uint8Array) return (this.#reserved = memory)
    return memory.then((later) => (this.#reserved = later))
  }

  commit(length: number): void {
    this.#hear(this.#reserved.subarray(0, length))
    this.#sink.commit(length)
  }
}
