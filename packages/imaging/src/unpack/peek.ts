import type { ByteSink } from '../source/source.ts'
import { deliver } from './deliver.ts'

/** Keeps the first bytes of a stream until it can be said which sink all of them go to. */
export class Peek implements ByteSink {
  readonly #least: number
  readonly #choose: (head: Uint8Array) => ByteSink
  readonly #head = Buffer.alloc(4096)
  #length = 0
  #begun: Promise<ByteSink> | null = null
  #sink: ByteSink | null = null

  /** `choose` is given the first `least` bytes or more, or all of a shorter stream. */
  constructor(least: number, choose: (head: Uint8Array) => ByteSink) {
    this.#least = least
    this.#choose = choose
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    if (this.#sink !== null) return this.#sink.reserve()
    if (this.#length < this.#least) return this.#head.subarray(this.#length)
    return this.#begin().then((sink) => sink.reserve())
  }

  commit(length: number): void {
    if (this.#sink === null) this.#length += length
    else this.#sink.commit(length)
  }

  /** The stream has ended: where it was shorter than what had to be seen, the sink is chosen now. */
  async end(): Promise<void> {
    await this.#begin()
  }

  #begin(): Promise<ByteSink> {
    this.#begun ??= this.#handOn()
    return this.#begun
  }

  async #handOn(): Promise<ByteSink> {
    const head = this.#head.subarray(0, this.#length)
    const sink = this.#choose(head)
    await deliver(head, sink)
    this.#sink = sink
    return sink
  }
}
