import type { ByteSink } from '../source/source.ts'

const BUFFERS = 2
const BUFFER = 512 * 1024

/**
 * Carries what a source pushes to somebody who pulls. Whichever side fails says so by `fail`, and then both sides end in that
 * error, wherever they wait.
 */
export class Pipe implements ByteSink, AsyncIterable<Uint8Array> {
  readonly #free = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(BUFFER))
  readonly #filled: { memory: Buffer<ArrayBuffer>; length: number }[] = []
  #ended = false
  #failure: Error | null = null
  #wakes: (() => void)[] = []

  reserve(): Uint8Array | Promise<Uint8Array> {
    const [memory] = this.#free
    return memory !== undefined && this.#failure === null ? memory : this.#reserveLater()
  }

  commit(length: number): void {
    const memory = this.#free.shift()
    if (memory === undefined) throw new RangeError('committed what was not reserved')
    this.#filled.push({ memory, length })
    this.#wake()
  }

  /** Nothing more is pushed. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** Only the first failure counts. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }

  /** A piece is overwritten once the next one is asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      await this.#until(() => this.#filled.length > 0 || this.#ended)
      const piece = this.#filled.shift()
      if (piece === undefined) return
      yield piece.memory.subarray(0, piece.length)
      this.#free.push(piece.memory)
      this.#wake()
    }
  }

  async #reserveLater(): Promise<Uint8Array> {
    await this.#until(() => this.#free.length > 0)
    return this.#free[0] as Buffer
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake()
  }

  async #until(reached: () => boolean): Promise<void> {
    while (this.#failure === null && !reached()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wakes.push(resolve)
      await promise
    }
    if (this.#failure !== null) throw this.#failure
  }
}
