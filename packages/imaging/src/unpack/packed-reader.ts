/** Reads a stream that comes in pieces of any size. Bytes that were given are valid until the next `atEnd` or `take`. */
export class PackedReader {
  readonly #pieces: AsyncIterator<Uint8Array>
  /** What has come and was not taken yet. */
  rest: Uint8Array = new Uint8Array(0)

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** False where `rest` holds at least one byte, for which it waits. */
  async atEnd(): Promise<boolean> {
    while (this.rest.length === 0) {
      const { value, done } = await this.#pieces.next()
      if (done === true) return true
      this.rest = value
    }
    return false
  }

  /** `length` bytes are done with, at most all of `rest`. */
  skip(length: number): void {
    this.rest = this.rest.subarray(length)
  }

  /** Fills `into` from its start; returns how many bytes came before the end. */
  async take(into: Uint8Array): Promise<number> {
    let filled = 0
    while (filled < into.length && !(await this.atEnd())) {
      const part = this.rest.subarray(0, into.length - filled)
      into.set(part, filled)
      this.skip(part.length)
      filled += part.length
    }
    return filled
  }
}
