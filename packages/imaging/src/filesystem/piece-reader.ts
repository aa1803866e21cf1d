import { type ImageReader, readPadded } from '../table/image-reader.ts'

/** Small reads in one neighbourhood become one request to the image server. */
const PIECE = 64 * 1024
const KEPT = 32

/** Reads an image in pieces of 64 KiB and keeps those read last, 2 MiB at most. */
export class PieceReader {
  readonly #image: ImageReader
  readonly #pieces = new Map<number, Promise<Uint8Array>>()

  constructor(image: ImageReader) {
    this.#image = image
  }

  /** Bytes at `offset`, which may lie past the end of the image: there they are zero. Rejects as the image does. */
  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; ) {
      const start = offset + at - ((offset + at) % PIECE)
      const piece = await this.#piece(start)
      const part = piece.subarray(offset + at - start, offset + length - start)
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  #piece(start: number): Promise<Uint8Array> {
    const piece = this.#pieces.get(start) ?? readPadded(this.#image, start, PIECE)
    this.#pieces.delete(start) // the order of a Map is that of insertion: the one used last goes to the end
    this.#pieces.set(start, piece)
    const [oldest] = this.#pieces.keys()
    if (this.#pieces.size > KEPT && oldest !== undefined) this.#pieces.delete(oldest)
    return piece
  }
}
